package unittest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/factgate/factgate/internal/zippkg"
)

// format of a report.
type format int

const (
	noReport format = iota
	junit
	jacoco
	cobertura
	goTest
	dbt
	lcov
	profile
)

// tests reports whether the format tells of tests; the others tell of coverage.
func (f format) tests() bool { return f == junit || f == goTest || f == dbt }

// recognise reads the beginning of a file. fault is what kept it from knowing; then
// the format is one if something else says that it is a report. An error is not the
// file's fault.
func (s *scanner) recognise(ctx context.Context, file *zippkg.File) (is format, fault, err error) {
	err = errNotReport
	switch {
	case fetched(file.Path):
	case isXML(file.Path):
		err = read(file, func(in io.Reader) (err error) {
			is, err = xmlFormat(ctx, in, s.limits)
			return err
		})
	case mayBeText(file.Path):
		err = read(file, func(in io.Reader) (err error) {
			is, err = textFormat(ctx, in, file.Path, s.limits)
			return err
		})
	}
	switch fault = faultOf(err); {
	case err == nil:
		return is, nil, nil
	case errors.Is(err, errNotReport):
		return noReport, nil, nil
	case fault == nil:
		return noReport, nil, err
	}
	var bad *malformed
	switch {
	case errors.As(fault, &bad) && bad.ours || isXML(file.Path) && usuallyReport(file.Path):
		return junit, fault, nil
	case usuallyDBT(file.Path):
		return dbt, fault, nil
	}
	return noReport, fault, nil
}

// fetched: package managers put it there, and its tests are those of others.
func fetched(name string) bool {
	for folder := range strings.SplitSeq(path.Dir(name), "/") {
		if folder == "node_modules" || folder == "site-packages" {
			return true
		}
	}
	return false
}

// xmlFormat goes by the root element.
func xmlFormat(ctx context.Context, in io.Reader, limits Limits) (format, error) {
	limits.FileBytes = min(limits.FileBytes, limits.HeadBytes)
	// The names that matter here are ASCII, which a wrong guess leaves alone.
	d := newDecoder(ctx, in, false, limits)
	root, err := d.root()
	if err != nil {
		return noReport, err
	}
	switch root.Name.Local {
	case "testsuite", "testsuites":
		return junit, nil
	case "report":
		ours, err := d.isJaCoCo()
		if ours {
			return jacoco, nil
		}
		if err != nil {
			return noReport, err
		}
	case "coverage":
		if number(root, "lines-valid") >= 0 || attr(root, "line-rate") != "" {
			return cobertura, nil
		}
	}
	return noReport, errNotReport
}

// sniffed is how much of a text is looked at.
const sniffed = 4 << 10

// textFormat goes by the first lines.
func textFormat(ctx context.Context, in io.Reader, name string, limits Limits) (format, error) {
	src := &source{ctx: ctx, r: in, remaining: limits.FileBytes, limits: limits}
	head := make([]byte, sniffed)
	n, err := io.ReadFull(unmarked(src, sniffed), head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return noReport, err
	}
	head = bytes.TrimLeft(head[:n], " \t\r\n")
	first, rest, _ := bytes.Cut(head, []byte("\n"))
	switch first = bytes.TrimSpace(first); {
	case bytes.HasPrefix(first, []byte("mode: ")):
		switch string(first[len("mode: "):]) {
		case "set", "count", "atomic":
			return profile, nil
		}
	case bytes.HasPrefix(first, []byte("SF:")), bytes.HasPrefix(first, []byte("TN:")) && bytes.Contains(rest, []byte("SF:")):
		return lcov, nil
	case usuallyDBT(name), bytes.HasPrefix(first, []byte("{")) && bytes.Contains(head, []byte("/dbt/run-results/")):
		return dbt, nil
	}
	for line := range bytes.Lines(head) {
		if _, ok := parseEvent(bytes.TrimSpace(line)); ok {
			return goTest, nil
		}
	}
	return noReport, errNotReport
}

func isXML(name string) bool { return strings.EqualFold(path.Ext(name), ".xml") }

// mayBeText reports whether tools write reports that are no XML to such a path.
func mayBeText(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".json", ".jsonl", ".ndjson", ".log", ".txt", ".out", ".info", ".lcov", ".cov", ".cover", ".coverprofile", ".coverage", ".profile", ".dat":
		return true
	}
	return false
}

func usuallyDBT(name string) bool { return strings.EqualFold(path.Base(name), "run_results.json") }

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
