package external

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/factgate/factgate/domain/report"
)

// collector makes findings of what a command printed.
type collector struct {
	definition *Definition
	folder     string          // where the files were
	known      map[string]bool // their paths
	list       []report.Finding
	over       bool // more than maxFindings
}

// maxFindings of one scan are kept: ten times what a report holds, since all of them
// are counted. With more the scan has failed, as what is left out may be the errors.
const maxFindings = 100_000

// maxMessage bounds a message: whatever a command quotes, a report has room for it.
const maxMessage = 2000 // bytes

// read adds what an output says and returns how much that was.
func (c *collector) read(output []byte) (n int, err error) {
	before := len(c.list)
	switch c.definition.Output.Format {
	case SARIF:
		err = c.sarif(output)
	case JUnit:
		err = c.junit(output)
	case Lines:
		c.lines(output)
	}
	if err == nil && c.over {
		err = fmt.Errorf("there are more than %d findings in it; give the command fewer files, or let it report less", maxFindings)
	}
	return len(c.list) - before, err
}

func (c *collector) add(f report.Finding, message string) {
	if len(c.list) >= maxFindings {
		c.over = true
		return
	}
	if f.Rule == "" {
		f.Rule = c.definition.Output.Rule
	}
	if len(f.Rule) > maxRule {
		f.Rule = strings.ToValidUTF8(f.Rule[:maxRule], "")
	}
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	message = strings.TrimSpace(strings.ToValidUTF8(message, "\uFFFD"))
	if message == "" {
		message = f.Rule
	}
	f.Message = report.Text{En: message, Zh: message}
	for _, r := range c.definition.Rules {
		if r.ID == f.Rule && r.Message.Zh != "" {
			f.Message.Zh = r.Message.Zh
		}
	}
	f.Anchor = f.Message.En
	c.list = append(c.list, f)
}

const maxRule = 128 // bytes of a rule's id

// path is a file's as the package knows it; empty when it is none of the package's.
func (c *collector) path(said string) string {
	said = filepath.ToSlash(said)
	if path.IsAbs(said) {
		inside, ok := strings.CutPrefix(path.Clean(said), filepath.ToSlash(c.folder)+"/")
		if !ok {
			return ""
		}
		said = inside
	}
	if said = path.Clean(said); c.known[said] {
		return said
	}
	return ""
}

const maxLine = 64 << 10 // bytes that are looked at

// lines reads one finding a line; lines that the pattern does not fit are the command's
// own words.
func (c *collector) lines(output []byte) {
	p := c.definition.pattern
	names := p.SubexpNames()
	for line := range bytes.Lines(output) {
		line = bytes.TrimRight(line, "\r\n")
		line = line[:min(len(line), maxLine)] // the place and the rule stand before what is quoted
		found := p.FindSubmatch(line)
		if found == nil {
			continue
		}
		group := map[string]string{}
		for i, name := range names {
			if name != "" && found[i] != nil {
				group[name] = string(found[i])
			}
		}
		f := report.Finding{Rule: group["rule"], Severity: c.definition.severity(group["severity"]), Path: c.path(group["path"])}
		if f.Path == "" {
			continue // a line about something else looks like one of these
		}
		f.Line, f.Column = number(group["line"]), number(group["column"])
		f.EndLine, f.EndColumn = number(group["endLine"]), number(group["endColumn"])
		c.add(f, group["message"])
	}
}

// number is a count from 1; 0 is unknown.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n
}

// log is what is read of SARIF 2.1.0.
type log struct {
	Version string `json:"version"`
	Runs    []struct {
		Tool struct {
			Driver struct {
				Rules []struct {
					ID            string `json:"id"`
					Configuration struct {
						Level string `json:"level"`
					} `json:"defaultConfiguration"`
					Messages map[string]message `json:"messageStrings"`
					Short    message            `json:"shortDescription"`
				} `json:"rules"`
			} `json:"driver"`
		} `json:"tool"`
		Results []result `json:"results"`
	} `json:"runs"`
}

type message struct {
	Text      string   `json:"text"`
	Markdown  string   `json:"markdown"`
	ID        string   `json:"id"`
	Arguments []string `json:"arguments"`
}

type result struct {
	RuleID    string `json:"ruleId"`
	RuleIndex *int   `json:"ruleIndex"`
	Rule      struct {
		ID    string `json:"id"`
		Index *int   `json:"index"`
	} `json:"rule"`
	Kind      string  `json:"kind"`
	Level     string  `json:"level"`
	Message   message `json:"message"`
	Locations []struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				StartLine   int `json:"startLine"`
				StartColumn int `json:"startColumn"`
				EndLine     int `json:"endLine"`
				EndColumn   int `json:"endColumn"`
			} `json:"region"`
		} `json:"physicalLocation"`
	} `json:"locations"`
	Suppressions []struct {
		Status        string `json:"status"`
		Justification string `json:"justification"`
	} `json:"suppressions"`
}

