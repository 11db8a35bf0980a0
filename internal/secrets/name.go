package secrets

// Kind is what a name says of the value that it is given.
type Kind uint8

const (
	None     Kind = iota
	Password      // a password, even where a column is compared; its value may be a digest
	Key           // a key of an interface or of a cloud account
	Token         // as a property a token or secret; a column of the name holds ordinary things
	Short         // ak or sk, which are other things too: the value has to look like a key
)

// The ends of names, without case and separators.
var ends = [...]struct {
	end  string
	kind Kind
}{
	{"password", Password}, {"passwd", Password}, {"pwd", Password}, {"passphrase", Password}, {"userpass", Password}, {"dbpass", Password},
	{"密码", Password}, {"口令", Password},
	{"secretkey", Key}, {"accesskey", Key}, {"accesskeyid", Key}, {"accesskeysecret", Key}, {"secretaccesskey", Key}, {"apikey", Key},
	{"secret", Token}, {"secretid", Token}, {"privatekey", Token}, {"token", Token},
}

// ordinaryTokens are what stands before token in names of things that are no secret:
// places in lists, parts of texts, and what protects a form.
var ordinaryTokens = [...]string{"page", "next", "previous", "continuation", "sync", "csrf", "xsrf", "max", "min", "bos", "eos", "pad", "mask", "start", "end", "stop"}

// longestName is how long a name can be; what is longer is a text.
const longestName = 100

// Of says what a name is, by its end.
func Of(name string) Kind {
	if len(name) < 2 || len(name) > longestName {
		return None
	}
	switch name[len(name)-1] | 0x20 {
	case 'd', 'e', 'y', 't', 'n', 'k', 's', 0x81 | 0x20, 0xa4 | 0x20, ']' | 0x20, ' ':
	default:
		return None
	}
	for _, e := range ends {
		rest, ok := cutEnd(name, e.end)
		if !ok {
			continue
		}
		if e.end == "token" {
			for _, before := range ordinaryTokens {
				if _, ok := cutEnd(name[:rest], before); ok {
					return None
				}
			}
		}
		return e.kind
	}
	if rest, ok := cutEnd(name, "pass"); ok && rest == 0 {
		return Password
	}
	for _, short := range [...]string{"ak", "sk"} {
		if rest, ok := cutEnd(name, short); ok && (rest == 0 || separator(name[rest-1])) {
			return Short
		}
	}
	return None
}

// cutEnd compares the end of a name in any case, separators left out. It returns how
// much of the name stands in front.
func cutEnd(name, end string) (rest int, ok bool) {
	i := len(name)
	for n := len(end) - 1; n >= 0; n-- {
		for i > 0 && separator(name[i-1]) {
			i--
		}
		if i == 0 || lower(name[i-1]) != end[n] {
			return 0, false
		}
		i--
	}
	return i, true
}

func separator(c byte) bool {
	switch c {
	case '_', '-', '.', ' ', '[', ']', '$':
		return true
	}
	return false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
