package secrets

import (
	"iter"
	"strings"
)

// Found is a place in a text: text[Start:End] is the secret.
type Found struct {
	Start, End int
	What       What
	Vendor     string // whose key or token it is, as far as its form says
}

// What was found.
type What uint8

const (
	Named     What = iota // the value after a name that says so
	InURL                 // a password or token in a URL
	AccessKey             // the id of a cloud's access key
	ByForm                // a token or private key that is known by its form
)

// Syntax is how a text is written, which says where values end and which are none.
type Syntax uint8

const (
	Forms Syntax = iota // anything: only what gives itself away
	SQL                 // properties in quotes; what columns are compared with is no secret
	Code                // name = "value", "name": "value", --name=value
	Shell               // NAME=value and the options of clients, too
)

// In yields what a text holds, in order.
func In(text string, syntax Syntax) iter.Seq[Found] {
	return func(yield func(Found) bool) {
		var program client
		for i := 0; i < len(text); i++ {
			f, end := Found{}, 0
			switch c := text[i]; c {
			case ':':
				if f, end = inURL(text, i); end == 0 && syntax != Forms {
					f, end = named(text, i, syntax)
				}
			case '=':
				if syntax != Forms {
					f, end = named(text, i, syntax)
				}
			case 'A', 'L', 'P', 'g', 'x', 's', '-':
				f, end = byForm(text, i)
			}
			if end == 0 && syntax == Shell {
				f, end = program.option(text, i)
			}
			if f.End > f.Start && !yield(f) {
				return
			}
			i = max(i, end-1)
		}
	}
}

// Holds reports whether a text holds a secret.
func Holds(text string, syntax Syntax) bool {
	for range In(text, syntax) {
		return true
	}
	return false
}

