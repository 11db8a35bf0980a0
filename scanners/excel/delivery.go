package excel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/xlsx"
)

// delivery is all that the workbooks of one package say: what the rules look
// at. It is filled workbook by workbook (add), then linked once (link), and
// only read after that.
type delivery struct {
	template *template
	limits   Limits
	files    *packageFiles

	unreadable []unreadable
	books      []book
	tables     []*table
	rowCount   int
	textBytes  int64
	words      map[string]string // values that come again and again, once each

	jobs         []job
	byKey        map[key]int             // the first job of a key
	byName       map[string]namesakes    // of the whole package
	inProject    map[[2]string]namesakes // by project and name
	namePrefixes map[string]bool         // of names such as dwd.orders, with their separator
	projects     map[string]bool
	flows        map[string]bool
	nameless     bool // a part of some job's key is a formula that nobody has computed, or that failed

	references []reference
	cut        bool // there were more references than Limits allow

	// Things that stand beside the jobs, of which only the first mostAside count.
	oddCount, mergedCount, secretCount int

	coverage task.Coverage
	degraded int // degradations, listed in coverage or not
}

const mostAside = 50_000

// unreadable is a workbook that could not be read.
type unreadable struct {
	path string
	err  *xlsx.Error
}

// book is a workbook with at least one table.
type book struct {
	path    string
	macros  bool
	links   []string
	secrets []secret
}

// table is one recognised sheet.
type table struct {
	path          string
	sheet         string
	order         int // of the sheet within its workbook
	header        header
	rows          []*row
	hidden        bool
	hiddenColumns []xlsx.Range
	merged        []xlsx.Range
	gaps          []span // of rows that say nothing, between two that do; the first few
	gapCount      int
}

// span is a run of rows.
type span struct{ from, to int }

// mark says how a cell holds its value.
type mark uint8

const (
	markFormula mark = 1 << iota // computed
	markUnknown                  // computed, and the value was not kept
	markFailed                   // #REF! and the like
	markNumber                   // a number where a text may be meant
	markDate                     // a date
	markUntidy                   // white space around, or what cannot be seen within
	markMerged                   // filled in from the top of a merged range
)

// row is one line of a table that says something in a known column, other than a
// sum or a remark below the table. Missing columns are empty.
type row struct {
	number int
	hidden bool
	marks  [fieldCount]mark
	cells  [fieldCount]string
}

// key identifies a job in the engine that will run it.
type key struct{ project, flow, name string }

func (k key) String() string {
	var parts []string
	for _, p := range []string{k.project, k.flow, k.name} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "/")
}

// job is a row of a job table.
type job struct {
	table *table
	row   *row
	key   key
}

// namesakes are the jobs, of different keys, that share a name.
type namesakes struct{ first, count int }

// outcome says what became of a name that a job is said to wait for.
type outcome int

const (
	outcomeKnown     outcome = iota // one job: reference.to
	outcomeAmbiguous                // several jobs: known, but no edge
	outcomeSelf                     // the job itself
	outcomeExternal                 // of a project outside the package
	outcomeUnknown
)

// reference is one name in a depends_on cell, or one row of a dependency table.
type reference struct {
	table   *table
	row     *row
	field   field // where the name stands
	text    string
	from    int // the waiting job; -1 if a dependency table names an unknown one
	outcome outcome
	to      int
}

func newDelivery(t *template, limits Limits, files *packageFiles) *delivery {
	return &delivery{
		template: t, limits: limits, files: files, words: map[string]string{},
		byKey: map[key]int{}, byName: map[string]namesakes{}, inProject: map[[2]string]namesakes{},
		namePrefixes: map[string]bool{}, projects: map[string]bool{}, flows: map[string]bool{},
	}
}

func (d *delivery) degrade(path string, reason report.Text) {
	const most = 200 // coverage travels in a fact
	d.degraded++
	if len(d.coverage.Degraded) < most {
		d.coverage.Degraded = append(d.coverage.Degraded, task.Degraded{Path: path, Reason: reason.En, ReasonZH: reason.Zh})
	}
}

