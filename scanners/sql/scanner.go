package sql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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

// Config changes the defaults. The zero value is usable.
type Config struct {
	// Off lists the ids of rules that are not applied.
	Off []string `json:"off,omitempty"`
	// Severity replaces severities, by rule id.
	Severity map[string]report.Severity `json:"severity,omitempty"`
}

// Validate refuses ids and severities that do not exist, so that a misspelt rule
// does not stay switched on unnoticed.
func (c Config) Validate() error {
	known := map[string]bool{}
	for _, r := range slices.Concat(Rules(), encodingRules()) {
		known[r.ID] = true
	}
	var wrong []error
	for _, id := range c.Off {
		if !known[id] {
			wrong = append(wrong, fmt.Errorf("off: there is no rule %q; see the list of rules", id))
		}
	}
	for id, s := range c.Severity {
		if !known[id] {
			wrong = append(wrong, fmt.Errorf("severity: there is no rule %q; see the list of rules", id))
		}
		if s != report.Error && s != report.Warning && s != report.Note {
			wrong = append(wrong, fmt.Errorf("severity of %s: %q is none of error, warning, note", id, s))
		}
	}
	return errors.Join(wrong...)
}

func (c Config) digest() string {
	off := slices.Clone(c.Off)
	slices.Sort(off)
	b, err := json.Marshal(Config{Off: slices.Compact(off), Severity: c.Severity}) // maps are written in order
	if err != nil {
		b = nil // strings only: it cannot fail
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

type scanner struct {
	description scanners.Description
	rules       *ruleSet
	encoding    map[string]Rule
}

// New returns the scanner. Entries of c that [Config.Validate] refuses have no
// effect.
func New(c Config) scanners.Scanner {
	s := &scanner{
		description: scanners.Description{
			Type: Type, Name: "factgate-sql", Version: "1",
			RulesDigest: rulesDigest(), ConfigDigest: c.digest(),
		},
		rules:    newRuleSet(c),
		encoding: map[string]Rule{},
	}
	for _, r := range encodingRules() {
		if slices.Contains(c.Off, r.ID) {
			continue
		}
		if v, ok := c.Severity[r.ID]; ok {
			r.Severity = v
		}
		s.encoding[r.ID] = r
	}
	return s
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

// Scan checks the files in the order of their paths.
func (s *scanner) Scan(ctx context.Context, pkg *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
	var files []*zippkg.File
	for _, f := range pkg.Files() {
		if eligible(f) {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b *zippkg.File) int { return strings.Compare(a.Path, b.Path) })

	coverage := task.Coverage{Eligible: len(files)}
	more := 0
	degrade := func(f *zippkg.File, reason string) {
		if len(coverage.Degraded) == maxDegraded {
			more++
			return
		}
		coverage.Degraded = append(coverage.Degraded, task.Degraded{Path: f.Path, Reason: reason})
	}
	a := &analyst{rules: s.rules}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return task.Coverage{}, err
		}
		text, err := f.Text(maxText)
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
		found, err := a.analyse(ctx, f.Path, text.Content)
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
	return coverage, nil
}

// encodingRules are about a file as a whole.
func encodingRules() []Rule {
	return []Rule{
		{ID: "ENC001", Severity: report.Warning, Message: report.Text{En: "The file is not UTF-8; save it as UTF-8.", Zh: "文件编码不是 UTF-8，请转存为 UTF-8。"}},
		{ID: "ENC002", Severity: report.Note, Message: report.Text{En: "The file begins with a byte order mark; save it without.", Zh: "文件带有 BOM，请去除。"}},
		{ID: "ENC003", Severity: report.Note, Message: report.Text{En: "The file mixes line ends; use LF only.", Zh: "文件混用多种换行符，请统一为 LF。"}},
		{ID: "ENC004", Severity: report.Error, Message: report.Text{En: "The file's bytes are no text in any known encoding; save it as UTF-8.", Zh: "无法识别文件编码，请转存为 UTF-8。"}},
	}
}

// encodings reports what is wrong with a file's bytes, at its first line.
func (s *scanner) encodings(path string, text zippkg.Text, out scanners.Findings) {
	raise := func(r Rule, message report.Text) {
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
		if r, on := s.encoding[is.id]; on && is.so {
			raise(r, r.Message)
		}
	}
	if text.Undecodable && s.rules.unclosed != nil {
		raise(*s.rules.unclosed, report.Text{
			En: "The file cannot be read as text, so its SQL was not checked; save it as UTF-8.",
			Zh: "文件无法按文本读取，未能检查其中的 SQL，请转存为 UTF-8。",
		})
	}
}
