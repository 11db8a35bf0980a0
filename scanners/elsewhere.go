package scanners

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/zippkg"
)

// What a scanner elsewhere reports goes through the same gate as what one here does,
// at the moment at which it says how its attempt ended: only then is it known how much
// it found beyond what its report has room for, and whoever wrote the report straight
// into the blobs' folder is no exception. The report that was given stays as it is; the
// fact names the one that came out of the gate, and how the attempt ended follows from
// that one's counts.

// gatesAtOnce bounds the reports that go through the gate at once.
const gatesAtOnce = 4

// Told is what operators have said of a type, for a scanner elsewhere.
type Told struct {
	task.Configuration
	configuration.Document
	// Settings are the type's own in JSON; nil if nothing was said of them.
	Settings json.RawMessage
}

// told is what a lease tells its holder; nil: nothing was said.
func (c configured) told() *Told {
	if c.applied == nil {
		return nil
	}
	return &Told{*c.applied, c.Document, c.settings}
}

// asFor names a worker as facts name it that checks by c: its configuration digest tells
// apart what it says itself, what it was told, and which waivers hold.
func (c configured) asFor(w Worker) task.Scanner {
	s := w.Scanner
	switch {
	case c.as.ConfigDigest == "":
	case s.ConfigDigest == "":
		s.ConfigDigest = c.as.ConfigDigest
	default:
		sum := sha256.Sum256([]byte(s.ConfigDigest + "\n" + c.as.ConfigDigest))
		s.ConfigDigest = hex.EncodeToString(sum[:])
	}
	return s
}

// said is how a scanner elsewhere says that its attempt ended.
type said struct {
	attempt  int
	report   *task.Blob
	counts   report.Counts
	coverage *task.Coverage
	duration int64
	fail     *task.SubTaskFailed // nil: it passed

	taskID, subTask string // whose attempt it is
}

// gated returns how the attempt ended by what the gate leaves of the report. A fact
// without a report stays as it is: nothing was found.
func (c *Channel) gated(ctx context.Context, w Worker, taskID, lease string, s said) (task.Fact, error) {
	select {
	case c.gates <- struct{}{}:
		defer func() { <-c.gates }()
	case <-ctx.Done():
		return nil, blobAway("the report", "报告", ctx.Err())
	}
	s.taskID, s.subTask = taskID, w.Type
	facts, err := c.commands.Load(ctx, taskID)
	if err != nil {
		return nil, err
	}
	state := task.Fold(facts)
	mine := state.SubTasks[w.Type]
	if state.Created == nil || mine.Attempt != s.attempt { // it will be refused: look at the report only
		_, _, err = c.throughGate(ctx, s, report.Header{}, func(out Findings) (*gate, error) { return newGate(out, configured{}, state.CreatedAt), nil }, nil)
		return s.fact(w), err
	}
	check, err := c.heldTo(ctx, w, lease, facts, state)
	if domain.RuleOf(err) == "configuration.changed" && mine.State != task.StateRunning {
		return s.fact(w), nil // it has ended, and nothing changes that
	}
	if err != nil {
		return nil, err
	}
	sees := check.Sees
	if !check.Narrows() {
		sees = nil
	}
	header := report.Header{TaskID: taskID, Type: w.Type, Attempt: s.attempt, Scanner: w.Scanner.Name + "/" + w.Scanner.Version}
	stored, written, err := c.throughGate(ctx, s, header, func(out Findings) (*gate, error) {
		g := newGate(out, check, state.CreatedAt)
		return g, c.suppressions(ctx, g, state.Created.Context.FilePath)
	}, sees)
	if err != nil {
		return nil, err
	}
	return s.outcome(w, check, *stored, written), nil
}

// heldTo is what the attempt was told when it began, while its lease is here; else what
// holds now, if that is the same.
func (c *Channel) heldTo(ctx context.Context, w Worker, id string, facts []task.Recorded, state task.State) (configured, error) {
	mine := state.SubTasks[w.Type]
	for _, r := range facts {
		f, ok := r.Fact.(task.SubTaskStarted)
		if !ok || f.Type != w.Type || f.Attempt != mine.Attempt || f.Delivery != id {
			continue
		}
		if l, err := c.leaseOn(w, state.TaskID, id); err == nil {
			return l.check, nil
		}
	}
	name := ""
	if state.Uploaded != nil {
		name = state.Uploaded.Project
	}
	now, err := c.projects.Scanner(ctx, name, w.Type)
	if err != nil {
		return configured{}, err
	}
	r := &runtime{about: presenceOf(w)}
	check, err := r.as(now, state.CreatedAt)
	if err != nil || !check.Enabled || check.asFor(w).ConfigDigest != mine.Scanner.ConfigDigest {
		return configured{}, &domain.Error{Kind: domain.Conflict, Rule: "configuration.changed",
			Msg:   "operators have changed the type's configuration or waivers since this attempt began, and its lease is gone; drop the work and poll again",
			MsgZH: "该次尝试开始后，管理员修改了该类型的配置或豁免，且租约已失效；请放弃该工作并重新轮询"}
	}
	return check, nil
}

