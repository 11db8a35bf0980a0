package excel

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xuri/excelize/v2"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// delivery is all that the workbooks of one package say: what the rules look
// at. It is filled workbook by workbook (add), then linked once (link), and
// only read after that.
type delivery struct {
	template *template
	limits   Limits

	unreadable []unreadable
	tables     []*table
	rowCount   int
	textBytes  int64

	jobs         []job
	byKey        map[key]int             // the first job of a key
	byName       map[string]namesakes    // of the whole package
	inProject    map[[2]string]namesakes // by project and name
	namePrefixes map[string]bool         // of names such as dwd.orders, with their separator
	projects     map[string]bool
	flows        map[string]bool

	references []reference
	cut        bool // there were more references than Limits allow

	coverage task.Coverage
	degraded int // degradations, listed in coverage or not
}

// unreadable is a workbook that could not be read.
type unreadable struct {
	path string
	err  *workbookError
}

// table is one recognised sheet.
type table struct {
	path   string
	sheet  string
	order  int // of the sheet within its workbook
	header header
	rows   []row
}

// row is one line of a table that says something in a known column, other than a
// sum or a remark below the table. Missing columns are empty.
type row struct {
	number int
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

func newDelivery(t *template, limits Limits) *delivery {
	return &delivery{
		template: t, limits: limits,
		byKey: map[key]int{}, byName: map[string]namesakes{}, inProject: map[[2]string]namesakes{},
		namePrefixes: map[string]bool{}, projects: map[string]bool{}, flows: map[string]bool{},
	}
}

func (d *delivery) degrade(path, format string, args ...any) {
	const most = 200 // coverage travels in a fact
	d.degraded++
	if len(d.coverage.Degraded) < most {
		d.coverage.Degraded = append(d.coverage.Degraded, task.Degraded{Path: path, Reason: fmt.Sprintf(format, args...)})
	}
}

// add reads the tables of one workbook. A workbook without tables is none of
// this scanner's business and leaves no trace. An error is ctx's, or this
// machine's.
func (d *delivery) add(ctx context.Context, path string, data []byte) error {
	w, err := openWorkbook(data, d.limits)
	if err == nil {
		err = d.read(ctx, path, w)
		w.close()
	}
	return d.cannotRead(path, err)
}

// cannotRead files a workbook's fault, and passes on every other error.
func (d *delivery) cannotRead(path string, err error) error {
	var w *workbookError
	if !errors.As(err, &w) {
		return err
	}
	d.coverage.Eligible++
	d.degrade(path, "not read: %s", w.detail.En)
	if w.fault != faultLimit {
		d.unreadable = append(d.unreadable, unreadable{path, w})
	}
	return nil
}

func (d *delivery) read(ctx context.Context, path string, w *workbook) error {
	before, degraded := len(d.tables), d.degraded
	for i, sheet := range w.sheets {
		if i == d.limits.Sheets {
			d.degrade(path, "only the first %d of %d sheets were looked at", i, len(w.sheets))
			break
		}
		t, err := d.readSheet(ctx, path, w, sheet)
		if err != nil {
			d.tables = d.tables[:before]
			return err
		}
		if t != nil {
			t.order = i
			d.tables = append(d.tables, t)
		}
	}
	// What the sheets seemed to say counts only if they are whole.
	if err := w.verify(ctx); err != nil {
		d.tables = d.tables[:before]
		return err
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

// readSheet returns the table on a sheet, or nil if there is none.
func (d *delivery) readSheet(ctx context.Context, path string, w *workbook, sheet string) (*table, error) {
	var t *table
	var cellCount int
	var wide, long bool
	err := w.rows(ctx, sheet, func(number int, cells []string) bool {
		if t == nil {
			if h, ok := d.template.recognise(sheet, number, cells[:min(len(cells), d.limits.Columns)]); ok {
				t = &table{path: path, sheet: sheet, header: h}
			}
			return t != nil || number < headerRows
		}
		wide = wide || len(cells) > d.limits.Columns
		if cellCount += len(cells); cellCount > d.limits.Cells {
			d.degrade(path, "%s: rows after %d were not read: more than %d cells", quoteSheet(sheet), number-1, d.limits.Cells)
			return false
		}
		r := row{number: number}
		said := false
		for f, column := range t.header.columns {
			if column == 0 || column > len(cells) {
				continue
			}
			value := clean(cells[column-1])
			if len(value) > d.limits.CellBytes {
				value, long = "", true
			}
			if value != "" {
				said = true
				d.textBytes += int64(len(value))
				// The library's strings may be slices of larger ones.
				r.cells[f] = strings.Clone(value)
			}
		}
		if !said || !d.template.describesJob(&t.header, &r, cells[:min(len(cells), d.limits.Columns)]) {
			return true
		}
		if d.rowCount == d.limits.Rows || d.textBytes > d.limits.TextBytes {
			d.degrade(path, "%s: rows from %d on were not read: the package has more than %d rows or %d MiB of text",
				quoteSheet(sheet), number, d.limits.Rows, d.limits.TextBytes>>20)
			return false
		}
		d.rowCount++
		t.rows = append(t.rows, r)
		return true
	})
	if err != nil {
		return nil, err
	}
	if wide {
		d.degrade(path, "%s: columns after %d were not read", quoteSheet(sheet), d.limits.Columns)
	}
	if long {
		d.degrade(path, "%s: cells of more than %d bytes were not read", quoteSheet(sheet), d.limits.CellBytes)
	}
	return t, nil
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
			r := &t.rows[i]
			k := r.keyOf()
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
		r := &t.rows[i]
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
		d.degrade(ref.table.path, "only the first %d dependencies of the package were checked", d.limits.References)
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
	name, err := excelize.CoordinatesToCellName(max(column, 1), max(row, 1))
	if err != nil {
		return quoteSheet(sheet)
	}
	return quoteSheet(sheet) + "!" + name
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
