package xlsx_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/xlsx"
	"github.com/factgate/factgate/internal/zippkg"
)

func TestWhatASheetSays(t *testing.T) {
	const rows = `<sheetData>` +
		`<row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" t="s"><v>1</v></c></row>` +
		`<row r="3" hidden="1"><c r="A3"><v>007</v></c><c r="B3" s="1"><v>45292.5</v></c><c r="C3" s="2"><v>1</v></c><c r="D3" s="3"><v>1.50</v></c></row>` +
		`<row><c t="b"><v>1</v></c><c t="inlineStr"><is><t>a&amp;b &#x4e00;</t></is></c><c t="str"><f>A1&amp;"x"</f><v>x_x000D_y</v></c><c><f>NOW()</f></c><c t="e"><f>Z1</f><v>#REF!</v></c><c t="d"><v>2024-02-29T10:00:00</v></c></row>` +
		`<row r="1048576"><c r="XFD1048576" t="s"><f t="shared" si="0"/><v>0</v></c></row>` +
		`</sheetData><mergeCells count="9"><mergeCell ref="A1:B3"/></mergeCells><extLst><ext><sheetData><row r="9"/></sheetData></ext></extLst>`
	for name, sheet := range map[string]string{
		"plain":  `<cols><col min="2" max="3" hidden="1"/><col min="5" max="5"/></cols>` + rows,
		"spaced": "\n<!-- > --><cols\n><col hidden='true' min='2' max='3' note='>'  /></cols>\r\n" + strings.NewReplacer("><", ">\n <", "</c>", "</c\n>", "/>", " />").Replace(rows),
	} {
		book := bookOf(sheet)
		got, err := tell(t, book.pack(t), xlsx.Limits{})
		require.NoError(t, err, name)
		require.Equal(t, `sheet S1
1 A:text:"zero" C:text:"one"
3 hidden A:number:"007" B:date:"45292.5"@2024-01-01T12:00:00 C:date:"1"@1900-01-01T00:00:00 D:number:"1.50"
4 A:bool:"1" B:text:"a&b 一" C:text:"x\ry"="A1&\"x\"",true D:empty:""="NOW()",false E:failed:"#REF!"="Z1",true F:date:"2024-02-29T10:00:00"@2024-02-29T10:00:00
1048576 XFD:text:"zero"="",true
hidden columns 2-3
merged A1:B3
`, got, name)
	}
}

func TestWhatAWorkbookSays(t *testing.T) {
	book := bookOf(`<sheetData/>`, `<sheetData/>`).with("xl/vbaProject.bin", "\x00\x01")
	book["xl/workbook.xml"] = `<x:workbook xmlns:x="m" xmlns:q="r"><x:sheets><x:sheet name="a&amp;b" state="veryHidden" q:id="r3"/><x:sheet name="c" q:id="r4"/><x:sheet name="chart" q:id="r5"/></x:sheets></x:workbook>`
	book["xl/worksheets/sheet2.xml"] = `<x:worksheet xmlns:x="m"><x:sheetData><x:row><x:c t="inlineStr"><x:is><x:t>prefixed</x:t></x:is></x:c></x:row></x:sheetData></x:worksheet>`
	book["xl/_rels/workbook.xml.rels"] = relations("sharedStrings", "/xl/sharedStrings.xml", "styles", "styles.xml",
		"worksheet", "../xl/worksheets/Sheet1.xml", "worksheet", "worksheets/sheet2.xml", "chartsheet", "chartsheets/sheet1.xml",
		"externalLink", "externalLinks/externalLink1.xml")
	book["xl/externalLinks/externalLink1.xml"] = `<externalLink/>`
	book["xl/externalLinks/_rels/externalLink1.xml.rels"] = `<Relationships><Relationship Id="x" Type="a/externalLinkPath" Target="file:///C:\rates.xlsx" TargetMode="External"/></Relationships>`
	got, err := tell(t, book.pack(t), xlsx.Limits{})
	require.NoError(t, err)
	require.Equal(t, "macros\nlink file:///C:\\rates.xlsx\nsheet a&b hidden\nsheet c\n1 A:text:\"prefixed\"\n", got)
}