// suppressions has the gate take up what the package says of itself. Of a package that
// cannot be read nothing is known.
func (c *Channel) suppressions(ctx context.Context, g *gate, key string) error {
	file, err := c.parts.Blobs.Open(ctx, blob.Key(key))
	if err != nil {
		return blobAway("the package", "安装包", err)
	}
	defer file.Close()
	// The file is at the root, so zips in the package need no memory here.
	pkg, err := zippkg.Open(file, file.Size(), zippkg.Limits{Nested: 1})
	if refused := (*zippkg.Error)(nil); errors.As(err, &refused) {
		return nil
	}
	if err == nil {
		err = g.read(pkg)
	}
	if err != nil {
		return blobAway("the package", "安装包", err)
	}
	return nil
}

// throughGate reads the report that was given, compares it with what the fact counts,
// and stores what the gate leaves of it. What is not seen is left out.
func (c *Channel) throughGate(ctx context.Context, s said, h report.Header, open func(Findings) (*gate, error), sees func(path string) bool) (*task.Blob, gateCounts, error) {
	file, err := c.parts.Blobs.Open(ctx, blob.Key(s.report.Key))
	switch {
	case errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrBadKey):
		return nil, gateCounts{}, &domain.Error{Kind: domain.Invalid, Rule: "report.unknown",
			Msg: "there is no report of this key; upload it first", MsgZH: "没有该 key 的报告；请先上传"}
	case err != nil:
		return nil, gateCounts{}, blobAway("the report", "报告", err)
	}
	defer file.Close()
	in, out := io.Pipe()
	type put struct {
		blob.Info
		err error
	}
	done := make(chan put, 1)
	go func() {
		var p put
		if h.TaskID == "" {
			_, p.err = io.Copy(io.Discard, in) // nothing will come of it
		} else {
			p.Info, p.err = c.parts.Blobs.Put(ctx, in, report.MaxBytes)
		}
		_ = in.CloseWithError(p.err) // a failed store must not leave the gate writing into nothing
		done <- p
	}()
	to := report.NewWriter(out, h)
	var raw report.Counts
	n := 0
	g, err := open(to)
	if err == nil {
		g.rules = map[string]report.Rule{} // those that it finds something by, as it lists none here
		var of report.Header
		of, err = report.ReadStored(io.NewSectionReader(file, 0, file.Size()), s.report.SHA256, func(f report.Finding) error {
			raw.Add(f)
			n++
			if f.Path != "" && sees != nil && !sees(f.Path) {
				return ctx.Err()
			}
			g.rules[f.Rule] = report.Rule{ID: f.Rule}
			if f.Suppression != nil { // waivers are the gate's to apply
				f.Suppression = &report.Suppression{Kind: report.InSource, By: f.Suppression.By, Reason: f.Suppression.Reason}
			}
			g.Add(f)
			return ctx.Err()
		})
		if err = readBack(err); err == nil && (of.TaskID != s.taskID || of.Type != s.subTask) {
			err = &domain.Error{Kind: domain.Invalid, Rule: "fact.report",
				Msg: "the report of this key is of another task or type; upload this task's own", MsgZH: "该 key 的报告属于其他任务或类型；请上传本任务的报告"}
		}
	}
	if err == nil {
		err = counted(raw, s.counts, n)
	}
	if err == nil {
		g.close()
		if err = to.Close(); err != nil {
			err = blobAway("the report", "报告", err)
		}
	}
	_ = out.CloseWithError(err) // nil means io.EOF: the report is whole
	stored := <-done
	switch {
	case err != nil && domain.KindOf(err) != domain.Unavailable:
		return nil, gateCounts{}, err
	case stored.err != nil:
		return nil, gateCounts{}, blobAway("the report", "报告", stored.err)
	case err != nil:
		return nil, gateCounts{}, err
	}
	return &task.Blob{Key: string(stored.Key), SHA256: stored.SHA256}, gateCounts{raw, to}, nil
}

