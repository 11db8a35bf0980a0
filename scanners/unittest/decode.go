package unittest

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/secrets"
)

// testCase is one executed test.
type testCase struct {
	Suite, Class, Name string
	SourceFile         string // where the test is written, if the report says so
	SourceLine         string
	Line               int    // of the element in the report
	Pointer            string // the XPath-like way to it
	// Problems are the failure and error elements that count. What only passed
	// after a rerun (flakyFailure, flakyError) has none.
	Problems []problem
	Skipped  bool
	Flaky    bool // it failed, and passed when it was tried again
	// Retried: a case of this name that comes again is another try of the same.
	Retried bool
	// Echo: it fails only because a case inside it does, which was told.
	Echo bool
}

// problem is one failure or error element.
type problem struct {
	Kind    string // failure or error
	Type    string
	Message string
}

// suite is one testsuite or testsuites element, when it ends.
type suite struct {
	Name    string
	Line    int // where it begins
	Pointer string
	// Claimed are the counters in the element's attributes; -1 is not given.
	ClaimedTests, ClaimedProblems, ClaimedSkipped int
	// Cases and Problems were really found, in it and below it. Problems includes
	// what the handler reported for suites below it.
	Cases, Problems int
	// OwnCases are those outside of inner suites; Repeated, of all, those that
	// the handler has heard of before in this report.
	OwnCases, Repeated int
	Inner              int // suites in it
	// Own are failures and errors of the suite itself, outside any case.
	Own []problem
}

// handler is told what a report holds, in its order.
type handler interface {
	// testCase returns whether the report has had a case of this name.
	testCase(testCase) (repeated bool)
	// suiteEnd returns how many problems it reported beyond Problems, so that a
	// suite further out does not count them again.
	suiteEnd(suite) int
}

// malformed is a report that is no well-formed XML, or more than plain XML.
type malformed struct {
	line   int
	detail report.Text
	// ours: its document type says that it is a report, before its root could.
	ours bool
}

func (e *malformed) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.detail.En) }

// overLimitError is a report that was not read to its end.
type overLimitError struct {
	line   int
	detail report.Text
}

func (e *overLimitError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.detail.En) }

func overLimit(line int, en, zh string, most int64) *overLimitError {
	return &overLimitError{line, report.Text{En: fmt.Sprintf(en, most), Zh: fmt.Sprintf(zh, most)}}
}

// errNotReport: well-formed so far, but its root is something else.
var errNotReport = errors.New("no test or coverage report")

// decoder reads one report.
type decoder struct {
	xml    *xml.Decoder
	source *source
	limits Limits
	line   int      // where the current token begins
	open   []string // elements that have begun and not ended
	jacoco bool     // the document type is JaCoCo's
}

// source meters what is read, tells its own errors from the decoder's, and lets
// a context end even one endless token.
type source struct {
	ctx       context.Context
	r         io.Reader
	remaining int64 // of the file
	token     int64 // of the current token, about
	limits    Limits
	err       error // the reader's own failure, or a limit
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	switch {
	case s.remaining <= 0:
		// One byte more tells a file of just this size from a longer one.
		var more [1]byte
		n, err := io.ReadFull(s.r, more[:])
		if n == 0 && err == io.EOF {
			return 0, io.EOF
		}
		if n == 0 {
			s.err = err
		} else {
			s.err = overLimit(0, "the file is larger than %d MiB", "文件超过 %d MiB", s.limits.FileBytes>>20)
		}
		return 0, s.err
	case s.token > s.limits.TextBytes:
		s.err = overLimit(0, "one text is larger than %d MiB", "单段文本超过 %d MiB", s.limits.TextBytes>>20)
		return 0, s.err
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.remaining)])
	s.remaining -= int64(n)
	s.token += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// newDecoder decodes the report in r; valid says that all of it is UTF-8, and
