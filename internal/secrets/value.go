package secrets

import "strings"

// Holds reports whether a name of this kind is given a secret in plain text.
func (k Kind) Holds(value string) bool {
	if k == None || !Plain(value) {
		return false
	}
	switch k {
	case Password:
		return !Digest(value)
	case Short:
		const least = 16
		return len(value) >= least && strings.ContainsAny(value, digits)
	}
	return true
}

const (
	shortest = 3
	longest  = 4096
	digits   = "0123456789"
)

// Plain reports whether a value can be a real secret: not empty or masked, no
// placeholder, no reference to a store, no word that only describes one.
func Plain(value string) bool {
	value = strings.Trim(strings.TrimSpace(value), `"'`)
	if len(value) < shortest || len(value) > longest || strings.Trim(value, "*xX.#-?_") == "" {
		return false
	}
	for i := range len(value) {
		if value[i] <= ' ' || value[i] >= 0x7f {
			return false // words
		}
	}
	if strings.IndexByte("<&?:@$%*[{(/.~`", value[0]) >= 0 {
		return false
	}
	for _, mark := range [...]string{"${", "#{", "{{", "{%", "$(", "$[", "%s", "%(", "***", "...", "://"} {
		if strings.Contains(value, mark) {
			return false
		}
	}
	if from := strings.IndexByte(value, '<'); from >= 0 && strings.IndexByte(value[from:], '>') > 0 {
		return false
	}
	low := strings.ToLower(value)
	if strings.Contains(low, "xxx") || words[strings.Trim(low, "-_")] {
		return false
	}
	for _, begin := range references {
		if strings.HasPrefix(low, begin) {
			return false
		}
	}
	if strings.HasPrefix(low, "md5") && len(low) == 35 { // as PostgreSQL keeps passwords
		return false
	}
	// db_password is the name of one.
	return strings.ContainsAny(value, digits+"!@#%^&*+=/") || Of(value) == None
}

// words stand where a secret belongs, and are none.
var words = map[string]bool{
	"true": true, "false": true, "null": true, "none": true, "nil": true, "yes": true, "undefined": true, "empty": true, "n/a": true, "y/n": true, "tbd": true, "todo": true,
	"password": true, "passwd": true, "pass": true, "pwd": true, "secret": true, "token": true, "apikey": true, "api_key": true, "api-key": true, "bearer": true, "basic": true,
	"string": true, "text": true, "varchar": true, "required": true, "optional": true, "default": true, "test": true,
	"hidden": true, "encrypted": true, "masked": true, "example": true, "placeholder": true, "changeme": true, "change_me": true, "change-me": true,
}

// references begin what only says where a secret is kept, or is one in cipher.
var references = [...]string{
	"your", "my_", "example", "placeholder", "enc(", "enc:", "cipher:", "vault:", "kms:", "ssm:", "arn:", "jceks:", "secret:", "env:", "file:",
	"os.environ", "os.getenv", "getenv", "system.getenv", "scram-sha-256$",
}

// Digest reports whether a value looks like the digest of a password, which is no
// plain text.
func Digest(value string) bool {
	if strings.HasPrefix(value, "$2") {
		return true
	}
	if len(value) != 32 && len(value) != 40 && len(value) != 64 {
		return false
	}
	return strings.Trim(strings.ToLower(value), digits+"abcdef") == ""
}
