package sql

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
)

// options are the settings as they are written:
//
//	dialects:                       # which files are written in what; the first that fits counts
//	  - {files: "jobs/**", dialect: hive}
//	layers:
//	  naming: "^(ods|dwd|dws|dwm|dim|ads|tmp)_[a-z0-9_]+$"
//	  order: [ods, dwd, dwm, dws, ads]   # data flows from the first to the last
//	nesting: {warning: 3, error: 20}     # more than so many levels; 0 is never
//	joins: {warning: 8, error: 20}
//	distinct: {warning: 1, error: 10}
//	header:
//	  policy: comment               # or none
//	  words: [author, date]         # what the comment has to hold, in any case
type options struct {
	Dialects []dialectChoice `yaml:"dialects" json:"dialects,omitempty"`
	Layers   layerOptions    `yaml:"layers" json:"layers"`
	Nesting  threshold       `yaml:"nesting" json:"nesting"`
	Joins    threshold       `yaml:"joins" json:"joins"`
	Distinct threshold       `yaml:"distinct" json:"distinct"`
	Header   headerOptions   `yaml:"header" json:"header"`
}

type dialectChoice struct {
	Files   string `yaml:"files" json:"files"`
	Dialect string `yaml:"dialect" json:"dialect"`
}

type layerOptions struct {
	Naming string   `yaml:"naming" json:"naming"`
	Order  []string `yaml:"order" json:"order"`
}

// threshold is where a count becomes a warning and then an error; 0 is never.
type threshold struct {
	Warning int `yaml:"warning" json:"warning"`
	Error   int `yaml:"error" json:"error"`
}

type headerOptions struct {
	Policy string   `yaml:"policy" json:"policy"`
	Words  []string `yaml:"words" json:"words,omitempty"`
}

func defaultOptions() options {
	return options{
		Layers: layerOptions{
			Naming: "^(ods|dwd|dws|dwm|dim|ads|tmp)_[a-z0-9_]+$",
			Order:  []string{"ods", "dwd", "dwm", "dws", "ads"},
		},
		Nesting:  threshold{3, 20},
		Joins:    threshold{8, 20},
		Distinct: threshold{1, 10},
		Header:   headerOptions{Policy: "comment"},
	}
}

// settings are options ready for use.
type settings struct {
	options
	dialects []dialectGlob
	naming   *regexp.Regexp
	layers   map[string]int // the place of each in the order
}

type dialectGlob struct {
	files   string
	dialect Dialect
}

// Configure is part of scanners.Configurable.
func (s *scanner) Configure(given scanners.Settings) (scanners.Scanner, error) {
	o := defaultOptions()
	if err := given.Decode(&o); err != nil {
		return nil, fmt.Errorf("the settings of SQL: %w", err)
	}
	if err := unknownSettings(given); err != nil {
		return nil, fmt.Errorf("the settings of SQL: %w", err)
	}
	ready, err := o.ready()
	if err != nil {
		return nil, fmt.Errorf("the settings of SQL: %w", err)
	}
	return newScanner(ready), nil
}

// settingNames are the names that may stand at each level.
var settingNames = map[string][]string{
	"": {"dialects", "layers", "nesting", "joins", "distinct", "header"}, "layers": {"naming", "order"},
	"nesting": {"warning", "error"}, "joins": {"warning", "error"}, "distinct": {"warning", "error"}, "header": {"policy", "words"},
}

