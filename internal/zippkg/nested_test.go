package zippkg

import (
	"archive/zip"
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/factgate/factgate/internal/zippkg/hostile"
)

func nested(entries ...entry) string { return string(zipOf(entries...)) }

func TestFilesOfAZipInThePackageAreFilesOfThePackage(t *testing.T) {
	gbk, err := simplifiedchinese.GB18030.NewEncoder().String("作业/订单.sql")
	require.NoError(t, err)
	inner := nested(
		entry{Name: "etl/a.sql", Content: "select 'a'"},
		entry{Name: `etl\b.sql`, Content: "select 'b'", Stored: true},
		entry{Name: gbk, Content: "select 'c'"},
		entry{Name: "empty/", Stored: true},
		entry{Name: "__MACOSX/._a.sql", Content: "junk"},
		entry{Name: "lib.jar", Content: nested(entry{Name: "in.jar"})},
	)
	for name, stored := range map[string]bool{"uncompressed, read in place": true, "compressed, unpacked once": false} {
		t.Run(name, func(t *testing.T) {
			src := &countingSource{data: zipOf(
				entry{Name: "rel/b.sql", Content: "select 1"},
				entry{Name: "rel/tools/Etl.ZIP", Content: inner, Stored: stored},
				entry{Name: "rel/app.jar", Content: inner}, entry{Name: "rel/book.xlsx", Content: inner}, entry{Name: "rel/x.war", Content: inner},
			)}
			p, err := Open(src, int64(len(src.data)), Limits{})
			require.NoError(t, err)
			require.Equal(t, "rel", p.Root())
			require.Equal(t, []string{
				"app.jar", "b.sql", "book.xlsx",
				"tools/Etl.ZIP", "tools/Etl.ZIP!/etl/a.sql", "tools/Etl.ZIP!/etl/b.sql", "tools/Etl.ZIP!/lib.jar", "tools/Etl.ZIP!/作业/订单.sql",
				"x.war",
			}, paths(p))
			require.Equal(t, []string{"tools/Etl.ZIP!/__MACOSX/._a.sql"}, p.Skipped())
			require.Len(t, p.Warnings(), 1)
			require.Equal(t, "tools/Etl.ZIP!/作业/订单.sql", p.Warnings()[0].Path)

			opened := src.bytes.Load()
			for path, want := range map[string]string{
				"tools/Etl.ZIP!/etl/a.sql": "select 'a'", `tools\Etl.ZIP!\etl\b.sql`: "select 'b'", "tools/Etl.ZIP!/作业/订单.sql": "select 'c'",
			} {
				f, ok := p.Lookup(path)
				require.True(t, ok, path)
				for range 3 {
					text, err := f.Text(0)
					require.NoError(t, err)
					require.Equal(t, want, text.Content)
				}
			}
			if !stored {
				require.Equal(t, opened, src.bytes.Load(), "nothing is unpacked twice")
			}
			whole, ok := p.Lookup("tools/Etl.ZIP")
			require.True(t, ok, "the zip stays a file")
			content, err := whole.ReadAll(0)
			require.NoError(t, err)
			require.Equal(t, inner, string(content))
		})
	}
}

// A root folder belongs to the package, not to a zip in it.
func TestTheRootOfANestedZipStays(t *testing.T) {
	p := mustOpen(t, zipOf(entry{Name: "rel.zip", Content: nested(entry{Name: "rel/a.sql"}, entry{Name: "rel/b.sql"})}))
	require.Equal(t, []string{"rel.zip", "rel.zip!/rel/a.sql", "rel.zip!/rel/b.sql"}, paths(p))
	require.Empty(t, p.Root())
}

func TestAPackageIsOpenedOneLevelDeep(t *testing.T) {
	deepest := nested(entry{Name: "a.sql"})
	deeper := nested(entry{Name: "x.zip", Content: deepest}, entry{Name: "y.zip", Content: deepest}, entry{Name: "b.sql"})
	p := mustOpen(t, zipOf(entry{Name: "one.zip", Content: nested(entry{Name: "only.zip", Content: deepest})}, entry{Name: "two.zip", Content: deeper}))
	require.Equal(t, []string{"one.zip", "one.zip!/only.zip", "two.zip", "two.zip!/b.sql", "two.zip!/x.zip", "two.zip!/y.zip"}, paths(p))
	require.Len(t, p.Warnings(), 2)
	for i, path := range []string{"one.zip!/only.zip", "two.zip!/x.zip"} {
		w := p.Warnings()[i]
		require.Equal(t, WarningNestedTooDeep, w.Code)
		require.Equal(t, path, w.Path)
		require.Contains(t, w.Message, "put it directly into the package")
		require.Contains(t, w.MessageZH, "请将其直接放入安装包")
	}
	require.Contains(t, p.Warnings()[1].Message, `1 more in "two.zip"`)
	require.Contains(t, p.Warnings()[1].MessageZH, "“two.zip”中另有 1 个 zip")
}

