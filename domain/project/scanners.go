package project

import (
	"fmt"
	"time"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/task"
)

// ScannerConfigured: the scanners of a type check the project's packages like this
// from now on.
type ScannerConfigured struct {
	Project string `json:"project"`
	Type    string `json:"subTaskType"`
	Text    string `json:"text"`   // as package configuration reads it
	Digest  string `json:"digest"` // SHA-256 of the text
	By      string `json:"by,omitempty"`
}

// ScannerUnconfigured: the project has no configuration of its own for a type any
// more; that of all projects holds, or the defaults.
type ScannerUnconfigured struct {
	Project string `json:"project"`
	Type    string `json:"subTaskType"`
	By      string `json:"by,omitempty"`
}

func (ScannerConfigured) fact()   {}
func (ScannerUnconfigured) fact() {}

// Key implements Fact.
func (f ScannerConfigured) Key() string { return "ScannerConfigured/" + f.Type + "/" + f.Digest }

// Key implements Fact.
func (f ScannerUnconfigured) Key() string { return "ScannerUnconfigured/" + f.Type }

// Configured is a configuration in force.
type Configured struct {
	ScannerConfigured
	At time.Time
}

// maxTypes is how many types may be configured in one stream.
const maxTypes = 100

// ConfigureScanner gives a type a configuration. Whether the type knows its rules and
// settings is for those to say who know the type.
type ConfigureScanner struct {
	Type, Text, By string
}

func (c ConfigureScanner) decide(s State) ([]Fact, error) {
	if err := checkType(c.Type); err != nil {
		return nil, err
	}
	d, err := configuration.Parse(c.Text)
	if err != nil {
		return nil, err
	}
	now, ok := s.Scanners[c.Type]
	switch {
	case ok && now.Text == c.Text:
		return nil, nil
	case !ok && len(s.Scanners) >= maxTypes:
		return nil, &domain.Error{Kind: domain.Refused, Rule: "configuration.too_many",
			Msg:   fmt.Sprintf("%d types are configured already; reset one first", maxTypes),
			MsgZH: fmt.Sprintf("已配置 %d 个类型；请先重置其中一个", maxTypes)}
	}
	return []Fact{ScannerConfigured{Project: s.Project, Type: c.Type, Text: c.Text, Digest: d.Digest, By: c.By}}, nil
}

// ResetScanner takes a type's configuration away.
type ResetScanner struct {
	Type, By string
}

func (c ResetScanner) decide(s State) ([]Fact, error) {
	if err := checkType(c.Type); err != nil {
		return nil, err
	}
	if _, ok := s.Scanners[c.Type]; !ok {
		return nil, nil
	}
	return []Fact{ScannerUnconfigured{Project: s.Project, Type: c.Type, By: c.By}}, nil
}

func checkType(name string) error {
	if task.ValidType(name) {
		return nil
	}
	return &domain.Error{Kind: domain.Invalid, Rule: "sub_task.type",
		Msg:   fmt.Sprintf("%.80q is not a sub-task type; give one such as SQL", name),
		MsgZH: fmt.Sprintf("%.80q 不是子任务类型；请给出如 SQL 的类型", name)}
}
