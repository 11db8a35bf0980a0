package zippkg

import (
	"archive/zip"
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/factgate/factgate/internal/zippkg/hostile"
)

func TestReadsWhatTheStandardLibraryWrites(t *testing.T) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	modified := time.Date(2026, 3, 4, 5, 6, 8, 0, time.UTC)
	for _, name := range []string{"pkg/", "pkg/dwd/订单.sql", "pkg/README.md", "pkg/empty/"} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: modified})
		require.NoError(t, err)
		if !strings.HasSuffix(name, "/") {
			_, err = io.WriteString(f, "content of "+name)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())

	p := mustOpen(t, buf.Bytes())
	require.Equal(t, "pkg", p.Root())
	require.Equal(t, []string{"README.md", "dwd/订单.sql"}, paths(p))
	require.Empty(t, p.Warnings())
	f, ok := p.Lookup(`.\dwd\订单.sql`)
	require.True(t, ok)
	require.True(t, modified.Equal(f.Modified))
	content, err := f.ReadAll(0)
	require.NoError(t, err)
	require.Equal(t, "content of pkg/dwd/订单.sql", string(content))
	require.EqualValues(t, len(content), f.Size)
	for _, absent := range []string{"dwd", "dwd/", "DWD/订单.sql", "", "../README.md", "/README.md", "pkg/README.md"} {
		_, ok := p.Lookup(absent)
		require.False(t, ok, absent)
	}
}

func TestAnEmptyZipIsAPackageWithoutFiles(t *testing.T) {
	p := mustOpen(t, zipOf())
	require.Empty(t, p.Files())
	require.Empty(t, p.Root())
}

func TestNames(t *testing.T) {
	gbk, err := simplifiedchinese.GB18030.NewEncoder().String("调度/作业列表.sql")
	require.NoError(t, err)
	dos, err := charmap.CodePage437.NewEncoder().String("r\u00e9sum\u00e9.sql")
	require.NoError(t, err)
	unicodePathOf := func(sumOf, name string) []byte {
		field := le.AppendUint16(nil, unicodePathTag)
		field = le.AppendUint16(field, uint16(5+len(name)))
		field = append(field, 1)
		field = le.AppendUint32(field, crc32.ChecksumIEEE([]byte(sumOf)))
		return append(field, name...)
	}
	for name, c := range map[string]struct {
		entry entry
		path  string
		enc   Encoding
	}{
		"ASCII":                     {entry{Name: "a/b.sql"}, "a/b.sql", UTF8},
		"marked as UTF-8":           {entry{Name: "维度/表.sql", Flags: flagUTF8}, "维度/表.sql", UTF8},
		"UTF-8 without the mark":    {entry{Name: "维度/表.sql"}, "维度/表.sql", UTF8},
		"GBK":                       {entry{Name: gbk}, "调度/作业列表.sql", GB18030},
		"GBK wrongly marked":        {entry{Name: gbk, Flags: flagUTF8}, "调度/作业列表.sql", GB18030},
		"CP437":                     {entry{Name: dos}, "résumé.sql", CP437},
		"Unicode path field":        {entry{Name: gbk, Extra: unicodePathOf(gbk, "x/新.sql")}, "x/新.sql", UTF8},
		"stale Unicode path field":  {entry{Name: gbk, Extra: unicodePathOf("old", "x/新.sql")}, "调度/作业列表.sql", GB18030},
		"the mark beats the field":  {entry{Name: "a.sql", Flags: flagUTF8, Extra: unicodePathOf("a.sql", "b.sql")}, "a.sql", UTF8},
		"cut-off extra field":       {entry{Name: "a.sql", Extra: unicodePathOf("a.sql", "b.sql")[:8]}, "a.sql", UTF8},
		"backslashes":               {entry{Name: `dwd\orders\a.sql`}, "dwd/orders/a.sql", UTF8},
		"decomposed, as from macOS": {entry{Name: "re\u0301sume\u0301.sql"}, "r\u00e9sum\u00e9.sql", UTF8},
		"dots and double slashes":   {entry{Name: "./a//./b.sql"}, "a/b.sql", UTF8},
		"dots within names":         {entry{Name: "v1..2/.hidden"}, "v1..2/.hidden", UTF8},
	} {
		t.Run(name, func(t *testing.T) {
			c.entry.Content = "select 1"
			p := mustOpen(t, zipOf(c.entry, entry{Name: "zzz"}))
			f, ok := p.Lookup(c.path)
			require.True(t, ok, "%q", paths(p))
			require.Equal(t, c.enc, f.NameEncoding)
			content, err := f.ReadAll(0)
			require.NoError(t, err)
			require.Equal(t, "select 1", string(content))
			if c.enc == UTF8 {
				require.Empty(t, p.Warnings())
			} else {
				require.Equal(t, WarningNameEncoding, p.Warnings()[0].Code)
				require.Equal(t, c.path, p.Warnings()[0].Path)
			}
		})
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	for name, bad := range map[string]string{
		"climbs out":                  "../../etc/passwd",
		"climbs within":               "a/../b",
		"climbs with backslashes":     `a\..\..\b`,
		"climbs at the end":           "a/..",
		"climbs for Windows only":     "a/.. /b",
		"climbs for Windows, dots":    "a/.../b",
		"absolute":                    "/etc/passwd",
		"absolute with backslash":     `\etc\passwd`,
		"a share":                     `\\server\share`,
		"a drive":                     `C:\x.sql`,
		"relative to a drive":         "c:x.sql",
		"NUL":                         "a.sql\x00.txt",
		"terminal escape":             "a\x1b[2Jb.sql",
		"line break":                  "a\nb.sql",
		"nothing":                     "",
		"too long":                    strings.Repeat("long", 129),
		"far too long":                strings.Repeat("x", 60_000),
		"too long once it is decoded": strings.Repeat("\xb5\xf7", 200),
		"too deep":                    strings.Repeat("d/", 32) + "f",
		"climbs out, as a folder":     "../",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(zipOf(entry{Name: bad}), Limits{})
			refused := requireRefused(t, err, CodeBadName)
			require.NotContains(t, refused.Path, "\x00")
			require.NotContains(t, refused.Path, "\x1b")
			require.Less(t, len(refused.Path), 600)
		})
	}
	mustOpen(t, zipOf(entry{Name: strings.Repeat("d/", 31) + "f"}))
	mustOpen(t, zipOf(entry{Name: strings.Repeat("x", 512)}))
}