// matters only to a report that names no other encoding.
func newDecoder(ctx context.Context, r io.Reader, valid bool, limits Limits) *decoder {
	src := &source{ctx: ctx, r: r, remaining: limits.FileBytes, limits: limits}
	text, marked := plainText(src, valid)
	d := &decoder{xml: xml.NewDecoder(text), source: src, limits: limits, line: 1}
	d.xml.Strict = true
	d.xml.CharsetReader = func(label string, input io.Reader) (io.Reader, error) {
		if _, err := htmlindex.Get(label); err != nil && !marked {
			return nil, errors.New("not known here; write the report in UTF-8")
		}
		return input, nil // plainText has decoded it
	}
	return d
}

// next returns the next token that matters: the start of an element, its end, or
// text, which is gone with the call after it. io.EOF is the proper end of the
// document. Raw tokens cost half as much; that elements nest is seen to here.
func (d *decoder) next() (xml.Token, error) {
	for {
		d.line, _ = d.xml.InputPos()
		d.source.token = 0
		token, err := d.xml.RawToken()
		if errors.Is(err, io.EOF) && d.source.err == nil && len(d.open) > 0 {
			return nil, d.cutOff()
		}
		if err != nil {
			return nil, d.fault(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(d.open) == d.limits.Depth {
				return nil, overLimit(d.line, "elements are nested more than %d deep", "元素嵌套超过 %d 层", int64(d.limits.Depth))
			}
			d.open = append(d.open, t.Name.Local)
			return t, nil
		case xml.EndElement:
			if len(d.open) == 0 {
				return nil, d.unbalanced("unexpected end element </"+t.Name.Local+">", "多余的结束标签 </"+t.Name.Local+">")
			}
			begun := d.open[len(d.open)-1]
			if begun != t.Name.Local {
				return nil, d.unbalanced("element <"+begun+"> closed by </"+t.Name.Local+">", "元素 <"+begun+"> 被 </"+t.Name.Local+"> 结束")
			}
			d.open = d.open[:len(d.open)-1]
			return t, nil
		case xml.CharData:
			return t, nil
		case xml.Directive:
			d.jacoco = d.jacoco || bytes.Contains(t, []byte("//JACOCO//"))
			if declared, ok := bytes.CutPrefix(t, []byte("DOCTYPE")); ok && bytes.IndexByte(t, '[') >= 0 {
				bad := d.malformed(
					"its document type has declarations of its own (such as entities), which are refused; write the report without them",
					"其 DOCTYPE 含有内部声明（如实体），已拒绝解析；请生成不含此类声明的报告")
				bad.ours = d.jacoco || bytes.HasPrefix(bytes.TrimSpace(declared), []byte("testsuite"))
				return nil, bad
			}
		}
	}
}

func (d *decoder) malformed(en, zh string) *malformed {
	return &malformed{line: d.line, detail: report.Text{En: en, Zh: zh}}
}

// fault says whose fault a failed read was: the context's or the source's, a
// limit's, or the report's.
func (d *decoder) fault(err error) error {
	if own := d.source.err; own != nil {
		var limit *overLimitError
		if errors.As(own, &limit) {
			limit.line = d.line
		}
		return own
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	line, _ := d.xml.InputPos()
	var syntax *xml.SyntaxError
	detail := err.Error()
	if errors.As(err, &syntax) {
		line, detail = syntax.Line, syntax.Msg
	}
	if detail == "unexpected EOF" {
		return d.cutOff()
	}
	detail = clip(strings.TrimPrefix(detail, "xml: "), 200)
	return &malformed{line: line, detail: report.Text{En: detail, Zh: "XML 无法解析（" + detail + "）"}}
}

func (d *decoder) cutOff() *malformed {
	line, _ := d.xml.InputPos()
	return &malformed{line: line, detail: report.Text{
		En: "it ends in the middle; the test run may have been cut off",
		Zh: "文件不完整，测试运行可能被中断",
	}}
}

func (d *decoder) unbalanced(en, zh string) *malformed {
	line, _ := d.xml.InputPos()
	return &malformed{line: line, detail: report.Text{En: clip(en, 200), Zh: clip(zh, 200)}}
}

// root reads up to the root element and returns it if it may be a report's.
func (d *decoder) root() (xml.StartElement, error) {
	for {
		token, err := d.next()
		if errors.Is(err, io.EOF) {
			return xml.StartElement{}, d.malformed("it holds no element at all; the test run may have been cut off", "其中没有任何元素，测试运行可能被中断")
		}
		if err != nil {
			return xml.StartElement{}, err
		}
		switch t := token.(type) {
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return xml.StartElement{}, d.malformed("text stands before the root element", "根元素之前有多余文本")
			}
		case xml.StartElement:
			switch t.Name.Local {
			case "testsuite", "testsuites", "report", "coverage":
				return t, nil
			}
			return t, errNotReport
		}
	}
}

// isUTF8 reads a report to its end to see whether all of it is UTF-8. It returns
// *overLimitError, or the error of the reader or the context.
func isUTF8(ctx context.Context, r io.Reader, limits Limits) (bool, error) {
	limits.TextBytes = limits.FileBytes // nothing is held
	src := &source{ctx: ctx, r: r, remaining: limits.FileBytes, limits: limits}
	_, err := io.Copy(io.Discard, transform.NewReader(src, encoding.UTF8Validator))
	if errors.Is(err, encoding.ErrInvalidUTF8) {
		return false, nil
	}
	return err == nil, err
}

// decode reads a report of this XML format to its end. valid is what isUTF8 says of
// it. It returns nil, errNotReport, *malformed, *overLimitError, or the error of the
// reader or the context.
func decode(ctx context.Context, r io.Reader, valid bool, limits Limits, as format, h handler, m meter) error {
	d := newDecoder(ctx, r, valid, limits)
	root, err := d.root()
	if err != nil {
		return err
	}
	switch as {
	case junit:
		err = d.suite(root, "", nil, h)
	case jacoco:
		err = d.jacocoElement(root, m)
	case cobertura:
		err = d.cobertura(root, m)
	}
	if err != nil {
		return err
	}
	for {
		token, err := d.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if text, ok := token.(xml.CharData); ok && len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		return d.malformed("something follows after the end of the root element; write one report to a file", "根元素结束之后仍有内容，请每个文件只写一份报告")
	}
}

// suite reads a testsuite or testsuites element, whose start was read, to its
// end. parent gets its counts.
func (d *decoder) suite(start xml.StartElement, pointer string, parent *suite, h handler) error {
	s := &suite{
		Name: attr(start, "name"), Line: d.line, ClaimedTests: number(start, "tests"),
		ClaimedProblems: sum(number(start, "failures"), number(start, "errors")),
		ClaimedSkipped:  sum(number(start, "skipped"), number(start, "disabled")),
	}
	s.Pointer = step(pointer, start.Name.Local, predicate("name", s.Name))
	for {
		token, err := d.next()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.EndElement:
			s.Problems += h.suiteEnd(*s)
			if parent != nil {
				parent.Cases += s.Cases
				parent.Problems += s.Problems
				parent.Repeated += s.Repeated
				parent.Inner++
			}
			return nil
		case xml.StartElement:
			switch t.Name.Local {
			case "testsuite", "testsuites":
				err = d.suite(t, s.Pointer, s, h)
			case "testcase":
				var c testCase
				if c, err = d.testCase(t, s); err == nil {
					s.Cases++
					s.OwnCases++
					s.Problems += len(c.Problems)
					if h.testCase(c) {
						s.Repeated++
					}
				}
			case "failure", "error":
				var p problem
				if p, err = d.problem(t); err == nil {
					s.Own = append(s.Own, p)
					if len(s.Own) > maxOwn {
						return overLimit(d.line, "a suite has more than %d failures outside its cases", "一个测试套件在用例之外的失败超过 %d 个", maxOwn)
					}
				}
			default:
				err = d.skip()
			}
			if err != nil {
				return err
			}
		}
	}
}

