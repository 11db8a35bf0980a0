package unittest

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	xunicode "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// plainText turns the bytes of a report into UTF-8 that a parser of XML 1.0
// takes, line for line, in constant memory:
//
//	bytes ─ byte order mark, declared encoding, or guess ─▶ UTF-8 ─ mend ─▶ XML
//
// valid says that all of the bytes are UTF-8; otherwise a report that is supposed
// to be UTF-8 is read by [guess]. marked is whether a byte order mark named the
// encoding, whatever the declaration says. A declared encoding that is not known
// leaves the text as it is.
func plainText(r io.Reader, valid bool) (text io.Reader, marked bool) {
	in := bufio.NewReaderSize(r, 32<<10)
	switch head, _ := in.Peek(3); {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = in.Discard(3)
		marked = true
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		in = bufio.NewReader(xunicode.UTF16(xunicode.LittleEndian, xunicode.UseBOM).NewDecoder().Reader(in))
		marked, valid = true, true
	}
	front, label := declaration(in)
	if declared := known(label); declared != nil && !marked {
		text, valid = declared.NewDecoder().Reader(in), true
	} else {
		text = in
	}
	text = io.MultiReader(bytes.NewReader(front), text)
	if !valid {
		text = transform.NewReader(text, guess{gb: simplifiedchinese.GB18030.NewDecoder()})
	}
	return transform.NewReader(text, &mend{}), marked
}

// unmarked is a text that is no XML, in UTF-8 without a byte order mark. PowerShell
// writes UTF-16 when a tool's output is sent to a file. It reads so much at once.
func unmarked(r io.Reader, room int) io.Reader {
	in := bufio.NewReaderSize(r, room)
	switch head, _ := in.Peek(3); {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = in.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return xunicode.UTF16(xunicode.LittleEndian, xunicode.UseBOM).NewDecoder().Reader(in)
	}
	return in
}

// longestDeclaration is how far the XML declaration may reach.
const longestDeclaration = 1 << 10

var (
	minorVersion  = regexp.MustCompile(`(\sversion\s*=\s*["'])1\.[0-9]+(["'])`)
	encodingLabel = regexp.MustCompile(`\sencoding\s*=\s*["']([^"']*)["']`)
)

// declaration takes the XML declaration off the front of a report. XML 1.1 and
// whatever 1.x may come are declared to be 1.0, as which the standard has them
// read: where they differ, reports do not.
func declaration(in *bufio.Reader) (front []byte, label string) {
	head, _ := in.Peek(longestDeclaration)
	begin := len(head) - len(bytes.TrimLeft(head, " \t\r\n"))
	end := bytes.Index(head, []byte("?>"))
	if end < begin || !bytes.HasPrefix(head[begin:], []byte("<?xml")) {
		return nil, ""
	}
	front = minorVersion.ReplaceAll(head[:end], []byte("${1}1.0${2}"))
	if m := encodingLabel.FindSubmatch(front); m != nil {
		label = string(m[1])
	}
	_, _ = in.Discard(end)
	return front, label
}

// known returns the encoding of this name, by the names and aliases of browsers
// (gbk, gb2312, gb18030, big5, latin1, …), or nil for UTF-8 and for none.
func known(label string) encoding.Encoding {
	enc, err := htmlindex.Get(label)
	if err != nil {
		return nil
	}
	if name, err := htmlindex.Name(enc); err == nil && name == "utf-8" {
		return nil
	}
	return enc
}

// guess reads a report that should be UTF-8 and somewhere is not: on Chinese
// Windows runners declare UTF-8 and write the code page, GBK, be it for the whole
// report or for what the tests printed. It judges piece by piece (one value of an
// attribute, one line of a text), as the bytes that end a piece are no part of a
// character in either encoding. Bytes that are neither become U+FFFD.
//
// Two bytes of GBK may look like one two-byte character of UTF-8. Chinese takes
// three there, so pieces with nothing longer than two are GBK.
type guess struct {
	transform.NopResetter
	gb *encoding.Decoder
}

