package unittest

import "regexp"

// What a failing test says may hold the password that it ran with. A token is only
// one with an equals sign: parsers speak of unexpected tokens.
var secretParts = []*regexp.Regexp{
	regexp.MustCompile(`(?i)((?:password|passwd|pwd|密码|口令|secret|(?:secret|access|api)[_-]?key)["']?(?:\s*[=:]\s*|：)["']?)[^\s"'&;,)\]}]+`),
	regexp.MustCompile(`(?i)(token["']?=["']?)[^\s"'&;,)\]}]+`),
	regexp.MustCompile(`(?i)(bearer\s+)[a-z0-9._~+/=-]{16,}`),
	regexp.MustCompile(`(://[^\s/:@]*:)[^\s/]+(@)`),
}

// masked is a message without the passwords that it seems to hold: findings are
// stored and shown to more people than the test's log.
func masked(s string) string {
	for _, part := range secretParts {
		s = part.ReplaceAllString(s, "${1}***${2}")
	}
	return s
}
