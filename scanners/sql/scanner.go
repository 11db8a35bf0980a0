package sql

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/xlsx"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// Type is the sub-task type of this scanner.
const Type = "SQL"

// extensions are those of the files that are scanned, whatever their case.
var extensions = [...]string{".sql", ".hql", ".hive", ".ddl", ".dml", ".pls", ".plsql", ".pks", ".pkb", ".prc", ".fnc", ".trg"}

const (
	// maxText is the most text of one file that is scanned.
	maxText = 10 << 20
	// maxBookBytes is the largest workbook that a decision looks into.
	maxBookBytes = 4 << 20
	// maxDegraded keeps the coverage small: it travels in a fact.
	maxDegraded = 200
)

type scanner struct {
	description scanners.Description
	rules       *ruleSet
	settings    *settings
}

var (
	_ scanners.Catalogued   = (*scanner)(nil)
	_ scanners.Configurable = (*scanner)(nil)
)

// New returns the scanner with the default settings.
func New() scanners.Scanner {
	ready, _ := defaultOptions().ready() // a test holds that they are
	return newScanner(ready)
}

func newScanner(s *settings) *scanner {
	return &scanner{
		description: scanners.Description{
			Type: Type, Name: "factgate-sql", Version: "1",
			RulesDigest: rulesDigest(), ConfigDigest: s.digest(),
		},
		rules: newRuleSet(), settings: s,
	}
}

// Rules is part of scanners.Catalogued.
func (s *scanner) Rules() []report.Rule {
	var out []report.Rule
	for _, r := range catalogued() {
		if r.ID != unusedRule { // which belongs to all types
			out = append(out, r.Rule)
		}
	}
	return out
}

// Describe is part of scanners.Scanner.
func (s *scanner) Describe() scanners.Description { return s.description }

// Decide takes part if there is a file to scan, or another file with SQL in it.
func (s *scanner) Decide(ctx context.Context, pkg *zippkg.Package) (scanners.Decision, error) {
	if err := ctx.Err(); err != nil {
		return scanners.Decision{}, err
	}
	files := pkg.Files()
	if i := slices.IndexFunc(files, eligible); i >= 0 {
		return scanners.TakePartBecause(report.Text{En: files[i].Path + " is SQL", Zh: files[i].Path + " 是 SQL 文件"}), nil
	}
	heads, books := 0, 0
	for _, f := range files {
		switch carrierOf(f.Path) {
		case noCarrier:
			continue
		case workbook:
			if books++; books > maxWorkbooks || f.Size > maxBookBytes {
				continue
			}
		default:
			if heads++; heads > maxHeads {
				continue
			}
		}
		if err := ctx.Err(); err != nil {
			return scanners.Decision{}, err
		}
		switch holds, err := holdsSQL(ctx, f); {
		case err != nil:
			return scanners.Decision{}, err
		case holds:
			return scanners.TakePartBecause(report.Text{En: f.Path + " holds SQL", Zh: f.Path + " 中含有 SQL"}), nil
		}
	}
	list := strings.Join(extensions[:], " ")
	return scanners.Decline(scanners.NoMatchingFiles, report.Text{
		En: "the package holds no SQL files (" + list + "), and no SQL in workflows, scripts and workbooks",
		Zh: "安装包中没有 SQL 文件（" + list + "），工作流、脚本和工作簿中也没有 SQL",
	}), nil
}

func eligible(f *zippkg.File) bool {
	return slices.Contains(extensions[:], strings.ToLower(path.Ext(f.Path)))
}