func TestUnicodePathFieldIsCheckedToo(t *testing.T) {
	field := le.AppendUint16(nil, unicodePathTag)
	field = le.AppendUint16(field, 5+4)
	field = append(field, 1)
	field = le.AppendUint32(field, crc32.ChecksumIEEE([]byte("harmless")))
	field = append(field, "../x"...)
	_, err := open(zipOf(entry{Name: "harmless", Extra: field}), Limits{})
	requireRefused(t, err, CodeBadName)
}

func TestDuplicates(t *testing.T) {
	for name, entries := range map[string][]entry{
		"exact":                  {{Name: "a.sql"}, {Name: "a.sql"}},
		"after backslashes":      {{Name: "d/a.sql"}, {Name: `d\a.sql`}},
		"after dots":             {{Name: "a.sql"}, {Name: "./a.sql"}},
		"after normalisation":    {{Name: "\u00e9.sql"}, {Name: "e\u0301.sql"}},
		"a file and a folder":    {{Name: "a"}, {Name: "a/b.sql"}},
		"a file below a file":    {{Name: "x/a/b/c.sql"}, {Name: "x/a"}},
		"hidden among the other": {{Name: "a.sql"}, {Name: "b/"}, {Name: "c.sql"}, {Name: "a.sql", Content: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(zipOf(entries...), Limits{})
			requireRefused(t, err, CodeDuplicateName)
		})
	}
	t.Run("folders may be listed twice", func(t *testing.T) {
		require.Equal(t, []string{"a.sql"}, paths(mustOpen(t, zipOf(entry{Name: "d/"}, entry{Name: "d/"}, entry{Name: "d/a.sql"}))))
	})
	t.Run("by case only", func(t *testing.T) {
		p := mustOpen(t, zipOf(entry{Name: "dwd/Order.sql"}, entry{Name: "DWD/ORDER.SQL"}, entry{Name: "x"}))
		require.Len(t, p.Files(), 3)
		require.Len(t, p.Warnings(), 1)
		w := p.Warnings()[0]
		require.Equal(t, WarningCaseDuplicate, w.Code)
		require.Equal(t, []string{"DWD/ORDER.SQL", "dwd/Order.sql"}, []string{w.Other, w.Path})
		require.NotEmpty(t, w.MessageZH)
	})
}

