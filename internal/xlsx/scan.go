package xlsx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
)

// scanner cuts XML into tags and text without copying. It knows what workbooks
// are made of and no more: elements must be closed in their order, a document
// type is refused, names are taken without their prefix, and attributes are
// only looked at when somebody asks. name, attrs and text are good until the
// next call of next.
type scanner struct {
	ctx context.Context
	in  io.Reader
	buf []byte
	pos int // of what has not been looked at
	end int
	eof bool

	maxDepth int
	names    []byte // of the open elements, one behind the other
	marks    []int  // where each begins
	rooted   bool   // the root element has been seen
	closing  bool   // the last tag closed itself: its end is due

	name  []byte
	attrs []byte
	text  []byte // as it stands, or without markup if literal
	plain bool   // text is a CDATA section: no entities
	chars bool   // inside of a CDATA section
}

type token int

const (
	tokenNone  token = iota // the end of the document
	tokenStart              // name, attrs
	tokenEnd                // name
	tokenText               // text: a piece of it, if it is long
)

const (
	usualBuffer = 64 << 10
	longestTag  = 1 << 20
)

// newScanner looks at the first bytes for the encoding: UTF-8, or UTF-16 with
// its mark.
func newScanner(ctx context.Context, in io.Reader, maxDepth int) (*scanner, error) {
	s := &scanner{ctx: ctx, in: in, buf: make([]byte, usualBuffer), maxDepth: maxDepth}
	for s.end < 4 && !s.eof {
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
	head := s.buf[:s.end]
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		s.pos = 3
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		decode := unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM).NewDecoder()
		s.in = decode.Reader(io.MultiReader(bytes.NewReader(bytes.Clone(head)), in))
		s.pos, s.end, s.eof = 0, 0, false
	}
	return s, nil
}

func broken(en, zh string) *Error {
	return corrupt("broken XML: "+en, "XML 已损坏："+zh)
}

var errCutOff = corrupt("it ends in the middle", "内容不完整，在中途结束")

// fill reads on, behind what has not been looked at.
func (s *scanner) fill() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if s.pos > 0 {
		s.end = copy(s.buf, s.buf[s.pos:s.end])
		s.pos = 0
	}
	if s.end == len(s.buf) {
		if len(s.buf) >= longestTag {
			return broken(fmt.Sprintf("a tag longer than %d bytes", longestTag), fmt.Sprintf("标签长度超过 %d 字节", longestTag))
		}
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for empty := 0; ; empty++ {
		n, err := s.in.Read(s.buf[s.end:])
		s.end += n
		switch {
		case err == io.EOF:
			s.eof = true
			return nil
		case err != nil:
			return ofZip(err)
		case n > 0:
			return nil
		case empty == 100:
			return io.ErrNoProgress
		}
	}
}