// Scan checks the files in the order of their paths, in two passes: the first learns
// which tables the package creates.
func (s *scanner) Scan(ctx context.Context, pkg *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
	var files []*zippkg.File
	for _, f := range pkg.Files() {
		if eligible(f) || carrierOf(f.Path) != noCarrier {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b *zippkg.File) int { return strings.Compare(a.Path, b.Path) })

	w := &work{scanner: s, analyst: newAnalyst(s.rules, s.settings), out: out}
	views := make([][]*fileView, len(files))
	for i, f := range files {
		var err error
		if views[i], err = w.survey(ctx, f); err != nil {
			return task.Coverage{}, err
		}
	}
	for i, f := range files {
		if err := w.check(ctx, f, views[i]); err != nil {
			return task.Coverage{}, err
		}
		views[i] = nil
	}
	c := w.coverage
	if w.more > 0 {
		c.Degraded = append(c.Degraded, task.Degraded{
			Reason:   fmt.Sprintf("%d more reasons why files were not fully checked", w.more),
			ReasonZH: fmt.Sprintf("另有 %d 条未完整检查的说明未列出", w.more),
		})
	}
	if w.analyst.tables.full {
		c.Degraded = append(c.Degraded, task.Degraded{
			Reason:   fmt.Sprintf("the package creates more tables than are kept (%d, or %d columns); rules that need a table's definition know the first ones only", maxTables, maxCells),
			ReasonZH: fmt.Sprintf("安装包创建的表过多（超过 %d 张表或 %d 列），需要表结构的规则仅基于最先的那些表", maxTables, maxCells),
		})
	}
	return c, nil
}

// work is one scan.
type work struct {
	scanner  *scanner
	analyst  *analyst
	out      scanners.Findings
	texts    shelf
	coverage task.Coverage
	more     int // reasons that did not fit
}

func (w *work) degrade(f *zippkg.File, reason report.Text) {
	if len(w.coverage.Degraded) == maxDegraded {
		w.more++
		return
	}
	w.coverage.Degraded = append(w.coverage.Degraded, task.Degraded{Path: f.Path, Reason: reason.En, ReasonZH: reason.Zh})
}

// survey is the first pass over a file. A file that cannot be read has no views; the
// second pass says why.
func (w *work) survey(ctx context.Context, f *zippkg.File) ([]*fileView, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !eligible(f) {
		found, _, err := w.pieces(ctx, f)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		var views []*fileView
		for _, p := range found {
			v, _, err := w.analyst.survey(ctx, f.Path, p.text, &p)
			if err != nil {
				return nil, err
			}
			views = append(views, v)
		}
		return views, nil
	}
	text, err := w.texts.read(f)
	var refused *zippkg.Error
	switch {
	case errors.As(err, &refused) || err == nil && text.Undecodable:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("SQL scan: %w", err)
	}
	v, _, err := w.analyst.survey(ctx, f.Path, text.Content, nil)
	return []*fileView{v}, err
}

// pieces are those of a file that may carry SQL. reason says why it could not be looked
// through.
func (w *work) pieces(ctx context.Context, f *zippkg.File) (found []piece, reason report.Text, err error) {
	var refused *zippkg.Error
	var fault *xlsx.Error
	kind := carrierOf(f.Path)
	if kind == workbook {
		found, err = workbookPieces(ctx, f, 0)
		if errors.As(err, &fault) {
			return nil, report.Text{}, nil // the business of who checks workbooks
		}
	} else {
		var text zippkg.Text
		if text, err = w.texts.read(f); err == nil && !text.Undecodable {
			found = pieces(kind, text.Content)
			if kind == shellScript && containsFold(text.Content, "partition.mode=nonstrict") { // hive -hiveconf
				w.analyst.tables.nonstrict = true
			}
		}
	}
	switch {
	case errors.As(err, &refused):
		return nil, report.Text{En: refused.Message, Zh: refused.MessageZH}, nil
	case err != nil:
		return nil, report.Text{}, fmt.Errorf("SQL scan: %w", err)
	}
	return found, report.Text{}, nil
}

// check is the second pass over a file.
func (w *work) check(ctx context.Context, f *zippkg.File, views []*fileView) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !eligible(f) {
		return w.checkCarrier(ctx, f, views)
	}
	w.coverage.Eligible++
	text, err := w.texts.read(f)
	var refused *zippkg.Error
	switch {
	case errors.As(err, &refused):
		w.degrade(f, report.Text{En: refused.Message, Zh: refused.MessageZH})
		return nil
	case err != nil:
		return fmt.Errorf("SQL scan: %w", err)
	}
	w.scanner.encodings(f.Path, text, w.out)
	if text.Undecodable || len(views) == 0 {
		w.degrade(f, report.Text{
			En: "the text cannot be decoded and was not checked; save the file as UTF-8",
			Zh: "无法识别文本编码，未检查，请将文件另存为 UTF-8",
		})
		return nil
	}
	found, err := w.analyst.analyse(ctx, views[0], text.Content)
	if err != nil {
		return err
	}
	for _, finding := range found.findings {
		w.out.Add(finding)
	}
	for _, reason := range found.degraded {
		w.degrade(f, reason)
	}
	w.coverage.Seen++
	return nil
}