func TestJunkIsSkippedAndOneRootStripped(t *testing.T) {
	for name, c := range map[string]struct {
		entries []string
		root    string
		files   []string
		skipped []string
	}{
		"junk": {
			[]string{"p/a.sql", "__MACOSX/p/._a.sql", "p/.DS_Store", "p/x/Thumbs.db", "p/Desktop.ini", "p/~$作业.xlsx", "p/作业.xlsx"},
			"p", []string{"a.sql", "作业.xlsx"},
			[]string{"__MACOSX/p/._a.sql", "p/.DS_Store", "p/Desktop.ini", "p/x/Thumbs.db", "p/~$作业.xlsx"},
		},
		"one level only":            {[]string{"p/q/a.sql", "p/q/b.sql"}, "p", []string{"q/a.sql", "q/b.sql"}, nil},
		"no common root":            {[]string{"ods/a.sql", "dwd/a.sql"}, "", []string{"dwd/a.sql", "ods/a.sql"}, nil},
		"a file beside the folder":  {[]string{"p/a.sql", "p.txt"}, "", []string{"p.txt", "p/a.sql"}, nil},
		"a name that begins alike":  {[]string{"p/a.sql", "pp/a.sql"}, "", []string{"p/a.sql", "pp/a.sql"}, nil},
		"empty folders do not tell": {[]string{"other/", "p/a.sql"}, "p", []string{"a.sql"}, nil},
		"nothing but folders":       {[]string{"p/", "p/q/"}, "", []string{}, nil},
		"one file":                  {[]string{"a.sql"}, "", []string{"a.sql"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var entries []entry
			for _, n := range c.entries {
				entries = append(entries, entry{Name: n})
			}
			p := mustOpen(t, zipOf(entries...))
			require.Equal(t, c.root, p.Root())
			require.Equal(t, c.files, paths(p))
			require.Equal(t, c.skipped, p.Skipped())
			for _, f := range p.Files() {
				found, ok := p.Lookup(f.Path)
				require.True(t, ok)
				require.Same(t, f, found)
			}
		})
	}
}