// find returns the place of c from pos+skip on, reading on as far as it takes.
func (s *scanner) find(c byte, skip int) (int, error) {
	for {
		if s.pos+skip < s.end {
			if i := bytes.IndexByte(s.buf[s.pos+skip:s.end], c); i >= 0 {
				return s.pos + skip + i, nil
			}
			skip = s.end - s.pos
		}
		if s.eof {
			return 0, errCutOff
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
}

// have reports whether the next bytes are these.
func (s *scanner) have(prefix string) (bool, error) {
	for s.end-s.pos < len(prefix) && !s.eof {
		if err := s.fill(); err != nil {
			return false, err
		}
	}
	return s.end-s.pos >= len(prefix) && string(s.buf[s.pos:s.pos+len(prefix)]) == prefix, nil
}

// skipPast drops everything up to and including the mark, piece by piece.
func (s *scanner) skipPast(mark string) error {
	for {
		if i := bytes.Index(s.buf[s.pos:s.end], []byte(mark)); i >= 0 {
			s.pos += i + len(mark)
			return nil
		}
		s.pos = max(s.pos, s.end-len(mark)+1)
		if s.eof {
			return errCutOff
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

func (s *scanner) depth() int { return len(s.marks) }

// next returns the next token.
func (s *scanner) next() (token, error) {
	if s.closing {
		s.closing = false
		s.pop()
		return tokenEnd, nil
	}
	if s.chars {
		return s.section()
	}
	for {
		if s.pos == s.end {
			if s.eof {
				if !s.rooted || len(s.marks) > 0 {
					return tokenNone, errCutOff
				}
				return tokenNone, nil
			}
			if err := s.fill(); err != nil {
				return tokenNone, err
			}
			continue
		}
		if s.buf[s.pos] != '<' {
			if len(s.marks) > 0 {
				return s.textToken()
			}
			if err := s.blank(); err != nil {
				return tokenNone, err
			}
			continue
		}
		if s.pos+1 == s.end && !s.eof {
			if err := s.fill(); err != nil {
				return tokenNone, err
			}
		}
		if s.pos+1 == s.end {
			return tokenNone, errCutOff
		}
		switch s.buf[s.pos+1] {
		case '/':
			return s.endTag()
		case '?':
			if err := s.instruction(); err != nil {
				return tokenNone, err
			}
		case '!':
			inside, err := s.declaration()
			if err != nil {
				return tokenNone, err
			}
			if inside {
				return s.section()
			}
		default:
			return s.startTag()
		}
	}
}

// blank skips white space outside of the root element.
func (s *scanner) blank() error {
	for s.pos < s.end && s.buf[s.pos] != '<' {
		if !space(s.buf[s.pos]) {
			return broken("text outside of the root element", "根元素之外有文本")
		}
		s.pos++
	}
	return nil
}

func space(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func (s *scanner) startTag() (token, error) {
	at, err := s.find('>', 1)
	if err != nil {
		return tokenNone, err
	}
	// A > may stand in an attribute's value.
	if tag := s.buf[s.pos:at]; bytes.IndexByte(tag, '\'') >= 0 || bytes.Count(tag, quote)%2 == 1 {
		if at, err = s.quotedEnd(); err != nil {
			return tokenNone, err
		}
	}
	tag := s.buf[s.pos+1 : at]
	s.pos = at + 1
	if n := len(tag); n > 0 && tag[n-1] == '/' {
		s.closing = true
		tag = tag[:n-1]
	}
	i := 0
	for i < len(tag) && !space(tag[i]) {
		i++
	}
	full := tag[:i]
	s.attrs = tag[i:]
	if len(full) == 0 || bytes.IndexByte(tag, '<') >= 0 {
		return tokenNone, broken("a tag without a name, or inside of another", "标签没有名称，或位于另一标签之内")
	}
	if len(s.marks) == 0 {
		if s.rooted {
			return tokenNone, broken("two root elements", "有两个根元素")
		}
		s.rooted = true
	}
	if len(s.marks) == s.maxDepth {
		return tokenNone, over(fmt.Sprintf("its elements are nested deeper than %d", s.maxDepth), fmt.Sprintf("元素嵌套超过 %d 层", s.maxDepth))
	}
	s.marks = append(s.marks, len(s.names))
	s.names = append(s.names, full...)
	s.name = local(full)
	return tokenStart, nil
}

var quote = []byte{'"'}

// quotedEnd finds the > that ends a tag with an eye on quotes.
func (s *scanner) quotedEnd() (int, error) {
	var open byte
	for i := 1; ; i++ {
		for s.pos+i >= s.end {
			if s.eof {
				return 0, errCutOff
			}
			if err := s.fill(); err != nil {
				return 0, err
			}
		}
		switch c := s.buf[s.pos+i]; {
		case open != 0:
			if c == open {
				open = 0
			}
		case c == '"' || c == '\'':
			open = c
		case c == '>':
			return s.pos + i, nil
		}
	}
}

func local(full []byte) []byte {
	if i := bytes.IndexByte(full, ':'); i >= 0 {
		return full[i+1:]
	}
	return full
}

func (s *scanner) endTag() (token, error) {
	at, err := s.find('>', 2)
	if err != nil {
		return tokenNone, err
	}
	full := s.buf[s.pos+2 : at]
	for len(full) > 0 && space(full[len(full)-1]) {
		full = full[:len(full)-1]
	}
	s.pos = at + 1
	if len(s.marks) == 0 || !bytes.Equal(full, s.names[s.marks[len(s.marks)-1]:]) {
		return tokenNone, wrongEnd(full)
	}
	s.pop()
	return tokenEnd, nil
}

func wrongEnd(full []byte) *Error {
	name := printable(full)
	return broken(fmt.Sprintf("</%s> closes what is not open", name), fmt.Sprintf("</%s> 没有对应的开始标签", name))
}

// printable makes a name that may be anything fit for a message.
func printable(name []byte) string {
	return clip(strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, string(name[:min(len(name), 400)])))
}

// pop closes the innermost element and leaves its name.
func (s *scanner) pop() {
	mark := s.marks[len(s.marks)-1]
	s.name = local(s.names[mark:])
	s.names = s.names[:mark]
	s.marks = s.marks[:len(s.marks)-1]
}

// instruction skips <?…?>; a declared encoding that is not read here is refused.
func (s *scanner) instruction() error {
	at, err := s.find('>', 2)
	if err != nil {
		return err
	}
	if tag := s.buf[s.pos:at]; bytes.HasPrefix(tag, []byte("<?xml ")) {
		in := attributes{rest: bytes.TrimSuffix(tag[len("<?xml"):], []byte("?"))}
		for in.next() {
			encoding := string(bytes.ToLower(in.value))
			if string(in.name) == "encoding" && encoding != "utf-8" && encoding != "utf8" && encoding != "utf-16" && encoding != "us-ascii" {
				return corrupt("its text is not in UTF-8 or UTF-16", "文本编码不是 UTF-8 或 UTF-16")
			}
		}
	}
	return s.skipPast("?>")
}

// declaration deals with <!…: comments are skipped, a CDATA section is entered,
// and a document type, with which one could define entities, is refused.
func (s *scanner) declaration() (section bool, err error) {
	if ok, err := s.have("<!--"); err != nil || ok {
		s.pos += len("<!--")
		if err != nil {
			return false, err
		}
		return false, s.skipPast("-->")
	}
	ok, err := s.have("<![CDATA[")
	switch {
	case err != nil:
		return false, err
	case ok && len(s.marks) > 0:
		s.pos += len("<![CDATA[")
		s.chars = true
		return true, nil
	default:
		return false, corrupt("it declares a document type, which no workbook does", "含有文档类型声明（DTD），正常工作簿不会有")
	}
}

// section returns the next piece of a CDATA section.
func (s *scanner) section() (token, error) {
	const mark = "]]>"
	for {
		rest := s.buf[s.pos:s.end]
		if i := bytes.Index(rest, []byte(mark)); i >= 0 {
			s.text, s.plain = rest[:i], true
			s.pos += i + len(mark)
			s.chars = false
			return tokenText, nil
		}
		if s.eof {
			return tokenNone, errCutOff
		}
		if whole := len(rest) - len(mark); whole >= usualBuffer/2 {
			cut := runeCut(rest[:whole])
			s.text, s.plain = rest[:cut], true
			s.pos += cut
			return tokenText, nil
		}
		if err := s.fill(); err != nil {
			return tokenNone, err
		}
	}
}

// textToken returns the text up to the next tag, or a piece of it that ends
// between two characters, entities among them.
func (s *scanner) textToken() (token, error) {
	s.plain = false
	looked := 0
	for {
		rest := s.buf[s.pos:s.end]
		if i := bytes.IndexByte(rest[looked:], '<'); i >= 0 {
			s.text = rest[:looked+i]
			s.pos += looked + i
			return tokenText, nil
		}
		looked = len(rest)
		if s.eof {
			return tokenNone, errCutOff
		}
		if len(rest) >= usualBuffer/2 {
			cut := runeCut(rest)
			if rest[cut-1] == '\r' {
				cut--
			}
			const longest = 12
			if i := bytes.LastIndexByte(rest[cut-longest:cut], '&'); i >= 0 {
				cut += i - longest
			}
			s.text = rest[:cut]
			s.pos += cut
			return tokenText, nil
		}
		if err := s.fill(); err != nil {
			return tokenNone, err
		}
	}
}

// runeCut is the length of b without a last character that is not all there.
func runeCut(b []byte) int {
	for back := 1; back < utf8.UTFMax && back < len(b); back++ {
		if c := b[len(b)-back]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-back:]) {
				return len(b) - back
			}
			break
		}
	}
	return len(b)
}

// skip reads past the end of the element whose start was the last token.
func (s *scanner) skip() error {
	depth := s.depth()
	for {
		t, err := s.next()
		if err != nil {
			return err
		}
		if t == tokenEnd && s.depth() < depth {
			return nil
		}
	}
}

// drain reads to the end of the document.
func (s *scanner) drain() error {
	for {
		if t, err := s.next(); err != nil || t == tokenNone {
			return err
		}
	}
}

// root reads the root element's start, which must have this name.
func (s *scanner) root(name string) error {
	if _, err := s.next(); err != nil {
		return err
	}
	if string(s.name) != name {
		found := printable(s.name)
		return corrupt(fmt.Sprintf("it holds <%s> where <%s> is expected", found, name), fmt.Sprintf("内容为 <%s>，应为 <%s>", found, name))
	}
	return nil
}

// appendText adds the text of the last token to b: entities become what they
// stand for, line ends become \n.
func (s *scanner) appendText(b []byte) ([]byte, error) {
	return appendDecoded(b, s.text, s.plain)
}

func appendDecoded(b, text []byte, plain bool) ([]byte, error) {
	simple, ascii := true, true
	for _, c := range text {
		switch {
		case c >= utf8.RuneSelf:
			ascii = false
		case c == '&' || c == '\r':
			simple = false
		case c < ' ' && c != '\n' && c != '\t':
			return b, broken("a control character", "含有控制字符")
		}
	}
	if !ascii && !utf8.Valid(text) {
		return b, broken("text that is no UTF-8", "文本不是 UTF-8")
	}
	if simple {
		return append(b, text...), nil
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\r':
			b = append(b, '\n')
			if i+1 < len(text) && text[i+1] == '\n' {
				i++
			}
		case c == '&' && !plain:
			end := bytes.IndexByte(text[i:min(len(text), i+12)], ';')
			if end < 0 {
				return b, broken("an & that is not written &amp;", "“&”未写作 &amp;")
			}
			r, ok := entity(string(text[i+1 : i+end]))
			if !ok {
				return b, broken("an entity that XML does not know", "含有 XML 未定义的实体")
			}
			b = utf8.AppendRune(b, r)
			i += end
		default:
			b = append(b, c)
		}
	}
	return b, nil
}

// entity knows the five that XML has, and characters by number.
func entity(name string) (rune, bool) {
	switch name {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	if len(name) < 2 || name[0] != '#' {
		return 0, false
	}
	digits, base := name[1:], 10
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	r := rune(n)
	valid := err == nil && n <= utf8.MaxRune && utf8.ValidRune(r) && (r >= ' ' || r == '\n' || r == '\t' || r == '\r')
	return r, valid
}

// attributes are read one by one; those that make no sense end them.
type attributes struct {
	rest        []byte
	name, value []byte // value as it stands
}

func (a *attributes) next() bool {
	b := a.rest
	i := 0
	for i < len(b) && space(b[i]) {
		i++
	}
	from := i
	for i < len(b) && b[i] != '=' && !space(b[i]) {
		i++
	}
	name := b[from:i]
	for i < len(b) && space(b[i]) {
		i++
	}
	if len(name) == 0 || i == len(b) || b[i] != '=' {
		return false
	}
	for i++; i < len(b) && space(b[i]); i++ {
	}
	if i == len(b) || b[i] != '"' && b[i] != '\'' {
		return false
	}
	end := bytes.IndexByte(b[i+1:], b[i])
	if end < 0 {
		return false
	}
	a.name, a.value, a.rest = name, b[i+1:i+1+end], b[i+end+2:]
	return true
}

// get returns an attribute of the last start tag, by its name without prefix.
func (s *scanner) get(name string) (string, error) {
	in := attributes{rest: s.attrs}
	for in.next() {
		if string(local(in.name)) == name && !bytes.HasPrefix(in.name, []byte("xmlns")) {
			value, err := appendDecoded(nil, in.value, false)
			return string(value), err
		}
	}
	return "", nil
}

// yes reads a boolean attribute.
func yes(value []byte) bool { return string(value) == "1" || string(value) == "true" }

// number reads a short decimal number without a sign; -1 is none.
func number(b []byte) int {
	if len(b) == 0 || len(b) > 9 {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}