// What a workbook names and nobody needs may be missing.
func TestPartsThatNobodyNeeds(t *testing.T) {
	book := bookOf(`<sheetData><row><c s="1"><v>7</v></c></row></sheetData>`).without("xl/styles.xml").without("xl/sharedStrings.xml")
	got, err := tell(t, book.pack(t), xlsx.Limits{})
	require.NoError(t, err)
	require.Equal(t, "sheet S1\n1 A:number:\"7\"\n", got)
}

func TestOtherEncodings(t *testing.T) {
	sheet := `<worksheet><sheetData><row><c t="inlineStr"><is><t>名</t></is></c></row></sheetData></worksheet>`
	wide := "\xff\xfe"
	for _, r := range `<?xml version="1.0" encoding="UTF-16"?>` + sheet {
		wide += string([]byte{byte(r), byte(r >> 8)})
	}
	for _, content := range []string{wide, "\xef\xbb\xbf" + sheet, `<?xml version="1.0" encoding='utf-8'?>` + sheet, strings.Replace(sheet, "名", "<![CDATA[名]]>", 1)} {
		got, err := tell(t, bookOf("").with("xl/worksheets/sheet1.xml", content).pack(t), xlsx.Limits{})
		require.NoError(t, err)
		require.Contains(t, got, `A:text:"名"`)
	}
}

// Text, comments and sections longer than any buffer are read in pieces, and
// nothing is lost between two.
func TestLongText(t *testing.T) {
	text := strings.Repeat("名称a&amp;\r\n", 20_000)
	want := strings.Repeat("名称a&\n", 20_000)
	for pad := range 7 {
		head := strings.Repeat("x", pad)
		sheet := `<!--` + strings.Repeat("-> ", 70_000) + `--><sheetData><row><c t="inlineStr"><is><t>` + head + text + `</t></is></c>` +
			`<c t="inlineStr"><is><t><![CDATA[` + strings.Repeat("名]", 40_000) + `]]></t></is></c></row></sheetData>`
		w, err := open(t, bookOf(sheet).pack(t), xlsx.Limits{CellBytes: 1 << 20})
		require.NoError(t, err)
		rows := w.Rows(t.Context(), w.Sheets[0])
		require.True(t, rows.Next(), rows.Err())
		require.Equal(t, head+want, rows.Row().Cells[0].Value)
		require.Equal(t, strings.Repeat("名]", 40_000), rows.Row().Cells[1].Value)
		require.False(t, rows.Next())
		require.NoError(t, rows.Err())
	}
}

func TestSharedStringsAreReadAsFarAsTheyAreNeeded(t *testing.T) {
	var sst strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&sst, "<si><t>s%d</t></si>", i)
	}
	book := bookOf(`<sheetData><row><c t="s"><v>300</v></c></row><row><c t="s"><v>2</v></c></row><row><c t="s"><v>999</v></c></row></sheetData>`).
		with("xl/sharedStrings.xml", "<sst>"+sst.String()+"<si><t>broken</si></sst>")
	w, err := open(t, book.pack(t), xlsx.Limits{})
	require.NoError(t, err)
	rows := w.Rows(t.Context(), w.Sheets[0])
	for _, want := range []string{"s300", "s2"} {
		require.True(t, rows.Next(), rows.Err())
		require.Equal(t, want, rows.Row().Cells[0].Value)
	}
	require.False(t, rows.Next())
	require.ErrorContains(t, rows.Err(), `part "xl/sharedstrings.xml": broken XML`)
	require.Error(t, w.Verify(t.Context()), "what was not read is checked all the same")
	require.NoError(t, w.Close())
}

