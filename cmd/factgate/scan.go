package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/suppression"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/sarif"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

func scanCommand() *cobra.Command {
	s := scan{}
	cmd := &cobra.Command{
		Use:   "scan TYPE PATH…",
		Short: "Scan files, folders or a package here, without a server",
		Long: `Scan runs the scanner of a type on files and folders as they lie here, or on one zip,
and prints what it finds. No server takes part and nothing is recorded: it is what a
developer runs before there is a package, and what an editor or a pre-commit hook
calls. Several types are separated by commas; all stands for every type.

  factgate scan sql ./sql
  factgate scan sql,excel product-1.4.0.zip --format sarif > factgate.sarif
  factgate scan all . --format json

The package's own suppressions (.factgate.yml, in the folder one stands in or at the
root of the zip) and a configuration (--config) are heeded; a server knows waivers, too.

Hidden folders (.git and others), node_modules and symbolic links are left out.

Exit codes:
  0  nothing fails the check       4  nothing was scanned: no type takes part, or
  2  the check fails                  one of them could read none of its files
  3  the zip is refused            5  any other error`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return fmt.Errorf("give a type and what to scan: factgate scan sql PATH… (types: %s, or all)", strings.ToLower(strings.Join(scannerTypes(), ", ")))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if s.zh, err = chinese(cmd); err != nil {
				return err
			}
			if s.json {
				s.format = "json"
			}
			s.out, s.notes = cmd.OutOrStdout(), cmd.ErrOrStderr()
			if s.scanners, err = s.chosen(cmd.Context(), args[0]); err != nil {
				return err
			}
			if err := s.configure(); err != nil {
				return err
			}
			return s.run(cmd.Context(), args[1:])
		},
	}
	cmd.Flags().StringVar(&s.config, "config", "", "a configuration of the type, as factgate scanners configure takes it")
	cmd.Flags().StringVar(&s.format, "format", "text", "text, json or sarif")
	cmd.Flags().BoolVar(&s.json, "json", false, "the same as --format json")
	s.external.flag(cmd)
	return cmd
}

// scan is one run of the command.
type scan struct {
	scanners   []scanners.Scanner
	external   externals
	config     string // a file
	document   string // its text; empty for none
	format     string
	json, zh   bool
	out, notes io.Writer
}

// configure reads --config.
func (s *scan) configure() (err error) {
	if s.config == "" {
		return nil
	}
	if len(s.scanners) != 1 {
		return errors.New("--config is of one type; name only that one")
	}
	if s.document, err = readConfiguration(s.config); err != nil {
		return err
	}
	if _, _, err := scanners.Apply(s.scanners[0], s.document); err != nil {
		var lines []string
		for _, v := range validated(s.config, err) {
			lines = append(lines, v.text(s.zh))
		}
		return &exit{exitError, strings.Join(lines, "\n")}
	}
	return nil
}

func (s *scan) chosen(ctx context.Context, types string) ([]scanners.Scanner, error) {
	if !slices.Contains([]string{"text", "json", "sarif"}, s.format) {
		return nil, fmt.Errorf("--format %q is not known; use text, json or sarif", s.format)
	}
	list, err := s.external.scanners(ctx, func(subTaskType string, exposed report.Text) {
		p := printer{w: s.notes, zh: s.zh}
		text := exposed.En
		if s.zh {
			text = exposed.Zh
		}
		p.say("%s is not shut in: %s", "%s 未被隔离：%s", subTaskType, text)
	})
	if err != nil || strings.EqualFold(types, "all") {
		return list, err
	}
	return choose(list, strings.Split(strings.ToUpper(types), ","))
}

// scanReport is what one scanner said.
type scanReport struct {
	Type     string           `json:"type"`
	Scanner  string           `json:"scanner"` // name/version
	Declined *report.Text     `json:"declined,omitempty"`
	Counts   *report.Counts   `json:"counts,omitempty"`
	Coverage *task.Coverage   `json:"coverage,omitempty"`
	Findings []report.Finding `json:"findings,omitempty"`
	about    scanners.Description
	rules    []report.Rule
	failed   bool
}

func (s *scan) run(ctx context.Context, paths []string) error {
	pkg, base, done, err := s.open(ctx, paths)
	var refused *zippkg.Error
	if errors.As(err, &refused) {
		text, zh := refused.Text()
		if s.zh {
			text = zh
		}
		return &exit{exitRefused, fmt.Sprintf("%s: %s", refused.Code, text)}
	}
	if err != nil {
		return err
	}
	defer done()
	var all []scanReport
	for _, one := range s.scanners {
		got, err := s.ask(ctx, one, pkg, base)
		if err != nil {
			return fmt.Errorf("%s: %w", one.Describe().Type, err)
		}
		all = append(all, got)
	}
	if err := s.print(all); err != nil {
		return err
	}
	return s.outcome(all)
}

