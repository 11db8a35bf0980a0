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
	ready, err := defaultOptions().ready()
	if err != nil {
		ready = &settings{} // the defaults are held by a test
	}
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
		out = append(out, r.Rule)
	}
	return out
}

// Describe is part of scanners.Scanner.
func (s *scanner) Describe() scanners.Description { return s.description }

// Decide takes part if there is a file to scan.
func (s *scanner) Decide(ctx context.Context, pkg *zippkg.Package) (scanners.Decision, error) {
	if err := ctx.Err(); err != nil {
		return scanners.Decision{}, err
	}
	if files := len(slices.DeleteFunc(pkg.Files(), func(f *zippkg.File) bool { return !eligible(f) })); files > 0 {
		return scanners.TakePartBecause(report.Text{
			En: fmt.Sprintf("SQL files in the package: %d", files),
			Zh: fmt.Sprintf("安装包中有 %d 个 SQL 文件", files),
		}), nil
	}
	list := strings.Join(extensions[:], " ")
	return scanners.Decline(scanners.NoMatchingFiles, report.Text{
		En: "the package holds no SQL files (" + list + ")",
		Zh: "安装包中没有 SQL 文件（" + list + "）",
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
		if eligible(f) {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b *zippkg.File) int { return strings.Compare(a.Path, b.Path) })

	a := newAnalyst(s.rules, s.settings)
	texts := shelf{}
	views := make([]*fileView, len(files))
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return task.Coverage{}, err
		}
		text, err := texts.read(f)
		var refused *zippkg.Error
		switch {
		case errors.As(err, &refused):
			continue // the second pass says so
		case err != nil:
			return task.Coverage{}, fmt.Errorf("SQL scan: %w", err)
		case text.Undecodable:
			continue
		}
		if views[i], _, err = a.survey(ctx, f.Path, text.Content, false, Unknown); err != nil {
			return task.Coverage{}, err
		}
	}

	coverage := task.Coverage{Eligible: len(files)}
	more := 0
	degrade := func(f *zippkg.File, reason string) {
		if len(coverage.Degraded) == maxDegraded {
			more++
			return
		}
		coverage.Degraded = append(coverage.Degraded, task.Degraded{Path: f.Path, Reason: reason})
	}
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return task.Coverage{}, err
		}
		text, err := texts.read(f)
		var refused *zippkg.Error
		switch {
		case errors.As(err, &refused):
			degrade(f, refused.Message)
			continue
		case err != nil:
			return task.Coverage{}, fmt.Errorf("SQL scan: %w", err)
		}
		s.encodings(f.Path, text, out)
		if text.Undecodable {
			degrade(f, "the text cannot be decoded and was not checked; save the file as UTF-8")
			continue
		}
		found, err := a.analyse(ctx, views[i], text.Content)
		if err != nil {
			return task.Coverage{}, err
		}
		for _, finding := range found.findings {
			out.Add(finding)
		}
		for _, reason := range found.degraded {
			degrade(f, reason)
		}
		coverage.Seen++
	}
	if more > 0 {
		coverage.Degraded = append(coverage.Degraded, task.Degraded{Reason: fmt.Sprintf("%d more reasons why files were not fully checked", more)})
	}
	if a.tables.full {
		coverage.Degraded = append(coverage.Degraded, task.Degraded{Reason: fmt.Sprintf("the package creates more tables than are kept (%d, or %d columns); rules that need a table's definition know the first ones only", maxTables, maxCells)})
	}
	return coverage, nil
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
