package sql

import (
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners/sql/lex"
)

// plainSecrets is SQL034. It knows four shapes: the clauses that set a password,
// a property or variable whose name says that it is a secret, the place of the
// password among the arguments of a connector, and text that gives itself away
// wherever it stands, in a comment too. Its messages never hold the secret.
func plainSecrets(s *Statement, out *hits) {
	for _, c := range s.Comments {
		searchText(s.text, int(c.Start), int(c.End), out)
	}
	if s.Verb == lex.Set {
		s.setProperty(out)
	}
	condition := false
	reported := -1 // a clause and a property may see the same literal
	for i := range s.Tokens {
		t := &s.Tokens[i]
		value := 0
		switch s.Kind(i) {
		case lex.Dollar, lex.Command, lex.Data:
			searchText(s.text, int(t.Start), int(t.End), out)
			continue
		case lex.String, lex.Quoted:
			if i != reported {
				searchText(s.text, int(t.Start), int(t.End), out)
			}
		case lex.Word:
			switch t.Keyword {
			case lex.Where, lex.On, lex.Having, lex.When:
				condition = true
			case lex.Set, lex.Select:
				condition = false
			case lex.Identified, lex.Password:
				value = s.passwordClause(i)
			case lex.None:
				value = s.connectorPassword(i)
			}
		case lex.Param: // a variable: SET @password = 'x'
			if s.Text(i)[0] != '@' {
				continue
			}
		default:
			continue
		}
		if next := s.Kind(i + 1); value == 0 && (next == lex.Op || next == lex.String) && s.namesSecret(i) {
			value = s.propertyValue(i, condition && t.Kind != lex.String)
		}
		if value > 0 && value != reported {
			out.tokens(s, value, value)
			reported = value
		}
	}
}

// passwordClause returns the literal of IDENTIFIED BY 'x', PASSWORD 'x' and
// PASSWORD('x'), or 0.
func (s *Statement) passwordClause(i int) int {
	n := i + 1
	if s.Keyword(i) == lex.Password {
		switch {
		case s.Kind(n) == lex.LParen && s.Kind(n+2) == lex.RParen:
			n++
		case s.Verb == lex.Create || s.Verb == lex.Alter || s.Verb == lex.Grant:
		default:
			return 0 // SELECT password 'alias'
		}
		return s.secretLiteral(n)
	}
	if s.Keyword(n) == lex.With { // a plug-in, or ClickHouse's sha256_hash
		if strings.Contains(strings.ToLower(s.Text(n+1)), "hash") {
			return 0
		}
		n += 2
	}
	if s.Keyword(n) != lex.By || s.Keyword(n+1) == lex.Password { // BY PASSWORD 'digest'
		return 0
	}
	n++
	if s.is(n, "RANDOM") || s.is(n, "EXTERNALLY") { // MySQL: BY RANDOM PASSWORD
		return 0
	}
	if s.Kind(n) == lex.Word && s.Keyword(n) == lex.None && secret(s.Text(n)) {
		return n // Oracle: IDENTIFIED BY tiger
	}
	return s.secretLiteral(n)
}

// connectors are the table engines and table functions, of ClickHouse, that take
// host, database, table, user and password; as engines of a database they take no
// table.
var connectors = [...]string{"mysql", "postgresql", "mongodb", "materializedmysql", "materializedpostgresql"}

// connectorPassword returns the password among the arguments of the connector at
// i, or 0.
func (s *Statement) connectorPassword(i int) int {
	if s.Kind(i+1) != lex.LParen || !slices.ContainsFunc(connectors[:], func(name string) bool { return strings.EqualFold(name, s.Text(i)) }) {
		return 0
	}
	before := 4
	if s.Verb == lex.Create && s.Keyword(s.Head+1) == lex.Database {
		before = 3
	}
	const far = 64 // tokens of the arguments in front
	n := i + 2
	for end := n + far; n < s.Len() && s.Kind(n) != lex.RParen; n = s.Next(n) {
		if before == 0 || n > end && s.Tokens[i+1].Match < 0 { // never closed
			break
		}
		if s.Kind(n) == lex.Comma {
			before--
		}
	}
	if before > 0 || !separates(s.Kind(n+1)) {
		return 0
	}
	return s.secretLiteral(n)
}

// secretLiteral is i if a literal that can be a secret stands there, or 0.
func (s *Statement) secretLiteral(i int) int {
	if s.literal(i) && secret(unquote(s.Text(i))) {
		return i
	}
	return 0
}

