package conform

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg"
)

func TestProbesAreTakenByAServer(t *testing.T) {
	for name, files := range map[string][]file{"one": everything(), "none": nothing(), "hostile": hostile(everything()), "huge": huge(everything())} {
		path, err := write(t.TempDir(), name, files)
		require.NoError(t, err)
		f, err := os.Open(path)
		require.NoError(t, err)
		defer f.Close()
		info, err := f.Stat()
		require.NoError(t, err)
		p, err := zippkg.Open(f, info.Size(), zippkg.Limits{})
		require.NoError(t, err, name)
		require.Len(t, p.Files(), len(files), name)
		back, err := read(path)
		require.NoError(t, err)
		if name != "huge" { // of large files the beginning will do
			require.True(t, slices.EqualFunc(files, back, func(a, b file) bool { return a.name == b.name && bytes.Equal(a.content, b.content) }), name)
		}
	}
	_, err := read(filepath.Join(t.TempDir(), "nothing.zip"))
	require.Error(t, err)
}

// The documents' example is what a scanner in another language is tried against.
func TestTheDocumentsDeriveIdsAsWeDo(t *testing.T) {
	text, err := os.ReadFile("../../docs/scanner-protocol.md")
	require.NoError(t, err)
	require.Contains(t, string(text), commands.FactID("018f4e2a-0000-7000-8000-000000000001", task.SubTaskCompleted{Type: "SQL", Attempt: 1}))
	for _, name := range Checks() {
		require.Contains(t, string(text), "| `"+name+"`")
	}
}

const aTask = "018f4e2a-0000-7000-8000-000000000001"

func fact(t *testing.T, revision int, f task.Fact) Fact {
	name, data, err := task.Encode(f)
	require.NoError(t, err)
	return Fact{ID: commands.FactID(aTask, f), Type: name, Revision: revision, Data: data}
}

func TestFaultsAreNamed(t *testing.T) {
	who := task.Scanner{Name: "n", Version: "1", Instance: "i"}
	start := func(n int) task.SubTaskStarted {
		return task.SubTaskStarted{TaskID: aTask, Type: "X", Attempt: n, Scanner: who, Delivery: "d"}
	}
	end := func(n int) task.SubTaskCompleted {
		return task.SubTaskCompleted{TaskID: aTask, Type: "X", Attempt: n, Result: task.Pass, Coverage: task.Coverage{Eligible: 1, Seen: 1}}
	}
	second := start(1)
	second.Delivery = "e"
	blind := end(1)
	blind.Coverage.Seen = 0
	for name, c := range map[string]struct {
		facts []task.Fact
		check string
	}{
		"all is well":        {[]task.Fact{start(1), end(1)}, ""},
		"taken over":         {[]task.Fact{start(1), start(2), end(2)}, ""},
		"another's":          {[]task.Fact{task.SubTaskStarted{Type: "Y", Attempt: 9}}, ""},
		"started twice":      {[]task.Fact{start(1), second, end(1)}, OneStart},
		"never started":      {[]task.Fact{end(1)}, OneStart},
		"ended twice":        {[]task.Fact{start(1), end(1), end(1)}, OneStart},
		"a stale end":        {[]task.Fact{start(1), start(2), end(1)}, OneStart},
		"an attempt skipped": {[]task.Fact{start(2), end(2)}, OneStart},
		"nobody":             {[]task.Fact{task.SubTaskStarted{TaskID: aTask, Type: "X", Attempt: 1}}, Shapes},
		"blind":              {[]task.Fact{start(1), blind}, CoverageHonest},
		"findings, unread":   {[]task.Fact{start(1), task.SubTaskFailed{TaskID: aTask, Type: "X", Attempt: 1, Kind: task.Error, Reason: "r", Summary: &report.Counts{Error: 1}}}, ReportReadable},
	} {
		t.Run(name, func(t *testing.T) {
			k := &kit{Options: Options{Type: "X"}}
			var s seen
			for i, f := range c.facts {
				s.facts = append(s.facts, fact(t, i, f))
			}
			found := k.faults(aTask, s)
			if c.check == "" {
				require.Empty(t, found)
				return
			}
			require.NotEmpty(t, found[c.check], "%v", found)
			require.NotEmpty(t, found[c.check][0].Zh)
		})
	}
	k := &kit{Options: Options{Type: "X"}}
	require.Empty(t, k.faults(aTask, seen{facts: []Fact{{Type: "SubTaskPaused", Data: []byte(`{"subTaskType":"Y"}`)}}}), "another's")
	for name, f := range map[string]Fact{
		"a field more":    {ID: "x", Type: "SubTaskStarted", Data: []byte(`{"taskId":"` + aTask + `","subTaskType":"X","attempt":1,"scanner":{},"mood":1}`)},
		"a field less":    {ID: "x", Type: "SubTaskStarted", Data: []byte(`{"subTaskType":"X","attempt":1}`)},
		"an id by chance": {ID: "x", Type: fact(t, 0, start(1)).Type, Data: fact(t, 0, start(1)).Data},
		"no such fact":    {ID: "x", Type: "SubTaskPaused", Data: []byte(`{"subTaskType":"X"}`)},
		"no JSON":         {ID: "x", Type: "SubTaskPaused", Data: []byte(`[`)},
	} {
		require.NotEmpty(t, k.faults(aTask, seen{facts: []Fact{f}})[Shapes], name)
	}
}