func TestKindsOfEntries(t *testing.T) {
	const unix, windows = 3 << 8, 0
	for name, c := range map[string]struct {
		entry entry
		code  Code
	}{
		"symbolic link":                    {entry{Creator: unix, Attrs: 0o120777 << 16}, CodeSymlink},
		"symbolic link packed by another":  {entry{Creator: windows, Attrs: 0o120777 << 16}, CodeSymlink},
		"reparse point":                    {entry{Creator: windows, Attrs: 0x420}, CodeSymlink},
		"character device":                 {entry{Creator: unix, Attrs: 0o020666 << 16}, CodeSpecialFile},
		"block device":                     {entry{Creator: unix, Attrs: 0o060666 << 16}, CodeSpecialFile},
		"pipe":                             {entry{Creator: unix, Attrs: 0o010666 << 16}, CodeSpecialFile},
		"socket":                           {entry{Creator: unix, Attrs: 0o140666 << 16}, CodeSpecialFile},
		"encrypted":                        {entry{Flags: 1}, CodeEncrypted},
		"strong encryption":                {entry{Flags: 1 << 6}, CodeEncrypted},
		"masked headers":                   {entry{Flags: 1 << 13}, CodeEncrypted},
		"AES":                              {entry{Method: at(uint16(99))}, CodeEncrypted},
		"LZMA":                             {entry{Method: at(uint16(14))}, CodeUnsupported},
		"a folder with content":            {entry{Name: "d/", Content: "hidden"}, CodeBadName},
		"a Windows folder with content":    {entry{Name: `d\`, Content: "hidden"}, CodeBadName},
		"uncompressed with two sizes":      {entry{Content: "abc", Stored: true, Unpacked: at(uint32(2))}, CodeDamaged},
		"runs into the directory":          {entry{Content: "abc", Packed: at(uint32(500))}, CodeDamaged},
		"begins behind the directory":      {entry{Content: "abc", Offset: at(uint32(500))}, CodeDamaged},
		"sizes of the old maximum, no z64": {entry{Content: "abc", Offset: at(uint32(0xffffffff))}, CodeDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			if c.entry.Name == "" {
				c.entry.Name = "f"
			}
			_, err := open(zipOf(c.entry), Limits{})
			requireRefused(t, err, c.code)
		})
	}
	t.Run("regular files and folders of all systems", func(t *testing.T) {
		p := mustOpen(t, zipOf(
			entry{Name: "a", Creator: unix, Attrs: 0o100644 << 16},
			entry{Name: "b", Creator: unix, Attrs: 0o644 << 16},
			entry{Name: "c", Creator: windows, Attrs: 0x20},
			entry{Name: "d", Creator: windows, Attrs: 0x10, Stored: true},
			entry{Name: `e\`, Creator: windows, Attrs: 0x10, Stored: true},
			entry{Name: "g", Creator: unix, Attrs: 0o040755 << 16, Stored: true},
			entry{Name: "h", Creator: windows, Attrs: 0x10, Content: "a file, whatever the attribute says"},
		))
		require.Equal(t, []string{"a", "b", "c", "h"}, paths(p))
	})
}

func TestThingsThatAreNoWholeZip(t *testing.T) {
	whole := zipOf(entry{Name: "a.sql", Content: strings.Repeat("select 1;\n", 100)}, entry{Name: "b.sql", Content: "x"})
	require.Len(t, mustOpen(t, whole).Files(), 2)
	for name, c := range map[string]struct {
		data []byte
		code Code
	}{
		"nothing":                        {nil, CodeNotAZip},
		"a few bytes":                    {[]byte("PK"), CodeNotAZip},
		"text":                           {[]byte(strings.Repeat("hello, world\n", 1000)), CodeNotAZip},
		"cut off within the data":        {whole[:80], CodeDamaged},
		"cut off within the directory":   {whole[:len(whole)-60], CodeDamaged},
		"cut off by one byte":            {whole[:len(whole)-1], CodeDamaged},
		"bytes after the end":            {hostile.Zip{After: []byte("\r\n")}.Bytes(), CodeDamaged},
		"a comment that is cut off":      {hostile.Zip{Comment: "hello"}.Bytes()[:25], CodeDamaged},
		"a zip in the comment":           {hostile.Zip{Comment: string(zipOf()) + "!"}.Bytes(), CodeDamaged},
		"bytes before the beginning":     {hostile.Zip{Before: []byte("#!/bin/sh\n"), Entries: []entry{{Name: "a"}}}.Bytes(), CodeDamaged},
		"bytes behind the directory":     {hostile.Zip{Between: []byte("???"), Entries: []entry{{Name: "a"}}}.Bytes(), CodeDamaged},
		"fewer entries than it says":     {hostile.Zip{Count: at(uint16(2)), Entries: []entry{{Name: "a"}}}.Bytes(), CodeDamaged},
		"more entries than it says":      {hostile.Zip{Count: at(uint16(1)), Entries: []entry{{Name: "a"}, {Name: "b"}}}.Bytes(), CodeDamaged},
		"zip64 that is not there":        {hostile.Zip{Count: at(uint16(0xffff)), Entries: []entry{{Name: "a"}}}.Bytes(), CodeTooManyEntries},
		"the last of several volumes":    {hostile.Zip{Disk: 2, Entries: []entry{{Name: "a"}}}.Bytes(), CodeUnsupported},
		"directory records without data": {whole[len(whole)-22-2*(recordSize+5):], CodeDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(c.data, Limits{})
			requireRefused(t, err, c.code)
		})
	}
	t.Run("a comment is fine", func(t *testing.T) {
		mustOpen(t, hostile.Zip{Comment: strings.Repeat("c", 0xffff), Entries: []entry{{Name: "a"}}}.Bytes())
	})
}

func TestZip64(t *testing.T) {
	a := hostile.Zip{Zip64: true, Entries: []entry{
		{Name: "p/a.sql", Content: "select 1", Zip64: true},
		{Name: "p/b.sql", Content: "select 2"},
		{Name: "p/c.sql", Content: "select 3", Zip64: true},
	}}
	p := mustOpen(t, a.Bytes())
	require.Equal(t, []string{"a.sql", "b.sql", "c.sql"}, paths(p))
	for i, f := range p.Files() {
		content, err := f.ReadAll(0)
		require.NoError(t, err)
		require.Equal(t, "select "+strconv.Itoa(i+1), string(content))
	}

	locator := len(a.Bytes()) - endSize - zip64LocSize
	for name, spoil := range map[string]func(b []byte) []byte{
		"locator points nowhere":    func(b []byte) []byte { le.PutUint64(b[locator+8:], 1<<62); return b },
		"locator points elsewhere":  func(b []byte) []byte { le.PutUint64(b[locator+8:], 1); return b },
		"several volumes":           func(b []byte) []byte { le.PutUint32(b[locator+16:], 2); return b },
		"count beyond all limits":   func(b []byte) []byte { le.PutUint64(b[locator-zip64EndSize+32:], 1<<63); return b },
		"count wraps to the same":   func(b []byte) []byte { le.PutUint64(b[locator-zip64EndSize+32:], 1<<16+3); return b },
		"two counts that disagree":  func(b []byte) []byte { le.PutUint16(b[locator+zip64LocSize+10:], 2); return b },
		"two starts that disagree":  func(b []byte) []byte { le.PutUint32(b[locator+zip64LocSize+16:], 0); return b },
		"directory beyond the file": func(b []byte) []byte { le.PutUint64(b[locator-zip64EndSize+48:], 1<<63); return b },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(spoil(a.Bytes()), Limits{Entries: 1 << 20})
			var refused *Error
			require.ErrorAs(t, err, &refused)
		})
	}
}

func TestMoreThan65535EntriesWithoutZip64(t *testing.T) {
	entries := make([]entry, 0x10000+2)
	for i := range entries {
		entries[i] = entry{Name: strconv.Itoa(i), Stored: true}
	}
	data := hostile.Zip{Entries: entries, Count: at(uint16(2))}.Bytes() // the count has wrapped
	_, err := open(data, Limits{})
	requireRefused(t, err, CodeTooManyEntries)
	p, err := open(data, Limits{Entries: 1 << 20})
	require.NoError(t, err)
	require.Len(t, p.Files(), len(entries))
}

func TestLimitsOnWhatTheDirectoryDeclares(t *testing.T) {
	noise := noise(64 << 10)
	file := func(name string) entry { return entry{Name: name, Content: noise, Stored: true} }
	data := zipOf(file("a"), file("b"), file("c"))
	for name, c := range map[string]struct {
		limits Limits
		code   Code
	}{
		"upload":    {Limits{Upload: int64(len(data)) - 1}, CodeTooLarge},
		"directory": {Limits{Directory: 3*(recordSize+1) - 1}, CodeTooLarge},
		"entries":   {Limits{Entries: 2}, CodeTooManyEntries},
		"file":      {Limits{File: 64<<10 - 1}, CodeFileTooLarge},
		"total":     {Limits{Unpacked: 3*(64<<10) - 1}, CodeUnpackedTooLarge},
		"path":      {Limits{PathBytes: 1, PathComponents: 1}, ""},
		"exactly": {Limits{
			Upload: int64(len(data)), Directory: 3 * (recordSize + 1), Entries: 3, File: 64 << 10, Unpacked: 3 * (64 << 10),
		}, ""},
		"defaults": {Limits{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(data, c.limits)
			if c.code == "" {
				require.NoError(t, err)
				return
			}
			requireRefused(t, err, c.code)
		})
	}
}

func TestBombs(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	_, err := open(zipOf(entry{Name: "bomb.sql", Content: zeros(2 << 20)}), Limits{})
	require.Equal(t, "bomb.sql", requireRefused(t, err, CodeBomb).Path)

	t.Run("of many files that are each small enough", func(t *testing.T) {
		var entries []entry
		for i := range 20 {
			entries = append(entries, entry{Name: strconv.Itoa(i), Content: zeros(64 << 10)})
		}
		_, err := open(zipOf(entries...), Limits{RatioFrom: 64 << 10})
		require.Empty(t, requireRefused(t, err, CodeBomb).Path)
	})
	t.Run("small files may be as repetitive as they like", func(t *testing.T) {
		f := mustOpen(t, zipOf(entry{Name: "zeros", Content: zeros(1 << 20)})).Files()[0]
		content, err := f.ReadAll(0)
		require.NoError(t, err)
		require.Len(t, content, 1<<20)
	})
	t.Run("that denies its size", func(t *testing.T) {
		f := mustOpen(t, zipOf(entry{Name: "f", Content: zeros(4 << 20), Unpacked: at(uint32(1000))})).Files()[0]
		_, err := f.ReadAll(0)
		requireRefused(t, err, CodeDamaged)
		r, err := f.Open()
		require.NoError(t, err)
		defer r.Close()
		n, err := io.Copy(io.Discard, r)
		requireRefused(t, err, CodeDamaged)
		require.LessOrEqual(t, n, int64(1000))
		_, err = r.Read(make([]byte, 1))
		requireRefused(t, err, CodeDamaged)
	})
}

func TestOverlaps(t *testing.T) {
	kernel := noise(1000)
	t.Run("two records of one file", func(t *testing.T) {
		_, err := open(zipOf(entry{Name: "a", Content: kernel}, entry{Name: "a", Content: kernel, Offset: at(uint32(0))}), Limits{})
		requireRefused(t, err, CodeOverlap)
	})
	t.Run("a file that quotes the next one", func(t *testing.T) {
		_, err := open(zipOf(
			entry{Name: "a", Content: "", Stored: true, Packed: at(uint32(500)), Unpacked: at(uint32(500))},
			entry{Name: "b", Content: kernel, Stored: true},
		), Limits{})
		requireRefused(t, err, CodeOverlap)
	})
	t.Run("a header hidden in another file's data", func(t *testing.T) {
		inner := zipOf(entry{Name: "b", Content: kernel, Stored: true})
		_, err := open(zipOf(
			entry{Name: "a", Content: string(inner), Stored: true},
			entry{Name: "b", Content: kernel, Stored: true, Offset: at(uint32(localSize + 1))},
		), Limits{})
		requireRefused(t, err, CodeOverlap)
	})
	t.Run("an extra field that swallows the next header, found on opening", func(t *testing.T) {
		data := zipOf(
			entry{Name: "a", Stored: true, Content: "12345678"},
			entry{Name: "b", Stored: true, Content: "12345678"},
		)
		le.PutUint16(data[28:], 20) // the local header of a claims an extra field
		p := mustOpen(t, data)
		_, err := p.Files()[0].Open()
		requireRefused(t, err, CodeOverlap)
		_, err = p.Files()[1].ReadAll(0)
		require.NoError(t, err)
	})
}

func TestContentsThatAreWrong(t *testing.T) {
	honest := entry{Name: "f", Content: strings.Repeat("insert into t values (1);\n", 50)}
	for name, c := range map[string]struct {
		lie  func(e *entry)
		code Code
	}{
		"checksum":                     {func(e *entry) { e.CRC = at(uint32(42)) }, CodeDamaged},
		"more than declared":           {func(e *entry) { e.Unpacked = at(uint32(10)) }, CodeDamaged},
		"less than declared":           {func(e *entry) { e.Unpacked = at(uint32(5000)) }, CodeDamaged},
		"packed data cut off":          {func(e *entry) { e.Packed = at(uint32(20)) }, CodeDamaged},
		"not deflate at all":           {func(e *entry) { e.Stored, e.Method, e.Content = true, at(uint16(8)), "\xff\xff\xff\xff" }, CodeDamaged},
		"another local name":           {func(e *entry) { e.LocalName = at("g") }, CodeDamaged},
		"another, longer local name":   {func(e *entry) { e.LocalName = at("fff") }, CodeDamaged},
		"encrypted in its header only": {func(e *entry) { e.LocalFlags = 1 }, CodeEncrypted},
	} {
		t.Run(name, func(t *testing.T) {
			e := honest
			c.lie(&e)
			f := mustOpen(t, zipOf(e, entry{Name: "z"})).Files()[0]
			_, err := f.ReadAll(0)
			refused := requireRefused(t, err, c.code)
			require.Equal(t, "f", refused.Path)
			_, err = f.Text(0)
			requireRefused(t, err, c.code)
		})
	}
	t.Run("no header where the directory says", func(t *testing.T) {
		data := zipOf(honest)
		data[0] = 'X'
		_, err := mustOpen(t, data).Files()[0].Open()
		requireRefused(t, err, CodeDamaged)
	})
}

func TestReadAllLimit(t *testing.T) {
	f := mustOpen(t, zipOf(entry{Name: "f", Content: "0123456789"})).Files()[0]
	for _, limit := range []int64{-1, 0, 10, 11} {
		content, err := f.ReadAll(limit)
		require.NoError(t, err)
		require.Equal(t, "0123456789", string(content))
	}
	_, err := f.ReadAll(9)
	requireRefused(t, err, CodeFileTooLarge)
	_, err = f.Text(9)
	requireRefused(t, err, CodeFileTooLarge)
	_, err = f.ReadAll(10)
	require.NoError(t, err, "a refused read leaves the package usable")
}

func TestMeter(t *testing.T) {
	file := func(packed uint64) *File {
		return &File{Path: "f", entry: &zip.File{FileHeader: zip.FileHeader{CompressedSize64: packed}}}
	}
	limits := Limits{File: 100, Unpacked: 250, Ratio: 10, RatioFrom: 50}.withDefaults()
	t.Run("bytes read again count once", func(t *testing.T) {
		m, f := &meter{limits: limits, packed: 1000}, file(100)
		for range 10 {
			require.NoError(t, m.reached(f, 60))
			require.NoError(t, m.reached(f, 100))
		}
		require.EqualValues(t, 100, m.unpacked.Load())
	})
	t.Run("one file", func(t *testing.T) {
		m := &meter{limits: limits, packed: 1000}
		requireRefused(t, m.reached(file(100), 101), CodeFileTooLarge)
		require.NoError(t, m.reached(file(5), 50))
		requireRefused(t, m.reached(file(5), 51), CodeBomb)
	})
	t.Run("all files, read at once", func(t *testing.T) {
		m := &meter{limits: limits, packed: 1000}
		var wg sync.WaitGroup
		over := make(chan error, 3)
		for range 3 {
			wg.Go(func() {
				f := file(100)
				for n := int64(1); n <= 100; n++ {
					if err := m.reached(f, n); err != nil {
						over <- err
						return
					}
				}
			})
		}
		wg.Wait()
		close(over)
		require.NotEmpty(t, over)
		for err := range over {
			requireRefused(t, err, CodeUnpackedTooLarge)
		}
		require.LessOrEqual(t, m.unpacked.Load(), int64(250+3))
		requireRefused(t, m.reached(file(100), 1), CodeUnpackedTooLarge)
	})
	t.Run("the whole package's ratio", func(t *testing.T) {
		m := &meter{limits: limits, packed: 9}
		require.NoError(t, m.reached(file(9), 80))
		requireRefused(t, m.reached(file(9), 11), CodeBomb)
	})
}

func TestConcurrentReaders(t *testing.T) {
	want := map[string]string{}
	var entries []entry
	for i := range 8 {
		name := "dir/" + strconv.Itoa(i)
		want[strconv.Itoa(i)] = strings.Repeat(name, 10_000)
		entries = append(entries, entry{Name: name, Content: want[strconv.Itoa(i)]})
	}
	p := mustOpen(t, zipOf(entries...))
	var wg sync.WaitGroup
	for range 4 {
		for _, f := range p.Files() {
			wg.Go(func() {
				content, err := f.ReadAll(0)
				if err != nil || string(content) != want[f.Path] {
					t.Errorf("%s: %v", f.Path, err)
				}
			})
		}
	}
	wg.Wait()
	require.EqualValues(t, 8*len(want["0"]), p.meter.unpacked.Load())
}

func TestReadAfterClose(t *testing.T) {
	r, err := mustOpen(t, zipOf(entry{Name: "f", Content: "abc"})).Files()[0].Open()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	require.Error(t, err)
}

var errStoreAway = errors.New("the store is away")

// brokenSource fails from some offset on, like a blob store that goes away.
type brokenSource struct {
	data       []byte
	from, upTo int64
}

func (s brokenSource) ReadAt(p []byte, off int64) (int, error) {
	if off < s.upTo && off+int64(len(p)) > s.from {
		return 0, errStoreAway
	}
	return bytes.NewReader(s.data).ReadAt(p, off)
}

func TestAFailingSourceIsNotThePackagesFault(t *testing.T) {
	data := zipOf(entry{Name: "f", Content: noise(200_000), Stored: true})
	size := int64(len(data))
	notRefused := func(t *testing.T, err error) {
		t.Helper()
		require.ErrorIs(t, err, errStoreAway)
		var refused *Error
		require.NotErrorAs(t, err, &refused)
	}
	t.Run("while opening", func(t *testing.T) {
		_, err := Open(brokenSource{data, size - 1, size}, size, Limits{})
		notRefused(t, err)
	})
	t.Run("while reading the header", func(t *testing.T) {
		p, err := Open(brokenSource{data, 0, 1}, size, Limits{})
		require.NoError(t, err)
		_, err = p.Files()[0].Open()
		notRefused(t, err)
	})
	t.Run("while reading the data", func(t *testing.T) {
		p, err := Open(brokenSource{data, 100_000, 100_001}, size, Limits{})
		require.NoError(t, err)
		_, err = p.Files()[0].ReadAll(0)
		notRefused(t, err)
	})
	t.Run("that is shorter than was said", func(t *testing.T) {
		_, err := Open(bytes.NewReader(data[:100]), size, Limits{})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		var refused *Error
		require.NotErrorAs(t, err, &refused)
	})
}

func TestErrorText(t *testing.T) {
	_, err := open(zipOf(entry{Name: "../x"}), Limits{})
	require.EqualError(t, err, `zip.bad_name: the path leaves the package (a component of dots): "../x"`)
	_, err = open([]byte("hello, world, this is no zip"), Limits{})
	require.EqualError(t, err, "zip.not_a_zip: this is not a zip file; pack the package as .zip and upload it again")
}

// noise returns text that does not compress well, the same every time.
func noise(n int) string {
	out, x := make([]byte, n), uint32(1)
	for i := range out {
		x = x*1664525 + 1013904223
		out[i] = 'A' + byte(x>>24)%64
	}
	return string(out)
}

// FuzzOpen opens and reads whatever the fuzzer thinks of. Nothing may panic or
// hang, every path must be safe, and no more may come out than the limits allow.
func FuzzOpen(f *testing.F) {
	limits := Limits{
		Upload: 64 << 10, Unpacked: 64 << 10, File: 16 << 10, Text: 8 << 10, Entries: 16, Directory: 8 << 10, Nested: 8 << 10,
		Ratio: 100, RatioFrom: 4 << 10, PathBytes: 64, PathComponents: 4,
	}
	for _, seed := range [][]byte{
		nil,
		zipOf(),
		zipOf(entry{Name: "p/a.sql", Content: "select 1"}, entry{Name: "p/b/", Stored: true}, entry{Name: "__MACOSX/x"}),
		zipOf(entry{Name: "\xb5\xf7.sql", Content: "\xb5\xf7", Stored: true}, entry{Name: `x\..\y`}),
		zipOf(entry{Name: "a", Content: strings.Repeat("0", 8<<10), Unpacked: at(uint32(9))}),
		zipOf(entry{Name: "a", Content: "x"}, entry{Name: "b", Content: "x", Offset: at(uint32(0))}),
		zipOf(entry{Name: "a", Content: "not deflate at all", Stored: true, Method: at(uint16(8))}),
		hostile.Zip{Zip64: true, Comment: "c", Entries: []entry{{Name: "a", Content: "x", Zip64: true}}}.Bytes(),
		zipOf(entry{Name: "p/in.zip", Content: nested(entry{Name: "a.sql", Content: "select 1"}), Stored: true}, entry{Name: "p/in.zip!/b"}),
		zipOf(entry{Name: "in.zip", Content: nested(entry{Name: "a.sql", Content: "x"}, entry{Name: "__MACOSX/b"})}, entry{Name: "b.zip", Content: "no zip"}),
		zipOf(entry{Name: "in.zip", Content: nested(entry{Name: "r.zip", Content: nested(entry{Name: "a"}), Stored: true}, entry{Name: "../x"}), Stored: true}),
		hostile.Quoting(3, "x"),
	} {
		f.Add(seed)
	}
	for _, h := range hostile.Packages() {
		if data := h.Bytes(); len(data) < 4<<10 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := open(data, limits)
		if err != nil {
			var refused *Error
			require.ErrorAs(t, err, &refused, "the source never fails here")
			return
		}
		files := p.Files()
		require.LessOrEqual(t, len(files), limits.Entries)
		var total int64
		for i, file := range files {
			require.LessOrEqual(t, len(file.Path), limits.PathBytes)
			require.True(t, i == 0 || files[i-1].Path < file.Path)
			require.NotContains(t, strings.Split(file.Path, "/"), "..")
			require.NotEqual(t, byte('/'), file.Path[0])
			found, ok := p.Lookup(file.Path)
			require.True(t, ok, "%q", file.Path)
			require.Same(t, file, found)
			rc, err := file.Open()
			if err != nil {
				continue
			}
			n, _ := io.Copy(io.Discard, rc)
			require.NoError(t, rc.Close())
			require.LessOrEqual(t, n, limits.File)
			require.LessOrEqual(t, n, file.Size)
			total += n
			_, _ = file.Text(0)
		}
		require.LessOrEqual(t, total, limits.Unpacked)
		for _, w := range p.Warnings() {
			require.NotEmpty(t, w.Path)
			require.True(t, utf8.ValidString(w.Message) && utf8.ValidString(w.MessageZH))
		}
	})
}

func TestAViewHoldsSomeFilesAndSharesTheLimits(t *testing.T) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, name := range []string{"a/x.sql", "a/X.sql", "b/y.sql", "__MACOSX/a", "README"} {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = io.WriteString(f, strings.Repeat("s", 100))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	p := mustOpen(t, buf.Bytes())
	view := p.Only(func(path string) bool { return strings.HasPrefix(path, "a/") })
	require.Equal(t, []string{"a/X.sql", "a/x.sql"}, paths(view))
	require.Len(t, view.Warnings(), 1)
	require.Empty(t, view.Skipped())
	_, ok := view.Lookup("b/y.sql")
	require.False(t, ok)
	f, ok := view.Lookup(`a\x.sql`)
	require.True(t, ok)
	content, err := f.ReadAll(0)
	require.NoError(t, err)
	require.Len(t, content, 100)
	require.Len(t, p.Files(), 4, "the package stays as it is")
	require.Empty(t, p.Only(func(string) bool { return false }).Files())
}
