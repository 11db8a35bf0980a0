package excel

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/strictyaml"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/xlsx"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// Type is the sub-task type of this scanner.
const Type = "EXCEL"

const version = "2.0.0"

// Config of the scanner. The zero Config is the default one; everything else is
// configured by [scanners.Settings].
type Config struct {
	Limits Limits
}

// Limits bound what one package may cost. A field that is zero takes its
// default, so that nothing becomes unlimited by being forgotten. What a limit
// cuts off is degraded coverage.
type Limits struct {
	WorkbookBytes int64 // of one workbook, packed: 20 MiB
	UnzippedBytes int64 // of the parts of one workbook that are read: 512 MiB
	Sheets        int   // of one workbook: 200
	Columns       int   // of one sheet: 1,000
	Cells         int   // of one sheet, empty ones before the last filled one included: 5 million
	CellBytes     int   // of one cell: 128 KiB, which is four times Excel's own limit

	// Of all tables of a package together, since rules look at all of them.
	Rows       int   // 200,000
	TextBytes  int64 // 128 MiB
	References int   // 500,000 dependencies
}

func (l Limits) withDefaults() Limits {
	return Limits{
		WorkbookBytes: cmp.Or(l.WorkbookBytes, 20<<20),
		UnzippedBytes: cmp.Or(l.UnzippedBytes, 512<<20),
		Sheets:        cmp.Or(l.Sheets, 200),
		Columns:       cmp.Or(l.Columns, 1000),
		Cells:         cmp.Or(l.Cells, 5_000_000),
		CellBytes:     cmp.Or(l.CellBytes, 128<<10),
		Rows:          cmp.Or(l.Rows, 200_000),
		TextBytes:     cmp.Or(l.TextBytes, 128<<20),
		References:    cmp.Or(l.References, 500_000),
	}
}

func (l Limits) ofReader() xlsx.Limits {
	return xlsx.Limits{Bytes: l.WorkbookBytes, Unzipped: l.UnzippedBytes, CellBytes: l.CellBytes}
}

type scanner struct {
	template    *template
	limits      Limits
	description scanners.Description
}

var _ interface {
	scanners.Catalogued
	scanners.Configurable
} = (*scanner)(nil)

// New returns the scanner for sub-tasks of type EXCEL.
func New(c Config) scanners.Scanner { return newScanner(newProfile(), c.Limits.withDefaults()) }

func newScanner(p profile, limits Limits) *scanner {
	s := &scanner{template: newTemplate(p), limits: limits}
	h := sha256.New()
	fmt.Fprintf(h, "%+v\n", limits)
	_ = yaml.NewEncoder(h).Encode(p) // a hash takes everything
	s.description = scanners.Description{
		Type: Type, Name: "factgate-excel", Version: version,
		RulesDigest: rulesDigest(), ConfigDigest: hex.EncodeToString(h.Sum(nil)),
	}
	return s
}

// Configure lays the settings over the default profile.
func (s *scanner) Configure(settings scanners.Settings) (scanners.Scanner, error) {
	p := newProfile()
	if err := settings.Decode(&p); err != nil {
		return nil, err
	}
	var wrong []*strictyaml.Error
	for _, w := range p.check() {
		var placed *strictyaml.Error
		if errors.As(settings.Refuse(w.text, w.keys...), &placed) {
			wrong = append(wrong, placed)
		}
	}
	if len(wrong) > 0 {
		return nil, strictyaml.Join(wrong...)
	}
	return newScanner(p, s.limits), nil
}

// Rules lists the catalogue.
func (s *scanner) Rules() []report.Rule {
	out := make([]report.Rule, len(rules))
	for i, r := range rules {
		out[i] = r.Rule
	}
	return out
}

func (s *scanner) Describe() scanners.Description { return s.description }

// Decide takes part when a sheet of a workbook is recognised, or when a workbook
// that cannot be opened has a name or folder that promises jobs.
func (s *scanner) Decide(ctx context.Context, pkg *zippkg.Package) (scanners.Decision, error) {
	var workbooks int
	var closed []string
	for _, file := range pkg.Files() {
		if !isWorkbook(file.Path) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return scanners.Decision{}, err
		}
		workbooks++
		found, err := s.hasTable(ctx, file)
		var fault *xlsx.Error
		switch {
		case found:
			return scanners.TakePartBecause(report.Text{
				En: file.Path + " has a job or dependency table",
				Zh: file.Path + " 中有作业表或依赖表",
			}), nil
		case err == nil:
		case !errors.As(err, &fault):
			return scanners.Decision{}, err
		case promisesJobs(file.Path):
			return scanners.TakePartBecause(report.Text{
				En: file.Path + " promises jobs by its name, and cannot be opened",
				Zh: file.Path + " 的名称表明其中有作业，但文件无法打开",
			}), nil
		default:
			closed = append(closed, file.Path)
		}
	}
	return scanners.Decline(scanners.NoMatchingFiles, s.declineReason(workbooks, closed)), nil
}

