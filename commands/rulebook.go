package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/ruleset"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Bounds of what a RuleBook remembers; beyond them it forgets and reads again.
const (
	maxCompiled = 64
	maxStreams  = 1000
)

// RuleBook finds rule sets: the one that a task was opened under, and the one
// that a task opened now is opened under. It reads the streams; what it
// remembers is brought up to date by each question, so an answer is never older
// than the question. It is safe for concurrent use.
type RuleBook struct {
	log eventstore.Reader

	mu       sync.Mutex
	compiled map[task.RuleSetRef]*rules.RuleSet
	sets     map[string]ruleset.State // by name, texts left out
	projects *Projects
}

// NewRuleBook returns a rule book on a log.
func NewRuleBook(log eventstore.Reader) *RuleBook {
	return &RuleBook{log: log, compiled: map[task.RuleSetRef]*rules.RuleSet{}, sets: map[string]ruleset.State{}, projects: NewProjects(log)}
}

// Get returns a version of a rule set, verified by its digest. What does not exist
// is refused as ruleset.unknown or ruleset.version_unknown, a text other than the
// digest's as ruleset.altered, one that cannot be used here as ruleset.broken; so
// long as the log holds the same facts, the answer is the same. Other errors pass:
// the event store does not answer.
func (b *RuleBook) Get(ctx context.Context, ref task.RuleSetRef) (*rules.RuleSet, error) {
	b.mu.Lock()
	rs := b.compiled[ref]
	b.mu.Unlock()
	if rs != nil {
		return rs, nil
	}
	v, err := b.Version(ctx, ref.Name, ref.Version)
	if err != nil {
		return nil, err
	}
	rs, err = rules.Parse([]byte(v.Text), v.Version)
	if err != nil {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "ruleset.broken",
			Msg: "its text cannot be used by this version of Factgate", MsgZH: "其文本无法被当前版本的 Factgate 使用", Err: err}
	}
	if rs.Ref() != ref {
		return nil, &domain.Error{Kind: domain.Conflict, Rule: "ruleset.altered",
			Msg:   fmt.Sprintf("its text has digest %.12s… and not %.12s…", rs.Ref().Digest, ref.Digest),
			MsgZH: fmt.Sprintf("其文本摘要为 %.12s…，而非 %.12s…", rs.Ref().Digest, ref.Digest)}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.compiled) >= maxCompiled {
		clear(b.compiled)
	}
	b.compiled[ref] = rs
	return rs, nil
}

// Judge is rules.Evaluate, and rules.Revise once there is a verdict, by the rule set
// that the task was opened under, never by a newer one. Without that set the task
// still ends (see ruleset.EvaluateWithout), and nothing is revised.
func (b *RuleBook) Judge(ctx context.Context, facts []task.Recorded, now time.Time) (rules.Outcome, error) {
	s := task.Fold(facts)
	if s.Created == nil {
		return rules.NoWindow{}, nil
	}
	rs, err := b.Get(ctx, s.Created.RuleSet)
	switch {
	case err != nil && !Unusable(err):
		return nil, err
	case err != nil && s.Verdict != nil:
		return rules.NoWindow{}, nil
	case err != nil:
		return ruleset.EvaluateWithout(s.Created.RuleSet, err, facts, now), nil
	case s.Verdict != nil:
		return rules.Revise(rs, facts, now), nil
	}
	return rules.Evaluate(rs, facts, now), nil
}

// Unusable reports whether an error of Get says that there is no such rule set,
// now and whenever asked again; else the question may be repeated.
func Unusable(err error) bool {
	switch domain.RuleOf(err) {
	case "ruleset.unknown", "ruleset.version_unknown", "ruleset.altered", "ruleset.broken", "ruleset.name":
		return true
	}
	return false
}

