package wedata

import "github.com/factgate/factgate/internal/secrets"

// secretsIn are the first secrets in a text.
func secretsIn(s string, l language) []secrets.Found {
	const most = 100
	syntax := secrets.Code
	switch l {
	case sql:
		syntax = secrets.SQL
	case shell:
		syntax = secrets.Shell
	}
	var out []secrets.Found
	for f := range secrets.In(s, syntax) {
		if out = append(out, f); len(out) == most {
			break
		}
	}
	return out
}

// namesSecret reports whether a key and its value are a secret in plain text.
func namesSecret(key, value string) bool { return secrets.Of(key).Holds(value) }
