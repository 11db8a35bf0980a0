package unittest

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// plain reads content as decode does.
func plain(t testing.TB, content string) string {
	t.Helper()
	valid, err := isUTF8(t.Context(), strings.NewReader(content), Limits{}.withDefaults())
	require.NoError(t, err)
	require.Equal(t, utf8.ValidString(content), valid)
	text, _ := plainText(strings.NewReader(content), valid)
	whole, err := io.ReadAll(text)
	require.NoError(t, err)
	text, _ = plainText(iotest.OneByteReader(strings.NewReader(content)), valid)
	piecemeal, err := io.ReadAll(text)
	require.NoError(t, err)
	require.Equal(t, string(whole), string(piecemeal), "however it is read")
	return string(whole)
}

func gbk(t testing.TB, s string) string {
	t.Helper()
	out, err := simplifiedchinese.GB18030.NewEncoder().String(s)
	require.NoError(t, err)
	return out
}

func TestTheDeclarationIsReadAsThatOfXML10(t *testing.T) {
	for content, want := range map[string]string{
		"<?xml version=\"1.1\"?>\r\n<a/>":             "<?xml version=\"1.0\"?>\r\n<a/>",
		"\n<?xml  version = '1.1' standalone='no'?>":  "\n<?xml  version = '1.0' standalone='no'?>",
		"\ufeff<?xml version='1.1'?><a/>":             "<?xml version='1.0'?><a/>",
		"<?xml version='2.0'?><a/>":                   "<?xml version='2.0'?><a/>",
		"<a version='1.1'/>":                          "<a version='1.1'/>",
		"<?xml version='1.1'":                         "<?xml version='1.1'",
		"<?xml version='1.0' encoding='EBCDIC'?><a/>": "<?xml version='1.0' encoding='EBCDIC'?><a/>",
	} {
		require.Equal(t, want, plain(t, content))
	}
}

func TestWhatIsNotUTF8IsGBK(t *testing.T) {
	long := strings.Repeat("测试", 3*longestPiece)
	for name, c := range map[string]struct{ content, want string }{
		"all of it":                {gbk(t, `<?xml version="1.0" encoding="UTF-8"?><a b="通知">订单，€𠀀</a>`), `<?xml version="1.0" encoding="UTF-8"?><a b="通知">订单，€𠀀</a>`},
		"what the tests printed":   {`<a b="订单">` + gbk(t, "连接超时\n") + "期望\n" + gbk(t, "通知") + `</a>`, `<a b="订单">` + "连接超时\n期望\n通知</a>"},
		"long texts":               {`<a b="订单">` + gbk(t, long) + "\n" + long + `</a>`, `<a b="订单">` + long + "\n" + long + `</a>`},
		"a word a line":            {gbk(t, strings.Repeat("测试, ", longestPiece)), strings.Repeat("测试, ", longestPiece)},
		"neither":                  {"<a>\xff\xff</a>", "<a>\ufffd\ufffd</a>"},
		"cut characters":           {"<a><![CDATA[\xb6]]></a><b c=\"\xb6\">\xb6</b>\xb6", "<a><![CDATA[\ufffd]]></a><b c=\"\ufffd\">\ufffd</b>\ufffd"},
		"declared otherwise":       {"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a b=\"Gr\xf6\xdfe\"/>", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a b=\"Größe\"/>"},
		"with a byte order mark":   {"\ufeff<a>" + gbk(t, "连接超时") + "</a>", "<a>连接超时</a>"},
		"UTF-8 with short letters": {"<a b='Größe'>é</a>", "<a b='Größe'>é</a>"},
		"declared as its alias":    {"<?xml version=\"1.0\" encoding=\"utf8\"?><a>" + gbk(t, "连接") + "</a>", "<?xml version=\"1.0\" encoding=\"utf8\"?><a>连接</a>"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, plain(t, c.content)) })
	}
}

func TestOnlyWhatTestsSaidIsMended(t *testing.T) {
	for content, want := range map[string]string{
		"<a>\x1b[1m\t\r\n\x00\uffff\ufffe\ufeff\x7f</a>":     "<a>�[1m\t\r\n���\ufeff\x7f</a>",
		"<a><![CDATA[\x1b]\x1b]]\x1b]]]>\x1b<b/>":            "<a><![CDATA[�]�]]�]]]>�<b/>",
		"&#27;&#x1b;&#x1B;&#0;&#xffff;&#xD800;&#9999999;":    "�������",
		"&#9;&#x0a;&#13;&#32;&#x10ffff;&amp;&#;&#x;&#xg;&#1": "&#9;&#x0a;&#13;&#32;&#x10ffff;&amp;&#;&#x;&#xg;&#1",
		"&#0000000000000000000000000027;":                    "&#0000000000000000000000000027;",
		"<![CDATA[&#27;]]>&#27;":                             "<![CDATA[&#27;]]>�",
		"<failure message='\x1b\">\x1b' type=\"\x1b\">":      "<failure message='�\">�' type=\"�\">",
		"<failure \x1b/>\x1b":                                "<failure \x1b/>�",
		"<flakyFailure\nmessage='\x1b'/>":                    "<flakyFailure\nmessage='�'/>",
		"<failures message='\x1b&#27;'/>\x1b":                "<failures message='\x1b�'/>�",
		"<!-- \x1b -- > \x1b --->\x1b":                       "<!-- \x1b -- > \x1b --->�",
		"<?p \x1b?a> \x1b ?>\x1b":                            "<?p \x1b?a> \x1b ?>�",
		"<!DOCTYPE \x1b>\x1b":                                "<!DOCTYPE \x1b>�",
		"<a>" + strings.Repeat("x", 5000) + "\x1b":           "<a>" + strings.Repeat("x", 5000) + "�",
		"<":             "<",
		"<![CDATA[\x1b": "<![CDATA[�",
	} {
		require.Equal(t, want, plain(t, content))
	}
}

func FuzzPlainText(f *testing.F) {
	for _, seed := range []string{
		"<?xml version='1.1' encoding='gb2312'?><a b='\xb6\xa9'>", "<a><![CDATA[\x1b\xb6]]>&#27;</a>", "\xef\xbf\xbf", "\xff\xfe<\x00", "<!--->\x00-->",
		"<failure a=\"\x1b\xcd\xa8\xd6\xaa\">" + strings.Repeat("\xd6\xd0", longestPiece),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		text := plain(t, content)
		if !strings.Contains(content, "encoding") {
			require.True(t, utf8.ValidString(text))
		}
		require.GreaterOrEqual(t, 4*len(content), len(text))
		if utf8.ValidString(content) {
			require.Equal(t, strings.Count(content, "\n"), strings.Count(text, "\n"))
		}
	})
}

func BenchmarkPlainText(b *testing.B) {
	content := bytes.Repeat([]byte("<testcase classname=\"com.example.Suite\" name=\"case\" time=\"0.003\"><system-out>a line of the log\n</system-out></testcase>\n"), 10_000)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		text, _ := plainText(bytes.NewReader(content), true)
		if _, err := io.Copy(io.Discard, text); err != nil {
			b.Fatal(err)
		}
	}
}