func (c *collector) sarif(output []byte) error {
	var l log
	if err := json.Unmarshal(bytes.TrimPrefix(output, []byte("\xef\xbb\xbf")), &l); err != nil {
		return err
	}
	if !strings.HasPrefix(l.Version, "2.") {
		return fmt.Errorf("version %.20q is not SARIF 2", l.Version)
	}
	for _, run := range l.Runs {
		rules := run.Tool.Driver.Rules
		for _, r := range run.Results {
			switch r.Kind {
			case "", "fail", "open", "review":
			default:
				continue // pass, notApplicable, informational: nothing is wrong
			}
			id, index := r.RuleID, r.RuleIndex
			if id == "" {
				id = r.Rule.ID
			}
			if index == nil {
				index = r.Rule.Index
			}
			level, said := r.Level, r.Message.Text
			if said == "" {
				said = r.Message.Markdown
			}
			if index != nil && *index >= 0 && *index < len(rules) {
				rule := rules[*index]
				if id == "" {
					id = rule.ID
				}
				if level == "" {
					level = rule.Configuration.Level
				}
				if said == "" {
					said = rule.Messages[r.Message.ID].Text
				}
				if said == "" {
					said = rule.Short.Text
				}
			}
			said = filled(said, r.Message.Arguments)
			f := report.Finding{Rule: id, Severity: c.definition.severity(level)}
			if _, ours := c.definition.Severities[level]; !ours && level == "none" {
				f.Severity = report.Note
			}
			if len(r.Locations) > 0 {
				place := r.Locations[0].Physical
				if f.Path = c.uri(place.Artifact.URI); f.Path != "" {
					region := place.Region
					f.Line, f.Column, f.EndLine, f.EndColumn = max(0, region.StartLine), max(0, region.StartColumn), max(0, region.EndLine), max(0, region.EndColumn)
				}
			}
			for _, s := range r.Suppressions {
				if s.Status == "" || s.Status == "accepted" {
					f.Suppressed = true
					f.Suppression = &report.Suppression{Kind: report.InSource, By: c.definition.Name, Reason: s.Justification}
				}
			}
			c.add(f, said)
		}
	}
	return nil
}

// filled puts arguments into a message, once: what they hold may be a package's words.
func filled(said string, arguments []string) string {
	if len(arguments) == 0 {
		return said
	}
	var pairs []string
	for i, argument := range arguments[:min(len(arguments), 20)] {
		pairs = append(pairs, "{"+strconv.Itoa(i)+"}", argument[:min(len(argument), maxMessage)])
	}
	return strings.NewReplacer(pairs...).Replace(said[:min(len(said), maxMessage)])
}

func (c *collector) uri(said string) string {
	u, err := url.Parse(said)
	if err != nil || u.Scheme != "" && u.Scheme != "file" || u.Host != "" && u.Host != "localhost" {
		return ""
	}
	return c.path(u.Path)
}

// junit reads cases that failed. A place is where an attribute names a file of the
// package.
func (c *collector) junit(output []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(output))
	decoder.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		if strings.EqualFold(charset, "utf-8") {
			return in, nil
		}
		return nil, fmt.Errorf("the charset %.40q is not read here; let the command write UTF-8", charset)
	}
	var current report.Finding
	var name, suite string
	seen, depth := false, 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			if !seen {
				return errors.New("there is no testsuite in it")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.Directive:
			return errors.New("it has a document type, which is not read here")
		case xml.EndElement:
			depth--
		case xml.StartElement:
			if depth++; depth > 100 {
				return errors.New("it is nested more than 100 deep")
			}
			switch t.Name.Local {
			case "testsuites", "testsuite":
				seen, suite = true, attribute(t, "name")
			case "testcase":
				name = attribute(t, "name")
				current = report.Finding{}
				for _, said := range []string{attribute(t, "file"), attribute(t, "classname"), suite, name} {
					if current.Path = c.path(said); current.Path != "" {
						break
					}
				}
				if current.Path != "" {
					current.Line = number(attribute(t, "line"))
				}
			case "failure", "error":
				f := current
				f.Severity = report.Error
				f.Rule = attribute(t, "type")
				said := attribute(t, "message")
				if said == "" {
					said = firstLines(decoder)
					depth--
				}
				c.add(f, strings.TrimSpace(name+": "+said))
			}
		}
	}
}

// firstLines reads the text of the element that has just begun, to its end.
func firstLines(decoder *xml.Decoder) string {
	var text strings.Builder
	for depth := 1; depth > 0; {
		token, err := decoder.Token()
		if err != nil {
			break // the caller meets it again
		}
		switch t := token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if text.Len() < 1000 {
				text.Write(t[:min(len(t), 1000)])
			}
		}
	}
	return text.String()
}

func attribute(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name && utf8.ValidString(a.Value) {
			return a.Value
		}
	}
	return ""
}
