package ruleset_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/ruleset"
	"github.com/factgate/factgate/domain/task"
)

var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// text is a rule set that gives status always.
func text(name, status string) string {
	return "name: " + name + "\nwindow: 1m\nquiet: 1s\nrules:\n  - {id: always, when: \"true\", status: " + status + "}\n"
}

func published(version int, name, text string) ruleset.RuleSetPublished {
	rs, err := rules.Parse([]byte(text), version)
	if err != nil {
		panic(err)
	}
	return ruleset.RuleSetPublished{Name: name, Version: version, Text: text, Digest: rs.Ref().Digest, By: "li"}
}

func activated(name string, version int, project string) ruleset.RuleSetActivated {
	return ruleset.RuleSetActivated{Name: name, Version: version, Project: project, By: "li"}
}

type spec struct {
	t     *testing.T
	name  string
	facts []ruleset.Recorded
}

func given(t *testing.T, name string, facts ...ruleset.Fact) spec {
	return spec{t, name, record(nil, facts...)}
}

func record(log []ruleset.Recorded, facts ...ruleset.Fact) []ruleset.Recorded {
	for _, f := range facts {
		n := uint64(len(log))
		log = append(log, ruleset.Recorded{Revision: n, At: start.Add(time.Duration(n) * time.Second), Fact: f})
	}
	return log
}

// then wishes, compares, and wishes again: silence.
func (s spec) then(c ruleset.Command, want ...ruleset.Fact) {
	s.t.Helper()
	got, err := ruleset.Decide(ruleset.Fold(s.name, s.facts), c)
	require.NoError(s.t, err)
	require.Equal(s.t, want, got)
	again, err := ruleset.Decide(ruleset.Fold(s.name, record(s.facts, got...)), c)
	require.NoError(s.t, err)
	require.Empty(s.t, again)
}

func (s spec) thenSilence(c ruleset.Command) { s.t.Helper(); s.then(c) }

func (s spec) thenRefused(c ruleset.Command, kind domain.Kind, rule string) {
	s.t.Helper()
	got, err := ruleset.Decide(ruleset.Fold(s.name, s.facts), c)
	require.Empty(s.t, got)
	require.Equal(s.t, kind, domain.KindOf(err))
	require.Equal(s.t, rule, domain.RuleOf(err))
}

var (
	good  = text("mine", "SUCCESS")
	other = text("mine", "FAILED")
)

func TestPublish(t *testing.T) {
	given(t, "mine").then(ruleset.Publish{Text: good, By: "li"}, published(1, "mine", good))
	given(t, "mine", published(1, "mine", good)).then(ruleset.Publish{Text: other, By: "li"}, published(2, "mine", other))
	// A text that is some version already is that version, not a new one.
	given(t, "mine", published(1, "mine", good), published(2, "mine", other)).thenSilence(ruleset.Publish{Text: good, By: "wang"})
	given(t, "mine").thenRefused(ruleset.Publish{Text: "name: mine\nrules: 7"}, domain.Invalid, "ruleset.invalid")
	given(t, "mine").thenRefused(ruleset.Publish{Text: strings.Replace(good, `"true"`, "observed == 0", 1)}, domain.Invalid, "ruleset.invalid")
	given(t, "mine").thenRefused(ruleset.Publish{Text: text("yours", "SUCCESS")}, domain.Invalid, "ruleset.name")
	for _, name := range []string{"Mine", "my_set", "a b", "*", "规则", strings.Repeat("a", 65)} {
		_, err := ruleset.Decide(ruleset.New(name), ruleset.Publish{Text: text("'"+name+"'", "SUCCESS")})
		require.Equal(t, domain.Invalid, domain.KindOf(err), name)
		given(t, ruleset.Directory).thenRefused(ruleset.Register{Name: name}, domain.Invalid, "ruleset.name")
	}
}

func TestABuiltInSetIsVersion1AndActiveWithoutFacts(t *testing.T) {
	s := ruleset.New("default")
	require.Equal(t, 1, s.ActiveFor("any"))
	v, ok := s.Version(1)
	require.True(t, ok)
	require.Equal(t, rules.Default().Ref(), s.Ref(v))
	given(t, "default").thenSilence(ruleset.Publish{Text: string(rules.Default().Source())})
	own := text("default", "SUCCESS")
	given(t, "default").then(ruleset.Publish{Text: own, By: "li"}, published(2, "default", own))
	given(t, "default", published(2, "default", own)).then(ruleset.Activate{By: "li"}, activated("default", 2, ""))
	given(t, "default", published(2, "default", own), activated("default", 2, "")).then(ruleset.Activate{Version: 1, By: "li"}, activated("default", 1, ""))
	given(t, "default").thenSilence(ruleset.Activate{Version: 1})
	require.Zero(t, ruleset.New("mine").ActiveFor("any"))
}

