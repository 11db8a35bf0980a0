package wedata

import "strings"

// A secret is looked for in four shapes: a field or parameter whose name says that it
// is one, text in quotes after such a name, a URL with a password, and the ids of
// cloud keys, which give themselves away. A name counts by its end.
var secretNames = [...]string{"password", "passwd", "pwd", "passphrase", "secretkey", "accesskey", "accesskeyid", "accesskeysecret",
	"secretaccesskey", "secretid", "apikey", "accesstoken", "authtoken", "privatekey", "clientsecret"}

// secretName reports whether a name is that of a secret.
func secretName(name string) bool {
	if len(name) > 100 {
		return false
	}
	folded := strings.ReplaceAll(foldKey(name), ".", "")
	for _, end := range secretNames {
		if strings.HasSuffix(folded, end) {
			return true
		}
	}
	return folded == "ak" || folded == "sk"
}

// secretValue reports whether a value can be a real secret: not empty, not masked, no
// placeholder, no word that only describes one.
func secretValue(value string) bool {
	value = strings.TrimSpace(value)
	if len(value) < 4 || len(value) > 4096 || strings.ContainsAny(value, "\n\t ") || strings.Trim(value, "*xX.#-_?0") == "" {
		return false
	}
	for _, mark := range [...]string{"${", "#{", "{{", "{%", "$(", "$[", "%s", "%(", "***", "xxx", "XXX", "://", "…"} {
		if strings.Contains(value, mark) {
			return false
		}
	}
	switch value[0] {
	case '<', '&', '?', ':', '@', '$', '%', '*', '[', '{', '(':
		return false
	}
	lower := strings.ToLower(value)
	switch lower {
	case "true", "false", "null", "none", "password", "passwd", "secret", "changeme", "default", "empty", "test", "hidden", "encrypted", "masked", "todo", "undefined":
		return false
	}
	for _, prefix := range [...]string{"your", "my_", "example", "placeholder", "jceks:", "kms:", "vault:", "enc(", "cipher:", "secret:", "ssm:", "env:", "file:", "/"} {
		if strings.HasPrefix(lower, prefix) {
			return false
		}
	}
	return !hashed(lower)
}

// hashed reports whether a value looks like a digest, which is no plain text.
func hashed(lower string) bool {
	return strings.HasPrefix(lower, "$2") || (len(lower) == 32 || len(lower) == 40 || len(lower) == 64) && strings.Trim(lower, "0123456789abcdef") == ""
}

// secret is a place in a text; it does not hold what stands there.
type secret struct {
	offset int
	what   secretKind
}

type secretKind uint8

const (
	namedSecret secretKind = iota
	urlSecret
	keySecret
)

// secretsIn looks through a text. Code of SQL is looked through for URLs and keys
// and for properties in quotes only: what it compares columns with is no secret, and
// the type SQL knows its other places.
func secretsIn(s string, l language) []secret {
	const most = 100
	var out []secret
	for i := 0; i < len(s) && len(out) < most; i++ {
		switch c := s[i]; c {
		case ':':
			if at, end := passwordInURL(s, i); end > i {
				if at > 0 {
					out = append(out, secret{at, urlSecret})
				}
				i = end - 1
				continue
			}
			fallthrough
		case '=':
			if at, end := namedValue(s, i, l); end > i {
				if at > 0 {
					out = append(out, secret{at, namedSecret})
				}
				i = end - 1
			}
		case 'A', 'L':
			if n := accessKey(s, i); n > 0 {
				out = append(out, secret{i, keySecret})
				i += n - 1
			}
		}
	}
	return out
}