// hasTable looks into the first rows of each sheet. A workbook without a table
// is read to its end, so that damage does not pass for absence.
func (s *scanner) hasTable(ctx context.Context, file *zippkg.File) (bool, error) {
	w, err := xlsx.OpenFile(ctx, file, s.limits.ofReader())
	if err != nil {
		return false, err
	}
	defer w.Close()
	for i, sheet := range w.Sheets {
		if i == s.limits.Sheets {
			break
		}
		found, err := s.isTable(w.Rows(ctx, sheet), sheet)
		if found || err != nil {
			return found, err
		}
	}
	return false, w.Verify(ctx)
}

func (s *scanner) isTable(rows *xlsx.Rows, sheet xlsx.Sheet) (bool, error) {
	defer rows.Close()
	for rows.Next() {
		r := rows.Row()
		if r.Number > headerRows {
			return false, nil
		}
		cells := r.Cells
		for len(cells) > 0 && cells[len(cells)-1].Column > s.limits.Columns {
			cells = cells[:len(cells)-1]
		}
		if _, found := s.template.recognise(sheet.Name, r.Number, cells); found {
			return true, nil
		}
	}
	return false, rows.Err()
}

func (s *scanner) declineReason(workbooks int, closed []string) report.Text {
	if workbooks == 0 {
		return report.Text{
			En: "the package holds no workbooks (.xlsx, .xlsm, .xls)",
			Zh: "安装包中没有 Excel 工作簿（.xlsx、.xlsm、.xls）",
		}
	}
	names := s.template.accepted(fieldJob)
	none := fmt.Sprintf("%d workbooks, none with", workbooks)
	if workbooks == 1 {
		none = "1 workbook, without"
	}
	r := report.Text{
		En: fmt.Sprintf("%s a job sheet: no row among the first %d of any sheet has a job name column (%s) and %d more columns of the template, one of which says what runs or when (such as a job type, a script, a cycle or dependencies)", none, headerRows, names, leastAliases-1),
		Zh: fmt.Sprintf("共 %d 个工作簿，均无作业表：各工作表前 %d 行中没有同时包含作业名列（%s）及模板中另外 %d 列的表头，其中至少一列说明运行内容或运行时间（如作业类型、脚本、调度周期、依赖）", workbooks, headerRows, names, leastAliases-1),
	}
	if len(closed) > 0 {
		const most = 3
		listed, more := closed, ""
		if len(closed) > most {
			listed, more = closed[:most], ", …"
		}
		r.En += fmt.Sprintf("; not opened, and without a word for jobs in the name: %d (%s%s)", len(closed), strings.Join(listed, ", "), more)
		r.Zh += fmt.Sprintf("；其中 %d 个无法打开，且名称中没有作业相关字样（%s%s）", len(closed), strings.Join(listed, ", "), more)
	}
	return r
}

// Scan reads all workbooks before the first rule runs, since a job may wait for
// one in another workbook. Having taken part, it reports every workbook that
// cannot be read, whatever its name: what is in it may belong to the others.
func (s *scanner) Scan(ctx context.Context, pkg *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
	files := pkg.Files()
	d := newDelivery(s.template, s.limits, newPackageFiles(files, s.template))
	for _, file := range files {
		if !isWorkbook(file.Path) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return task.Coverage{}, err
		}
		err := s.read(ctx, d, file)
		if err := d.cannotRead(file.Path, err); err != nil {
			return task.Coverage{}, fmt.Errorf("read workbook %s: %w", file.Path, err)
		}
	}
	if err := d.link(ctx); err != nil {
		return task.Coverage{}, err
	}
	if err := d.run(ctx, out); err != nil {
		return task.Coverage{}, err
	}
	return d.coverage, nil
}

func (s *scanner) read(ctx context.Context, d *delivery, file *zippkg.File) error {
	w, err := xlsx.OpenFile(ctx, file, s.limits.ofReader())
	if err != nil {
		return err
	}
	defer w.Close()
	return d.add(ctx, file.Path, w)
}

// isWorkbook goes by the name. What Excel leaves beside an open workbook
// (~$name) is none.
func isWorkbook(name string) bool {
	base := path.Base(name)
	if strings.HasPrefix(base, "~$") || strings.HasPrefix(base, "._") {
		return false
	}
	switch strings.ToLower(path.Ext(base)) {
	case ".xlsx", ".xlsm", ".xls":
		return true
	}
	return false
}

var jobWords = []string{"作业", "调度", "任务", "工作流", "依赖", "workflow", "job", "schedul", "task", "azkaban", "dolphin"}

// promisesJobs reports whether the path of a workbook suggests that it holds a
// workflow: a word for it in the name or in a folder, or ETL standing alone.
func promisesJobs(name string) bool {
	folded := cases.Fold().String(norm.NFKC.String(name))
	for _, word := range jobWords {
		if strings.Contains(folded, word) {
			return true
		}
	}
	for _, word := range strings.FieldsFunc(folded, func(r rune) bool { return r < 'a' || r > 'z' }) {
		if word == "etl" {
			return true
		}
	}
	return false
}
