package project_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/task"
)

func to(d time.Duration) *project.Change { return &project.Change{To: d} }

func duration(d time.Duration) *task.Duration { v := task.Duration(d); return &v }

func ptr(s string) *string { return &s }

func configured(s project.Settings) project.ProjectConfigured {
	return project.ProjectConfigured{Project: "dw", Settings: s, By: "li"}
}

func fold(facts ...project.Fact) project.State {
	var log []project.Recorded
	for i, f := range facts {
		log = append(log, project.Recorded{Revision: uint64(i), Fact: f})
	}
	return project.Fold("dw", log)
}

func TestConfigure(t *testing.T) {
	for name, c := range map[string]struct {
		given []project.Fact
		when  project.Configure
		then  []project.Fact
	}{
		"the first setting": {nil, project.Configure{RuleSet: ptr("strict"), By: "li"}, []project.Fact{configured(project.Settings{RuleSet: "strict"})}},
		"one more, the others stay": {[]project.Fact{configured(project.Settings{RuleSet: "strict"})}, project.Configure{Window: to(time.Hour), Quiet: to(0), By: "li"},
			[]project.Fact{configured(project.Settings{RuleSet: "strict", Window: duration(time.Hour), Quiet: duration(0)})}},
		"one is taken away": {[]project.Fact{configured(project.Settings{RuleSet: "strict", Window: duration(time.Hour)})},
			project.Configure{RuleSet: ptr(""), Window: &project.Change{Clear: true}, By: "li"}, []project.Fact{configured(project.Settings{})}},
		"a shadow": {[]project.Fact{configured(project.Settings{RuleSet: "strict"})}, project.Configure{Shadow: &project.Shadow{Name: "next", Version: 2}, By: "li"},
			[]project.Fact{configured(project.Settings{RuleSet: "strict", Shadow: project.Shadow{Name: "next", Version: 2}})}},
		"the shadow is taken away": {[]project.Fact{configured(project.Settings{RuleSet: "strict", Shadow: project.Shadow{Name: "next"}})},
			project.Configure{Shadow: &project.Shadow{}, By: "li"}, []project.Fact{configured(project.Settings{RuleSet: "strict"})}},
		"the shadow already": {[]project.Fact{configured(project.Settings{Shadow: project.Shadow{Name: "next"}})}, project.Configure{Shadow: &project.Shadow{Name: "next"}}, nil},
		"already so":         {[]project.Fact{configured(project.Settings{Window: duration(time.Hour)})}, project.Configure{Window: to(time.Hour)}, nil},
		"nothing is said":    {nil, project.Configure{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := project.Decide(fold(c.given...), c.when)
			require.NoError(t, err)
			require.Equal(t, c.then, got)
			again, err := project.Decide(fold(append(c.given, got...)...), c.when)
			require.NoError(t, err)
			require.Empty(t, again)
		})
	}
	for rule, c := range map[string]project.Configure{
		"project.window": {Window: to(0)}, "project.quiet": {Quiet: to(-1)}, "project.minimum": {Minimum: to(project.MaxWindow + 1)}, "ruleset.name": {RuleSet: ptr("No")}, "project.shadow": {Shadow: &project.Shadow{Name: "next", Version: -1}},
	} {
		_, err := project.Decide(fold(), c)
		require.Equal(t, rule, domain.RuleOf(err))
		require.Equal(t, domain.Invalid, domain.KindOf(err))
	}
	for _, name := range []string{"", "a\nb", "\xff"} {
		_, err := project.Decide(project.State{Project: name}, project.Configure{Window: to(1)})
		require.Equal(t, "project.name", domain.RuleOf(err), name)
	}
}

func TestSettingsAreLookedUpOneByOne(t *testing.T) {
	own := project.Settings{Window: duration(time.Hour)}
	all := project.Settings{RuleSet: "strict", Window: duration(time.Minute), Minimum: duration(time.Second)}
	require.Equal(t, project.Settings{RuleSet: "strict", Window: duration(time.Hour), Minimum: duration(time.Second)}, own.Over(all))
}

func TestWhatCannotBeReadLeavesTheSettings(t *testing.T) {
	s := fold(configured(project.Settings{RuleSet: "strict"}), project.Read("ProjectPaused", nil), project.Read("ProjectConfigured", []byte(`{"window":"soon"}`)))
	require.Equal(t, "strict", s.RuleSet)
	require.EqualValues(t, 3, s.Facts)
	require.Equal(t, s, project.Evolve(s, project.Recorded{Revision: 0, Fact: configured(project.Settings{})}))
	_, _, err := project.Encode(project.Read("ProjectPaused", nil))
	require.Error(t, err)
}

var update = flag.Bool("update", false, "write golden files that are missing; existing ones are never rewritten")

// Files in testdata/facts are added, never edited.
func TestStoredFactsStayReadable(t *testing.T) {
	want := configured(project.Settings{RuleSet: "strict", Window: duration(time.Hour), Quiet: duration(time.Second), Minimum: duration(time.Minute)})
	name, data, err := project.Encode(want)
	require.NoError(t, err)
	file := filepath.Join("testdata", "facts", name+".v1.json")
	if _, err := os.Stat(file); os.IsNotExist(err) && *update {
		require.NoError(t, os.WriteFile(file, append(data, '\n'), 0o644))
	}
	golden, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, project.Read(name, golden))
	require.JSONEq(t, string(golden), string(data))

	for version, shadow := range map[string]project.Shadow{"v2": {Name: "next", Version: 2}, "v2-no-shadow": project.NoShadow} {
		want.Shadow = shadow
		name, data, err = project.Encode(want)
		require.NoError(t, err)
		file = filepath.Join("testdata", "facts", name+"."+version+".json")
		if _, err := os.Stat(file); os.IsNotExist(err) && *update {
			require.NoError(t, os.WriteFile(file, append(data, '\n'), 0o644))
		}
		golden, err = os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, want, project.Read(name, golden))
		require.JSONEq(t, string(golden), string(data))
	}
}