// What cannot be looked into stays a file, and somebody is told.
func TestNestedZipsThatAreNotOpened(t *testing.T) {
	small := nested(entry{Name: "a.sql", Content: "select 1"})
	large := nested(entry{Name: "a.sql", Content: noise(9000), Stored: true})
	deep := nested(entry{Name: strings.Repeat("d/", 31) + "f"})
	for name, c := range map[string]struct {
		inner  entry
		limits Limits
		cause  Code
	}{
		"encrypted":                 {entry{Content: nested(entry{Name: "a.sql", Flags: 1})}, Limits{}, CodeEncrypted},
		"cut off":                   {entry{Content: small[:len(small)-5]}, Limits{}, CodeDamaged},
		"not a zip":                 {entry{Content: "hello, this is a text and no zip"}, Limits{}, CodeNotAZip},
		"empty":                     {entry{Content: "", Stored: true}, Limits{}, CodeNotAZip},
		"another method":            {entry{Content: nested(entry{Name: "a", Method: at(uint16(14))})}, Limits{}, CodeUnsupported},
		"a name twice":              {entry{Content: nested(entry{Name: "a"}, entry{Name: "a"})}, Limits{}, CodeDuplicateName},
		"self-extracting":           {entry{Content: string(hostile.Zip{Before: []byte("MZ"), Entries: []entry{{Name: "a"}}}.Bytes())}, Limits{}, CodeDamaged},
		"itself damaged":            {entry{Content: small, CRC: at(uint32(7))}, Limits{}, CodeDamaged},
		"in place, another header":  {entry{Content: small, Stored: true, LocalName: at("ix.zip")}, Limits{}, CodeDamaged},
		"too many entries":          {entry{Content: nested(entry{Name: "a"}, entry{Name: "b"}, entry{Name: "c"})}, Limits{Entries: 4}, CodeTooManyEntries},
		"directory too large":       {entry{Content: small}, Limits{Directory: 2*46 + 5 + 5 + 46}, CodeTooLarge},
		"a file too large":          {entry{Content: nested(entry{Name: "a", Content: strings.Repeat("x", 700)})}, Limits{File: 600}, CodeFileTooLarge},
		"all together too large":    {entry{Content: nested(entry{Name: "a", Content: strings.Repeat("x", 700)})}, Limits{Unpacked: 800}, CodeUnpackedTooLarge},
		"compressed, memory":        {entry{Content: large}, Limits{Nested: 9000}, CodeFileTooLarge},
		"path too deep with it":     {entry{Content: deep}, Limits{}, CodeBadName},
		"path too long with it":     {entry{Content: nested(entry{Name: strings.Repeat("p", 505)})}, Limits{}, CodeBadName},
		"path too long already":     {entry{Content: nested(entry{Name: strings.Repeat("p", 513)})}, Limits{}, CodeBadName},
		"a hidden file between two": {entry{Content: nested(entry{Name: "a", After: []byte(noise(99))}, entry{Name: "b"})}, Limits{}, CodeDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			c.inner.Name = "in.zip"
			p, err := open(zipOf(entry{Name: "a.sql", Content: "select 1"}, c.inner), c.limits)
			require.NoError(t, err)
			require.Equal(t, []string{"a.sql", "in.zip"}, paths(p))
			require.Len(t, p.Warnings(), 1)
			w := p.Warnings()[0]
			require.Equal(t, WarningNestedUnread, w.Code)
			require.Equal(t, c.cause, w.Cause)
			require.Equal(t, "in.zip", w.Path)
			require.Contains(t, w.Message, "the files inside were not checked: ")
			require.Contains(t, w.MessageZH, "其中的文件未被检查：")
		})
	}
	t.Run("in place any size is read", func(t *testing.T) {
		p, err := open(zipOf(entry{Name: "in.zip", Content: large, Stored: true}), Limits{Nested: 1})
		require.NoError(t, err)
		require.Len(t, p.Files(), 2)
		require.Empty(t, p.Warnings())
	})
	t.Run("memory is of all together, in the order of paths", func(t *testing.T) {
		p, err := open(zipOf(entry{Name: "b.zip", Content: large}, entry{Name: "a.zip", Content: large}, entry{Name: "c.zip", Content: small}), Limits{Nested: 12_000})
		require.NoError(t, err)
		require.Equal(t, []string{"a.zip", "a.zip!/a.sql", "b.zip", "c.zip", "c.zip!/a.sql"}, paths(p))
	})
}