// Version returns a version with its text; 0 is the newest.
func (b *RuleBook) Version(ctx context.Context, name string, version int) (ruleset.Version, error) {
	if err := ruleset.CheckName(name); err != nil {
		return ruleset.Version{}, err
	}
	s, err := b.set(ctx, name)
	if err != nil {
		return ruleset.Version{}, err
	}
	v, err := s.Find(version)
	if err != nil {
		return ruleset.Version{}, err
	}
	if v.BuiltIn {
		return ruleset.New(name).Find(v.Version)
	}
	for r, err := range b.log.ReadStream(ctx, streamOfRuleSet(name), v.Revision) {
		if gone(err) { // deleted since it was remembered: it is here no more, whoever asks
			return ruleset.New(name).Find(v.Version)
		}
		if err != nil {
			return ruleset.Version{}, storeError("read rule set "+name, err)
		}
		if f, ok := ruleset.Read(r.Type, r.Data).(ruleset.RuleSetPublished); ok && r.Revision == v.Revision {
			v.Text = f.Text
		}
		break
	}
	return v, nil
}

// Set returns the versions of a name; texts may be left out, Version has them.
func (b *RuleBook) Set(ctx context.Context, name string) (ruleset.State, error) {
	if err := ruleset.CheckName(name); err != nil {
		return ruleset.State{}, err
	}
	s, err := b.set(ctx, name)
	if err == nil {
		_, err = s.Find(0)
	}
	return s, err
}