const maxOwn = 1000

func (d *decoder) testCase(start xml.StartElement, s *suite) (testCase, error) {
	c := testCase{
		Suite: s.Name, Class: attr(start, "classname"), Name: attr(start, "name"),
		SourceFile: attr(start, "file"), SourceLine: attr(start, "line"), Line: d.line,
	}
	for {
		token, err := d.next()
		if err != nil {
			return c, err
		}
		switch t := token.(type) {
		case xml.EndElement:
			if len(c.Problems) > 0 || c.Flaky { // of no other case it is told
				c.Pointer = step(s.Pointer, "testcase", predicate("classname", c.Class)+predicate("name", c.Name))
			}
			return c, nil
		case xml.StartElement:
			switch t.Name.Local {
			case "failure", "error":
				p, err := d.problem(t)
				if err != nil {
					return c, err
				}
				if len(c.Problems) < maxOwn {
					c.Problems = append(c.Problems, p)
				}
				continue
			case "skipped":
				c.Skipped = true
			case "flakyFailure", "flakyError":
				c.Flaky = true
				// rerunFailure and rerunError stand beside a failure, and add nothing.
			}
			if err := d.skip(); err != nil {
				return c, err
			}
		}
	}
}

// problem keeps the beginning of what the element says, from its attribute or
// else its text.
func (d *decoder) problem(start xml.StartElement) (problem, error) {
	p := problem{Kind: start.Name.Local, Type: attr(start, "type")}
	for _, a := range start.Attr {
		if a.Name.Local == "message" {
			p.Message = spoken(a.Value)
			break
		}
	}
	var text []byte
	for {
		token, err := d.next()
		if err != nil {
			return p, err
		}
		switch t := token.(type) {
		case xml.CharData:
			if room := 4*maxMessage - len(text); room > 0 {
				text = append(text, t[:min(len(t), room)]...)
			}
		case xml.StartElement:
			if err := d.skip(); err != nil {
				return p, err
			}
		case xml.EndElement:
			if p.Message == "" {
				p.Message = spoken(firstLine(string(text)))
			}
			return p, nil
		}
	}
}