// cannotRead files a workbook's fault, and passes on every other error.
func (d *delivery) cannotRead(path string, err error) error {
	var w *xlsx.Error
	if !errors.As(err, &w) {
		return err // or nil
	}
	d.coverage.Eligible++
	d.degrade(path, report.Text{En: "not read: " + w.Message, Zh: "未读取：" + w.MessageZH})
	if w.Fault != xlsx.Limit {
		d.unreadable = append(d.unreadable, unreadable{path, w})
	}
	return nil
}

// add reads the tables of one workbook. A workbook without tables is none of
// this scanner's business and leaves no trace.
func (d *delivery) add(ctx context.Context, path string, w *xlsx.Workbook) error {
	before, degraded := len(d.tables), d.degraded
	b := book{path: path, macros: w.Macros, links: w.Links}
	for i, sheet := range w.Sheets {
		if i == d.limits.Sheets {
			d.degrade(path, report.Text{
				En: fmt.Sprintf("only the first %d of %d sheets were looked at", i, len(w.Sheets)),
				Zh: fmt.Sprintf("共 %d 个工作表，仅检查了前 %d 个", len(w.Sheets), i),
			})
			break
		}
		t, secrets, err := d.readSheet(ctx, path, w, sheet)
		if err != nil {
			d.tables = d.tables[:before]
			return sheetError(sheet.Name, err)
		}
		for _, s := range secrets {
			s.order = i
			if d.secretCount++; d.secretCount <= mostAside {
				b.secrets = append(b.secrets, s)
			}
		}
		if t != nil {
			t.order = i
			d.tables = append(d.tables, t)
		}
	}
	// What the sheets seemed to say counts only if they are whole.
	if err := w.Verify(ctx); err != nil {
		d.tables = d.tables[:before]
		return err
	}
	if len(d.tables) > before {
		d.books = append(d.books, b)
	}
	switch {
	case len(d.tables) == before && d.degraded == degraded: // no template
	case d.degraded > degraded:
		d.coverage.Eligible++
	default:
		d.coverage.Eligible++
		d.coverage.Seen++
	}
	return nil
}

// sheetError says in words of a person's, not of the file's, where the fault is.
func sheetError(sheet string, err error) error {
	var e *xlsx.Error
	if !errors.As(err, &e) {
		return err
	}
	return &xlsx.Error{Fault: e.Fault,
		Message:   fmt.Sprintf("sheet %q: %s", clip(sheet), e.Message),
		MessageZH: fmt.Sprintf("工作表“%s”：%s", clip(sheet), e.MessageZH)}
}

// sheetReader reads one sheet, into a table if it is one.
type sheetReader struct {
	*delivery
	book    *xlsx.Workbook
	path    string
	sheet   xlsx.Sheet
	table   *table
	fieldAt []field // by column; fieldCount is none
	block   []row   // room for rows to come
	secrets secretFinder
	cells   int
	last    int // row that said something
	wide    bool
	long    bool
}