// checkCarrier checks the SQL inside another file. A file without any is not this
// scanner's business.
func (w *work) checkCarrier(ctx context.Context, f *zippkg.File, views []*fileView) error {
	if len(views) == 0 {
		return nil
	}
	w.coverage.Eligible++
	found, reason, err := w.pieces(ctx, f)
	if err != nil {
		return err
	}
	if len(found) != len(views) { // it cannot be read any more
		w.degrade(f, reason)
		return nil
	}
	for i, p := range found {
		got, err := w.analyst.analyse(ctx, views[i], p.text)
		if err != nil {
			return err
		}
		for _, finding := range got.findings {
			w.out.Add(p.placed(finding))
		}
		for _, reason := range got.degraded {
			where := p.where()
			w.degrade(f, report.Text{En: where.En + reason.En, Zh: where.Zh + reason.Zh})
		}
	}
	w.coverage.Seen++
	return nil
}

// placed says where in the file a finding in the piece is.
func (p *piece) placed(f report.Finding) report.Finding {
	if p.inside() {
		f.InnerLine, f.InnerColumn = f.Line, f.Column
		f.Line, f.Column, f.EndLine, f.EndColumn = p.line, p.column, 0, 0
		f.Pointer, f.Cell = p.pointer, p.cell
		if p.cell != "" {
			f.Line, f.Column = 0, 0
		}
		return f
	}
	if f.Line == 1 {
		f.Column += p.column - 1
	}
	if f.EndLine == 1 {
		f.EndColumn += p.column - 1
	}
	f.Line += p.line - 1
	f.EndLine += p.line - 1
	return f
}

// where begins a reason for degraded coverage.
func (p *piece) where() report.Text {
	switch {
	case p.cell != "":
		return report.Text{En: "SQL in cell " + p.cell + ": ", Zh: "单元格 " + p.cell + " 中的 SQL："}
	case p.pointer != "":
		return report.Text{En: "SQL at " + p.pointer + ": ", Zh: p.pointer + " 处的 SQL："}
	}
	return report.Text{En: fmt.Sprintf("SQL from line %d on: ", p.line), Zh: fmt.Sprintf("第 %d 行起的 SQL：", p.line)}
}

// shelf keeps decoded texts between the passes, as far as there is room.
type shelf struct {
	texts map[*zippkg.File]zippkg.Text
	bytes int
}

// maxShelf is how much text stays in memory during a scan; the rest is read twice.
const maxShelf = 32 << 20

func (s *shelf) read(f *zippkg.File) (zippkg.Text, error) {
	if t, ok := s.texts[f]; ok {
		delete(s.texts, f)
		s.bytes -= len(t.Content)
		return t, nil
	}
	t, err := f.Text(maxText)
	if err == nil && s.bytes+len(t.Content) <= maxShelf {
		if s.texts == nil {
			s.texts = map[*zippkg.File]zippkg.Text{}
		}
		s.texts[f] = t
		s.bytes += len(t.Content)
	}
	return t, err
}

// encodings reports what is wrong with a file's bytes, at its first line.
func (s *scanner) encodings(path string, text zippkg.Text, out scanners.Findings) {
	raise := func(id string, message report.Text) {
		r := s.rules.byID[id]
		if message.En == "" {
			message = r.Message
		}
		out.Add(report.Finding{Rule: r.ID, Severity: r.Severity, Message: message, Path: path, Line: 1, Column: 1, Anchor: "file"})
	}
	for _, is := range [...]struct {
		id string
		so bool
	}{
		{"ENC001", text.Encoding != zippkg.UTF8 && !text.Undecodable},
		{"ENC002", text.BOM},
		{"ENC003", text.MixedLineEnds && !text.Undecodable},
		{"ENC004", text.Undecodable},
	} {
		if is.so {
			raise(is.id, report.Text{})
		}
	}
	if text.Undecodable {
		raise(unclosedRule, report.Text{
			En: "The file cannot be read as text, so its SQL was not checked; save it as UTF-8.",
			Zh: "文件无法按文本读取，未能检查其中的 SQL，请转存为 UTF-8。",
		})
	}
}
