package zippkg

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// Encoding is how text was, or seems to have been, encoded.
type Encoding string

const (
	UTF8    Encoding = "UTF-8"
	UTF16LE Encoding = "UTF-16LE"
	UTF16BE Encoding = "UTF-16BE"
	GB18030 Encoding = "GB18030" // GBK and GB2312 are parts of it
	Latin1  Encoding = "latin-1"
	CP437   Encoding = "CP437" // names only
)

// Text is the decoded content of a file.
type Text struct {
	// Content is valid UTF-8 without byte order mark and without NUL. Line ends
	// are left as they are.
	Content  string
	Encoding Encoding
	// BOM: the file began with a byte order mark.
	BOM bool
	// MixedLineEnds: the file uses more than one of CRLF, LF and CR.
	MixedLineEnds bool
	// Undecodable: no encoding explains all of the bytes, or they are no text (a
	// NUL byte). What made no sense is U+FFFD in Content.
	Undecodable bool
}

// Decode finds out how raw is encoded: a byte order mark decides; then NUL
// bytes in the pattern of UTF-16; then UTF-8 if it is valid; then GB18030 if all
// of it makes sense; then latin-1.
func Decode(raw []byte) Text {
	var t Text
	switch {
	case bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")):
		t = Text{Encoding: UTF8, BOM: true, Content: string(raw[3:])}
	case bytes.HasPrefix(raw, []byte("\xff\xfe")):
		t = Text{Encoding: UTF16LE, BOM: true, Content: decodeUTF16(raw[2:], unicode.LittleEndian)}
	case bytes.HasPrefix(raw, []byte("\xfe\xff")):
		t = Text{Encoding: UTF16BE, BOM: true, Content: decodeUTF16(raw[2:], unicode.BigEndian)}
	default:
		t = decodeUnmarked(raw)
	}
	if t.Encoding != UTF8 && strings.ContainsRune(t.Content, utf8.RuneError) {
		t.Undecodable = true
	}
	if !utf8.ValidString(t.Content) {
		t.Undecodable = true
		t.Content = strings.ToValidUTF8(t.Content, "\uFFFD")
	}
	if strings.IndexByte(t.Content, 0) >= 0 {
		t.Undecodable = true
		t.Content = strings.ReplaceAll(t.Content, "\x00", "\uFFFD")
	}
	t.MixedLineEnds = mixedLineEnds(t.Content)
	return t
}

func decodeUnmarked(raw []byte) Text {
	if enc, content, ok := guessUTF16(raw); ok {
		return Text{Encoding: enc, Content: content}
	}
	if utf8.Valid(raw) {
		return Text{Encoding: UTF8, Content: string(raw)}
	}
	if content, ok := decodeGB18030(raw); ok {
		return Text{Encoding: GB18030, Content: content}
	}
	decoded, _ := charmap.ISO8859_1.NewDecoder().Bytes(raw) // every byte has a meaning
	content := string(decoded)
	// The C1 controls are in no text: where they show up, the encoding is another.
	isC1 := func(r rune) bool { return 0x80 <= r && r <= 0x9f }
	if strings.ContainsFunc(content, isC1) {
		content = strings.Map(func(r rune) rune {
			if isC1(r) {
				return utf8.RuneError
			}
			return r
		}, content)
	}
	return Text{Encoding: Latin1, Content: content}
}

// guessUTF16 recognises UTF-16 without a byte order mark. Text, Chinese text
// too, has spaces, line ends, digits and keywords; in UTF-16 each of them has a
// NUL byte on the same side. Some on the other side are no surprise (一 is
// U+4E00), but they are few.
func guessUTF16(raw []byte) (Encoding, string, bool) {
	if len(raw) == 0 || len(raw)%2 != 0 {
		return "", "", false
	}
	var even, odd int // NULs at even and at odd offsets
	for i := 0; i < len(raw); i += 2 {
		if raw[i] == 0 {
			even++
		}
		if raw[i+1] == 0 {
			odd++
		}
	}
	units := len(raw) / 2
	enough := max(min(2, units), (units+9)/10) // one stray NUL in a short text is not UTF-16
	var enc Encoding
	var order unicode.Endianness
	switch {
	case odd >= enough && odd > 4*even:
		enc, order = UTF16LE, unicode.LittleEndian
	case even >= enough && even > 4*odd:
		enc, order = UTF16BE, unicode.BigEndian
	default:
		return "", "", false
	}
	content := decodeUTF16(raw, order)
	return enc, content, !strings.ContainsAny(content, "\x00\uFFFD")
}

func decodeUTF16(raw []byte, order unicode.Endianness) string {
	decoded, err := unicode.UTF16(order, unicode.IgnoreBOM).NewDecoder().Bytes(raw)
	if err != nil {
		return string(decoded) + "\uFFFD"
	}
	return string(decoded)
}

func mixedLineEnds(text string) bool {
	crlf := strings.Count(text, "\r\n")
	lf := strings.Count(text, "\n") - crlf
	cr := strings.Count(text, "\r") - crlf
	return min(crlf, lf) > 0 || min(crlf, cr) > 0 || min(lf, cr) > 0
}
