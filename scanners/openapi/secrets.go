package openapi

import "strings"

// secretEnds are the ends of names that hold secrets, in lower case and without
// separators.
var secretEnds = []string{
	"password", "passwd", "pwd", "passphrase", "secret", "secretkey", "accesskey", "accesskeyid", "accesskeysecret", "secretaccesskey",
	"apikey", "apisecret", "appsecret", "accesstoken", "authtoken", "refreshtoken", "bearertoken", "privatekey", "sessiontoken",
}

// secretName reports whether a name ends like that of a secret.
func secretName(name string) bool {
	plain := strings.ToLower(unseparated.Replace(name))
	if plain == "token" || plain == "xtoken" {
		return true
	}
	for _, end := range secretEnds {
		if strings.HasSuffix(plain, end) {
			return true
		}
	}
	return false
}

// secret reports whether a value can be a real secret: not empty, not masked, and
// neither a variable nor a placeholder.
func secret(value string) bool {
	value = strings.TrimSpace(value)
	if len(value) < 3 || strings.Trim(value, "*xX.#-?_") == "" {
		return false
	}
	for _, mark := range []string{"{{", "${", "<", "…", "..."} {
		if strings.Contains(value, mark) {
			return false
		}
	}
	switch value[0] {
	case '$', ':', '%', '{', '[':
		return false
	}
	lower := strings.ToLower(value)
	switch lower {
	case "true", "false", "null", "none", "undefined", "string", "password", "passwd", "secret", "token", "apikey", "api_key", "api-key", "changeme",
		"change_me", "example", "placeholder", "todo", "bearer", "basic":
		return false
	}
	return !strings.HasPrefix(lower, "your") && !strings.HasPrefix(lower, "my_") && !strings.HasPrefix(lower, "example")
}

// tokenForms are beginnings by which credentials are known, and how many letters,
// digits, - and _ follow at least.
var tokenForms = []struct {
	begins string
	least  int
	name   string
}{
	{"AKIA", 16, "AWS"}, {"LTAI", 12, "Aliyun"}, {"AKID", 28, "Tencent Cloud"}, {"ghp_", 36, "GitHub"}, {"github_pat_", 40, "GitHub"},
	{"glpat-", 20, "GitLab"}, {"xoxb-", 20, "Slack"}, {"sk_live_", 20, "Stripe"}, {"PMAK-", 40, "Postman"},
	{"-----BEGIN RSA PRIVATE KEY-----", 0, "private key"}, {"-----BEGIN PRIVATE KEY-----", 0, "private key"}, {"-----BEGIN EC PRIVATE KEY-----", 0, "private key"},
}

// knownToken names the first credential in a text that is known by its form, or
// returns "".
func knownToken(s string) string {
	for _, form := range tokenForms {
		for rest := s; ; {
			before, after, found := strings.Cut(rest, form.begins)
			if !found {
				break
			}
			n := 0
			for n < len(after) && n < form.least && tokenByte(after[n]) {
				n++
			}
			if n == form.least && (before == "" || !tokenByte(before[len(before)-1])) {
				return form.name
			}
			rest = after
		}
	}
	return ""
}

func tokenByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_'
}
