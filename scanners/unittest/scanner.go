package unittest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// Type is the sub-task type of this scanner.
const Type = "UNIT_TEST"

const version = "1.0.0"

// Config of the scanner. The zero Config is the default one.
type Config struct {
	Limits Limits
}

// Limits bound what one report may cost. A field that is zero takes its default.
type Limits struct {
	FileBytes int64 // of one report: 64 MiB
	TextBytes int64 // of one text or tag, which is held in memory: 16 MiB
	HeadBytes int64 // read to find the root element: 256 KiB
	Depth     int   // of nested elements: 64
}

func (l Limits) withDefaults() Limits {
	return Limits{
		FileBytes: orDefault(l.FileBytes, 64<<20),
		TextBytes: orDefault(l.TextBytes, 16<<20),
		HeadBytes: orDefault(l.HeadBytes, 256<<10),
		Depth:     orDefault(l.Depth, 64),
	}
}

func orDefault[N int | int64](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}

type scanner struct {
	limits      Limits
	description scanners.Description
}

// New returns the scanner for sub-tasks of type UNIT_TEST.
func New(c Config) scanners.Scanner {
	s := &scanner{limits: c.Limits.withDefaults()}
	config := sha256.Sum256(fmt.Appendf(nil, "%+v", s.limits))
	s.description = scanners.Description{
		Type: Type, Name: "factgate-unittest", Version: version,
		RulesDigest: rulesDigest(), ConfigDigest: hex.EncodeToString(config[:]),
	}
	return s
}

func (s *scanner) Describe() scanners.Description { return s.description }

// Decide takes part when one .xml file is a report, or is broken where a report
// is expected.
func (s *scanner) Decide(ctx context.Context, pkg *zippkg.Package) (scanners.Decision, error) {
	looked := 0
	var unread []unreadFile
	for _, file := range pkg.Files() {
		if !isXML(file.Path) {
			continue
		}
		looked++
		ours, fault, err := s.isReport(ctx, file)
		switch {
		case err != nil:
			return scanners.Decision{}, fmt.Errorf("look into %s: %w", file.Path, err)
		case ours:
			return scanners.TakePartBecause(report.Text{
				En: file.Path + " is a test report",
				Zh: file.Path + " 是测试报告",
			}), nil
		case fault != nil:
			unread = append(unread, unreadFile{file.Path, fault})
		}
	}
	if looked == 0 {
		return scanners.Decline(scanners.NoMatchingFiles, report.Text{
			En: "the package holds no .xml files, and so no JUnit reports",
			Zh: "安装包中没有 .xml 文件，因此没有 JUnit 测试报告",
		}), nil
	}
	return scanners.Decline(scanners.NoMatchingFiles, noReport(looked, unread)), nil
}

// unreadFile could not be read as far as its root element, and nothing else
// suggests that it is a report.
type unreadFile struct {
	path  string
	fault error
}

func noReport(looked int, unread []unreadFile) report.Text {
	others := looked - len(unread)
	reason := report.Text{
		En: fmt.Sprintf("no JUnit report: the root element of none of the .xml files (%d) is testsuite or testsuites", others),
		Zh: fmt.Sprintf("没有 JUnit 测试报告：%d 个 .xml 文件的根元素均不是 testsuite 或 testsuites", others),
	}
	if len(unread) == 0 {
		return reason
	}
	if others == 0 {
		reason = report.Text{En: "no JUnit report", Zh: "没有 JUnit 测试报告"}
	}
	first := describeFault(unread[0].fault)
	reason.En += fmt.Sprintf("; .xml files that could not be read as far as their root element: %d, the first being %s (%s)", len(unread), unread[0].path, first.En)
	reason.Zh += fmt.Sprintf("；有 %d 个 .xml 文件无法读到根元素，首个为 %s（%s）", len(unread), unread[0].path, first.Zh)
	return reason
}

// describeFault says in both languages what faultOf returns.
func describeFault(fault error) report.Text {
	var bad *malformed
	if errors.As(fault, &bad) {
		return report.Text{En: bad.Error(), Zh: fmt.Sprintf("第 %d 行：%s", bad.line, bad.detail.Zh)}
	}
	return report.Text{En: fault.Error(), Zh: fault.Error()}
}

// isReport reads the beginning of a file. fault is what kept it from the root
// element; an error is not the file's fault.
func (s *scanner) isReport(ctx context.Context, file *zippkg.File) (ours bool, fault, err error) {
	head := s.limits
	head.FileBytes = min(head.FileBytes, head.HeadBytes)
	err = read(file, func(in io.Reader) error {
		// The names that matter here are ASCII, which a wrong guess leaves alone.
		_, err := newDecoder(ctx, in, false, head).root()
		return err
	})
	switch fault = faultOf(err); {
	case err == nil:
		return true, nil, nil
	case errors.Is(err, errNotReport):
		return false, nil, nil
	case fault != nil:
		var bad *malformed
		return errors.As(fault, &bad) && bad.ours || usuallyReport(file.Path), fault, nil
	default:
		return false, nil, err
	}
}

// Scan reads every report to its end, or as far as it goes.
func (s *scanner) Scan(ctx context.Context, pkg *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
	var coverage task.Coverage
	var paths []string
	c := newCheck(out)
	for _, file := range pkg.Files() {
		if !isXML(file.Path) {
			continue
		}
		ours, _, err := s.isReport(ctx, file)
		if err == nil && ours {
			err = s.scanFile(ctx, file, c)
		}
		fault := faultOf(err)
		switch {
		case err == nil && !ours, errors.Is(err, errNotReport):
			continue
		case err == nil:
			coverage.Seen++
		case fault != nil:
			coverage.Degraded = degrade(coverage.Degraded, file.Path, fault)
		default:
			return task.Coverage{}, fmt.Errorf("read report %s: %w", file.Path, err)
		}
		coverage.Eligible++
		paths = append(paths, file.Path)
	}
	c.finish(paths)
	return coverage, nil
}

// scanFile hands one report to c, and returns what decode says of it.
func (s *scanner) scanFile(ctx context.Context, file *zippkg.File, c *check) error {
	c.begin(file.Path)
	err := s.decodeFile(ctx, file, c)
	c.end(faultOf(err))
	return err
}

// decodeFile reads a report twice: that it is not in UTF-8 may show at its end.
func (s *scanner) decodeFile(ctx context.Context, file *zippkg.File, c *check) error {
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
	return read(file, func(in io.Reader) error { return decode(ctx, in, valid, s.limits, c) })
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

func degrade(list []task.Degraded, path string, fault error) []task.Degraded {
	const most = 200 // coverage travels in a fact
	if len(list) < most {
		list = append(list, task.Degraded{Path: path, Reason: "not read to the end: " + fault.Error()})
	}
	return list
}

func isXML(name string) bool { return strings.EqualFold(path.Ext(name), ".xml") }

// usuallyReport reports whether test runners write reports to such a path.
func usuallyReport(name string) bool {
	folded := strings.ToLower(name)
	base := path.Base(folded)
	if strings.HasPrefix(base, "test-") || strings.Contains(base, "junit") || strings.HasPrefix(base, "pytest") || base == "nosetests.xml" {
		return true
	}
	for _, folder := range strings.Split(path.Dir(folded), "/") {
		switch folder {
		case "surefire-reports", "failsafe-reports", "test-results", "test-reports", "junit", "junitreports", "unittest", "unit-test":
			return true
		}
	}
	return false
}