// namedValue looks at name = "value" around the sign at i. It returns where the
// value stands, or 0, and how far the text has been used up.
func namedValue(s string, i int, l language) (at, end int) {
	const far = 80
	sign := i
	for sign > 0 && i-sign < 3 && (s[sign-1] == ' ' || s[sign-1] == '\t') {
		sign--
	}
	quotedName := sign > 0 && (s[sign-1] == '"' || s[sign-1] == '\'')
	stop := sign
	if quotedName {
		stop--
		if stop > 0 && s[stop-1] == '\\' {
			stop--
		}
	}
	begin := stop
	for begin > 0 && stop-begin < far && nameByte(s[begin-1]) {
		begin--
	}
	name := s[begin:stop]
	if !secretName(strings.TrimLeft(name, "-")) {
		return 0, 0
	}
	v := i + 1
	for v < len(s) && (s[v] == '=' || s[v] == '>') { // == and => of some languages
		if s[v] == '=' && s[i] == '=' {
			return 0, 0 // a comparison
		}
		v++
	}
	for v < len(s) && v-i < 4 && (s[v] == ' ' || s[v] == '\t') {
		v++
	}
	if v >= len(s) {
		return 0, 0
	}
	if s[v] == '\\' && v+1 < len(s) && s[v+1] == '"' { // a text within a text
		v++
	}
	if quote := s[v]; quote == '"' || quote == '\'' {
		n := strings.IndexByte(s[v+1:min(len(s), v+300)], quote)
		if n < 0 || l == sql && !quotedName && !strings.Contains(name, ".") {
			return 0, 0
		}
		if secretValue(strings.TrimSuffix(s[v+1:v+1+n], `\`)) {
			return v + 1, v + 1 + n
		}
		return 0, v + 1 + n
	}
	// Without quotes only what no expression looks like: --password=x1 and a
	// property such as a.b.password=x1, or a shell's PASSWORD=x1.
	option := strings.HasPrefix(name, "--") || strings.Contains(strings.TrimPrefix(name, "."), ".")
	if s[i] != '=' || i != sign || v != i+1 || !(option || l == shell) {
		return 0, 0
	}
	n := v
	for n < len(s) && n-v < 300 && strings.IndexByte(" \t\r\n;,&|'\"\\)(<>`", s[n]) < 0 {
		n++
	}
	value := s[v:n]
	if n < len(s) && s[n] == '(' || !secretValue(value) || !strings.ContainsAny(value, "0123456789") || strings.Trim(value, "0123456789.") == "" {
		return 0, n
	}
	return v, n
}

func nameByte(c byte) bool {
	return c == '_' || c == '-' || c == '.' || alphanumeric(c)
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// passwordInURL finds the password of the URL whose "://" begins at i, or of the
// jdbc: URL whose first colon stands there: //user:password@host, ?password=….
func passwordInURL(s string, i int) (at, end int) {
	const far = 500
	jdbc := i >= 4 && strings.EqualFold(s[i-4:i], "jdbc")
	if !jdbc && !strings.HasPrefix(s[i:], "://") {
		return 0, 0
	}
	url := s[i:min(len(s), i+far)]
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
		if secretValue(value) {
			return i + n, end
		}
	}
	slashes := strings.Index(url, "://")
	if slashes < 0 {
		return 0, end
	}
	authority := url[slashes+3:]
	if n := strings.IndexAny(authority, "/?"); n >= 0 {
		authority = authority[:n]
	}
	host, colon := strings.LastIndexByte(authority, '@'), strings.IndexByte(authority, ':')
	if colon < 0 || host <= colon+1 || !secretValue(authority[colon+1:host]) {
		return 0, end
	}
	return i + slashes + 3 + colon + 1, end
}

// accessKeys are the beginnings of cloud vendors' key ids, and how many letters and
// digits follow.
var accessKeys = [...]struct {
	prefix   string
	from, to int
}{
	{"AKID", 28, 48}, // Tencent Cloud
	{"AKIA", 16, 16}, // AWS
	{"LTAI", 12, 26}, // Aliyun
}

// accessKey measures the key id at i, or returns 0.
func accessKey(s string, i int) int {
	if i > 0 && alphanumeric(s[i-1]) {
		return 0
	}
	for _, k := range accessKeys {
		if !strings.HasPrefix(s[i:], k.prefix) {
			continue
		}
		n, digits, other := len(k.prefix), false, false
		for i+n < len(s) && n <= len(k.prefix)+k.to && alphanumeric(s[i+n]) {
			digits = digits || s[i+n] <= '9'
			other = other || s[i+n] != 'x' && s[i+n] != 'X'
			n++
		}
		if rest := n - len(k.prefix); rest >= k.from && rest <= k.to && digits && other && !strings.Contains(strings.ToLower(s[i:i+n]), "xxxx") && !strings.Contains(s[i:i+n], "EXAMPLE") {
			return n
		}
	}
	return 0
}
