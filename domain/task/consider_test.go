package task_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
)

func considered(try int, by task.Scanner) task.SubTaskConsidered {
	return task.SubTaskConsidered{TaskID: id, Type: "SQL", Try: try, Scanner: by, Delivery: "d"}
}

func TestConsider(t *testing.T) {
	consider := task.Consider{Type: "SQL", Scanner: us, Delivery: "d"}
	given(t, zip, created).when(consider).then(considered(1, us))
	given(t, zip, created, considered(1, them)).when(consider).then(considered(2, us))
	given(t, zip, created, declined()).when(consider).thenSilence()
	given(t, zip, created, started(1, us)).when(consider).thenSilence()
	given(t, zip, created, withdrawn).when(consider).thenSilence()
	given(t, zip).when(consider).thenRefused(domain.NotFound, "task.unknown")
	given(t, zip, created).when(task.Consider{Type: "a b"}).thenRefused(domain.Invalid, "sub_task.type")
}

func TestTriesAreCountedUntilThereIsAnAnswer(t *testing.T) {
	twice := []task.Fact{zip, created, considered(1, us), considered(2, them)}
	s := task.Fold(record(nil, twice...))
	require.Equal(t, 2, s.Considered["SQL"].Tries)
	require.Empty(t, s.Observed(), "looking is not taking part")
	require.Zero(t, s.Late)
	for _, answer := range []task.Fact{declined(), started(1, us)} {
		s = task.Fold(record(nil, append(twice, answer, considered(3, us))...))
		require.Empty(t, s.Considered, "%T", answer)
	}
}