func TestWhatIsRefused(t *testing.T) {
	good := bookOf(`<sheetData><row r="2"><c r="B2" t="s"><v>1</v></c></row></sheetData>`)
	_, err := tell(t, good.pack(t), xlsx.Limits{})
	require.NoError(t, err)
	sheet := func(content string) parts { return good.with("xl/worksheets/sheet1.xml", content) }
	data := func(content string) parts {
		return sheet(`<worksheet><sheetData>` + content + `</sheetData></worksheet>`)
	}
	var manySheets strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&manySheets, `<sheet name="s%d" r:id="r3"/>`, i)
	}
	var twice bytes.Buffer
	z := zip.NewWriter(&twice)
	for _, name := range []string{"xl/a.xml", "XL/A.xml"} {
		_, err := z.Create(name)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	ole := "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 504)
	entry := func(name string) string {
		b := make([]byte, 128)
		for i := range len(name) {
			b[2*i] = name[i]
		}
		b[64], b[66] = byte(2*len(name)+2), 2
		return string(b)
	}

	for name, c := range map[string]struct {
		data  []byte
		fault xlsx.Fault
		want  string
	}{
		"empty":               {nil, xlsx.Corrupt, "the file is empty"},
		"noise":               {[]byte("\x00\x01\x02\x03 noise"), xlsx.Corrupt, "not an .xlsx file"},
		"text":                {[]byte("<html>"), xlsx.Legacy, "HTML"},
		"csv":                 {[]byte("a,b\n"), xlsx.Legacy, "CSV"},
		"xls":                 {[]byte(ole + entry("Root Entry") + entry("Workbook") + strings.Repeat("E\x00", 30)), xlsx.Legacy, "97-2003"},
		"xls quoting":         {[]byte(ole + entry("Workbook") + "E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00" + strings.Repeat("\x00", 96)), xlsx.Legacy, "97-2003"},
		"password":            {[]byte(ole + entry("Root Entry") + entry("EncryptedPackage")), xlsx.Encrypted, "password"},
		"cut off":             {good.pack(t)[:400], xlsx.Corrupt, ""},
		"two parts":           {twice.Bytes(), xlsx.Corrupt, "two parts are called"},
		"another format":      {parts{"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<a/>"}.pack(t), xlsx.Corrupt, "no workbook in it"},
		"xlsb":                {parts{"_rels/.rels": relations("officeDocument", "xl/workbook.bin"), "xl/workbook.bin": ""}.pack(t), xlsx.Legacy, "xlsb"},
		"all in a folder":     {parts{"x/xl/workbook.xml": "<workbook/>"}.pack(t), xlsx.Corrupt, "no workbook in it"},
		"no sheets":           {good.with("xl/workbook.xml", `<workbook><sheets/></workbook>`).pack(t), xlsx.Corrupt, "no sheets"},
		"unknown id":          {good.with("xl/workbook.xml", `<workbook><sheets><sheet name="a" r:id="r9"/></sheets></workbook>`).pack(t), xlsx.Corrupt, "has no content"},
		"missing part":        {good.without("xl/worksheets/sheet1.xml").pack(t), xlsx.Corrupt, "is missing its part"},
		"missing strings":     {good.without("xl/sharedStrings.xml").pack(t), xlsx.Corrupt, "missing"},
		"20k sheets":          {good.with("xl/workbook.xml", `<workbook><sheets>`+manySheets.String()+`</sheets></workbook>`).pack(t), xlsx.Corrupt, "content of another"},
		"same name":           {good.with("xl/workbook.xml", `<workbook><sheets><sheet name="a" r:id="r3"/><sheet name="A" r:id="r3"/></sheets></workbook>`).pack(t), xlsx.Corrupt, "two sheets are called"},
		"a circle":            {good.with("xl/_rels/workbook.xml.rels", relations("x", "y", "x", "y", "worksheet", "workbook.xml")).pack(t), xlsx.Corrupt, "<workbook> where <worksheet>"},
		"same relation":       {good.with("xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="a"/><Relationship Id="a"/></Relationships>`).pack(t), xlsx.Corrupt, "two relationships"},
		"entities":            {sheet(`<!DOCTYPE w [<!ENTITY a "b">]><worksheet/>`).pack(t), xlsx.Corrupt, "document type"},
		"unknown entity":      {data(`<row><c t="inlineStr"><is><t>&a;</t></is></c></row>`).pack(t), xlsx.Corrupt, "entity"},
		"open &":              {data(`<row><c t="inlineStr"><is><t>a & b</t></is></c></row>`).pack(t), xlsx.Corrupt, "&amp;"},
		"no rune":             {data(`<row><c t="inlineStr"><is><t>&#xD800;</t></is></c></row>`).pack(t), xlsx.Corrupt, "entity"},
		"control":             {data("<row><c><v>1\x01</v></c></row>").pack(t), xlsx.Corrupt, "control"},
		"no UTF-8":            {data("<row><c><v>\xff</v></c></row>").pack(t), xlsx.Corrupt, "UTF-8"},
		"GBK":                 {sheet(`<?xml version="1.0" encoding="GBK"?><worksheet/>`).pack(t), xlsx.Corrupt, "UTF-8"},
		"wrong end":           {sheet(`<worksheet><sheetData></worksheet>`).pack(t), xlsx.Corrupt, "closes what is not open"},
		"no end":              {sheet(`<worksheet><sheetData><row>`).pack(t), xlsx.Corrupt, "ends in the middle"},
		"two roots":           {sheet(`<worksheet/><worksheet/>`).pack(t), xlsx.Corrupt, "two root"},
		"tag in tag":          {sheet(`<worksheet><a b="1"<c/></worksheet>`).pack(t), xlsx.Corrupt, "inside of another"},
		"text outside":        {sheet(`<worksheet/>x`).pack(t), xlsx.Corrupt, "outside"},
		"nothing":             {sheet(``).pack(t), xlsx.Corrupt, "ends in the middle"},
		"open comment":        {sheet(`<worksheet><!-- `).pack(t), xlsx.Corrupt, "ends in the middle"},
		"row order":           {data(`<row r="3"/><row r="3"/>`).pack(t), xlsx.Corrupt, "out of order"},
		"row number":          {data(`<row r="1048577"/>`).pack(t), xlsx.Corrupt, "out of order"},
		"cell order":          {data(`<row><c r="B1"/><c r="A1"/></row>`).pack(t), xlsx.Corrupt, "out of order"},
		"cell of another row": {data(`<row><c r="B2"/></row>`).pack(t), xlsx.Corrupt, "out of order"},
		"column":              {data(`<row><c r="XFE1"/></row>`).pack(t), xlsx.Corrupt, "out of order"},
		"string number":       {data(`<row><c t="s"><v>99999999</v></c></row>`).pack(t), xlsx.Corrupt, "there are 2"},
		"no string number":    {data(`<row><c t="s"><v>-1</v></c></row>`).pack(t), xlsx.Corrupt, "which shared string"},
		"deep":                {sheet("<worksheet>" + strings.Repeat("<a>", 100_000) + "</worksheet>").pack(t), xlsx.Limit, "nested deeper"},
		"long tag":            {sheet("<worksheet><a " + strings.Repeat("b", 3<<20) + "/></worksheet>").pack(t), xlsx.Corrupt, "a tag longer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tell(t, c.data, xlsx.Limits{})
			var refused *xlsx.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.fault, refused.Fault, "%v", err)
			require.Contains(t, refused.Message, c.want)
			require.NotEmpty(t, refused.MessageZH)
		})
	}
}