// longestPiece is where a piece is cut at the latest.
const longestPiece = 1 << 10

func (g guess) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		rest := src[nSrc:]
		n, whole := cutPiece(rest, atEOF)
		if n == 0 {
			return nDst, nSrc, transform.ErrShortSrc
		}
		if len(dst)-nDst < utf8.UTFMax*n {
			return nDst, nSrc, transform.ErrShortDst
		}
		if m := measureUTF8(rest[:n], whole); m > 0 {
			nDst += copy(dst[nDst:], rest[:m])
			nSrc += m
			continue
		}
		written, read, err := g.gb.Transform(dst[nDst:], rest[:n], whole)
		nDst += written
		nSrc += read
		if err != nil && (whole || read == 0) {
			return nDst, nSrc, err
		}
	}
	return nDst, nSrc, nil
}

// cutPiece measures the piece at the beginning of text, or returns 0 if its end
// is not there yet. The end of a piece that is not whole may cut a character.
func cutPiece(text []byte, atEOF bool) (n int, whole bool) {
	const ends = "\n<>\""
	window := text[:min(len(text), longestPiece)]
	if n = bytes.IndexAny(window, ends) + 1; n > 0 {
		// In GBK, half a character in front of the end of a CDATA section would take
		// its first bracket along.
		if body, ok := bytes.CutSuffix(window[:n], []byte("]]>")); ok && len(body) > 0 {
			n = len(body)
		}
		return n, true
	}
	switch {
	case len(text) >= longestPiece:
		for n = len(window); n > 0 && window[n-1] >= '0'; n-- {
		}
		if n > 0 {
			return n, true
		}
		return len(window), false
	case atEOF:
		return len(text), true
	}
	return 0, false
}

// measureUTF8 returns how much of a piece is to be taken as UTF-8: all of it, but
// for a character that is cut at the end of a piece that is not whole, or nothing.
func measureUTF8(piece []byte, whole bool) int {
	ascii, longest := true, 0
	for i := 0; i < len(piece); {
		if piece[i] < utf8.RuneSelf {
			i++
			continue
		}
		ascii = false
		if !whole && longest > 2 && !utf8.FullRune(piece[i:]) {
			return i
		}
		r, size := utf8.DecodeRune(piece[i:])
		if r == utf8.RuneError && size == 1 {
			return 0
		}
		longest = max(longest, size)
		i += size
	}
	if !ascii && longest < 3 {
		return 0
	}
	return len(piece)
}

// mend replaces by U+FFFD what XML forbids and runners write nevertheless,
// because the tests printed it: control characters, such as those of coloured
// output, in texts, in CDATA sections and in the attributes of elements that quote
// a test; and references to such characters. Everything else, in markup too, is
// left for the parser to judge.
type mend struct {
	in    section
	quote byte // of the attribute value, in a tag
	says  bool // the tag is of an element that quotes what a test said
	run   int  // how many bytes that could begin the end of the section were last seen
}

// section is what a byte stands in.
type section int

const (
	inText section = iota
	inTag
	inCDATA
	inComment
	inInstruction
	inDirective // up to the first >: one with declarations inside is refused anyway
	sectionCount
)

// sectionEnds are so many of a byte, and then >.
var sectionEnds = [sectionCount]struct {
	mark  byte
	count int
}{inCDATA: {']', 2}, inComment: {'-', 2}, inInstruction: {'?', 1}}

// ahead is how far mend looks, which is farther than a <rerunFailure> reaches.
const ahead = 16

// special are the bytes that may be replaced or end something.
var special = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = c != '\t' && c != '\n' && c != '\r'
	}
	for _, c := range []byte("<>&\"']-?\xef") {
		t[c] = true
	}
	return t
}()

const replacement = "\uFFFD"

func (m *mend) Reset() { *m = mend{} }