// readSheet returns the table on a sheet, or nil if there is none, and the
// passwords that stand on it either way.
func (d *delivery) readSheet(ctx context.Context, path string, w *xlsx.Workbook, sheet xlsx.Sheet) (*table, []secret, error) {
	s := &sheetReader{delivery: d, book: w, path: path, sheet: sheet}
	rows := w.Rows(ctx, sheet)
	defer rows.Close()
	for rows.Next() {
		r := rows.Row()
		if s.cells += len(r.Cells); s.cells > d.limits.Cells {
			if s.table != nil {
				d.degrade(path, report.Text{
					En: fmt.Sprintf("%s: rows after %d were not read: more than %d cells", quoteSheet(sheet.Name), r.Number-1, d.limits.Cells),
					Zh: fmt.Sprintf("工作表“%s”：单元格超过 %d 个，第 %d 行之后未读取", sheet.Name, d.limits.Cells, r.Number-1),
				})
			}
			break
		}
		cells := r.Cells
		if n := len(cells); n > 0 && cells[n-1].Column > d.limits.Columns {
			s.wide = true
			cut, _ := slices.BinarySearchFunc(cells, d.limits.Columns+1, func(c xlsx.Cell, column int) int { return c.Column - column })
			cells = cells[:cut]
		}
		s.secrets.row(sheet.Name, r.Number, cells)
		if s.table == nil {
			if r.Number > headerRows {
				continue
			}
			if h, ok := d.template.recognise(sheet.Name, r.Number, cells); ok && s.begin(h) {
				s.table.hiddenColumns = rows.HiddenColumns()
			} else if ok {
				break
			}
			continue
		}
		if !s.add(r, cells) {
			break
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, err
	}
	if s.table == nil {
		return nil, s.secrets.found, nil
	}
	s.table.merged = s.inTable(rows.Merged())
	s.fillMerged()
	if s.wide {
		d.degrade(path, report.Text{
			En: fmt.Sprintf("%s: columns after %d were not read", quoteSheet(sheet.Name), d.limits.Columns),
			Zh: fmt.Sprintf("工作表“%s”：第 %d 列之后未读取", sheet.Name, d.limits.Columns),
		})
	}
	if s.long {
		d.degrade(path, report.Text{
			En: fmt.Sprintf("%s: cells of more than %d bytes were not read", quoteSheet(sheet.Name), d.limits.CellBytes),
			Zh: fmt.Sprintf("工作表“%s”：超过 %d 字节的单元格未读取", sheet.Name, d.limits.CellBytes),
		})
	}
	return s.table, s.secrets.found, nil
}

// begin makes a table, and reports false when there is no room for one more: it
// counts as a row.
func (s *sheetReader) begin(h header) bool {
	if s.rowCount == s.limits.Rows {
		s.tooMany(h.row)
		return false
	}
	s.rowCount++
	if s.oddCount += len(h.odd); s.oddCount > mostAside {
		h.odd = nil
	}
	s.table = &table{path: s.path, sheet: s.sheet.Name, header: h, hidden: s.sheet.Hidden}
	s.last = h.row
	for f, column := range h.columns {
		for len(s.fieldAt) <= column {
			s.fieldAt = append(s.fieldAt, fieldCount)
		}
		if column > 0 {
			s.fieldAt[column] = field(f)
		}
	}
	return true
}

func (s *sheetReader) tooMany(row int) {
	s.degrade(s.path, report.Text{
		En: fmt.Sprintf("%s: rows from %d on were not read: the package has more than %d rows or %d MiB of text", quoteSheet(s.sheet.Name), row, s.limits.Rows, s.limits.TextBytes>>20),
		Zh: fmt.Sprintf("工作表“%s”：安装包的表格超过 %d 行或文本超过 %d MiB，从第 %d 行起未读取", s.sheet.Name, s.limits.Rows, s.limits.TextBytes>>20, row),
	})
}

// add takes a row, and reports false when there is no room for more.
func (s *sheetReader) add(from *xlsx.Row, cells []xlsx.Cell) bool {
	if len(s.block) == 0 {
		s.block = make([]row, min(256, 16+len(s.table.rows)))
	}
	r := &s.block[0]
	*r = row{number: from.Number, hidden: from.Hidden}
	said := false
	for i := range cells {
		c := &cells[i]
		if c.Column >= len(s.fieldAt) {
			break
		}
		if f := s.fieldAt[c.Column]; f < fieldCount {
			said = s.take(r, f, c) || said
		}
	}
	if !said || !s.template.describesJob(&s.table.header, r, cells) {
		return true
	}
	if s.rowCount == s.limits.Rows || s.textBytes > s.limits.TextBytes {
		s.tooMany(from.Number)
		return false
	}
	if t := s.table; r.number > s.last+1 {
		const most = 10
		if t.gapCount++; len(t.gaps) < most {
			t.gaps = append(t.gaps, span{s.last + 1, r.number - 1})
		}
	}
	s.last = r.number
	s.rowCount++
	s.block = s.block[1:]
	s.table.rows = append(s.table.rows, r)
	return true
}

// take puts a cell into its row, and reports whether it says anything.
func (s *sheetReader) take(r *row, f field, c *xlsx.Cell) bool {
	if c.TooLong {
		s.long = true
		return false
	}
	value := c.Value
	if c.Kind == xlsx.Date {
		value = s.dateText(*c)
	}
	trimmed := clean(value)
	m := mark(0)
	if c.Formula {
		m |= markFormula
		if !c.Cached {
			m |= markUnknown
		}
	}
	switch c.Kind {
	case xlsx.Failed:
		m |= markFormula | markFailed
		trimmed = "" // #REF! is nobody's name
	case xlsx.Number:
		m |= markNumber
	case xlsx.Date:
		m |= markDate
	case xlsx.Text:
		if strings.Contains(c.FormulaText, "#REF!") {
			m |= markFailed
		}
	}
	if c.Kind != xlsx.Failed && len(trimmed) != len(value) || hasUnseen(trimmed) {
		m |= markUntidy
	}
	r.marks[f] = m
	if len(trimmed) > s.limits.CellBytes {
		s.long = true
		return false
	}
	s.textBytes += int64(len(trimmed))
	r.cells[f] = s.keepWord(trimmed)
	return trimmed != "" || m&markFormula != 0
}

// dateText writes a date as people do; a time of day without a date is a time.
func (s *sheetReader) dateText(c xlsx.Cell) string {
	at, ok := s.book.Time(c)
	switch {
	case !ok:
		return c.Value
	case at.Year() < 1900 || at.Year() == 1904 && at.YearDay() == 1:
		return at.Format("15:04")
	case at.Hour() == 0 && at.Minute() == 0 && at.Second() == 0:
		return at.Format("2006-01-02")
	default:
		return at.Format("2006-01-02 15:04:05")
	}
}

// hasUnseen finds what looks like a space, or like nothing, within a value.
func hasUnseen(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 && r != '\u3000' && invisible(r) })
		}
	}
	return false
}

