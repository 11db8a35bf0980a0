// Package suppression is how a finding leaves the gate without leaving the report:
// which findings are meant, until when, and what a package says of its own in the
// file .factgate.yml at its root.
//
//	suppressions:
//	  - rule: SQL001              # required; one rule's id
//	    path: legacy/**           # required; '**' is every file
//	    anchor: select * from t   # optional; the finding's own
//	    reason: one-off export    # required
//	    expires: 2026-12-31       # optional; the last day, in UTC
//
// What a package says of itself does not suppress a security rule; a waiver, which an
// operator grants, may. Start at [Parse].
package suppression

import (
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/glob"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/strictyaml"
)

// FileName is where a package's own suppressions stand, at its root.
const FileName = ".factgate.yml"

// WrongName is how people call that file who expect it to be read as well. It is not:
// of two files nobody would know which one holds.
const WrongName = ".factgate.yaml"

// Limits of what is written.
const (
	MaxEntries = 500
	maxRule    = 64   // bytes
	maxAnchor  = 4096 // bytes
	maxReason  = 500  // characters
)

// Which says which findings are meant: all that it gives must hold.
type Which struct {
	Rule     string          `yaml:"rule" json:"rule"`
	Path     glob.Pattern    `yaml:"path" json:"path"`
	Anchor   string          `yaml:"anchor" json:"anchor,omitempty"`
	Identity report.Identity `yaml:"-" json:"identity,omitempty"`
}

// Matches reports whether a finding is meant. Its identity is only looked at where
// one is given.
func (w Which) Matches(f report.Finding, identity report.Identity) bool {
	return w.Rule == f.Rule && (w.Anchor == "" || w.Anchor == f.Anchor) && (w.Identity == "" || w.Identity == identity) && w.Path.Match(f.Path)
}

// Check refuses what means nothing as Invalid, suppression.rule, .path, .anchor or
// .identity.
func (w Which) Check() error {
	switch {
	case !id(w.Rule, maxRule):
		return refuse("rule", "give the id of one rule, such as SQL001", "请给出一条规则的编号，如 SQL001")
	case w.Path == "":
		return refuse("path", "give a path pattern, such as legacy/**, or ** for every file", "请给出路径模式，如 legacy/**，或用 ** 表示所有文件")
	case len(w.Anchor) > maxAnchor || !utf8.ValidString(w.Anchor):
		return refuse("anchor", fmt.Sprintf("an anchor has at most %d bytes of text", maxAnchor), fmt.Sprintf("anchor 最多 %d 字节文本", maxAnchor))
	case w.Identity != "" && !hex32(string(w.Identity)):
		return refuse("identity", "an identity is the 32 hex digits that a finding shows", "identity 应为问题所示的 32 位十六进制数")
	}
	if _, err := glob.Parse(string(w.Path)); err != nil {
		return err
	}
	return nil
}

func refuse(what, en, zh string) error {
	return &domain.Error{Kind: domain.Invalid, Rule: "suppression." + what, Msg: en, MsgZH: zh}
}

// id reports whether a text can be the id of a rule.
func id(text string, most int) bool {
	if text == "" || len(text) > most {
		return false
	}
	for _, r := range text {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) || r == ' ' {
			return false
		}
	}
	return true
}

func hex32(text string) bool {
	if len(text) != 32 {
		return false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// CheckReason refuses a reason that is none as Invalid, suppression.reason.
func CheckReason(text string) error {
	if text == "" || !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxReason {
		return refuse("reason", fmt.Sprintf("say why, in 1 to %d characters", maxReason), fmt.Sprintf("请说明原因，1 到 %d 个字符", maxReason))
	}
	return nil
}

// Date is the last day on which something holds, in UTC, as 2026-12-31; empty for
// one that never ends.
type Date string

// ParseDate refuses what is no day as Invalid, suppression.expires.
func ParseDate(text string) (Date, error) {
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return "", refuse("expires", "give a day such as 2026-12-31", "请给出如 2026-12-31 的日期")
	}
	return Date(text), nil
}

// UnmarshalText is ParseDate.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDate(string(text))
	return err
}

// Over reports whether the last day was over at a moment.
func (d Date) Over(at time.Time) bool { return d != "" && at.UTC().Format(time.DateOnly) > string(d) }

// Entry is one suppression of a package's own.
type Entry struct {
	Which   `yaml:",inline"`
	Reason  string `yaml:"reason"`
	Expires Date   `yaml:"expires"`
	// Line and Column are where it stands.
	Line   int `yaml:"-"`
	Column int `yaml:"-"`
}

// Parse reads a package's file. A text that is not wholly understood gives a
// *strictyaml.Error, and no entries.
func Parse(text []byte) ([]Entry, error) {
	var file struct {
		Suppressions []yaml.Node `yaml:"suppressions"`
	}
	root, err := strictyaml.Parse(text, &file)
	if err != nil || root == nil {
		return nil, err
	}
	if len(file.Suppressions) > MaxEntries {
		return nil, strictyaml.Refuse(&file.Suppressions[MaxEntries], report.Text{
			En: fmt.Sprintf("more than %d suppressions; widen their patterns", MaxEntries), Zh: fmt.Sprintf("抑制项超过 %d 条；请使用更宽的匹配模式", MaxEntries)})
	}
	var all []*strictyaml.Error
	entries := make([]Entry, len(file.Suppressions))
	for i := range file.Suppressions {
		node := &file.Suppressions[i]
		e := &entries[i]
		e.Line, e.Column = node.Line, node.Column
		if err := strictyaml.Fill(node, e); err != nil {
			refused, ok := err.(*strictyaml.Error) //nolint:errorlint // Fill's own
			if !ok {
				return nil, err
			}
			all = append(all, refused)
			continue
		}
		if err := e.check(); err != nil {
			all = append(all, strictyaml.Refuse(node, report.Text{En: err.Msg, Zh: err.MsgZH}))
		}
	}
	if refused := strictyaml.Join(all...); refused != nil {
		return nil, refused
	}
	return entries, nil
}

func (e Entry) check() *domain.Error {
	err := e.Which.Check()
	if err == nil {
		err = CheckReason(e.Reason)
	}
	if err == nil {
		return nil
	}
	refused, _ := err.(*domain.Error) //nolint:errorlint // our own
	return refused
}
