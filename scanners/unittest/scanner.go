package unittest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// Type is the sub-task type of this scanner.
const Type = "UNIT_TEST"

const version = "2.0.0"

// Config of the scanner. The zero Config is the default one.
type Config struct {
	Limits Limits
}

// Limits bound what one report may cost. A field that is zero takes its default.
type Limits struct {
	FileBytes int64 // of one report: 64 MiB
	TextBytes int64 // of one text or tag, which is held in memory: 16 MiB
	LineBytes int64 // of one line of a report that is no XML: 1 MiB
	HeadBytes int64 // read to find the root element: 256 KiB
	Depth     int   // of nested elements: 64
	Open      int   // packages and tests of go test that run at once: 20,000

	// Of a package, remembered to count nothing twice: 500,000 test cases, and as
	// many units (files, blocks, modules) of coverage.
	Remembered int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		FileBytes:  cmp.Or(l.FileBytes, 64<<20),
		TextBytes:  cmp.Or(l.TextBytes, 16<<20),
		LineBytes:  cmp.Or(l.LineBytes, 1<<20),
		HeadBytes:  cmp.Or(l.HeadBytes, 256<<10),
		Depth:      cmp.Or(l.Depth, 64),
		Open:       cmp.Or(l.Open, 20_000),
		Remembered: cmp.Or(l.Remembered, 500_000),
	}
}

type scanner struct {
	limits      Limits
	settings    Settings
	description scanners.Description
}

// New returns the scanner for sub-tasks of type UNIT_TEST.
func New(c Config) scanners.Scanner { return with(c.Limits.withDefaults(), DefaultSettings()) }

func with(limits Limits, settings Settings) *scanner {
	config := sha256.Sum256(fmt.Appendf(nil, "%+v %+v", limits, settings)) // fmt sorts maps
	return &scanner{limits, settings, scanners.Description{
		Type: Type, Name: "factgate-unittest", Version: version,
		RulesDigest: rulesDigest(), ConfigDigest: hex.EncodeToString(config[:]),
	}}
}

func (s *scanner) Describe() scanners.Description { return s.description }

// Rules is the catalogue.
func (s *scanner) Rules() []report.Rule { return Rules() }

// Configure takes Settings.
func (s *scanner) Configure(given scanners.Settings) (scanners.Scanner, error) {
	settings := s.settings
	settings.Code = maps.Clone(settings.Code)
	if err := given.Decode(&settings); err != nil {
		return nil, err
	}
	if err := settings.check(given); err != nil {
		return nil, err
	}
	return with(s.limits, settings), nil
}

// Decide takes part when one file is a report, or is broken where a report is
// expected; or when there is code that should not come without one.
func (s *scanner) Decide(ctx context.Context, pkg *zippkg.Package) (scanners.Decision, error) {
	looked := 0
	var unread []unreadFile
	if s.settings.CodeNeedsReport && codeOf(pkg, s.settings).worthTesting {
		return scanners.TakePartBecause(report.Text{
			En: "the package holds code, which should come with a test report",
			Zh: "安装包中有代码，应附带测试报告",
		}), nil
	}
	for _, file := range pkg.Files() {
		if !isXML(file.Path) && !mayBeText(file.Path) {
			continue
		}
		looked++
		is, fault, err := s.recognise(ctx, file)
		switch {
		case err != nil:
			return scanners.Decision{}, fmt.Errorf("look into %s: %w", file.Path, err)
		case is != noReport:
			return scanners.TakePartBecause(report.Text{
				En: file.Path + " is a test report",
				Zh: file.Path + " 是测试报告",
			}), nil
		case fault != nil && isXML(file.Path):
			unread = append(unread, unreadFile{file.Path, fault})
		}
	}
	return scanners.Decline(scanners.NoMatchingFiles, noReports(looked, unread)), nil
}

// unreadFile could not be read as far as its root element, and nothing else
// suggests that it is a report.
type unreadFile struct {
	path  string
	fault error
}

func noReports(looked int, unread []unreadFile) report.Text {
	reason := report.Text{
		En: fmt.Sprintf("no test or coverage report (JUnit, go test -json, dbt, JaCoCo, Cobertura, lcov, Go) among %d files that could be one, and no code that should have one", looked),
		Zh: fmt.Sprintf("在 %d 个可能的文件中没有单元测试或覆盖率报告（JUnit、go test -json、dbt、JaCoCo、Cobertura、lcov、Go），也没有需要单元测试的代码", looked),
	}
	if looked == 0 {
		reason = report.Text{
			En: "the package holds no test or coverage reports (.xml, .json, .info, .out, …), and no code that should have one",
			Zh: "安装包中没有单元测试或覆盖率报告（.xml、.json、.info、.out 等），也没有需要单元测试的代码",
		}
	}
	if len(unread) == 0 {
		return reason
	}
	first := describeFault(unread[0].fault)
	reason.En += fmt.Sprintf("; .xml files that could not be read as far as their root element: %d, the first being %s (%s)", len(unread), unread[0].path, first.En)
	reason.Zh += fmt.Sprintf("；有 %d 个 .xml 文件无法读到根元素，首个为 %s（%s）", len(unread), unread[0].path, first.Zh)
	return reason
}