// keepWord returns the value in memory of its own: the reader's strings hold
// whole rows.
func (d *delivery) keepWord(s string) string {
	const longest, most = 48, 20_000
	if s == "" {
		return ""
	}
	if len(s) > longest {
		return strings.Clone(s)
	}
	if known, ok := d.words[s]; ok {
		return known
	}
	s = strings.Clone(s)
	if len(d.words) < most {
		d.words[s] = s
	}
	return s
}

// inTable keeps the merged ranges that touch the rows and columns of the table.
func (s *sheetReader) inTable(merged []xlsx.Range) []xlsx.Range {
	t := s.table
	if len(t.rows) == 0 {
		return nil
	}
	var out []xlsx.Range
	for _, m := range merged {
		if m.FirstRow < t.rows[0].number || m.FirstRow > t.rows[len(t.rows)-1].number {
			continue
		}
		for column := m.FirstColumn; column <= min(m.LastColumn, len(s.fieldAt)-1); column++ {
			if s.fieldAt[column] < fieldCount {
				out = append(out, m)
				break
			}
		}
		if s.mergedCount++; s.mergedCount > mostAside {
			break
		}
	}
	slices.SortFunc(out, func(a, b xlsx.Range) int {
		if a.FirstRow != b.FirstRow {
			return a.FirstRow - b.FirstRow
		}
		return a.FirstColumn - b.FirstColumn
	})
	return out
}

// fillMerged gives all rows of a merged range the value at its top: that is what
// who merged them meant, and nothing else should be accused for it.
func (s *sheetReader) fillMerged() {
	t := s.table
	var done [fieldCount]int // ranges do not overlap; if some do, no row is filled twice
	for _, m := range t.merged {
		if m.FirstColumn >= len(s.fieldAt) || s.fieldAt[m.FirstColumn] == fieldCount {
			continue
		}
		f := s.fieldAt[m.FirstColumn]
		top, found := slices.BinarySearchFunc(t.rows, m.FirstRow, func(r *row, number int) int { return r.number - number })
		if !found {
			continue
		}
		i := max(top+1, done[f])
		for ; i < len(t.rows) && t.rows[i].number <= m.LastRow; i++ {
			if r := t.rows[i]; r.cells[f] == "" {
				r.cells[f] = t.rows[top].cells[f]
				r.marks[f] |= markMerged
			}
		}
		done[f] = i
	}
}

