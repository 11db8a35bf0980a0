package sql

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/factgate/factgate/domain/glob"
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
	Files   glob.Pattern `yaml:"files" json:"files"`
	Dialect Dialect      `yaml:"dialect" json:"dialect"`
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
	naming *regexp.Regexp
	layers map[string]int // the place of each in the order
}

// Configure is part of scanners.Configurable.
func (s *scanner) Configure(given scanners.Settings) (scanners.Scanner, error) {
	o := defaultOptions()
	if err := given.Decode(&o); err != nil {
		return nil, err
	}
	ready, wrong := o.ready()
	if wrong != nil {
		return nil, given.Refuse(wrong.text, wrong.keys...)
	}
	return newScanner(ready), nil
}

// refusal is a setting that makes no sense, and where it stands.
type refusal struct {
	keys []string
	text report.Text
}

// ready checks the options.
func (o options) ready() (*settings, *refusal) {
	s := &settings{options: o, layers: map[string]int{}}
	refuse := func(en, zh string, keys ...string) (*settings, *refusal) {
		return nil, &refusal{keys, report.Text{En: en, Zh: zh}}
	}
	for _, d := range o.Dialects {
		if d.Files == "" || d.Dialect == Unknown {
			return refuse("each entry takes files, a pattern such as jobs/**, and dialect", "每一项都需要 files（如 jobs/**）和 dialect", "dialects")
		}
	}
	naming, err := regexp.Compile(o.Layers.Naming)
	if err != nil || len(o.Layers.Naming) > 1000 {
		return refuse("this is no regular expression of at most 1000 bytes, such as ^(ods|dwd)_[a-z0-9_]+$", "不是合法的正则表达式（最长 1000 字节），例如 ^(ods|dwd)_[a-z0-9_]+$", "layers", "naming")
	}
	s.naming = naming
	for i, layer := range o.Layers.Order {
		layer = strings.ToLower(strings.TrimSpace(layer))
		if _, twice := s.layers[layer]; twice || layer == "" {
			return refuse("a layer is empty or stands here twice; name each once, the first to be written first", "分层名称为空或重复；请按数据流向每层写一次", "layers", "order")
		}
		s.layers[layer] = i
	}
	for _, t := range [...]struct {
		name string
		threshold
	}{{"nesting", o.Nesting}, {"joins", o.Joins}, {"distinct", o.Distinct}} {
		if t.Warning < 0 || t.Error < 0 || t.Error > 0 && t.Error < t.Warning {
			return refuse("error is to be at least warning, and neither negative; 0 is never", "error 不得小于 warning，且均不能为负数；0 表示不检查", t.name)
		}
	}
	if o.Header.Policy != "comment" && o.Header.Policy != "none" {
		return refuse("the policy is comment or none", "policy 只能是 comment 或 none", "header", "policy")
	}
	return s, nil
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
	for _, d := range s.Dialects {
		if d.Files.Match(file) {
			return d.Dialect
		}
	}
	return Unknown
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
