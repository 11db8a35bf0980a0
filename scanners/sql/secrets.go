package sql

import (
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/secrets"
	"github.com/factgate/factgate/scanners/sql/lex"
)

// plainSecrets is SQL034. It knows four shapes: the clauses that set a password,
// a property or variable whose name says that it is a secret, the place of the
// password among the arguments of a connector, and text that gives itself away
// wherever it stands, in a comment too. Its messages never hold the secret.
func plainSecrets(s *Statement, out *hits) {
	for _, c := range s.Comments {
		searchText(s.text, int(c.Start), int(c.End), secrets.SQL, out)
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
			searchText(s.text, int(t.Start), int(t.End), secrets.Forms, out)
			continue
		case lex.String, lex.Quoted:
			if i != reported {
				searchText(s.text, int(t.Start), int(t.End), secrets.Forms, out)
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
		if next := s.Kind(i + 1); value == 0 && (next == lex.Op || next == lex.String) {
			if kind := s.nameOfSecret(i); kind != secrets.None {
				value = s.propertyValue(i, kind, condition && t.Kind != lex.String)
			}
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
	if s.Kind(n) == lex.Word && s.Keyword(n) == lex.None && secrets.Plain(s.Text(n)) {
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

// secretLiteral is i if a literal that can be a secret stands there, or 0. In the
// place of a password even words are one.
func (s *Statement) secretLiteral(i int) int {
	if s.literal(i) && secrets.Plain(strings.ReplaceAll(unquote(s.Text(i)), " ", "")) {
		return i
	}
	return 0
}

// nameOfSecret says what secret the word or text at i, such as password,
// "fs.access.key" or fs.access.key, is the name of.
func (s *Statement) nameOfSecret(i int) secrets.Kind {
	const deep = 8
	name := unquote(s.Text(i))
	if s.Verb == lex.Set {
		from := i
		for n := 0; n < deep && s.Kind(from-1) == lex.Dot && from >= 2; n++ {
			from -= 2
		}
		if from < i {
			name = s.text[s.Tokens[from].Start:s.Tokens[i].End]
		}
	}
	kind := secrets.Of(name)
	if column := s.Kind(i) == lex.Word && s.Verb != lex.Set; column && (kind == secrets.Token || kind == secrets.Short) {
		return secrets.None // columns of such names hold ordinary things
	}
	return kind
}

// propertyValue returns the literal that is given to the property at i, or 0. In
// a condition only passwords count: a column called token is compared with
// ordinary values.
func (s *Statement) propertyValue(i int, kind secrets.Kind, condition bool) int {
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
	if condition && kind != secrets.Password || !s.literal(n) || !kind.Holds(unquote(s.Text(n))) {
		return 0
	}
	return n
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
	if s.Kind(first) == lex.Word && secrets.Of(name).Holds(s.text[start:end]) {
		out.tokens(s, n+1, s.Len()-1)
		return
	}
	searchText(s.text, start, end, secrets.Forms, out)
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

// searchText looks through text[start:end] for what gives itself away.
func searchText(text string, start, end int, syntax secrets.Syntax, out *hits) {
	for f := range secrets.In(text[start:end], syntax) {
		message := out.rule.Message
		switch f.What {
		case secrets.InURL:
			message = report.Text{
				En: "A URL with a password in plain text; take it from a parameter or a secret store, and change it.",
				Zh: "连接串中出现明文口令，请改用参数或密钥管理，并更换该口令。",
			}
		case secrets.AccessKey:
			message = report.Text{
				En: "A cloud access key in plain text; take it from a secret store, and revoke it.",
				Zh: "出现明文云访问密钥，请改用密钥管理，并吊销该密钥。",
			}
		}
		out.place(start+f.Start, start+f.End, out.rule.Severity, message)
	}
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
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