// Names returns the names of all rule sets, sorted.
func (b *RuleBook) Names(ctx context.Context) ([]string, error) {
	directory, err := loadRuleSet(ctx, b.log, ruleset.Directory)
	if err != nil {
		return nil, err
	}
	names := append(rules.BuiltIns(), directory.Names...)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Terms are what a task opened now is opened under.
type Terms struct {
	RuleSet                task.RuleSetRef
	Window, Quiet, Minimum time.Duration
	// Problem says why RuleSet cannot be used. A window is opened all the same,
	// with the default's lengths: it ends FAILED, and says so, where no window
	// would leave the task without an answer.
	Problem error
	// Shadow is tried on the task and never enforced; nil when there is none, or
	// none that can be used: ShadowProblem says why, and harms no task.
	Shadow        *task.RuleSetRef
	ShadowProblem error
}

// Active returns the terms of a project: each setting is the project's own, else
// that of all projects, else the rule set's. A change that was durable before the
// call is in the answer. Errors are the event store's.
func (b *RuleBook) Active(ctx context.Context, of string) (Terms, error) {
	all, err := b.projects.State(ctx, project.All)
	if err != nil {
		return Terms{}, err
	}
	own := project.State{}
	if project.CheckName(of) == nil && of != project.All {
		if own, err = b.projects.State(ctx, of); err != nil {
			return Terms{}, err
		}
	}
	chosen := own.Over(all.Settings)
	if chosen.RuleSet == "" {
		chosen.RuleSet = rules.Default().Ref().Name
	}
	s, err := b.set(ctx, chosen.RuleSet)
	if err != nil {
		return Terms{}, err
	}
	active := s.ActiveFor(of)
	terms := Terms{RuleSet: task.RuleSetRef{Name: chosen.RuleSet, Version: active}}
	if v, ok := s.Version(active); ok {
		terms.RuleSet = s.Ref(v)
	}
	rs, err := b.Get(ctx, terms.RuleSet)
	if err != nil {
		if !Unusable(err) {
			return Terms{}, err
		}
		terms.Problem, rs = err, rules.Default()
	}
	terms.Window, terms.Quiet, terms.Minimum = rs.Window(), rs.Quiet(), rs.Minimum()
	for _, setting := range []struct {
		chosen *task.Duration
		term   *time.Duration
	}{{chosen.Window, &terms.Window}, {chosen.Quiet, &terms.Quiet}, {chosen.Minimum, &terms.Minimum}} {
		if setting.chosen != nil {
			*setting.term = setting.chosen.D()
		}
	}
	if chosen.Shadow == (project.Shadow{}) || chosen.Shadow == project.NoShadow {
		return terms, nil
	}
	ref, err := b.shadow(ctx, chosen.Shadow, of)
	switch {
	case err == nil:
		terms.Shadow = &ref
	case ctx.Err() != nil || domain.KindOf(err) == domain.Unavailable:
		return Terms{}, err // the log is away, and no window opens without it either
	default:
		terms.ShadowProblem = err
	}
	return terms, nil
}

// shadow finds the version that a setting means for a project now, and that it can
// be used.
func (b *RuleBook) shadow(ctx context.Context, chosen project.Shadow, of string) (task.RuleSetRef, error) {
	if err := ruleset.CheckName(chosen.Name); err != nil {
		return task.RuleSetRef{}, err
	}
	s, err := b.set(ctx, chosen.Name)
	if err != nil {
		return task.RuleSetRef{}, err
	}
	v, err := findShadow(s, chosen, of)
	if err != nil {
		return task.RuleSetRef{}, err
	}
	ref := s.Ref(v)
	_, err = b.Get(ctx, ref)
	return ref, err
}

func findShadow(s ruleset.State, chosen project.Shadow, of string) (ruleset.Version, error) {
	if chosen.Version != 0 {
		return s.Find(chosen.Version)
	}
	if _, err := s.Find(0); err != nil {
		return ruleset.Version{}, err
	}
	active := s.ActiveFor(of)
	if active == 0 {
		return ruleset.Version{}, &domain.Error{Kind: domain.Refused, Rule: "ruleset.inactive",
			Msg:   fmt.Sprintf("no version of rule set %s is in service; name one, such as %s@1", s.Name, s.Name),
			MsgZH: fmt.Sprintf("规则集 %s 没有已启用的版本；请指明版本，如 %s@1", s.Name, s.Name)}
	}
	return s.Find(active)
}

// Project returns what a project has settled for itself.
func (b *RuleBook) Project(ctx context.Context, name string) (project.State, error) {
	return b.projects.State(ctx, name)
}

// set brings what is remembered of a name up to date.
func (b *RuleBook) set(ctx context.Context, name string) (ruleset.State, error) {
	b.mu.Lock()
	s, ok := b.sets[name]
	b.mu.Unlock()
	if !ok {
		s = ruleset.New(name)
	}
	before := s.Facts
	for r, err := range b.log.ReadStream(ctx, streamOfRuleSet(name), s.Facts) {
		if gone(err) {
			break
		}
		if err != nil {
			return s, storeError("read rule set "+name, err)
		}
		n := len(s.Versions)
		s = ruleset.Evolve(s, ruleset.Recorded{Revision: r.Revision, At: r.At, Fact: ruleset.Read(r.Type, r.Data)})
		if len(s.Versions) > n {
			s.Versions[n].Text = "" // the slice is Evolve's new one; Version reads the text when it is wanted
		}
	}
	if s.Facts > before {
		b.mu.Lock()
		defer b.mu.Unlock()
		remember(b.sets, name, s, s.Facts >= b.sets[name].Facts)
	}
	return s, nil
}

// gone: there is no such stream, or somebody deleted it. Either way there are no
// facts, and nothing that a task should wait for.
func gone(err error) bool {
	var deleted *eventstore.DeletedError
	return eventstore.IsNotFound(err) || errors.As(err, &deleted)
}

func remember[S any](states map[string]S, name string, s S, newer bool) {
	if !newer {
		return
	}
	if len(states) >= maxStreams {
		clear(states)
	}
	states[name] = s
}

func streamOfRuleSet(name string) eventstore.StreamID {
	return eventstore.StreamID{Category: ruleset.Category, Key: name}
}

func loadRuleSet(ctx context.Context, log eventstore.Reader, name string) (ruleset.State, error) {
	events, err := read(ctx, log, streamOfRuleSet(name))
	if err != nil {
		return ruleset.State{}, err
	}
	return ruleset.Fold(name, ruleSetFacts(events)), nil
}