// describeFault says in both languages what faultOf returns.
func describeFault(fault error) (said report.Text) {
	var bad *malformed
	var limit *overLimitError
	switch {
	case errors.As(fault, &bad):
		said = report.Text{En: bad.Error(), Zh: fmt.Sprintf("第 %d 行：%s", bad.line, bad.detail.Zh)}
	case errors.As(fault, &limit):
		said = report.Text{En: limit.Error(), Zh: fmt.Sprintf("第 %d 行：%s", limit.line, limit.detail.Zh)}
	}
	return said
}

// Scan reads every report to its end, or as far as it goes.
func (s *scanner) Scan(ctx context.Context, pkg *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
	var coverage task.Coverage
	c := newCheck(out, s.limits, s.settings)
	for _, file := range pkg.Files() {
		is, fault, err := s.recognise(ctx, file)
		if err == nil && is == noReport {
			continue
		}
		if err == nil {
			c.begin(file, is)
			// What broke the beginning breaks the whole, unless only the beginning is
			// long.
			var limit *overLimitError
			if fault == nil || errors.As(fault, &limit) {
				err = s.decodeFile(ctx, file, is, c)
				fault = faultOf(err)
			}
			c.end(fault)
		}
		switch {
		case fault != nil:
			why := describeFault(fault)
			coverage.Degraded = degrade(coverage.Degraded, file.Path, report.Text{En: "not read to the end: " + why.En, Zh: "未能读完：" + why.Zh})
		case err == nil:
			coverage.Seen++
			if said := c.unsure(); said.En != "" {
				coverage.Degraded = degrade(coverage.Degraded, file.Path, said)
			}
		default:
			return task.Coverage{}, fmt.Errorf("read report %s: %w", file.Path, err)
		}
		coverage.Eligible++
	}
	c.finish(pkg)
	return coverage, nil
}

// decodeFile hands one report to c, and returns what its decoder says of it.
func (s *scanner) decodeFile(ctx context.Context, file *zippkg.File, is format, c *check) error {
	switch is {
	case goTest:
		return read(file, func(in io.Reader) error { return decodeGoTest(ctx, in, s.limits, c) })
	case dbt:
		return read(file, func(in io.Reader) error { return decodeDBT(ctx, in, s.limits, c) })
	case lcov:
		return read(file, func(in io.Reader) error { return decodeLcov(ctx, in, s.limits, c) })
	case profile:
		return read(file, func(in io.Reader) error { return decodeProfile(ctx, in, s.limits, c) })
	}
	// XML is read twice: that it is not in UTF-8 may show at its end.
	var valid bool
	err := read(file, func(in io.Reader) (err error) {
		valid, err = isUTF8(ctx, in, s.limits)
		return err
	})
	if err != nil {
		if faultOf(err) == nil {
			return err
		}
		valid = true // up to the fault, which the second reading meets again
	}
	return read(file, func(in io.Reader) error { return decode(ctx, in, valid, s.limits, is, c, c) })
}

func read(file *zippkg.File, each func(io.Reader) error) error {
	in, err := file.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	return each(in)
}

// faultOf returns what is wrong with a file itself: *malformed or *overLimitError, or
// nil if err is about something else. A file that the package reader refuses
// (wrong checksum, lying sizes) is malformed too.
func faultOf(err error) error {
	var bad *malformed
	var limit *overLimitError
	var refused *zippkg.Error
	switch {
	case errors.As(err, &refused):
		return &malformed{line: 1, detail: report.Text{En: refused.Message, Zh: refused.MessageZH}}
	case errors.As(err, &bad):
		return bad
	case errors.As(err, &limit):
		return limit
	}
	return nil
}

func degrade(list []task.Degraded, path string, reason report.Text) []task.Degraded {
	const most = 200 // coverage travels in a fact
	if len(list) < most {
		list = append(list, task.Degraded{Path: path, Reason: reason.En, ReasonZH: reason.Zh})
	}
	return list
}

// code is what there is to test in a package.
type code struct {
	files        int
	first        string // path of one
	newest       *zippkg.File
	worthTesting bool
}

// codeOf looks at names, sizes and times.
func codeOf(pkg *zippkg.Package, s Settings) code {
	var c code
	byEnding := map[string]int{}
	for _, file := range pkg.Files() {
		ending, ok := s.isCode(file)
		if !ok {
			continue
		}
		if byEnding[ending]++; c.files == 0 {
			c.first = file.Path
		}
		c.files++
		c.worthTesting = c.worthTesting || byEnding[ending] >= s.Code[ending]
		if dated(file) && (c.newest == nil || file.Modified.After(c.newest.Modified)) {
			c.newest = file
		}
	}
	return c
}

// dated reports whether the zip says when a file was modified. Tools that know no
// time write the first that there is, in 1979 or 1980, or the epoch.
func dated(file *zippkg.File) bool { return file.Modified.Year() > 1980 }