// open makes a package of what is to be scanned; base stands before its paths for
// whoever reads the findings here.
func (s *scan) open(ctx context.Context, paths []string) (pkg *zippkg.Package, base string, done func(), err error) {
	if len(paths) == 1 && strings.EqualFold(filepath.Ext(paths[0]), ".zip") {
		file, err := os.Open(paths[0])
		if err != nil {
			return nil, "", nil, err
		}
		done = func() { _ = file.Close() } // only read
		info, err := file.Stat()
		if err == nil {
			pkg, err = zippkg.Open(file, info.Size(), zippkg.Limits{})
		}
		if err != nil {
			done()
			return nil, "", nil, err
		}
		return pkg, "", done, nil
	}
	file, err := os.CreateTemp("", "factgate-scan-*.zip")
	if err != nil {
		return nil, "", nil, err
	}
	done = func() {
		_ = file.Close() // only read
		_ = os.Remove(file.Name())
	}
	base, err = gather(ctx, file, paths)
	var size int64
	if err == nil {
		size, err = file.Seek(0, io.SeekEnd)
	}
	if err == nil {
		pkg, err = zippkg.Open(file, size, zippkg.Limits{})
	}
	if err != nil {
		done()
		return nil, "", nil, err
	}
	if pkg.Root() != "" {
		base = filepath.Join(base, pkg.Root())
	}
	return pkg, base, done, nil
}

// gather packs what is to be scanned, so that scanners see a package as any other. The
// paths in it are relative to base: the folder one stands in, or if that does not hold
// all of them, the nearest that does; base itself is relative to where one stands.
func gather(ctx context.Context, w io.Writer, paths []string) (base string, err error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	whole := make([]string, len(paths))
	base = here
	for i, path := range paths {
		if whole[i], err = filepath.Abs(path); err != nil {
			return "", err
		}
		for base != filepath.Dir(base) && !holds(base, whole[i]) {
			base = filepath.Dir(base)
		}
	}
	out := zip.NewWriter(w)
	taken := map[string]bool{}
	for _, path := range whole {
		err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case ctx.Err() != nil:
				return ctx.Err()
			case d.IsDir() && name != path && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
				return filepath.SkipDir
			case !d.Type().IsRegular() && name != path, d.IsDir(), taken[name]:
				return nil
			}
			taken[name] = true
			return pack(out, base, name)
		})
		if err != nil {
			return "", err
		}
	}
	// The package's own suppressions stand at its root, whichever of its parts are
	// scanned; a file of the wrong name, too, so that somebody says so. An empty file is there without them: a folder that held all of the rest
	// would be taken for an enclosing one, and patterns would not match what they name.
	if own := filepath.Join(base, suppression.FileName); !taken[own] {
		info, err := os.Lstat(own)
		if err == nil && info.Mode().IsRegular() {
			err = pack(out, base, own)
		} else {
			_, err = out.Create(suppression.FileName)
		}
		if err != nil {
			return "", err
		}
	}
	if wrong := filepath.Join(base, suppression.WrongName); !taken[wrong] {
		if info, err := os.Lstat(wrong); err == nil && info.Mode().IsRegular() {
			if err := pack(out, base, wrong); err != nil {
				return "", err
			}
		}
	}
	if err := out.Close(); err != nil {
		return "", err
	}
	return filepath.Rel(here, base)
}

func holds(folder, path string) bool {
	inside, err := filepath.Rel(folder, path)
	return err == nil && inside != ".." && !strings.HasPrefix(inside, ".."+string(filepath.Separator))
}

func pack(out *zip.Writer, base, name string) error {
	inside, err := filepath.Rel(base, name)
	if err != nil {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	entry, err := out.CreateHeader(&zip.FileHeader{Name: filepath.ToSlash(inside), Modified: info.ModTime()}) // stored
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, file)
	return err
}

// findings takes what a scanner finds. All are counted; the first maxListed are kept,
// a tenth of the room for errors alone, as in a report.
type findings struct {
	base   string
	list   []report.Finding
	counts report.Counts
	more   int // that were not kept
}

// maxListed keeps the memory of a scan within some hundred MB.
const maxListed = 10 * report.MaxFindings

func (f *findings) Add(found report.Finding) {
	f.counts.Add(found)
	room := maxListed
	if found.Severity != report.Error || found.Suppressed {
		room -= maxListed / 10
	}
	if len(f.list) >= room {
		f.more++
		return
	}
	if found.Path != "" {
		found.Path = filepath.ToSlash(filepath.Join(f.base, filepath.FromSlash(found.Path)))
	}
	f.list = append(f.list, found)
}

// left tells of the findings that are counted and not listed.
func (f *findings) left() []task.Degraded {
	if f.more == 0 {
		return nil
	}
	return []task.Degraded{{
		Reason:   fmt.Sprintf("%d more findings are counted and not listed; mend some of these first", f.more),
		ReasonZH: fmt.Sprintf("另有 %d 个问题已计数但未列出，请先处理已列出的问题", f.more),
	}}
}