func (m *mend) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if len(dst)-nDst < ahead {
			return nDst, nSrc, transform.ErrShortDst
		}
		rest := src[nSrc:]
		c := rest[0]
		if !special[c] {
			n := 1
			for most := min(len(rest), len(dst)-nDst); n < most && !special[rest[n]]; n++ {
			}
			nDst += copy(dst[nDst:], rest[:n])
			nSrc += n
			m.run = 0
			continue
		}
		if len(rest) < ahead && !atEOF && (c == '<' || c == '&' || c == 0xef) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		n, bad := m.next(rest[:min(len(rest), ahead)])
		if bad {
			nDst += copy(dst[nDst:], replacement)
		} else {
			nDst += copy(dst[nDst:], rest[:n])
		}
		nSrc += n
	}
	return nDst, nSrc, nil
}

// next measures what begins with a special byte, and says whether it is to be
// replaced.
func (m *mend) next(rest []byte) (n int, bad bool) {
	c := rest[0]
	quoting := m.in == inText || m.in == inCDATA || m.in == inTag && m.quote != 0 && m.says
	switch {
	case c < 0x20:
		m.run = 0
		return 1, quoting
	case c == 0xef:
		m.run = 0
		if quoting && (bytes.HasPrefix(rest, []byte("\xef\xbf\xbe")) || bytes.HasPrefix(rest, []byte("\xef\xbf\xbf"))) {
			return 3, true
		}
		return 1, false
	case c == '&' && (m.in == inText || m.in == inTag):
		if n := forbiddenReference(rest); n > 0 {
			return n, true
		}
		return 1, false
	case c == '<' && m.in == inText:
		return m.open(rest), false
	case m.in == inText:
	case m.in == inTag && m.quote != 0:
		if c == m.quote {
			m.quote = 0
		}
	case m.in == inTag && (c == '"' || c == '\''):
		m.quote = c
	case m.in == inTag:
		if c == '>' {
			m.in = inText
		}
	case c == '>' && m.run >= sectionEnds[m.in].count:
		m.in = inText
	case c == sectionEnds[m.in].mark:
		m.run++
	default:
		m.run = 0
	}
	return 1, false
}

// open enters the section that begins with <, and measures its opening.
func (m *mend) open(rest []byte) int {
	*m = mend{}
	for _, s := range [...]struct {
		opening string
		in      section
	}{{"<![CDATA[", inCDATA}, {"<!--", inComment}, {"<!", inDirective}, {"<?", inInstruction}} {
		if bytes.HasPrefix(rest, []byte(s.opening)) {
			m.in = s.in
			return len(s.opening)
		}
	}
	m.in = inTag
	name := string(rest[1:])
	if n := strings.IndexAny(name, " \t\r\n/>"); n >= 0 {
		name = name[:n]
	}
	switch name {
	case "failure", "error", "skipped", "rerunFailure", "rerunError", "flakyFailure", "flakyError":
		m.says = true
	}
	return 1
}

// forbiddenReference measures a reference, such as &#27; or &#x1b;, to what is no
// character of XML, or returns 0.
func forbiddenReference(text []byte) int {
	digits, ok := bytes.CutPrefix(text, []byte("&#"))
	if !ok {
		return 0
	}
	base := rune(10)
	if hex, ok := bytes.CutPrefix(digits, []byte("x")); ok {
		digits, base = hex, 16
	}
	var r rune
	for i, c := range digits {
		d := rune(16)
		switch {
		case '0' <= c && c <= '9':
			d = rune(c - '0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			d = rune(c|0x20-'a') + 10
		case c == ';' && i > 0 && !allowed(r):
			return len(text) - len(digits) + i + 1
		}
		if d >= base {
			return 0
		}
		r = min(base*r+d, utf8.MaxRune+1)
	}
	return 0
}

// allowed reports whether a character may stand in XML 1.0.
func allowed(r rune) bool {
	switch {
	case r < 0x20:
		return r == '\t' || r == '\n' || r == '\r'
	case r == 0xfffe, r == 0xffff:
		return false
	}
	return utf8.ValidRune(r)
}