func TestNestedZipsThatSpoilThePackage(t *testing.T) {
	const unix = 3 << 8
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	for name, c := range map[string]struct {
		inner string
		code  Code
		path  string
	}{
		"slip":      {nested(entry{Name: "../../etc/passwd"}), CodeBadName, "in.zip!/../../etc/passwd"},
		"absolute":  {nested(entry{Name: "/etc/passwd"}), CodeBadName, "in.zip!//etc/passwd"},
		"far long":  {nested(entry{Name: strings.Repeat("../", 20_000)}), CodeBadName, ""},
		"symlink":   {nested(entry{Name: "l", Creator: unix, Attrs: 0o120777 << 16}), CodeSymlink, "in.zip!/l"},
		"device":    {nested(entry{Name: "d", Creator: unix, Attrs: 0o020666 << 16}), CodeSpecialFile, "in.zip!/d"},
		"bomb":      {nested(entry{Name: "z", Content: zeros(2 << 20)}), CodeBomb, "in.zip!/z"},
		"bombs":     {nested(entry{Name: "y", Content: zeros(1 << 20)}, entry{Name: "z", Content: zeros(1 << 20)}), CodeBomb, "in.zip"},
		"overlap":   {string(hostile.Quoting(3, noise(100))), CodeOverlap, "in.zip!/a"},
		"same data": {nested(entry{Name: "a", Content: "x"}, entry{Name: "b", Content: "x", Offset: at(uint32(0))}), CodeOverlap, "in.zip!/a"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stored := range []bool{true, false} {
				_, err := open(zipOf(entry{Name: "in.zip", Content: c.inner, Stored: stored}), Limits{})
				refused := requireRefused(t, err, c.code)
				if c.path != "" {
					require.Equal(t, c.path, refused.Path)
				}
			}
		})
	}
}

// The ratio of what comes out to what was uploaded counts both levels, also where
// each of them is modest.
func TestRatiosMultiply(t *testing.T) {
	limits := Limits{Ratio: 10, RatioFrom: 1 << 10}
	text := strings.Repeat(noise(64), 40) // packs about 20:1
	inner := nested(entry{Name: "a", Content: text[:512]}, entry{Name: "b", Content: text[:512]}, entry{Name: "c", Content: text[:512]})
	require.Less(t, len(inner), 1<<10)
	_, err := open([]byte(inner), limits)
	require.NoError(t, err)
	_, err = open(zipOf(entry{Name: "in.zip", Content: inner}), limits)
	require.NoError(t, err)
	many := make([]entry, 40)
	for i := range many {
		many[i] = entry{Name: strconv.Itoa(i), Content: text[:512]}
	}
	inner = nested(many...)
	_, err = open([]byte(inner), limits)
	require.NoError(t, err, "each level by itself is fine")
	_, err = open(zipOf(entry{Name: "in.zip", Content: inner}), limits)
	requireRefused(t, err, CodeBomb)
}

func TestTheMeterCountsBothLevels(t *testing.T) {
	m := &meter{limits: Limits{Ratio: 10, RatioFrom: 50}.withDefaults(), packed: 1000}
	outer := &File{Path: "in.zip", entry: &zip.File{FileHeader: zip.FileHeader{CompressedSize64: 8}}}
	f := &File{Path: "in.zip!/f", within: outer, entry: &zip.File{FileHeader: zip.FileHeader{CompressedSize64: 100}}}
	require.NoError(t, m.reached(f, 80))
	requireRefused(t, m.reached(f, 81), CodeBomb)
}

func TestTheLimitsOnEntriesCountBothLevels(t *testing.T) {
	data := zipOf(entry{Name: "in.zip", Content: nested(entry{Name: "a"}, entry{Name: "b/"})}, entry{Name: "x"})
	p, err := open(data, Limits{Entries: 4})
	require.NoError(t, err)
	require.Equal(t, []string{"in.zip", "in.zip!/a", "x"}, paths(p))
	p, err = open(data, Limits{Entries: 3})
	require.NoError(t, err)
	require.Equal(t, CodeTooManyEntries, p.Warnings()[0].Cause)
}

func TestAFailingSourceIsNotANestedZipsFault(t *testing.T) {
	for _, stored := range []bool{true, false} {
		data := zipOf(entry{Name: "in.zip", Content: nested(entry{Name: "a", Content: noise(200_000), Stored: true}), Stored: stored})
		size := int64(len(data))
		at := size / 2
		if stored {
			at = 0 // its header; the data in the middle is not read yet
		}
		_, err := Open(brokenSource{data, at, at + 1}, size, Limits{})
		require.ErrorIs(t, err, errStoreAway)
		var refused *Error
		require.NotErrorAs(t, err, &refused)
		if stored {
			p, err := Open(brokenSource{data, size / 2, size/2 + 1}, size, Limits{})
			require.NoError(t, err)
			_, err = p.Files()[1].ReadAll(0)
			require.ErrorIs(t, err, errStoreAway)
			require.NotErrorAs(t, err, &refused)
		}
	}
}

// Standard library and nested zips agree on contents, byte by byte.
func TestNestedZipsOfTheStandardLibrary(t *testing.T) {
	pack := func(method uint16, files map[string][]byte) []byte {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		for name, content := range files {
			f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
			require.NoError(t, err)
			_, err = f.Write(content)
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		return out.Bytes()
	}
	want := []byte(noise(300_000))
	inner := pack(zip.Deflate, map[string][]byte{"a/b.csv": want, "c.txt": []byte("c")})
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		p := mustOpen(t, pack(method, map[string][]byte{"data.zip": inner}))
		f, ok := p.Lookup("data.zip!/a/b.csv")
		require.True(t, ok)
		rc, err := f.Open()
		require.NoError(t, err)
		got, err := io.ReadAll(rc)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
	}
}
