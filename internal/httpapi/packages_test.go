package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/internal/zippkg/hostile"
)

// What is wrong with a package is said over HTTP, in the reader's language, and leaves
// no task; what only its files show is taken, and found by whoever reads them.
func TestHostilePackagesAreRefusedOverHTTP(t *testing.T) {
	b := newBench(t, zippkg.Limits{Upload: 64 << 20})
	taken := 0
	for _, h := range hostile.Packages() {
		data := h.Bytes()
		for _, language := range []string{"en", "zh-CN"} {
			got := b.raw(data, "Accept-Language", language)
			if h.Refused == "" {
				require.Equal(t, http.StatusAccepted, got.status, h.Name)
				taken++
				break
			}
			require.Equal(t, h.Refused, got.Refused.Code, h.Name)
			want := http.StatusUnprocessableEntity
			if h.Refused == "zip.too_large" {
				want = http.StatusRequestEntityTooLarge
			}
			require.Equal(t, want, got.status, h.Name)
			require.Empty(t, got.TaskID)
			message := got.Refused.Message
			plain, _, _ := strings.Cut(message, `"`) // what follows is a path
			require.Equal(t, language == "zh-CN", strings.ContainsFunc(plain, func(r rune) bool { return unicode.Is(unicode.Han, r) }), message)
			require.False(t, strings.ContainsFunc(message, unicode.IsControl), message)
		}
	}
	facts := 0
	for _, err := range b.store.ReadAll(t.Context(), 0, ourFacts) {
		require.NoError(t, err)
		facts++
	}
	require.Equal(t, taken, facts, "the refused leave nothing")
}

// The sentences themselves.
func TestWhatIsSaidOfHostilePackages(t *testing.T) {
	b := newBench(t, zippkg.Limits{})
	said := map[string][2]string{
		"slip":                      {`the path leaves the package (a component of dots): "../../etc/cron.d/job"`, `路径越出安装包目录（含有仅由点组成的部分）："../../etc/cron.d/job"`},
		"slip in a zip":             {`the path leaves the package (a component of dots): "inner.zip!/../../etc/passwd"`, `路径越出安装包目录（含有仅由点组成的部分）："inner.zip!/../../etc/passwd"`},
		"symlink":                   {`the zip contains a symbolic link; pack the file it points to: "etc"`, `zip 中含有符号链接，请打包其指向的文件："etc"`},
		"flat bomb":                 {`it unpacks to more than 100 times its packed size, like a zip bomb: "zeros.sql"`, `解压后大小超过压缩大小的 100 倍，疑似压缩炸弹："zeros.sql"`},
		"bomb in a zip":             {`it unpacks to more than 100 times its packed size, like a zip bomb: "inner.zip!/zeros.sql"`, `解压后大小超过压缩大小的 100 倍，疑似压缩炸弹："inner.zip!/zeros.sql"`},
		"encrypted":                 {`the zip is encrypted; pack it without a password: "job.sql"`, `zip 已加密，请不设密码重新打包："job.sql"`},
		"garbage between entries":   {`the zip is damaged: it holds bytes that belong to no entry, before or between them (a hidden file, or a self-extracting archive?); pack it again: "a.sql"`, `zip 文件已损坏：条目之前或之间有不属于任何条目的字节（是否含有隐藏文件，或为自解压文件？），请重新打包："a.sql"`},
		"20,001 entries":            {"the zip has more than 20000 entries; split the package", "zip 中的条目超过 20000 个，请拆分安装包"},
		"cut off in the end record": {"the zip is damaged: its end is missing, probably because the upload was cut off; pack it again", "zip 文件已损坏：缺少结尾，可能是上传中断，请重新打包"},
		"overlap: one file under many names": {
			`two entries of the zip share the same bytes; pack it again with an ordinary tool: "`, `zip 中有两个条目共用同一段数据，请用常规工具重新打包："`},
	}
	for _, h := range hostile.Packages() {
		want, listed := said[h.Name]
		if !listed {
			continue
		}
		delete(said, h.Name)
		require.Contains(t, b.raw(h.Bytes(), "Accept-Language", "en").Refused.Message, want[0], h.Name)
		require.Contains(t, b.raw(h.Bytes(), "Accept-Language", "zh-CN").Refused.Message, want[1], h.Name)
	}
	require.Empty(t, said)
}