// namesSecret reports whether the word or text at i ends the name of a secret,
// such as password, "fs.access.key" or fs.access.key.
func (s *Statement) namesSecret(i int) bool {
	const deep = 8
	name := unquote(s.Text(i))
	if len(name) > 100 {
		return false
	}
	property := s.Kind(i) != lex.Word || s.Verb == lex.Set
	if s.Verb == lex.Set {
		from := i
		for n := 0; n < deep && s.Kind(from-1) == lex.Dot && from >= 2; n++ {
			from -= 2
		}
		if from < i {
			name = s.text[s.Tokens[from].Start:s.Tokens[i].End]
		}
	}
	return secretName(name, property)
}

// propertyValue returns the literal that is given to the property at i, or 0. In
// a condition only passwords count: a column called token is compared with
// ordinary values.
func (s *Statement) propertyValue(i int, condition bool) int {
	n := i + 1
	switch s.Text(n) {
	case "=", "==", ":=", "=>", ":":
		n++
	default:
		// OPTIONS (secret_key 'x'), as PostgreSQL's foreign data wrappers have it.
		if s.Verb != lex.Create && s.Verb != lex.Alter || s.Kind(i) != lex.Word || s.Kind(n) != lex.String {
			return 0
		}
	}
	if !s.literal(n) {
		return 0
	}
	password := strings.Contains(strings.ToLower(s.Text(i)), "pass")
	if condition && !password || password && hashed(unquote(s.Text(n))) {
		return 0
	}
	return s.secretLiteral(n)
}

// setProperty judges Hive's SET a.b.password=x, where the value is bare text up
// to the terminator, and MySQL's SET PASSWORD FOR user = 'x'.
func (s *Statement) setProperty(out *hits) {
	const far, long = 40, 1000
	first := s.Head + 1
	n := first
	for n < s.Len() && n < first+far && s.Text(n) != "=" {
		n++
	}
	if n == first || n+1 >= s.Len() || s.Text(n) != "=" {
		return
	}
	if s.Keyword(first) == lex.Password && s.Keyword(first+1) == lex.For {
		if v := s.secretLiteral(n + 1); v > 0 {
			out.tokens(s, v, v)
		}
		return
	}
	name := s.text[s.Tokens[first].Start:s.Tokens[n-1].End]
	start, end := s.bytes(n+1, s.Len()-1)
	if s.literal(n+1) || len(name) > 200 || end-start > long || strings.ContainsAny(s.text[start:end], " (,") {
		return
	}
	if s.Kind(first) == lex.Word && secretName(name, true) && secret(s.text[start:end]) {
		out.tokens(s, n+1, s.Len()-1)
		return
	}
	searchText(s.text, start, end, out)
}

// literal reports whether token i is a text that stands in the source itself.
func (s *Statement) literal(i int) bool {
	switch s.Kind(i) {
	case lex.String:
		return true
	case lex.Quoted:
		return s.Text(i)[0] == '"'
	}
	return false
}

// unquote takes the quotes off a literal, and the letter in front of E'text'.
func unquote(text string) string {
	for i := 0; i < 2 && i+2 <= len(text); i++ {
		if c := text[i]; c == '\'' || c == '"' || c == '`' {
			return text[i+1 : len(text)-1]
		}
	}
	return text
}

// secretEnds are the ends of names that hold secrets, without separators.
// Those of the second list count only as names of properties: as columns they
// hold ordinary things.
var (
	secretEnds   = [...]string{"password", "passwd", "pwd", "passphrase", "secretkey", "accesskey", "accesskeyid", "accesskeysecret", "secretaccesskey", "apikey"}
	propertyEnds = [...]string{"secret", "accesstoken", "authtoken", "privatekey"}
)

// secretName reports whether a name ends like that of a secret.
func secretName(name string, property bool) bool {
	if len(name) < 2 {
		return false
	}
	switch name[len(name)-1] | 0x20 {
	case 'd', 'e', 'y', 't', 'n', 'k':
	default:
		return false
	}
	for _, end := range secretEnds {
		if endsLike(name, end) {
			return true
		}
	}
	if !property {
		return false
	}
	for _, end := range propertyEnds {
		if endsLike(name, end) {
			return true
		}
	}
	last := name[max(0, len(name)-3):]
	return (endsLike(last, "ak") || endsLike(last, "sk")) && (len(name) == 2 || strings.IndexByte("._-", last[0]) >= 0)
}

// endsLike compares the end of a name in any case, separators left out.
func endsLike(name, end string) bool {
	i := len(name) - 1
	for n := len(end) - 1; n >= 0; n-- {
		for i >= 0 && (name[i] == '_' || name[i] == '-' || name[i] == '.') {
			i--
		}
		if i < 0 || name[i]|0x20 != end[n] {
			return false
		}
		i--
	}
	return true
}