// keyOf reads the key of the job in a row. A job that names no project or flow
// belongs to none.
func (r *row) keyOf() key {
	return key{r.cells[fieldProject], r.cells[fieldFlow], r.cells[fieldJob]}
}

// link finds out who waits for whom. It is called once, after the last add.
func (d *delivery) link(ctx context.Context) error {
	for _, t := range d.tables {
		if t.header.kind != jobTable {
			continue
		}
		for i := range t.rows {
			r := t.rows[i]
			k := r.keyOf()
			for _, f := range keyFields {
				d.nameless = d.nameless || r.marks[f]&(markUnknown|markFailed) != 0
			}
			if k.name == "" {
				continue
			}
			at := len(d.jobs)
			d.jobs = append(d.jobs, job{t, r, k})
			if _, ok := d.byKey[k]; !ok {
				d.index(k, at)
			}
		}
	}
	for i, j := range d.jobs {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for _, name := range splitList(j.row.cells[fieldDependsOn]) {
			d.refer(reference{table: j.table, row: j.row, field: fieldDependsOn, text: name, from: i}, j.key)
		}
	}
	for _, t := range d.tables {
		if t.header.kind == dependencyTable {
			d.linkTable(t)
		}
	}
	return ctx.Err()
}

func (d *delivery) index(k key, at int) {
	d.byKey[k] = at
	for _, separator := range separators {
		if prefix, _, ok := strings.Cut(k.name, separator); ok {
			d.namePrefixes[prefix+separator] = true
		}
	}
	same, inProject := d.byName[k.name], [2]string{k.project, k.name}
	if same.count == 0 {
		same.first = at
	}
	same.count++
	d.byName[k.name] = same
	if same = d.inProject[inProject]; same.count == 0 {
		same.first = at
	}
	same.count++
	d.inProject[inProject] = same
	if k.project != "" {
		d.projects[k.project] = true
	}
	if k.flow != "" {
		d.flows[k.flow] = true
	}
}

// linkTable reads a dependency table: each row names a job and those that it
// waits for, with their projects and flows beside them.
func (d *delivery) linkTable(t *table) {
	for i := range t.rows {
		r := t.rows[i]
		own := r.keyOf()
		if own.name == "" {
			continue
		}
		from, o := d.locate(own)
		switch o {
		case outcomeKnown:
			own = d.jobs[from].key
		case outcomeAmbiguous:
			from = -1
		default:
			from = -1
			d.keep(reference{table: t, row: r, field: fieldJob, text: own.String(), from: -1, outcome: o})
		}
		for _, name := range splitList(r.cells[fieldDependsOn]) {
			ref := reference{table: t, row: r, field: fieldDependsOn, text: name, from: from}
			project, flow := r.cells[fieldPreProject], r.cells[fieldPreFlow]
			if project == "" && flow == "" {
				d.refer(ref, own)
				continue
			}
			wanted := key{project, flow, name}
			if project == "" {
				wanted.project = own.project
			}
			ref.text = wanted.String()
			ref.to, ref.outcome = d.locate(wanted)
			d.settle(ref)
		}
	}
}

// refer resolves a name as seen by the job that bears the key near.
func (d *delivery) refer(ref reference, near key) {
	ref.to, ref.outcome = d.find(near, ref.text)
	d.settle(ref)
}

func (d *delivery) settle(ref reference) {
	if ref.outcome == outcomeKnown && ref.from >= 0 && d.jobs[ref.from].key == d.jobs[ref.to].key {
		ref.outcome = outcomeSelf
	}
	d.keep(ref)
}