func TestLimits(t *testing.T) {
	rows := strings.Repeat(`<row><c t="s"><v>0</v></c><c><v>12345678901234567890</v></c></row>`, 200)
	book := bookOf(`<sheetData>`+rows+`</sheetData>`, `<sheetData/>`)
	book["xl/media/image1.png"] = strings.Repeat("\x00", 3<<20)
	for name, c := range map[string]struct {
		limits xlsx.Limits
		want   string
	}{
		"bytes":        {xlsx.Limits{Bytes: 100}, "larger than 0 MiB"},
		"unzipped":     {xlsx.Limits{Unzipped: 9 << 10}, "unpacks to more than"},
		"other part":   {xlsx.Limits{OtherPart: 100}, "larger than"},
		"parts":        {xlsx.Limits{Parts: 5}, "too many parts"},
		"sheets":       {xlsx.Limits{Sheets: 1}, "more than 1 sheets"},
		"strings":      {xlsx.Limits{Strings: 1}, "more than 1 shared strings"},
		"string bytes": {xlsx.Limits{StringBytes: 5}, "shared strings are larger"},
		"row":          {xlsx.Limits{RowBytes: 10}, "row 1 holds more"},
		"depth":        {xlsx.Limits{Depth: 3}, "nested deeper than 3"},
	} {
		_, err := tell(t, book.pack(t), c.limits)
		var refused *xlsx.Error
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, xlsx.Limit, refused.Fault, name)
		require.Contains(t, refused.Message, c.want)
	}
	got, err := tell(t, book.pack(t), xlsx.Limits{Unzipped: 1 << 20})
	require.NoError(t, err, "pictures are not unpacked")
	require.Equal(t, 200, strings.Count(got, `A:text:"zero" B:number:"12345678901234567890"`))
	got, err = tell(t, book.pack(t), xlsx.Limits{CellBytes: 3})
	require.NoError(t, err)
	require.Equal(t, 200, strings.Count(got, `A:text:"" too long B:text:"" too long`))
}

