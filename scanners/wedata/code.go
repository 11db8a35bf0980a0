package wedata

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/factgate/factgate/internal/zippkg"
)

// language is what the code of a task is written in.
type language uint8

const (
	none language = iota // it has no code
	sql
	shell
	python
	other
)

// code is the code of a task, as far as it is delivered.
type code struct {
	known    bool
	text     string
	at       *node  // the value that holds it
	file     string // or the file that does
	language language
	// wrong: it should have been base64 and is not, or base64 of no text; empty: it
	// is there and holds nothing.
	wrong, empty bool
}

// encodedCode reads the code of a task that carries it as base64. What is no base64
// is taken as it is, so that the other rules see it.
func encodedCode(t *task) code {
	at := t.conf.get("codecontent")
	if at == nil {
		at = t.get("codecontent")
	}
	if at == nil || at.kind != text && at.kind != number {
		return code{}
	}
	c := code{at: at, language: taskTypes[t.typeID].language}
	if taskTypes[t.typeID].name == "" {
		c.language = other
	}
	raw := at.text()
	if raw == "" {
		c.empty = true
		return c
	}
	decoded, ok := decodeBase64(raw)
	if !ok {
		c.wrong, c.known, c.text = true, true, raw
		return c
	}
	content := zippkg.Decode(decoded)
	if content.Undecodable || content.Encoding == zippkg.Latin1 || control(content.Content) {
		// Words without spaces are base64 too, but of no text.
		c.wrong = true
		return c
	}
	c.text = content.Content
	if strings.TrimSpace(c.text) == "" {
		c.empty = true
		return c
	}
	c.known = true
	return c
}

// decodeBase64 knows both alphabets, with padding or without, and line ends.
func decodeBase64(s string) ([]byte, bool) {
	s = strings.NewReplacer("\r", "", "\n", "").Replace(s)
	s = strings.TrimRight(s, "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		encoding = base64.RawURLEncoding
	}
	out, err := encoding.DecodeString(s)
	return out, err == nil
}

// control reports whether a text holds characters that no source code has.
func control(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' {
			return true
		}
	}
	return false
}

// reference is a ${name} in a text.
type reference struct {
	name   string
	offset int
}

// references finds ${name} and ${name+1d}; what is no plain name and no arithmetic on
// one is left out, as nobody here knows what it means.
func references(s string) []reference {
	const most, longest = 5000, 200
	var out []reference
	for i := 0; len(out) < most; {
		n := strings.Index(s[i:], "${")
		if n < 0 {
			break
		}
		i += n
		end := strings.IndexAny(s[i+2:min(len(s), i+2+longest)], "}\n")
		if end < 0 || s[i+2+end] != '}' {
			i += 2
			continue
		}
		out = append(out, reference{strings.TrimSpace(s[i+2 : i+2+end]), i})
		i += 2 + end
	}
	return out
}

// plainName reports whether s can be the name of a parameter.
func plainName(s string) bool {
	for i, r := range s {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_' || r >= utf8.RuneSelf
		if !letter && (i == 0 || (r < '0' || r > '9') && r != '-' && r != '.') {
			return false
		}
	}
	return s != ""
}

// timeParameter reports whether the name within ${} is one that the platform fills
// with a time: a date format such as yyyyMMdd, yyyy-MM-dd HH:mm, with arithmetic such
// as -1d, +ME, -7/24; or timestamp, timestamp_ms.
func timeParameter(s string) bool {
	lower := strings.ToLower(s)
	for _, word := range []string{"timestamp_ms", "timestamp"} {
		if rest, ok := strings.CutPrefix(lower, word); ok && (rest == "" || arithmetic(rest)) {
			return true
		}
	}
	i, formats := 0, 0
	for i < len(s) {
		c := s[i]
		n := i
		for n < len(s) && s[n] == c {
			n++
		}
		switch {
		case c == 'y' && n-i == 1:
			return false // no format of a year
		case strings.IndexByte("yMdHhmsSEeuwWDkKa", c) >= 0:
			if c == 'y' && n-i >= 2 || strings.IndexByte("MdHhms", c) >= 0 && n-i >= 2 {
				formats++
			}
			i = n
			continue
		case strings.IndexByte(" -/:._T'年月日时分秒", c) >= 0, c >= utf8.RuneSelf:
			i++
			if strings.IndexByte("-+", c) >= 0 && arithmetic(s[i-1:]) {
				return formats > 0
			}
			continue
		}
		break
	}
	return formats > 0 && (i == len(s) || arithmetic(s[i:]))
}

// arithmetic reports whether s shifts a time: -1d, +2M, -1/24, +ME, +1d-3h, ,-1.
func arithmetic(s string) bool {
	if s == "" || strings.IndexByte("+-,*/", s[0]) < 0 {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte("+-*/,. 0123456789yYMdDhHmswWqQEBF", s[i]) < 0 {
			return false
		}
	}
	return true
}

// definedIn reports whether the code itself gives a name its value: SET x=…, SET
// hivevar:x=…, DEFINE x, or x=… at the beginning of a line.
func definedIn(lower, name string) bool {
	name = strings.ToLower(name)
	for from := 0; name != ""; {
		n := strings.Index(lower[from:], name)
		if n < 0 {
			return false
		}
		at := from + n
		from = at + len(name)
		if strings.HasPrefix(strings.TrimLeft(lower[from:min(len(lower), from+20)], " \t"), "=") {
			before := strings.TrimRight(lower[max(0, at-40):at], " \t")
			for _, prefix := range []string{"hivevar:", "hiveconf:", "@", "set", "define", "declare", "let", "\n", ";"} {
				if strings.HasSuffix(before, prefix) {
					return true
				}
			}
			if before == "" {
				return true
			}
		}
	}
	return false
}

// eachWord calls each with the words of a text: letters, digits and _.
func eachWord(s string, each func(string)) {
	begin := -1
	for i := 0; i <= len(s); i++ {
		if i < len(s) && (s[i] == '_' || s[i] >= utf8.RuneSelf || alphanumeric(s[i])) {
			if begin < 0 {
				begin = i
			}
			continue
		}
		if begin >= 0 {
			each(s[begin:i])
			begin = -1
		}
	}
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