func (d *delivery) keep(ref reference) {
	if len(d.references) < d.limits.References {
		d.references = append(d.references, ref)
	} else if !d.cut {
		d.cut = true
		d.degrade(ref.table.path, report.Text{
			En: fmt.Sprintf("only the first %d dependencies of the package were checked", d.limits.References),
			Zh: fmt.Sprintf("仅检查了安装包的前 %d 个依赖", d.limits.References),
		})
	}
}

// separators of qualified names, in the order in which they are tried.
var separators = []string{"/", "::", ":", "."}

// find resolves a name: the nearest job that bears it (same flow, same project,
// anywhere), or a qualified name such as project/job or project.flow.job.
func (d *delivery) find(near key, name string) (int, outcome) {
	if at, ok := d.byKey[key{near.project, near.flow, name}]; ok {
		return at, outcomeKnown
	}
	for _, same := range []namesakes{d.inProject[[2]string{near.project, name}], d.byName[name]} {
		if at, o := same.outcome(); o != outcomeUnknown {
			return at, o
		}
	}
	external := false
	for _, separator := range separators {
		parts := strings.Split(name, separator)
		for i := range parts {
			parts[i] = clean(parts[i])
		}
		prefix, last := parts[0], parts[len(parts)-1]
		if len(parts) < 2 || prefix == "" || last == "" {
			continue
		}
		flow := strings.Join(parts[1:len(parts)-1], separator)
		if at, o := d.findExactly(key{prefix, flow, last}); o != outcomeUnknown {
			return at, o
		}
		if at, o := d.findExactly(key{near.project, prefix, last}); o != outcomeUnknown && flow == "" {
			return at, o
		}
		// A prefix that nothing here bears is another project's name; one that
		// belongs to us makes the rest a misspelling. A dot alone is too common in
		// names to mean a project where no job names one.
		ours := d.projects[prefix] || d.flows[prefix] || d.namePrefixes[prefix+separator] ||
			separator == "." && len(d.projects) == 0
		external = external || !ours
	}
	if external {
		return 0, outcomeExternal
	}
	return 0, outcomeUnknown
}

// locate resolves a job whose project and flow have columns of their own. Where
// the job tables know no projects or flows, these say nothing.
func (d *delivery) locate(k key) (int, outcome) {
	if len(d.projects) == 0 {
		k.project = ""
	}
	if len(d.flows) == 0 {
		k.flow = ""
	}
	if k.project == "" {
		return d.find(k, k.name)
	}
	if at, o := d.findExactly(k); o != outcomeUnknown {
		return at, o
	}
	if !d.projects[k.project] {
		return 0, outcomeExternal
	}
	return 0, outcomeUnknown
}

// findExactly finds the job of this project, and of this flow if it is given.
func (d *delivery) findExactly(k key) (int, outcome) {
	if at, ok := d.byKey[k]; ok {
		return at, outcomeKnown
	}
	if k.flow != "" {
		return 0, outcomeUnknown
	}
	return d.inProject[[2]string{k.project, k.name}].outcome()
}

func (n namesakes) outcome() (int, outcome) {
	switch n.count {
	case 0:
		return 0, outcomeUnknown
	case 1:
		return n.first, outcomeKnown
	default:
		return n.first, outcomeAmbiguous
	}
}

// cellName is a place as Excel writes it: '作业列表'!C7.
func cellName(sheet string, column, row int) string {
	return quoteSheet(sheet) + "!" + xlsx.CellName(column, row)
}

func quoteSheet(sheet string) string {
	return "'" + strings.ReplaceAll(sheet, "'", "''") + "'"
}

// where names a row for a message to someone who is looking at another one.
func where(from, to *table, number int) report.Text {
	cell := cellName(to.sheet, to.header.columns[fieldJob], number)
	if from.path == to.path {
		return report.Text{En: cell, Zh: cell}
	}
	return report.Text{En: cell + " of " + to.path, Zh: to.path + " 的 " + cell}
}
