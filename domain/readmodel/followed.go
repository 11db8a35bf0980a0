package readmodel

import (
	"github.com/factgate/factgate/domain/person"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/ruleset"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
)

// Followed are the categories of all streams of Factgate. A read model follows all
// of them, though it is folded from some: so it reaches the position of whatever
// Factgate has written, and somebody may wait for that.
func Followed() []string {
	return []string{
		task.Category, scanner.Category, scanner.HeartbeatCategory, scanner.RosterCategory,
		ruleset.Category, project.Category, person.Category, Category,
	}
}