// A directory may say that a part is small; what comes out is counted.
func TestSizesThatLie(t *testing.T) {
	book := bookOf(`<sheetData>` + strings.Repeat(`<row><c><v>1</v></c></row>`, 10_000) + `</sheetData>`)
	for name, size := range map[string]uint64{"smaller": 100, "larger": 1 << 40} {
		var out bytes.Buffer
		z := zip.NewWriter(&out)
		for part, content := range book {
			var packed bytes.Buffer
			f, err := flate.NewWriter(&packed, flate.DefaultCompression)
			require.NoError(t, err)
			_, err = io.WriteString(f, content)
			require.NoError(t, err)
			require.NoError(t, f.Close())
			h := zip.FileHeader{Name: part, Method: zip.Deflate, CRC32: crc32.ChecksumIEEE([]byte(content)),
				CompressedSize64: uint64(packed.Len()), UncompressedSize64: uint64(len(content))}
			if part == "xl/worksheets/sheet1.xml" {
				h.UncompressedSize64 = size
			}
			w, err := z.CreateRaw(&h)
			require.NoError(t, err)
			_, err = w.Write(packed.Bytes())
			require.NoError(t, err)
		}
		require.NoError(t, z.Close())
		_, err := tell(t, out.Bytes(), xlsx.Limits{})
		var refused *xlsx.Error
		require.ErrorAs(t, err, &refused, name)
	}
}

// What unpacks to more than it may is not unpacked any further.
func TestBomb(t *testing.T) {
	bomb := bookOf(`<sheetData>` + strings.Repeat(" ", 64<<20) + `</sheetData>`).pack(t)
	require.Less(t, len(bomb), 1<<20)
	_, err := tell(t, bomb, xlsx.Limits{Unzipped: 1 << 20})
	require.ErrorContains(t, err, "unpacks to more than 1 MiB")
	_, err = tell(t, bomb, xlsx.Limits{})
	require.NoError(t, err, "a sheet may well be packed a hundred times smaller")
}

