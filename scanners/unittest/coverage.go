package unittest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/factgate/factgate/domain/report"
)

// measured counts what a coverage report says of one unit of code: a module, a file
// or a block.
type measured struct {
	Lines, LinesCovered       int64
	Branches, BranchesCovered int64
}

// meter is told what a coverage report measured. identity names a unit of code: the
// same unit in another report, or once more in this one, counts once, as the one
// that covers more.
type meter interface {
	measure(identity string, m measured)
}

// jacocoElement reads <report> or a <group> of it, whose start was read, to its end.
// What holds packages is a unit: the whole report, or in the report of several
// modules each of them.
func (d *decoder) jacocoElement(start xml.StartElement, m meter) error {
	var own measured
	var classes int64
	unit := false
	for {
		token, err := d.next()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.EndElement:
			if unit {
				m.measure(fmt.Sprintf("jacoco|%s|%d|%d|%d", attr(start, "name"), own.Lines, own.Branches, classes), own)
			}
			return nil
		case xml.StartElement:
			switch t.Name.Local {
			case "group":
				err = d.jacocoElement(t, m)
			case "counter":
				missed, covered := number64(t, "missed"), number64(t, "covered")
				switch attr(t, "type") {
				case "LINE":
					own.Lines, own.LinesCovered = missed+covered, covered
				case "BRANCH":
					own.Branches, own.BranchesCovered = missed+covered, covered
				case "CLASS":
					classes = missed + covered
				}
				err = d.skip()
			default:
				unit = unit || t.Name.Local == "package"
				err = d.skip()
			}
			if err != nil {
				return err
			}
		}
	}
}

// isJaCoCo looks at what follows <report>, which is the root of many things.
func (d *decoder) isJaCoCo() (bool, error) {
	if d.jacoco {
		return true, nil
	}
	for range 4 {
		token, err := d.next()
		for ; err == nil; token, err = d.next() {
			if _, ok := token.(xml.StartElement); ok {
				break
			}
		}
		if err != nil {
			if faultOf(err) != nil || errors.Is(err, io.EOF) {
				return false, nil // nothing says that it is ours
			}
			return false, err
		}
		switch t := token.(xml.StartElement); t.Name.Local {
		case "sessioninfo":
			return true, nil
		case "counter":
			return number(t, "missed") >= 0, nil
		case "group", "package", "class", "method":
		default:
			return false, nil
		}
	}
	return false, nil
}

// cobertura reads <coverage>, whose start was read, to its end. Older writers do not
// say how many lines there are; then the lines of its classes are counted.
func (d *decoder) cobertura(start xml.StartElement, m meter) error {
	var said, counted measured
	said.Lines, said.LinesCovered = number64(start, "lines-valid"), number64(start, "lines-covered")
	said.Branches, said.BranchesCovered = number64(start, "branches-valid"), number64(start, "branches-covered")
	first := ""
	methods := 0 // elements <methods> that are open: their lines are those of the class again
	for outer := len(d.open) - 1; len(d.open) > outer; {
		token, err := d.next()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.EndElement:
			if t.Name.Local == "methods" {
				methods--
			}
		case xml.StartElement:
			switch t.Name.Local {
			case "methods":
				methods++
			case "class":
				if first == "" {
					first = attr(t, "filename") + "|" + attr(t, "name")
				}
			case "line":
				if methods > 0 {
					continue
				}
				counted.Lines++
				if number64(t, "hits") > 0 {
					counted.LinesCovered++
				}
				if of, covered, ok := conditions(attr(t, "condition-coverage")); ok {
					counted.Branches += of
					counted.BranchesCovered += covered
				}
			}
		}
	}
	if said.Lines == 0 {
		said.Lines, said.LinesCovered = counted.Lines, counted.LinesCovered
	}
	if said.Branches == 0 {
		said.Branches, said.BranchesCovered = counted.Branches, counted.BranchesCovered
	}
	m.measure(fmt.Sprintf("cobertura|%s|%d|%d", first, said.Lines, said.Branches), said)
	return nil
}

// conditions reads "50% (1/2)".
func conditions(s string) (of, covered int64, ok bool) {
	_, s, _ = strings.Cut(s, "(")
	s, _, ok = strings.Cut(s, ")")
	a, b, both := strings.Cut(s, "/")
	covered, errA := strconv.ParseInt(strings.TrimSpace(a), 10, 32)
	of, errB := strconv.ParseInt(strings.TrimSpace(b), 10, 32)
	return of, covered, ok && both && errA == nil && errB == nil && 0 <= covered && covered <= of
}

// number64 is a counter in an attribute; 0 if there is none that makes sense.
func number64(e xml.StartElement, name string) int64 { return int64(max(number(e, name), 0)) }

// lines reads a text line by line. next is true while line holds one; then err says
// how it ended: nil for the proper end.
type lines struct {
	source  *source
	scanner *bufio.Scanner
	number  int
}

