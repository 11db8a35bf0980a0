package scanners

import (
	"fmt"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg"
)

// Unopened tells of the zips in a package into which nobody could look. No scanner
// knows whether its files are among them, so whoever runs one adds this to its
// coverage; scanners themselves need not.
func Unopened(pkg *zippkg.Package) (told []task.Degraded) {
	const most = 20 // a fact is no list of everything
	more := 0
	for _, w := range pkg.Warnings() {
		switch {
		case w.Code != zippkg.WarningNestedUnread && w.Code != zippkg.WarningNestedTooDeep:
		case len(told) == most:
			more++
		default:
			told = append(told, task.Degraded{Path: w.Path, Reason: w.Message, ReasonZH: w.MessageZH})
		}
	}
	if more > 0 {
		told[most-1].Reason += fmt.Sprintf("; and %d more such zips", more)
		told[most-1].ReasonZH += fmt.Sprintf("；另有 %d 个这样的 zip", more)
	}
	return told
}