// secret reports whether a value can be a real secret: not empty, not masked, and
// not a placeholder.
func secret(value string) bool {
	value = strings.TrimSpace(value)
	if len(value) < 2 || strings.ContainsAny(value, "\n") || strings.Trim(value, "*xX.#-?") == "" {
		return false
	}
	for _, mark := range [...]string{"${", "#{", "{{", "{%", "$(", "$[", "%s", "%("} {
		if strings.Contains(value, mark) {
			return false
		}
	}
	switch value[0] {
	case '<', '&', '?', ':', '@', '$', '%', '*':
		return false
	}
	lower := strings.ToLower(value)
	switch lower {
	case "true", "false", "null", "none", "yes", "no", "password", "secret", "[hidden]":
		return false
	}
	return !strings.HasPrefix(lower, "your") && !strings.HasPrefix(lower, "scram-sha-256$") && !strings.HasPrefix(lower, "jceks:") &&
		(len(lower) != 35 || !strings.HasPrefix(lower, "md5"))
}

// hashed reports whether a value looks like a digest, which is no plain text.
func hashed(value string) bool {
	if strings.HasPrefix(value, "$2") {
		return true
	}
	if len(value) != 32 && len(value) != 40 && len(value) != 64 {
		return false
	}
	return strings.Trim(strings.ToLower(value), "0123456789abcdef") == ""
}

// accessKeys are the beginnings of cloud vendors' key ids, with the lengths that
// follow them.
var accessKeys = [...]struct {
	prefix   string
	from, to int
}{
	{"AKIA", 16, 16}, // AWS
	{"LTAI", 12, 26}, // Aliyun
	{"AKID", 28, 48}, // Tencent Cloud
}

// searchText looks through text[start:end] for keys and for credentials in URLs.
func searchText(text string, start, end int, out *hits) {
	part := text[start:end]
	for i := 0; i < len(part); i++ {
		switch part[i] {
		default:
		case ':':
			from, to, end := urlSecret(part, i)
			if to > from {
				out.place(start+from, start+to, out.rule.Severity, report.Text{
					En: "A URL with a password in plain text; take it from a parameter or a secret store, and change it.",
					Zh: "连接串中出现明文口令，请改用参数或密钥管理，并更换该口令。",
				})
			}
			i = max(i, end-1)
		case 'A', 'L':
			if n := accessKey(part, i); n > 0 {
				out.place(start+i, start+i+n, out.rule.Severity, report.Text{
					En: "A cloud access key in plain text; take it from a secret store, and revoke it.",
					Zh: "出现明文云访问密钥，请改用密钥管理，并吊销该密钥。",
				})
				i += n - 1
			}
		}
	}
}

// accessKey measures the key id at i, or returns 0.
func accessKey(text string, i int) int {
	if i > 0 && alphanumeric(text[i-1]) {
		return 0
	}
	for _, k := range accessKeys {
		if !strings.HasPrefix(text[i:], k.prefix) {
			continue
		}
		n := len(k.prefix)
		digits := false
		for i+n < len(text) && n <= len(k.prefix)+k.to && alphanumeric(text[i+n]) {
			digits = digits || text[i+n] <= '9'
			n++
		}
		if rest := n - len(k.prefix); rest >= k.from && rest <= k.to && digits {
			return n
		}
	}
	return 0
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// urlSecret finds the password of the URL whose "://" begins at i, or of the
// jdbc: URL whose first colon stands at i: //user:password@host or
// ?…password=…. The text up to end needs no further look.
func urlSecret(text string, i int) (from, to, end int) {
	const far = 500
	jdbc := i >= 4 && strings.EqualFold(text[i-4:i], "jdbc")
	if !jdbc && !strings.HasPrefix(text[i:], "://") {
		return 0, 0, 0
	}
	url := text[i:min(len(text), i+far)]
	if n := strings.IndexAny(url, " \t\r\n'\"`<>"); n >= 0 {
		url = url[:n]
	}
	end = i + len(url)
	lower := asciiLower(url)
	for _, key := range [...]string{"password=", "passwd=", "pwd="} {
		n := strings.Index(lower, key)
		if n < 0 {
			continue
		}
		n += len(key)
		value := url[n:]
		if m := strings.IndexAny(value, "&;,)"); m >= 0 {
			value = value[:m]
		}
		if secret(value) {
			return i + n, i + n + len(value), end
		}
	}
	slashes := strings.Index(url, "://")
	if slashes < 0 {
		return 0, 0, end
	}
	at := i + slashes + 3
	authority := url[slashes+3:]
	if n := strings.IndexAny(authority, "/?"); n >= 0 {
		authority = authority[:n]
	}
	host := strings.LastIndexByte(authority, '@')
	colon := strings.IndexByte(authority, ':')
	if colon < 0 || host <= colon+1 || !secret(authority[colon+1:host]) {
		return 0, 0, end
	}
	return at + colon + 1, at + host, end
}

// asciiLower folds case and keeps every byte in its place, as strings.ToLower
// does not.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
