package secrets

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// mask stands where a secret stood.
const mask = "***"

// Masked is a text without the secrets that it seems to hold, for a text that is shown
// to more people than its source is. In spares the author a false alarm; here, in
// doubt, the text loses a word: whatever a name of a password or key is given, the
// password of any URL, what follows Bearer and Basic, what is known by its form, and
// the passwords of commands.
func Masked(text string) string {
	var out strings.Builder
	var program client
	shown := 0
	for i := 0; i < len(text); i++ {
		start, end := 0, 0
		switch c := text[i]; c {
		case ':', '=', "："[0]:
			if start, end = userinfo(text, i); end == 0 {
				start, end = assigned(text, i)
			}
		case 'A', 'L', 'P', 'g', 'x', 's', '-':
			start, end = formed(text, i)
		}
		if end == 0 {
			start, end = authorized(text, i)
		}
		if end == 0 {
			f, _ := program.option(text, i)
			start, end = f.Start, f.End
		}
		if end > start {
			out.WriteString(text[shown:start])
			out.WriteString(mask)
			shown = end
			i = end - 1
		}
	}
	if shown == 0 {
		return text
	}
	out.WriteString(text[shown:])
	return out.String()
}

// userinfo is the password of the URL whose "://" begins at i. It may hold an @ itself.
func userinfo(s string, i int) (start, end int) {
	if !strings.HasPrefix(s[i:], "://") {
		return 0, 0
	}
	begin := i + len("://")
	n := begin
	for n < len(s) && s[n] > ' ' && s[n] != '/' {
		n++
	}
	authority := s[begin:n]
	host, colon := strings.LastIndexByte(authority, '@'), strings.IndexByte(authority, ':')
	if colon < 0 || host <= colon+1 {
		return 0, 0
	}
	return begin + colon + 1, begin + host
}

// assigned is the value of name = value around the sign at i, with quotes or without.
func assigned(s string, i int) (start, end int) {
	const far = 40 // of blanks between a name and its sign
	begin := i + 1
	colon := s[i] == ':'
	if strings.HasPrefix(s[i:], "：") {
		begin, colon = i+len("："), true
	} else if s[i] >= 0x80 {
		return 0, 0
	}
	stop := i
	for stop > 0 && i-stop < far && blank(s[stop-1]) {
		stop--
	}
	quoted := stop > 0 && (s[stop-1] == '"' || s[stop-1] == '\'')
	if quoted {
		stop--
		if stop > 0 && s[stop-1] == '\\' {
			stop--
		}
	}
	first := stop
	for first > 0 && stop-first < longestName && (nameByte(s[first-1]) || s[first-1] >= 0x80 || s[first-1] == ']' || s[first-1] == '[') {
		first--
	}
	name := s[first:stop]
	kind := Of(name)
	if kind == None {
		return 0, 0
	}
	for begin < len(s) && (s[begin] <= ' ' || s[begin] == '=' || s[begin] == '>') { // == and => too
		begin++
	}
	if begin < len(s) && s[begin] == '\\' {
		begin++
	}
	start, end = begin, begin
	if begin < len(s) && (s[begin] == '"' || s[begin] == '\'') {
		quoted = true
		start = begin + 1
		if n := strings.IndexByte(s[start:], s[begin]); n >= 0 {
			end = start + len(strings.TrimSuffix(s[start:start+n], `\`))
		} else {
			end = len(s) // the rest was cut off
		}
	} else {
		for end < len(s) && s[end] > ' ' && strings.IndexByte(`"'&;,)]}`, s[end]) < 0 && !strings.HasPrefix(s[end:], "；") && !strings.HasPrefix(s[end:], "，") {
			end++
		}
	}
	value := s[start:end]
	_, token := cutEnd(name, "token")
	switch {
	case kind == Short && !Short.Holds(value),
		token && colon && !quoted && !Short.Holds(value),                                   // parsers speak of an unexpected token: x
		strings.EqualFold(name, "pass") && !(kind.Holds(value) && unlikeWord(kind, value)): // tests pass: 12
		return 0, 0
	}
	return start, end
}

// formed is a key or token that begins at i, and all of a private key.
func formed(s string, i int) (start, end int) {
	f, _ := byForm(s, i)
	if f.End > f.Start && s[i] == '-' {
		const foot = "-----END "
		n := strings.Index(s[f.End:], foot)
		if n < 0 {
			return i, len(s)
		}
		f.End += n + len(foot)
		for f.End < len(s) && s[f.End] != '\n' && !strings.HasPrefix(s[f.End-5:f.End], "-----") {
			f.End++
		}
	}
	return f.Start, f.End
}

// authorized is what follows Bearer or Basic at i, if it looks like credentials.
func authorized(s string, i int) (start, end int) {
	const least = 16
	if i > 0 && alphanumeric(s[i-1]) {
		return 0, 0
	}
	for _, scheme := range [...]string{"bearer ", "basic "} {
		if len(s)-i < len(scheme) || !strings.EqualFold(s[i:i+len(scheme)], scheme) {
			continue
		}
		start = i + len(scheme)
		for start < len(s) && blank(s[start]) {
			start++
		}
		end = start
		for end < len(s) && (alphanumeric(s[end]) || strings.IndexByte("._~+/=-", s[end]) >= 0) {
			end++
		}
		if scheme == "bearer " && end-start < least {
			return 0, 0
		}
		if scheme == "basic " {
			plain, err := base64.StdEncoding.DecodeString(s[start:end])
			if err != nil || bytes.IndexByte(plain, ':') < 0 {
				return 0, 0
			}
		}
		return start, end
	}
	return 0, 0
}