func TestWhoseFaultItIs(t *testing.T) {
	data := bookOf(`<sheetData/>`).pack(t)
	away := errors.New("blob store away")
	_, err := xlsx.Open(t.Context(), readerAt(func([]byte, int64) (int, error) { return 0, away }), int64(len(data)), xlsx.Limits{})
	require.ErrorIs(t, err, away)

	w, err := open(t, data, xlsx.Limits{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rows := w.Rows(ctx, w.Sheets[0])
	require.False(t, rows.Next())
	require.ErrorIs(t, rows.Err(), context.Canceled)
	require.NoError(t, rows.Close())
	require.ErrorIs(t, w.Verify(ctx), context.Canceled)
}

type readerAt func(p []byte, at int64) (int, error)

func (r readerAt) ReadAt(p []byte, at int64) (int, error) { return r(p, at) }

func TestAFileOfAPackage(t *testing.T) {
	outer := parts{"a.xlsx": string(bookOf(`<sheetData/>`).pack(t)), "README": ""}.pack(t)
	pkg, err := zippkg.Open(bytes.NewReader(outer), int64(len(outer)), zippkg.DefaultLimits())
	require.NoError(t, err)
	file, ok := pkg.Lookup("a.xlsx")
	require.True(t, ok)
	w, err := xlsx.OpenFile(t.Context(), file, xlsx.Limits{})
	require.NoError(t, err)
	require.Equal(t, "S1", w.Sheets[0].Name)
	_, err = xlsx.OpenFile(t.Context(), file, xlsx.Limits{Bytes: 10})
	require.ErrorContains(t, err, "larger than")
}

func TestDates(t *testing.T) {
	for code, want := range map[string]bool{
		"General": false, "0.00": false, "#,##0;[Red]-#,##0": false, `0"days"`: false, `0\d`: false, "@": false, "0.00E+00": false,
		"_-* #,##0": false, "[$-804]0": false, "[Yellow]0": false, `"`: false, "[": false,
		"yyyy-mm-dd": true, "[$-804]yyyy年m月": true, "[hh]:00": true, "[s]": true, "h:mm AM/PM": true, "d": true, "General;m": true,
	} {
		book := bookOf(`<sheetData><row><c s="0"><v>1</v></c></row></sheetData>`)
		book["xl/styles.xml"] = `<styleSheet><numFmts><numFmt numFmtId="200" formatCode="` + strings.ReplaceAll(code, `"`, "&quot;") + `"/></numFmts><cellXfs><xf numFmtId="200"/></cellXfs></styleSheet>`
		got, err := tell(t, book.pack(t), xlsx.Limits{})
		require.NoError(t, err)
		require.Equal(t, want, strings.Contains(got, ":date:"), code)
	}
	early := bookOf(`<sheetData><row><c s="1"><v>0.0833333333333333</v></c><c s="1"><v>60</v></c><c s="1"><v>61</v></c><c s="1"><v>1e300</v></c></row></sheetData>`)
	got, err := tell(t, early.pack(t), xlsx.Limits{})
	require.NoError(t, err)
	require.Contains(t, got, `A:date:"0.0833333333333333"@1899-12-31T02:00:00 B:date:"60"@1900-02-28T00:00:00 C:date:"61"@1900-03-01T00:00:00 D:date:"1e300"`+"\n")
	early["xl/workbook.xml"] = strings.Replace(early["xl/workbook.xml"], "<sheets>", `<workbookPr date1904="1"/><sheets>`, 1)
	got, err = tell(t, early.pack(t), xlsx.Limits{})
	require.NoError(t, err)
	require.Contains(t, got, "C:date:\"61\"@1904-03-02")
}

func TestCellNames(t *testing.T) {
	for name, at := range map[string][2]int{"A1": {1, 1}, "Z9": {26, 9}, "AA10": {27, 10}, "ZZ1": {702, 1}, "AAA1": {703, 1}, "XFD1048576": {16384, 1048576}} {
		require.Equal(t, name, xlsx.CellName(at[0], at[1]))
	}
	require.Equal(t, "A1", xlsx.CellName(0, -1))
}

func FuzzOpen(f *testing.F) {
	good := bookOf(`<cols><col min="1" max="1" hidden="1"/></cols><sheetData><row><c t="s"><v>1</v></c></row></sheetData>`).pack(f)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := tell(t, data, xlsx.Limits{Unzipped: 1 << 20})
		var refused *xlsx.Error
		if err != nil {
			require.ErrorAs(t, err, &refused)
		}
	})
}

// FuzzParts fuzzes inside of the compression, where the XML is.
func FuzzParts(f *testing.F) {
	good := bookOf(`<cols><col min="1" max="1" hidden="1"/></cols><sheetData><row r="2"><c r="B2" s="1"><f>1&amp;1</f><v>1</v></c><c t="inlineStr"><is><r><t>a</t></r></is></c></row></sheetData><mergeCells><mergeCell ref="A1:B2"/></mergeCells>`)
	names := []string{"xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"}
	for i, name := range names {
		f.Add(i, good[name])
	}
	f.Add(0, `<worksheet><sheetData><row r="9"><c r="XFD9" t="s"><v>99999999</v></c></row><row r="2"/></sheetData></worksheet>`)
	f.Add(0, "\xff\xfe<\x00a\x00/\x00>\x00")
	f.Add(1, `<sst><si><t><![CDATA[a]]>_x000D_</t></si></sst>`)
	f.Fuzz(func(t *testing.T, which int, content string) {
		data := good.with(names[uint(which)%uint(len(names))], content).pack(t)
		first, err := tell(t, data, xlsx.Limits{Unzipped: 1 << 20})
		var refused *xlsx.Error
		if err != nil {
			require.ErrorAs(t, err, &refused)
		}
		second, again := tell(t, data, xlsx.Limits{Unzipped: 1 << 20})
		require.Equal(t, first, second)
		require.Equal(t, err, again)
	})
}