// gateCounts are what a report counted before the gate, and what it counts after.
type gateCounts struct {
	raw report.Counts
	to  *report.Writer
}

// beyond adds what the report had no room for, of which the gate knows nothing.
func (g gateCounts) beyond(said report.Counts) report.Counts {
	left := g.to.Counts()
	return report.Counts{
		Error: left.Error + said.Error - g.raw.Error, Warning: left.Warning + said.Warning - g.raw.Warning, Note: left.Note + said.Note - g.raw.Note,
	}
}

// counted refuses a fact that counts other than its report. What a report has no room
// for is counted by the fact alone.
func counted(in, said report.Counts, n int) error {
	over := in.Error > said.Error || in.Warning > said.Warning || in.Note > said.Note
	if over || n < report.MaxFindings-report.MaxFindings/10 && in != said {
		return &domain.Error{Kind: domain.Invalid, Rule: "fact.report",
			Msg:   fmt.Sprintf("the report counts %d errors, %d warnings and %d notes, and the summary says %d, %d and %d", in.Error, in.Warning, in.Note, said.Error, said.Warning, said.Note),
			MsgZH: fmt.Sprintf("报告中有 %d 个错误、%d 个警告、%d 个提示，而 summary 为 %d、%d、%d", in.Error, in.Warning, in.Note, said.Error, said.Warning, said.Note)}
	}
	return nil
}

// fact is what was said, as it was said.
func (s said) fact(w Worker) task.Fact {
	if s.fail != nil {
		f := *s.fail
		f.Type = w.Type
		return f
	}
	return s.passed(w, s.counts, s.report)
}

func (s said) passed(w Worker, counts report.Counts, ref *task.Blob) task.SubTaskCompleted {
	f := task.SubTaskCompleted{Type: w.Type, Attempt: s.attempt, Result: task.Pass, Summary: counts, Report: ref, DurationMS: s.duration}
	if counts.Error+counts.Warning > 0 {
		f.Result = task.PassWithWarnings
	}
	if s.coverage != nil {
		f.Coverage = *s.coverage
	}
	return f
}

// outcome is how the attempt ended: as an error if the scanner says so, else by the
// configuration's thresholds. Its words are the scanner's while its counts are.
func (s said) outcome(w Worker, check configured, ref task.Blob, g gateCounts) task.Fact {
	counts := g.beyond(s.counts)
	f := task.SubTaskFailed{
		Type: w.Type, Attempt: s.attempt, Kind: task.Check, Summary: &counts, Coverage: s.coverage, Report: &ref, DurationMS: s.duration,
	}
	severity, allowed := check.Fail.Exceeded(counts)
	switch {
	case s.fail != nil && s.fail.Kind == task.Error:
		f.Kind, f.Reason, f.ReasonZH = task.Error, s.fail.Reason, s.fail.ReasonZH
	case severity != "" && s.fail != nil && counts == s.counts:
		f.Reason, f.ReasonZH = s.fail.Reason, s.fail.ReasonZH
	case severity != "":
		rules := g.to.Failing(severity)
		f.Reason, f.ReasonZH = failing(counts, severity, allowed, rules)
		if len(rules) == 0 {
			f.Reason += "beyond what its report has room for"
			f.ReasonZH += "均为报告容纳不下的问题"
		}
	case s.coverage != nil && s.coverage.Eligible > 0 && s.coverage.Seen == 0:
		f.Kind = task.Error
		f.Reason, f.ReasonZH = coveredNothing(s.coverage.Eligible)
	default:
		return s.passed(w, counts, &ref)
	}
	return f
}

// readBack words why a report could not be read.
func readBack(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, report.ErrDamaged):
		return &domain.Error{Kind: domain.Invalid, Rule: "report.damaged", Msg: "the blob of this key is not a scan report: " + err.Error(), MsgZH: "该 key 对应的内容不是扫描报告：" + err.Error()}
	default:
		return blobAway("the report", "报告", err)
	}
}

func blobAway(what, whatZH string, err error) error {
	return &domain.Error{Kind: domain.Unavailable, Rule: "blobs.unavailable",
		Msg: what + " could not be read or stored; try again in a moment", MsgZH: whatZH + "暂时无法读取或保存，请稍后重试", Err: err}
}