// skip reads an element, whose start was read, to its end.
func (d *decoder) skip() error {
	for outer := len(d.open) - 1; len(d.open) > outer; {
		if _, err := d.next(); err != nil {
			return err
		}
	}
	return nil
}

// Lengths, in runes, of what is kept of a report's own words.
const (
	maxName    = 300
	maxMessage = 300
)

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return clip(a.Value, maxName)
		}
	}
	return ""
}

// number is a counter in an attribute; -1 if there is none that makes sense.
func number(e xml.StartElement, name string) int {
	text := strings.TrimSpace(attr(e, name))
	if text == "" || len(text) > 9 {
		return -1
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

func sum(a, b int) int {
	switch {
	case a < 0:
		return b
	case b < 0:
		return a
	}
	return a + b
}

// step goes one element deeper. Beyond a length that still can be read, names
// are left out.
func step(pointer, element, predicates string) string {
	const longest = 4 << 10
	if len(pointer)+len(predicates) > longest {
		predicates = ""
	}
	return pointer + "/" + element + predicates
}

// predicate is [@name='value'], or nothing for an empty value. XPath has no
// escapes: a value with both quotes loses one kind.
func predicate(name, value string) string {
	if value == "" {
		return ""
	}
	quote := "'"
	if strings.Contains(value, "'") {
		quote = `"`
		value = strings.ReplaceAll(value, `"`, "'")
	}
	return "[@" + name + "=" + quote + value + quote + "]"
}

func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

// clip makes a report's words fit for a message: one line, without control
// characters, at most so many runes.
func clip(s string, most int) string {
	return cut(oneLine(s, most), most)
}

// spoken is what a test says, fit for a message. It may hold the password that the test
// ran with, and is stored and shown to more people than the test's log; so it is masked
// before it is cut, as half a secret is not known for one.
func spoken(s string) string {
	return cut(secrets.Masked(oneLine(s, maxMessage)), maxMessage)
}

func oneLine(s string, most int) string {
	if len(s) > 8*most { // spare the work on what is cut anyway
		s = s[:8*most]
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError
	}), " ")
}

func cut(s string, most int) string {
	n := 0
	for i := range s {
		if n == most {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
