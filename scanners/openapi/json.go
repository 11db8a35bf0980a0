package openapi

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/factgate/factgate/domain/report"
)

// jsonReader reads JSON into a tree. Texts without escapes are parts of the content,
// not copies.
type jsonReader struct {
	*builder
	in    string
	at    int
	line  int32
	begin int // of the line
	extra int // bytes of the line before at that are no characters of their own
	depth int
}

// parseJSON reads one value and nothing behind it.
func parseJSON(ctx context.Context, content string, limits Limits) (*tree, error) {
	r := &jsonReader{builder: newBuilder(ctx, limits), in: content, line: 1}
	r.space()
	root, err := r.value()
	if err != nil {
		return nil, err
	}
	if r.space(); r.at < len(r.in) {
		return nil, r.bad("something follows after the end; keep one document in a file", "文档结束之后仍有内容，请每个文件只写一份")
	}
	r.tree.root = root
	return r.tree, nil
}

func (r *jsonReader) column() int32 { return int32(r.at - r.begin - r.extra + 1) }

func (r *jsonReader) bad(en, zh string) error {
	return &malformed{int(r.line), int(r.column()), report.Text{En: en, Zh: zh}}
}

func (r *jsonReader) expected(what, zh string) error {
	if r.at >= len(r.in) {
		return r.bad("it ends in the middle", "文件不完整")
	}
	return r.bad("expected "+what, "此处应为"+zh)
}

func (r *jsonReader) space() {
	for ; r.at < len(r.in); r.at++ {
		switch r.in[r.at] {
		case '\n':
			r.line++
			r.begin, r.extra = r.at+1, 0
		case ' ', '\t', '\r':
		default:
			return
		}
	}
}

func (r *jsonReader) peek() byte {
	if r.at < len(r.in) {
		return r.in[r.at]
	}
	return 0
}

func (r *jsonReader) value() (*node, error) {
	line, column := r.line, r.column()
	switch c := r.peek(); c {
	case '{', '[':
		return r.collection(c, line, column)
	case '"':
		s, err := r.text()
		if err != nil {
			return nil, err
		}
		n, err := r.node(text, line, column)
		if err == nil {
			n.text = s
		}
		return n, err
	default:
		from := r.at
		for r.at < len(r.in) && wordByte(r.in[r.at]) {
			r.at++
		}
		word := r.in[from:r.at]
		k := number
		switch word {
		case "null":
			k = null
		case "true", "false":
			k = boolean
		default:
			if !jsonNumber(word) {
				r.at = from
				return nil, r.expected("a value", "一个值")
			}
		}
		n, err := r.node(k, line, column)
		if err == nil {
			n.text = word
		}
		return n, err
	}
}

func wordByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '+' || c == '.'
}

// jsonNumber reports whether a word is a number of JSON: no sign but -, no zeros in
// front, digits on both sides of a point.
func jsonNumber(s string) bool {
	digits := func() (n int) {
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n
	}
	s = strings.TrimPrefix(s, "-")
	zero := strings.HasPrefix(s, "0")
	if n := digits(); n == 0 || zero && n > 1 {
		return false
	}
	if rest, ok := strings.CutPrefix(s, "."); ok {
		if s = rest; digits() == 0 {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		if s = s[1:]; s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if digits() == 0 {
			return false
		}
	}
	return s == ""
}

func (r *jsonReader) collection(open byte, line, column int32) (*node, error) {
	if r.depth++; r.depth > r.limits.Depth {
		return nil, overLimit("values are nested more than %d deep", "嵌套超过 %d 层", r.limits.Depth)
	}
	k, end := object, byte('}')
	if open == '[' {
		k, end = list, ']'
	}
	n, err := r.node(k, line, column)
	if err != nil {
		return nil, err
	}
	r.at++
	r.space()
	if r.peek() == end {
		r.at++
		r.depth--
		return n, nil
	}
	for {
		var m member
		if k == object {
			if r.peek() != '"' {
				return nil, r.expected("a name in double quotes", "双引号括起的字段名")
			}
			m.line, m.column = r.line, r.column()
			if m.name, err = r.text(); err != nil {
				return nil, err
			}
			if r.space(); r.peek() != ':' {
				return nil, r.expected("a colon", "冒号")
			}
			r.at++
			r.space()
		}
		if m.value, err = r.value(); err != nil {
			return nil, err
		}
		if k == list {
			m.line, m.column = m.value.line, m.value.column
		}
		r.added(m)
		n.members = append(n.members, m)
		r.space()
		switch r.peek() {
		case ',':
			r.at++
			r.space()
		case end:
			r.at++
			r.depth--
			return n, nil
		default:
			return nil, r.expected(fmt.Sprintf("a comma or %c", end), fmt.Sprintf("逗号或 %c", end))
		}
	}
}

// text reads a string; r stands at its quote.
func (r *jsonReader) text() (string, error) {
	from := r.at + 1
	for i := from; i < len(r.in); i++ {
		switch c := r.in[i]; {
		case c == '"':
			r.at = i + 1
			return r.in[from:i], nil
		case c == '\\':
			return r.escaped(from, i)
		case c < ' ':
			r.at = i
			return "", r.bad("a string runs to the end of its line; close it", "字符串未闭合")
		case c&0xc0 == 0x80:
			r.extra++
		}
	}
	r.at = len(r.in)
	return "", r.expected("", "")
}

// escaped goes on with a string that began at from and has an escape at i.
func (r *jsonReader) escaped(from, i int) (string, error) {
	out := append(make([]byte, 0, 2*(i-from)+64), r.in[from:i]...)
	for i < len(r.in) {
		c := r.in[i]
		switch {
		case c == '"':
			r.at = i + 1
			return string(out), nil
		case c < ' ':
			r.at = i
			return "", r.bad("a string runs to the end of its line; close it", "字符串未闭合")
		case c != '\\':
			if c&0xc0 == 0x80 {
				r.extra++
			}
			out = append(out, c)
			i++
			continue
		}
		r.at = i
		if i+1 >= len(r.in) {
			break
		}
		i += 2
		switch c := r.in[i-1]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			first, ok := hex4(r.in, i)
			if !ok {
				return "", r.bad("\\u wants four hexadecimal digits", "\\u 之后应有四位十六进制数字")
			}
			i += 4
			if utf16.IsSurrogate(first) {
				if second, ok := hex4(r.in, i+2); ok && strings.HasPrefix(r.in[i:], "\\u") && utf16.DecodeRune(first, second) != utf8.RuneError {
					first = utf16.DecodeRune(first, second)
					i += 6
				}
			}
			out = utf8.AppendRune(out, first)
		default:
			return "", r.bad("a backslash before something that needs none", "无效的转义字符")
		}
	}
	r.at = len(r.in)
	return "", r.expected("", "")
}

func hex4(s string, at int) (rune, bool) {
	if at+4 > len(s) {
		return 0, false
	}
	v, err := strconv.ParseUint(s[at:at+4], 16, 16)
	return rune(v), err == nil
}