func newLines(ctx context.Context, r io.Reader, limits Limits) *lines {
	src := &source{ctx: ctx, r: r, remaining: limits.FileBytes, limits: limits}
	scanner := bufio.NewScanner(unmarked(src, 32<<10))
	scanner.Buffer(make([]byte, 0, min(64<<10, limits.LineBytes)), int(limits.LineBytes))
	return &lines{source: src, scanner: scanner}
}

func (l *lines) next() bool {
	l.source.token = 0
	l.number++
	return l.scanner.Scan()
}

func (l *lines) bytes() []byte { return l.scanner.Bytes() }

func (l *lines) err() error {
	err := l.scanner.Err()
	var limit *overLimitError
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return overLimit(l.number, "a line is longer than %d KiB", "单行超过 %d KiB", l.source.limits.LineBytes>>10)
	case errors.As(err, &limit):
		limit.line = l.number
	}
	return err
}

// decodeLcov reads a tracefile of lcov: SF:, DA:, LF:, … up to end_of_record.
func decodeLcov(ctx context.Context, r io.Reader, limits Limits, m meter) error {
	in := newLines(ctx, r, limits)
	var file string
	var said, counted measured
	for in.next() {
		line := bytes.TrimSpace(in.bytes())
		if string(line) == "end_of_record" {
			if said.Lines == 0 {
				said.Lines, said.LinesCovered = counted.Lines, counted.LinesCovered
			}
			if said.Branches == 0 {
				said.Branches, said.BranchesCovered = counted.Branches, counted.BranchesCovered
			}
			if file != "" {
				m.measure(fmt.Sprintf("lcov|%s|%d|%d", file, said.Lines, said.Branches), said)
			}
			file, said, counted = "", measured{}, measured{}
			continue
		}
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		switch string(key) {
		case "SF":
			file = clip(string(value), maxName)
		case "LF":
			said.Lines = count(value)
		case "LH":
			said.LinesCovered = count(value)
		case "BRF":
			said.Branches = count(value)
		case "BRH":
			said.BranchesCovered = count(value)
		case "DA":
			if fields := bytes.Split(value, []byte(",")); len(fields) > 1 {
				counted.Lines++
				if count(fields[1]) > 0 {
					counted.LinesCovered++
				}
			}
		case "BRDA":
			if fields := bytes.Split(value, []byte(",")); len(fields) > 3 {
				counted.Branches++
				if count(fields[3]) > 0 {
					counted.BranchesCovered++
				}
			}
		}
	}
	if err := in.err(); err != nil {
		return err
	}
	if file != "" {
		return cutOffAt(in.number - 1)
	}
	return nil
}

// count is a number of lcov; 0 if it is none ("-" says never reached).
func count(b []byte) int64 {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// cutOffAt says that a text ends in the middle.
func cutOffAt(line int) *malformed {
	return &malformed{line: max(line, 1), detail: report.Text{
		En: "it ends in the middle; the test run may have been cut off",
		Zh: "文件不完整，测试运行可能被中断",
	}}
}

// decodeProfile reads a cover profile of Go:
//
//	mode: set
//	example.com/m/file.go:12.34,15.6 3 1
//
// Go covers statements; they stand for lines here. A profile of several packages has
// a block once for each.
func decodeProfile(ctx context.Context, r io.Reader, limits Limits, m meter) error {
	in := newLines(ctx, r, limits)
	for in.next() {
		line := string(bytes.TrimSpace(in.bytes()))
		if line == "" || strings.HasPrefix(line, "mode:") {
			continue
		}
		block, counts, _ := cutLast2(line)
		statements, errS := strconv.ParseInt(counts[0], 10, 32)
		hits, errH := strconv.ParseUint(counts[1], 10, 64)
		if colon := strings.LastIndexByte(block, ':'); colon < 0 || !strings.Contains(block[colon:], ",") || errS != nil || errH != nil || statements < 0 {
			if err := in.err(); err != nil {
				return err // the line is what was left of one
			}
			return &malformed{line: in.number, detail: report.Text{
				En: "it is no block of a cover profile (file:begin,end statements count); write the profile again with go test -coverprofile",
				Zh: "不是覆盖率 profile 的有效行（格式应为 file:begin,end statements count），请用 go test -coverprofile 重新生成",
			}}
		}
		unit := measured{Lines: statements}
		if hits > 0 {
			unit.LinesCovered = statements
		}
		m.measure("go|"+clip(block, maxName), unit)
	}
	return in.err()
}

// cutLast2 cuts the last two fields off a line.
func cutLast2(line string) (before string, fields [2]string, ok bool) {
	before = line
	for i := 1; i >= 0; i-- {
		at := strings.LastIndexByte(before, ' ')
		if at < 0 {
			return line, [2]string{}, false
		}
		before, fields[i] = before[:at], before[at+1:]
	}
	return before, fields, true
}