func (s *scan) ask(ctx context.Context, one scanners.Scanner, pkg *zippkg.Package, base string) (scanReport, error) {
	about := one.Describe()
	got := scanReport{Type: about.Type, Scanner: about.Name + "/" + about.Version, about: about}
	if c, ok := one.(scanners.Catalogued); ok {
		got.rules = c.Rules()
	}
	found := &findings{base: base}
	tried, err := scanners.Try(ctx, one, s.document, time.Now(), pkg, found)
	if err != nil {
		return got, err
	}
	if !tried.Decision.TakesPart() {
		reason := tried.Decision.Reason()
		got.Declined = &reason
		return got, nil
	}
	tried.Coverage.Degraded = slices.Concat(tried.Coverage.Degraded, scanners.Unopened(pkg), found.left())
	for _, r := range scanners.SuppressionRules() {
		if !slices.ContainsFunc(got.rules, func(own report.Rule) bool { return own.ID == r.ID }) {
			got.rules = append(got.rules, r)
		}
	}
	got.Counts, got.Coverage, got.Findings = &found.counts, &tried.Coverage, found.list
	severity, _ := tried.Fail.Exceeded(found.counts)
	got.failed = severity != ""
	return got, nil
}

// outcome is the exit code.
func (s *scan) outcome(all []scanReport) error {
	failed, took, blind := false, false, false
	for _, one := range all {
		if one.Declined != nil {
			continue
		}
		took = true
		blind = blind || one.Coverage.Eligible > 0 && one.Coverage.Seen == 0
		failed = failed || one.failed
	}
	switch {
	case failed:
		return &exit{exitFailed, ""}
	case !took, blind: // what one type has read says nothing of what another has not
		return &exit{exitNoVerdict, ""}
	}
	return nil
}

func (s *scan) print(all []scanReport) error {
	switch s.format {
	case "json":
		encoder := json.NewEncoder(s.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	case "sarif":
		var runs []sarif.Run
		for _, one := range all {
			if one.Declined == nil {
				runs = append(runs, sarif.Run{Type: one.Type, Scanner: one.about.Name, Version: one.about.Version,
					Rules: one.rules, Findings: one.Findings, Coverage: *one.Coverage})
			}
		}
		return sarif.Write(s.out, runs, s.zh)
	}
	p := printer{w: s.out, zh: s.zh}
	for _, one := range all {
		for _, f := range one.Findings {
			p.finding(f)
		}
	}
	for _, one := range all {
		p.scanned(one)
	}
	return nil
}

// place says where a finding is, as compilers do: path:line:column, then the cell or
// pointer and the line within it.
func place(f report.Finding) string {
	where := f.Path
	if where == "" {
		where = "."
	}
	if f.Line > 0 && f.Cell == "" {
		where += fmt.Sprintf(":%d", f.Line)
		if f.Column > 0 {
			where += fmt.Sprintf(":%d", f.Column)
		}
	}
	for _, inside := range []string{f.Cell, f.Pointer} {
		if inside != "" {
			where += " " + inside
		}
	}
	if f.InnerLine > 0 {
		where += fmt.Sprintf(":%d", f.InnerLine)
		if f.InnerColumn > 0 {
			where += fmt.Sprintf(":%d", f.InnerColumn)
		}
	}
	return where
}

var severities = map[report.Severity]string{report.Error: "错误", report.Warning: "警告", report.Note: "提示"}

func (p *printer) finding(f report.Finding) {
	if f.Suppressed {
		return // counted below
	}
	severity, message := string(f.Severity), f.Message.En
	if p.zh {
		if zh, ok := severities[f.Severity]; ok {
			severity = zh
		}
		if f.Message.Zh != "" {
			message = f.Message.Zh
		}
	}
	p.say("%s: %s %s: %s", "%s：%s %s：%s", place(f), severity, f.Rule, message)
}

func (p *printer) scanned(one scanReport) {
	if one.Declined != nil {
		reason := one.Declined.En
		if p.zh && one.Declined.Zh != "" {
			reason = one.Declined.Zh
		}
		p.say("%s does not take part: %s", "%s 不参与：%s", one.Type, reason)
		return
	}
	suppressed := 0
	for _, f := range one.Findings {
		if f.Suppressed {
			suppressed++
		}
	}
	c := one.Coverage
	p.say("%s: %s, %s, %s; %d suppressed; read %d of %s", "%s：%s，%s，%s；已抑制 %d 个；读取 %d / %s",
		one.Type, p.many(one.Counts.Error, "error", "错误"), p.many(one.Counts.Warning, "warning", "警告"), p.many(one.Counts.Note, "note", "提示"),
		suppressed, c.Seen, p.many(c.Eligible, "file", "文件"))
	for _, d := range c.Degraded {
		p.say("  not fully checked: %s %s", "  未完全检查：%s %s", d.Path, degradedView(d).in(p.zh))
	}
	if c.Eligible > 0 && c.Seen == 0 {
		p.say("  nothing was read: this is not a pass", "  未读取任何文件：不视为通过")
	}
}

func (p *printer) many(n int, en, zh string) string {
	switch {
	case p.zh:
		return fmt.Sprintf("%d 个%s", n, zh)
	case n == 1:
		return "1 " + en
	}
	return fmt.Sprintf("%d %ss", n, en)
}