func TestActivate(t *testing.T) {
	two := []ruleset.Fact{published(1, "mine", good), published(2, "mine", other)}
	given(t, "mine", two...).then(ruleset.Activate{By: "li"}, activated("mine", 2, ""))
	given(t, "mine", two...).then(ruleset.Activate{Version: 1, Project: "dw", By: "li"}, activated("mine", 1, "dw"))
	given(t, "mine", append(two, activated("mine", 1, "dw"))...).thenSilence(ruleset.Activate{Version: 1, Project: "dw"})
	// What is active for all is still a wish of its own for one project.
	given(t, "mine", append(two, activated("mine", 1, ""))...).then(ruleset.Activate{Version: 1, Project: "dw", By: "li"}, activated("mine", 1, "dw"))
	given(t, "mine").thenRefused(ruleset.Activate{}, domain.NotFound, "ruleset.unknown")
	given(t, "mine", two...).thenRefused(ruleset.Activate{Version: 3}, domain.NotFound, "ruleset.version_unknown")
	broken := ruleset.RuleSetPublished{Name: "mine", Version: 1, Text: "of: a newer version", Digest: "d"}
	given(t, "mine", broken).thenRefused(ruleset.Activate{}, domain.Refused, "ruleset.broken")

	s := ruleset.Fold("mine", record(nil, append(two, activated("mine", 1, "dw"), activated("mine", 2, ""))...))
	require.Equal(t, 1, s.ActiveFor("dw"), "a project's own stays when another is put in service for all")
	require.Equal(t, 2, s.ActiveFor("other"))
}

func TestTheDirectoryHoldsANameOnce(t *testing.T) {
	given(t, ruleset.Directory).then(ruleset.Register{Name: "mine"}, ruleset.RuleSetNamed{Name: "mine"})
	given(t, ruleset.Directory, ruleset.RuleSetNamed{Name: "mine"}).thenSilence(ruleset.Register{Name: "mine"})
	given(t, ruleset.Directory).thenRefused(ruleset.Register{Name: "*"}, domain.Invalid, "ruleset.name")
}

func TestEvolveAcceptsEveryHistory(t *testing.T) {
	facts := record(nil, published(1, "mine", good), ruleset.Unreadable{Type: "RuleSetPublished"}, published(1, "mine", other), published(3, "mine", other), activated("mine", 9, ""))
	s := ruleset.Fold("mine", facts)
	require.Len(t, s.Versions, 2)
	require.Equal(t, good, s.Versions[0].Text, "the first fact of a version is the version")
	require.Equal(t, 9, s.ActiveFor(""))
	for _, r := range facts {
		require.Equal(t, s, ruleset.Evolve(s, r), "a redelivery changes nothing")
	}
	given(t, "mine", published(1, "mine", good), published(3, "mine", other)).thenRefused(ruleset.Activate{Version: 2}, domain.NotFound, "ruleset.version_unknown")
}

func TestWithoutItsRuleSetATaskEndsFailed(t *testing.T) {
	zip := task.ZipUploaded{TaskID: "t"}
	created := task.MainTaskCreated{TaskID: "t", Window: task.Window{OpensAt: start, Deadline: start.Add(time.Minute), Quiet: task.Duration(time.Second)}}
	facts := []task.Recorded{{ID: "a", Revision: 0, At: start, Fact: zip}, {ID: "b", Revision: 1, At: start, Fact: created}}
	ref := task.RuleSetRef{Name: "gone", Version: 3, Digest: "d"}
	_, err := ruleset.New("gone").Find(3)
	require.IsType(t, rules.Open{}, ruleset.EvaluateWithout(ref, err, facts, start))
	closed := ruleset.EvaluateWithout(ref, err, facts, start.Add(time.Hour)).(rules.Closed)
	require.Equal(t, task.Failed, closed.Verdict.Status)
	require.Equal(t, ruleset.UnavailableRule, closed.Verdict.Rule.ID)
	require.Equal(t, ref, closed.Verdict.RuleSet)
	require.Equal(t, []string{"b"}, closed.Verdict.Evidence)
	require.Contains(t, closed.Verdict.Because.En, "no rule set")
	require.Contains(t, closed.Verdict.Because.Zh, "不存在")
}

var update = flag.Bool("update", false, "write golden files that are missing; existing ones are never rewritten")

// Files in testdata/facts are added, never edited.
func TestStoredFactsStayReadable(t *testing.T) {
	full := map[string]ruleset.Fact{
		"RuleSetPublished": ruleset.RuleSetPublished{Name: "mine", Version: 2, Text: "name: mine\n", Digest: "ab", By: "li"},
		"RuleSetActivated": activated("mine", 2, "dw"),
		"RuleSetNamed":     ruleset.RuleSetNamed{Name: "mine"},
	}
	require.Len(t, full, len(ruleset.Types()))
	for _, name := range ruleset.Types() {
		file := filepath.Join("testdata", "facts", name+".v1.json")
		stored, data, err := ruleset.Encode(full[name])
		require.NoError(t, err)
		require.Equal(t, name, stored)
		if _, err := os.Stat(file); os.IsNotExist(err) && *update {
			require.NoError(t, os.WriteFile(file, append(data, '\n'), 0o644))
		}
		golden, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, full[name], ruleset.Read(name, golden))
		require.JSONEq(t, string(golden), string(data), "what is written today is what was written before")
	}
	_, _, err := ruleset.Encode(ruleset.Read("RuleSetPaused", nil))
	require.Error(t, err)
}

func FuzzRead(f *testing.F) {
	for _, name := range ruleset.Types() {
		f.Add(name, []byte(`{"name":"mine","version":1,"text":"x"}`))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		fact := ruleset.Read(name, data)
		if _, bad := fact.(ruleset.Unreadable); bad {
			return
		}
		stored, encoded, err := ruleset.Encode(fact)
		require.NoError(t, err)
		require.Equal(t, fact, ruleset.Read(stored, encoded))
	})
}
