package ruleset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
)

// Limits of what is published.
const (
	MaxNameLength = 64
	MaxVersions   = 1000 // of one name
	MaxNames      = 1000
)

// Command is a wish. Decide turns it into facts, silence or a refusal.
//
//sumtype:decl
type Command interface {
	decide(s State) ([]Fact, error)
}

// Decide answers as task.Decide does: facts, silence or a *domain.Error.
func Decide(s State, c Command) ([]Fact, error) { return c.decide(s) }

// Publish makes a version of a text.
type Publish struct{ Text, By string }

func (c Publish) decide(s State) ([]Fact, error) {
	rs, err := rules.Parse([]byte(c.Text), s.newest()+1)
	if err != nil {
		return nil, err
	}
	ref := rs.Ref()
	if err := CheckName(ref.Name); err != nil {
		return nil, err
	}
	if ref.Name != s.Name {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "ruleset.name",
			Msg:   fmt.Sprintf("the text names itself %q; it cannot be published as %q", ref.Name, s.Name),
			MsgZH: fmt.Sprintf("规则集文本中的名称为 %q，不能以 %q 发布", ref.Name, s.Name)}
	}
	if _, exists := s.HasText(c.Text); exists {
		return nil, nil
	}
	if s.newest() >= MaxVersions {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "ruleset.too_many",
			Msg:   fmt.Sprintf("%s has %d versions, which is the limit; publish under another name", s.Name, MaxVersions),
			MsgZH: fmt.Sprintf("%s 已有 %d 个版本，达到上限；请使用新的名称发布", s.Name, MaxVersions)}
	}
	return []Fact{RuleSetPublished{Name: s.Name, Version: ref.Version, Text: c.Text, Digest: ref.Digest, By: c.By}}, nil
}

// HasText finds the version that a text is published as.
func (s State) HasText(text string) (Version, bool) {
	d := digest(text)
	for _, v := range s.Versions {
		if v.Digest == d {
			return v, true
		}
	}
	return Version{}, false
}

// Activate puts a version in service.
type Activate struct {
	Version int    // 0 is the newest
	Project string // empty for all that have none of their own
	By      string
}

func (c Activate) decide(s State) ([]Fact, error) {
	v, err := s.Find(c.Version)
	if err != nil {
		return nil, err
	}
	if _, err := rules.Parse([]byte(v.Text), v.Version); err != nil {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "ruleset.broken",
			Msg:   fmt.Sprintf("version %d of %s cannot be used by this version of Factgate, and is not activated", v.Version, s.Name),
			MsgZH: fmt.Sprintf("当前版本的 Factgate 无法使用 %s 的版本 %d，未启用", s.Name, v.Version), Err: err}
	}
	if n, ok := s.Active[c.Project]; ok && n == v.Version {
		return nil, nil
	}
	return []Fact{RuleSetActivated{Name: s.Name, Version: v.Version, Project: c.Project, By: c.By}}, nil
}

// Find returns a version, 0 being the newest, or says what there is instead.
func (s State) Find(version int) (Version, error) {
	if len(s.Versions) == 0 {
		return Version{}, &domain.Error{Kind: domain.NotFound, Rule: "ruleset.unknown",
			Msg:   fmt.Sprintf("there is no rule set %.80q; factgate rules list names those that exist", s.Name),
			MsgZH: fmt.Sprintf("不存在名为 %.80q 的规则集；可用 factgate rules list 查看", s.Name)}
	}
	if version == 0 {
		version = s.newest()
	}
	v, ok := s.Version(version)
	if !ok {
		return Version{}, &domain.Error{Kind: domain.NotFound, Rule: "ruleset.version_unknown",
			Msg:   fmt.Sprintf("rule set %s has no version %d; its newest is %d", s.Name, version, s.newest()),
			MsgZH: fmt.Sprintf("规则集 %s 没有版本 %d；最新版本为 %d", s.Name, version, s.newest())}
	}
	return v, nil
}

// Register enters a name into the directory.
type Register struct{ Name string }

func (c Register) decide(s State) ([]Fact, error) {
	if err := CheckName(c.Name); err != nil {
		return nil, err
	}
	if slices.Contains(s.Names, c.Name) {
		return nil, nil
	}
	if len(s.Names) >= MaxNames {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "ruleset.too_many",
			Msg:   fmt.Sprintf("there are %d rule sets, which is the limit; publish a new version of one of them", MaxNames),
			MsgZH: fmt.Sprintf("已有 %d 个规则集，达到上限；请为其中之一发布新版本", MaxNames)}
	}
	return []Fact{RuleSetNamed(c)}, nil
}

// CheckName refuses what may not name a rule set.
func CheckName(name string) error {
	strange := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	if name == "" || len(name) > MaxNameLength || strings.ContainsFunc(name, strange) {
		return &domain.Error{Kind: domain.Invalid, Rule: "ruleset.name",
			Msg:   fmt.Sprintf("%.80q is not a rule set's name; use 1 to %d lower-case letters, digits or '-'", name, MaxNameLength),
			MsgZH: fmt.Sprintf("%.80q 不是合法的规则集名称；请使用 1 到 %d 个小写字母、数字或 '-'", name, MaxNameLength)}
	}
	return nil
}
