package zippkg

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

func TestDecode(t *testing.T) {
	const sql = "-- 一张订单表\nSELECT 1 FROM dwd_order;\n"
	encode := func(s string, order unicode.Endianness) string {
		out, err := unicode.UTF16(order, unicode.IgnoreBOM).NewEncoder().String(s)
		require.NoError(t, err)
		return out
	}
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(sql)
	require.NoError(t, err)
	gb18030, err := simplifiedchinese.GB18030.NewEncoder().String("𠀀 rare\n")
	require.NoError(t, err)

	for name, c := range map[string]struct {
		raw  string
		want Text
	}{
		"empty":                    {"", Text{Encoding: UTF8}},
		"UTF-8":                    {sql, Text{Content: sql, Encoding: UTF8}},
		"UTF-8 with mark":          {"\xef\xbb\xbf" + sql, Text{Content: sql, Encoding: UTF8, BOM: true}},
		"UTF-8 with mark, broken":  {"\xef\xbb\xbfa\xffb", Text{Content: "a\uFFFDb", Encoding: UTF8, BOM: true, Undecodable: true}},
		"a replacement character":  {"a\uFFFDb", Text{Content: "a\uFFFDb", Encoding: UTF8}},
		"UTF-16LE with mark":       {"\xff\xfe" + encode(sql, unicode.LittleEndian), Text{Content: sql, Encoding: UTF16LE, BOM: true}},
		"UTF-16BE with mark":       {"\xfe\xff" + encode(sql, unicode.BigEndian), Text{Content: sql, Encoding: UTF16BE, BOM: true}},
		"UTF-16LE without mark":    {encode(sql, unicode.LittleEndian), Text{Content: sql, Encoding: UTF16LE}},
		"UTF-16BE without mark":    {encode(sql, unicode.BigEndian), Text{Content: sql, Encoding: UTF16BE}},
		"UTF-16LE, half a unit":    {"\xff\xfea\x00b", Text{Content: "a\uFFFD", Encoding: UTF16LE, BOM: true, Undecodable: true}},
		"UTF-16BE, half a pair":    {"\xfe\xff\x00a\xd8\x00\x00b", Text{Content: "a\uFFFDb", Encoding: UTF16BE, BOM: true, Undecodable: true}},
		"GBK":                      {gbk, Text{Content: sql, Encoding: GB18030}},
		"GB18030, four bytes":      {gb18030, Text{Content: "𠀀 rare\n", Encoding: GB18030}},
		"latin-1":                  {"caf\xe9 au lait", Text{Content: "café au lait", Encoding: Latin1}},
		"neither of them":          {"say \x93 hello \xff", Text{Content: "say \uFFFD hello ÿ", Encoding: Latin1, Undecodable: true}},
		"NUL in text":              {"a\x00bc d", Text{Content: "a\uFFFDbc d", Encoding: UTF8, Undecodable: true}},
		"binary":                   {"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\xff", Text{Content: "\uFFFDPNG\r\n\x1a\n\uFFFD\uFFFD\uFFFD\rIHDRÿ", Encoding: Latin1, Undecodable: true, MixedLineEnds: true}},
		"CRLF only":                {"a\r\nb\r\n", Text{Content: "a\r\nb\r\n", Encoding: UTF8}},
		"CR only":                  {"a\rb\r", Text{Content: "a\rb\r", Encoding: UTF8}},
		"CRLF and LF":              {"a\r\nb\n", Text{Content: "a\r\nb\n", Encoding: UTF8, MixedLineEnds: true}},
		"LF and CR":                {"a\nb\rc", Text{Content: "a\nb\rc", Encoding: UTF8, MixedLineEnds: true}},
		"CRLF and CR":              {"a\r\nb\rc", Text{Content: "a\r\nb\rc", Encoding: UTF8, MixedLineEnds: true}},
		"UTF-16, mixed line ends":  {"\xff\xfe" + encode("a\r\nb\n", unicode.LittleEndian), Text{Content: "a\r\nb\n", Encoding: UTF16LE, BOM: true, MixedLineEnds: true}},
		"nothing but a UTF-8 mark": {"\xef\xbb\xbf", Text{Encoding: UTF8, BOM: true}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, Decode([]byte(c.raw)))
		})
	}
}

func TestTextOfAFile(t *testing.T) {
	f := mustOpen(t, zipOf(entry{Name: "f", Content: "\xef\xbb\xbfselect 1\r\n"})).Files()[0]
	text, err := f.Text(0)
	require.NoError(t, err)
	require.Equal(t, Text{Content: "select 1\r\n", Encoding: UTF8, BOM: true}, text)
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "select 1", "\xff\xfea\x00", "\xfe\xff\x00a", "a\x00b\x00", "\xef\xbb\xbf\xff", "\xb5\xf7\xb6\xc8", "\x93\xff\r\n\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		text := Decode(raw)
		require.True(t, utf8.ValidString(text.Content))
		require.NotContains(t, text.Content, "\x00")
		require.LessOrEqual(t, len(text.Content), 3*len(raw)+3)
		if utf8.Valid(raw) && text.Encoding == UTF8 && !text.Undecodable {
			require.Equal(t, strings.TrimPrefix(string(raw), "\uFEFF"), text.Content)
		}
	})
}
