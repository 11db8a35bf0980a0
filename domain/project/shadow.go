package project

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/ruleset"
)

// Shadow is the rule set that is tried on a project's tasks beside the one that
// judges them. Version 0 is the one that is active for the project when a task is
// opened. The zero Shadow is none.
type Shadow struct {
	Name    string `json:"name"`
	Version int    `json:"version,omitempty"`
}

// NoShadow is a project's own wish for none, where all projects have one. No rule set
// may have its name.
var NoShadow = Shadow{Name: "!"}

// String is NAME or NAME@VERSION, or "!" for NoShadow; empty for none of its own.
func (s Shadow) String() string {
	if s.Version == 0 {
		return s.Name
	}
	return s.Name + "@" + strconv.Itoa(s.Version)
}

// ParseShadow reads what String writes. What is not that is refused as Invalid,
// project.shadow or ruleset.name.
func ParseShadow(text string) (Shadow, error) {
	name, number, pinned := strings.Cut(text, "@")
	s := Shadow{Name: name}
	if pinned {
		version, err := strconv.Atoi(number)
		if err != nil || version < 1 || strconv.Itoa(version) != number {
			return Shadow{}, badVersion(number)
		}
		s.Version = version
	}
	if err := s.check(); err != nil {
		return Shadow{}, err
	}
	return s, nil
}

func (s Shadow) check() error {
	if s == (Shadow{}) || s == NoShadow {
		return nil
	}
	if s.Version < 0 {
		return badVersion(strconv.Itoa(s.Version))
	}
	return ruleset.CheckName(s.Name)
}

func badVersion(number string) error {
	return &domain.Error{Kind: domain.Invalid, Rule: "project.shadow",
		Msg:   fmt.Sprintf("%.40q is not a version of a shadow rule set; give NAME or NAME@VERSION, versions count from 1", number),
		MsgZH: fmt.Sprintf("%.40q 不是影子规则集的版本；请给出 NAME 或 NAME@VERSION，版本从 1 开始", number)}
}