// named looks at name = "value" around the sign at i. end is how far the text has
// been used up, or 0.
func named(s string, i int, syntax Syntax) (f Found, end int) {
	const far = 300
	sign := i
	for sign > 0 && i-sign < 3 && blank(s[sign-1]) {
		sign--
	}
	stop := sign
	quotedName := stop > 0 && (s[stop-1] == '"' || s[stop-1] == '\'')
	if quotedName {
		stop--
		if stop > 0 && s[stop-1] == '\\' { // a text within a text
			stop--
		}
	}
	begin := stop
	for begin > 0 && stop-begin < longestName && nameByte(s[begin-1]) {
		begin--
	}
	name := s[begin:stop]
	kind := Of(name)
	if kind == None {
		return Found{}, 0
	}
	v := i + 1
	for v < len(s) && v-i < 4 && (s[v] == '=' || s[v] == '>') { // := and =>
		if s[v] == '=' && s[i] == '=' {
			return Found{}, 0 // a comparison
		}
		v++
	}
	for v < len(s) && v-i < 5 && blank(s[v]) {
		v++
	}
	if v >= len(s) {
		return Found{}, 0
	}
	if s[v] == '\\' && v+1 < len(s) && s[v+1] == '"' {
		v++
	}
	if quote := s[v]; quote == '"' || quote == '\'' {
		n := strings.IndexByte(s[v+1:min(len(s), v+far)], quote)
		if n < 0 || syntax == SQL && !quotedName && !strings.Contains(name, ".") {
			return Found{}, 0
		}
		value := strings.TrimSuffix(s[v+1:v+1+n], `\`)
		if kind.Holds(value) {
			return Found{Start: v + 1, End: v + 1 + len(value)}, v + 1 + n
		}
		return Found{}, v + 1 + n
	}
	// Without quotes only what no expression looks like: --password=x1 and a property
	// such as a.b.password=x1, or in a shell PASSWORD=x1 and password: x1.
	property := strings.HasPrefix(name, "--") || strings.Contains(strings.TrimPrefix(name, "."), ".")
	if syntax != Shell && (!property || s[i] != '=' || i != sign || v != i+1) {
		return Found{}, 0
	}
	n := endOfWord(s, v)
	value := s[v:n]
	if n < len(s) && s[n] == '(' || !kind.Holds(value) || !unlikeWord(kind, value) {
		return Found{}, n
	}
	return Found{Start: v, End: n}, n
}

// unlikeWord tells a value without quotes from a name, a number or a word.
func unlikeWord(kind Kind, value string) bool {
	const digitsOfPassword = 6
	if strings.Trim(value, digits+".") == "" {
		return kind == Password && len(value) >= digitsOfPassword
	}
	return strings.ContainsAny(value, digits+"!@#%^*")
}

// endOfWord is where the word that begins at i ends.
func endOfWord(s string, i int) int {
	const far = 300
	n := i
	for n < len(s) && n-i < far && strings.IndexByte(" \t\r\n;,&|'\"\\)(<>`", s[n]) < 0 {
		n++
	}
	return n
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func nameByte(c byte) bool { return c == '_' || c == '-' || c == '.' || alphanumeric(c) }

// inURL looks at the URL whose "://" begins at i, or the jdbc: URL whose first colon
// stands there: //user:password@host, or ?password=… and what else is named so.
func inURL(s string, i int) (f Found, end int) {
	const far = 500
	jdbc := i >= 4 && strings.EqualFold(s[i-4:i], "jdbc")
	if !jdbc && !strings.HasPrefix(s[i:], "://") {
		return Found{}, 0
	}
	url := s[i:min(len(s), i+far)]
	if n := strings.IndexAny(url, " \t\r\n'\"`<>"); n >= 0 {
		url = url[:n]
	}
	end = i + len(url)
	from := 0
	for n := range len(url) {
		switch url[n] {
		case '?', '&', ';', ',', '(', '/':
			from = n + 1
		case '=':
			value := url[n+1:]
			if m := strings.IndexAny(value, "&;,)"); m >= 0 {
				value = value[:m]
			}
			if Of(url[from:n]).Holds(value) {
				return Found{i + n + 1, i + n + 1 + len(value), InURL, ""}, end
			}
		}
	}
	slashes := strings.Index(url, "://")
	if slashes < 0 {
		return Found{}, end
	}
	authority := url[slashes+3:]
	if n := strings.IndexAny(authority, "/?"); n >= 0 {
		authority = authority[:n]
	}
	host, colon := strings.LastIndexByte(authority, '@'), strings.IndexByte(authority, ':')
	if colon < 0 || host <= colon+1 || !Plain(authority[colon+1:host]) {
		return Found{}, end
	}
	at := i + slashes + 3
	return Found{at + colon + 1, at + host, InURL, ""}, end
}

// forms are beginnings by which keys and tokens are known, and how many letters and
// digits follow.
var forms = [...]struct {
	begin       string
	least, most int
	what        What
	vendor      string
}{
	{"AKIA", 16, 16, AccessKey, "AWS"},
	{"LTAI", 12, 26, AccessKey, "Aliyun"},
	{"AKID", 28, 48, AccessKey, "Tencent Cloud"},
	{"ghp_", 36, 255, ByForm, "GitHub"},
	{"github_pat_", 40, 255, ByForm, "GitHub"},
	{"glpat-", 20, 255, ByForm, "GitLab"},
	{"xoxb-", 20, 255, ByForm, "Slack"},
	{"sk_live_", 20, 255, ByForm, "Stripe"},
	{"PMAK-", 40, 255, ByForm, "Postman"},
}

var privateKeys = [...]string{"-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----"}

// byForm looks at a key or token that begins at i.
func byForm(s string, i int) (f Found, end int) {
	if s[i] == '-' {
		for _, begin := range privateKeys {
			if strings.HasPrefix(s[i:], begin) {
				return Found{i, i + len(begin), ByForm, "private key"}, i + len(begin)
			}
		}
		return Found{}, 0
	}
	if i > 0 && (alphanumeric(s[i-1]) || s[i-1] == '_') {
		return Found{}, 0
	}
	for _, form := range forms {
		if s[i] != form.begin[0] || !strings.HasPrefix(s[i:], form.begin) {
			continue
		}
		begin := i + len(form.begin)
		n := begin
		for n < len(s) && n-begin <= form.most && (alphanumeric(s[n]) || form.what == ByForm && (s[n] == '_' || s[n] == '-')) {
			n++
		}
		rest := s[begin:n]
		if len(rest) < form.least || len(rest) > form.most || sample(rest) ||
			form.what == AccessKey && !strings.ContainsAny(rest, digits) && (form.begin != "AKIA" || rest != strings.ToUpper(rest)) {
			continue
		}
		return Found{i, n, form.what, form.vendor}, n
	}
	return Found{}, 0
}

// sample reports whether a key is one of documentation.
func sample(key string) bool {
	key = strings.ToLower(key)
	return strings.Contains(key, "xxxx") || strings.Contains(key, "example")
}
