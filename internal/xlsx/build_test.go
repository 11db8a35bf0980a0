package xlsx_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/xlsx"
)

// parts is a workbook before it is packed.
type parts map[string]string

const (
	namespaces = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"`
	relType    = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
)

// bookOf is a workbook of sheets, each given by what stands in its worksheet
// element.
func bookOf(sheets ...string) parts {
	p := parts{"_rels/.rels": relations("officeDocument", "xl/workbook.xml")}
	list, rels := "", []string{"sharedStrings", "sharedStrings.xml", "styles", "styles.xml"}
	for i, sheet := range sheets {
		name := fmt.Sprintf("worksheets/sheet%d.xml", i+1)
		rels = append(rels, "worksheet", name)
		list += fmt.Sprintf(`<sheet name="S%d" sheetId="%d" r:id="r%d"/>`, i+1, i+1, len(rels)/2)
		p["xl/"+name] = `<worksheet ` + namespaces + `>` + sheet + `</worksheet>`
	}
	p["xl/workbook.xml"] = `<workbook ` + namespaces + `><sheets>` + list + `</sheets></workbook>`
	p["xl/_rels/workbook.xml.rels"] = relations(rels...)
	p["xl/sharedStrings.xml"] = `<sst ` + namespaces + `><si><t>zero</t></si><si><r><t>o</t></r><r><t>ne</t></r><rPh sb="0" eb="1"><t>ichi</t></rPh></si></sst>`
	p["xl/styles.xml"] = `<styleSheet ` + namespaces + `><numFmts><numFmt numFmtId="164" formatCode="yyyy&quot;年&quot;m&quot;月&quot;"/><numFmt numFmtId="165" formatCode="[Red]0.0&quot;days&quot;"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs></styleSheet>`
	return p
}

// relations are pairs of a type and a target, called r1, r2 …
func relations(pairs ...string) string {
	var b strings.Builder
	b.WriteString(`<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">`)
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, `<Relationship Id="r%d" Type="%s%s" Target="%s"/>`, i/2+1, relType, pairs[i], pairs[i+1])
	}
	b.WriteString(`</Relationships>`)
	return b.String()
}

func (p parts) with(name, content string) parts {
	q := maps.Clone(p)
	q[name] = content
	return q
}

func (p parts) without(name string) parts {
	q := maps.Clone(p)
	delete(q, name)
	return q
}

func (p parts) pack(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(p)) {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = io.WriteString(f, p[name])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func open(t testing.TB, data []byte, limits xlsx.Limits) (*xlsx.Workbook, error) {
	t.Helper()
	return xlsx.Open(t.Context(), bytes.NewReader(data), int64(len(data)), limits)
}

// tell writes all that the reader says of a workbook.
func tell(t testing.TB, data []byte, limits xlsx.Limits) (string, error) {
	t.Helper()
	var b strings.Builder
	w, err := open(t, data, limits)
	if err != nil {
		return "", err
	}
	defer w.Close()
	if w.Macros {
		b.WriteString("macros\n")
	}
	for _, link := range w.Links {
		fmt.Fprintf(&b, "link %s\n", link)
	}
	for _, sheet := range w.Sheets {
		fmt.Fprintf(&b, "sheet %s", sheet.Name)
		if sheet.Hidden {
			b.WriteString(" hidden")
		}
		b.WriteString("\n")
		rows := w.Rows(t.Context(), sheet)
		for rows.Next() {
			row := rows.Row()
			fmt.Fprintf(&b, "%d", row.Number)
			if row.Hidden {
				b.WriteString(" hidden")
			}
			for _, c := range row.Cells {
				kind := map[xlsx.Kind]string{xlsx.Empty: "empty", xlsx.Text: "text", xlsx.Number: "number", xlsx.Date: "date", xlsx.Bool: "bool", xlsx.Failed: "failed"}[c.Kind]
				fmt.Fprintf(&b, " %s:%s:%q", strings.TrimRight(xlsx.CellName(c.Column, 1), "1"), kind, c.Value)
				if c.Formula {
					fmt.Fprintf(&b, "=%q,%t", c.FormulaText, c.Cached)
				}
				if c.TooLong {
					b.WriteString(" too long")
				}
				if at, ok := w.Time(c); ok && c.Kind == xlsx.Date {
					fmt.Fprintf(&b, "@%s", at.Format("2006-01-02T15:04:05"))
				}
			}
			b.WriteString("\n")
		}
		for _, h := range rows.HiddenColumns() {
			fmt.Fprintf(&b, "hidden columns %d-%d\n", h.FirstColumn, h.LastColumn)
		}
		for _, m := range rows.Merged() {
			fmt.Fprintf(&b, "merged %s:%s\n", xlsx.CellName(m.FirstColumn, m.FirstRow), xlsx.CellName(m.LastColumn, m.LastRow))
		}
		err := rows.Err()
		_ = rows.Close()
		if err != nil {
			return b.String(), err
		}
	}
	return b.String(), w.Verify(t.Context())
}