// unknownSettings refuses what no setting is called, so that a misspelt one does not
// go unnoticed.
func unknownSettings(given scanners.Settings) error {
	var all map[string]any
	if err := given.Decode(&all); err != nil {
		return err
	}
	var wrong []error
	check := func(level string, names map[string]any) {
		for name := range names {
			if !slices.Contains(settingNames[level], name) {
				at := name
				if level != "" {
					at = level + "." + name
				}
				wrong = append(wrong, fmt.Errorf("there is no setting %q; there are %s", at, strings.Join(settingNames[level], ", ")))
			}
		}
	}
	check("", all)
	for level := range settingNames {
		if inner, ok := all[level].(map[string]any); ok && level != "" {
			check(level, inner)
		}
	}
	slices.SortFunc(wrong, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(wrong...)
}

// ready checks the options.
func (o options) ready() (*settings, error) {
	s := &settings{options: o, layers: map[string]int{}}
	var wrong []error
	for i, d := range o.Dialects {
		dialect, ok := dialectWords[strings.ToLower(d.Dialect)]
		if !ok {
			wrong = append(wrong, fmt.Errorf("dialects[%d].dialect: %q is none of %s", i, d.Dialect, strings.Join(dialectNames[1:], ", ")))
		}
		if d.Files == "" || !validGlob(d.Files) {
			wrong = append(wrong, fmt.Errorf("dialects[%d].files: %q is no pattern of paths, such as jobs/**/*.sql", i, d.Files))
		}
		s.dialects = append(s.dialects, dialectGlob{d.Files, dialect})
	}
	naming, err := regexp.Compile(o.Layers.Naming)
	if err != nil {
		wrong = append(wrong, fmt.Errorf("layers.naming: %w", err))
	}
	s.naming = naming
	for i, layer := range o.Layers.Order {
		layer = strings.ToLower(strings.TrimSpace(layer))
		if _, twice := s.layers[layer]; twice || layer == "" {
			wrong = append(wrong, fmt.Errorf("layers.order[%d]: %q is empty or stands there twice", i, layer))
		}
		s.layers[layer] = i
	}
	for _, t := range [...]struct {
		name string
		threshold
	}{{"nesting", o.Nesting}, {"joins", o.Joins}, {"distinct", o.Distinct}} {
		if t.Warning < 0 || t.Error < 0 || t.Error > 0 && t.Error < t.Warning {
			wrong = append(wrong, fmt.Errorf("%s: warning %d and error %d; error is at least warning, and 0 is never", t.name, t.Warning, t.Error))
		}
	}
	if o.Header.Policy != "comment" && o.Header.Policy != "none" {
		wrong = append(wrong, fmt.Errorf("header.policy: %q is neither comment nor none", o.Header.Policy))
	}
	return s, errors.Join(wrong...)
}

func (s *settings) digest() string {
	b, err := json.Marshal(s.options)
	if err != nil {
		b = nil // strings and numbers only: it cannot fail
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// dialectOf is what the settings say of a file.
func (s *settings) dialectOf(file string) Dialect {
	for _, g := range s.dialects {
		if glob(g.files, file) {
			return g.dialect
		}
	}
	return Unknown
}

func validGlob(pattern string) bool {
	_, err := path.Match(strings.ReplaceAll(pattern, "**", "*"), "x")
	return err == nil && strings.Count(pattern, "**") <= 4
}

// glob matches a path: * stays within a folder, ** does not.
func glob(pattern, file string) bool {
	return globParts(strings.Split(pattern, "/"), strings.Split(file, "/"))
}

func globParts(pattern, parts []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := range len(parts) + 1 {
				if globParts(pattern[1:], parts[i:]) {
					return true
				}
			}
			return false
		}
		if len(parts) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], parts[0]); err != nil || !ok {
			return false
		}
		pattern, parts = pattern[1:], parts[1:]
	}
	return len(parts) == 0
}

// severity says what n is worth, if anything.
func (t threshold) severity(n int) (report.Severity, bool) {
	switch {
	case t.Error > 0 && n > t.Error:
		return report.Error, true
	case t.Warning > 0 && n > t.Warning:
		return report.Warning, true
	}
	return "", false
}

// layerOf is the layer of a table, by the beginning of its name or the name of its
// database, and its place in the order, or -1.
func (s *settings) layerOf(n tableName) (string, int) {
	if head, _, ok := strings.Cut(n.name, "_"); ok {
		if i, ok := s.layers[head]; ok {
			return head, i
		}
		if head == "dim" || head == "tmp" {
			return head, -1
		}
	}
	for _, part := range strings.FieldsFunc(n.db, func(r rune) bool { return r == '_' }) {
		if i, ok := s.layers[part]; ok {
			return part, i
		}
	}
	return "", -1
}
