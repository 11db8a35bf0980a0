package scanners

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/zippkg"
)

// attempt is one try at one task.
type attempt struct {
	*runtime
	taskID   string
	by       commands.Origin
	of       eventstore.Delivery
	delivery string // its name
	number   int    // 0 until SubTaskStarted is durable
	check    configured
	opened   time.Time // when the task's window was: by it, suppressions are over or not
}

// run decides, and scans if it takes part. It returns nil when the facts of its
// outcome are durable or when there was nothing to do. Decide and Scan have a
// deadline each; recording facts has none but work's end.
func (a *attempt) run(work context.Context, state task.State) error {
	_, joined := state.SubTasks[a.about.Type]
	a.opened = state.CreatedAt
	project := ""
	if state.Uploaded != nil {
		project = state.Uploaded.Project
	}
	said, err := a.projects.Scanner(work, project, a.about.Type)
	if err != nil {
		return err
	}
	a.check, err = a.as(said, a.opened)
	var useless *unusable
	if errors.As(err, &useless) {
		return a.misconfigured(work, useless)
	}
	if !a.check.Enabled {
		if joined { // it must end
			if err := a.start(work, report.Text{}); err != nil || a.number == 0 {
				return err
			}
		}
		return a.decline(work, a.check.disabled())
	}
	file, err := a.Blobs.Open(work, blob.Key(state.Created.Context.FilePath))
	if err != nil {
		return fmt.Errorf("open the package: %w", err)
	}
	defer file.Close()
	size := file.Size()
	if a.suspect(state) {
		size = wholeRoom
	}
	leave, err := a.Room.enter(work, size)
	if err != nil {
		return err
	}
	defer leave()
	inside, leaveMemory, err := a.Room.memory.enter(work)
	if err != nil {
		return err
	}
	defer leaveMemory()
	if !joined {
		err = a.consider(work)
	} else if err = a.start(work, report.Text{}); err == nil && a.number == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	a.troubled(a.of.Event.ID, func(t *trouble) { t.begun = true })
	ctx, cancel := a.limited(inside)
	defer cancel()
	pkg, err := zippkg.Open(file, file.Size(), a.Limits)
	var bad *zippkg.Error
	if errors.As(err, &bad) {
		return a.unreadable(work, bad)
	}
	if err != nil {
		return fmt.Errorf("read the package: %w", err)
	}
	view := pkg
	if a.check.Narrows() {
		view = pkg.Only(a.check.Sees)
	}
	decision, err := guarded(ctx, func() (Decision, error) {
		over, err := overIn(pkg, a.opened)
		if err != nil {
			return Decision{}, err
		}
		if a.number == 0 { // else it was said with the start, before the package was opened
			a.check.as.ConfigDigest = withOver(a.check.as.ConfigDigest, over)
		}
		return a.check.Decide(ctx, view)
	})
	if err != nil {
		return fmt.Errorf("decide: %w", causeOf(ctx, err))
	}
	decision.reason = a.check.seen(decision.reason, len(view.Files()), len(pkg.Files()))
	if !decision.TakesPart() {
		return a.decline(work, decision)
	}
	if err := a.start(work, decision.Reason()); err != nil || a.number == 0 {
		return err
	}
	if !joined {
		a.Listener.decided(a.about.Type, TakesPart)
	}
	a.Listener.began(a.about.Type)
	defer a.Listener.scanned(a.about.Type)
	return a.scan(work, inside, pkg, view)
}

// consider records that a try begins where it may not be the first: else a package
// that kills whoever looks at it would come again for ever. The first delivery of
// an event to the first who hears of it is not recorded. Once in a process's life is
// enough: whoever tries again here has survived the last time.
func (a *attempt) consider(ctx context.Context) error {
	if a.known().begun || a.of.Retries == 0 && a.of.Event.Position > a.born {
		return nil
	}
	return a.persist(ctx, func() error {
		_, err := a.commands.Consider(ctx, a.taskID, a.by, task.Consider{Type: a.about.Type, Scanner: a.check.as, Delivery: a.delivery})
		return err
	})
}

// suspect reports whether somebody began with the package and was not heard of again,
// or memory ran out while it was at work.
// It may have taken its process down, so it is tried alone: what else is at work would
// die with it, and be suspected next.
func (a *attempt) suspect(state task.State) bool {
	known := a.known()
	return known.alone || !known.begun && (state.Considered[a.about.Type].Tries > 0 || state.SubTasks[a.about.Type].State == task.StateRunning)
}

func (a *attempt) known() trouble { return a.troubled(a.of.Event.ID, func(*trouble) {}) }

// limited is ctx with the deadline of a scan.
func (a *attempt) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, a.ScanTimeout, fmt.Errorf("the scan took longer than %s", a.ScanTimeout))
}

// start begins the attempt, once: one that took part before has begun it before it
// decides anew. because says why it takes part, if it has decided.
func (a *attempt) start(ctx context.Context, because report.Text) error {
	if a.number > 0 {
		return nil
	}
	err := a.persist(ctx, func() (err error) {
		a.number, err = a.commands.Start(ctx, a.taskID, a.by, task.Start{
			Type: a.about.Type, Scanner: a.check.as, Delivery: a.delivery,
			Reason: because.En, ReasonZH: because.Zh, Configuration: a.check.applied,
		})
		return err
	})
	if err == nil && a.number > 0 {
		a.Logger.Info("takes part", "task", a.taskID, "attempt", a.number, "because", because.En, "config", a.check.as.ConfigDigest)
	}
	return err
}

func (a *attempt) decline(ctx context.Context, d Decision) error {
	if a.number > 0 {
		// An earlier attempt took part; now, with another configuration or version,
		// the scanner would not. The sub-task must end.
		return a.fail(ctx, task.SubTaskFailed{
			Kind:     task.Error,
			Reason:   "took part before, and now would not: " + d.Reason().En,
			ReasonZH: "此前已参与，现在不再参与：" + d.Reason().Zh,
		})
	}
	err := a.persist(ctx, func() error {
		_, err := a.commands.StayAway(ctx, a.taskID, a.by, task.StayAway{
			Type: a.about.Type, Code: d.Code(), Reason: d.Reason().En, ReasonZH: d.Reason().Zh, Scanner: a.check.as, Configuration: a.check.applied,
		})
		return err
	})
	if err == nil {
		a.Listener.decided(a.about.Type, d.Code())
		a.Logger.Info("declines", "task", a.taskID, "code", d.Code(), "because", d.Reason().En, "config", a.check.as.ConfigDigest)
	}
	return err
}

// unreadable ends the sub-task: no repetition makes a damaged package whole, and
// a scanner that cannot look must not look like one that declined.
func (a *attempt) unreadable(ctx context.Context, bad *zippkg.Error) error {
	if err := a.start(ctx, report.Text{}); err != nil || a.number == 0 {
		return err
	}
	en, zh := bad.Text()
	return a.fail(ctx, task.SubTaskFailed{Kind: task.Error, Reason: en, ReasonZH: zh})
}

// misconfigured ends the sub-task: only an operator makes it right, and whoever then
// retries it has the new configuration.
func (a *attempt) misconfigured(ctx context.Context, useless *unusable) error {
	if err := a.start(ctx, report.Text{}); err != nil || a.number == 0 {
		return err
	}
	return a.fail(ctx, task.SubTaskFailed{Kind: task.Error, Reason: useless.En, ReasonZH: useless.Zh})
}

// scan runs the scanner on what it is shown of the package, while its report streams
// into the blob store.
func (a *attempt) scan(work, inside context.Context, pkg, view *zippkg.Package) error {
	began := time.Now()
	ctx, cancel := a.limited(inside)
	defer cancel()
	in, out := io.Pipe()
	type stored struct {
		blob.Info
		err error
	}
	done := make(chan stored, 1)
	go func() {
		info, err := a.Blobs.Put(ctx, in, report.MaxBytes)
		_ = in.CloseWithError(err) // a failed store must not leave the scanner writing into nothing
		done <- stored{info, err}
	}()
	w := report.NewWriter(out, report.Header{
		TaskID: a.taskID, Type: a.about.Type, Attempt: a.number, Scanner: a.about.Name + "/" + a.about.Version,
	})
	coverage, err := guarded(ctx, func() (task.Coverage, error) {
		gate := newGate(w, a.check, a.opened)
		if err := gate.read(pkg); err != nil {
			return task.Coverage{}, err
		}
		coverage, err := a.check.Scan(ctx, view, gate)
		gate.close()
		return coverage, err
	})
	if err == nil {
		coverage.Degraded = append(coverage.Degraded, Unopened(pkg)...)
		err = w.Close()
	}
	_ = out.CloseWithError(err) // nil means io.EOF: the report is whole
	saved := <-done
	switch {
	case err != nil:
		return fmt.Errorf("scan: %w", causeOf(ctx, err))
	case saved.err != nil:
		return fmt.Errorf("store the report: %w", causeOf(ctx, saved.err))
	}
	counts, ref := w.Counts(), &task.Blob{Key: string(saved.Key), SHA256: saved.SHA256}
	took := time.Since(began).Milliseconds()
	severity, allowed := a.check.Fail.Exceeded(counts)
	switch {
	case severity != "":
		en, zh := failing(counts, severity, allowed, w.Failing(severity))
		return a.fail(work, task.SubTaskFailed{
			Kind: task.Check, Reason: en, ReasonZH: zh, Summary: &counts, Coverage: &coverage, Report: ref, DurationMS: took,
		})
	case coverage.Eligible > 0 && coverage.Seen == 0:
		// Silence is never shown as success.
		en, zh := coveredNothing(coverage.Eligible)
		return a.fail(work, task.SubTaskFailed{
			Kind: task.Error, Reason: en, ReasonZH: zh, Summary: &counts, Coverage: &coverage, Report: ref, DurationMS: took,
		})
	}
	result := task.Pass
	if counts.Error+counts.Warning > 0 {
		result = task.PassWithWarnings
	}
	return a.persist(work, func() error {
		_, err := a.commands.Complete(work, a.taskID, a.by, task.SubTaskCompleted{
			Type: a.about.Type, Attempt: a.number, Result: result, Summary: counts, Coverage: coverage, Report: ref, DurationMS: took,
		})
		return err
	})
}

func (a *attempt) fail(ctx context.Context, f task.SubTaskFailed) error {
	f.Type, f.Attempt = a.about.Type, a.number
	return a.persist(ctx, func() error {
		_, err := a.commands.Fail(ctx, a.taskID, a.by, f)
		return err
	})
}

func coveredNothing(eligible int) (en, zh string) {
	return fmt.Sprintf("covered nothing: 0 of %d files could be read", eligible), fmt.Sprintf("未覆盖任何内容：%d 个文件中读取了 0 个", eligible)
}

// failing words what failed the check: "3 errors: SQL002 ×2, SQL012".
func failing(c report.Counts, severity report.Severity, allowed int, rules []report.RuleCount) (en, zh string) {
	const shown = 5
	var parts []string
	for _, r := range rules[:min(len(rules), shown)] {
		if r.Count > 1 {
			parts = append(parts, fmt.Sprintf("%s ×%d", r.Rule, r.Count))
		} else {
			parts = append(parts, r.Rule)
		}
	}
	if len(rules) > shown {
		parts = append(parts, "…")
	}
	n, word := c.Error, "错误"
	switch severity {
	case report.Error:
	case report.Warning:
		n, word = c.Warning, "警告"
	case report.Note:
		n, word = c.Note, "提示"
	}
	plural := "s"
	if n == 1 {
		plural = ""
	}
	en, zh = fmt.Sprintf("%d %s%s", n, severity, plural), fmt.Sprintf("%d 个%s", n, word)
	if severity != report.Error || allowed > 0 {
		en += fmt.Sprintf(", and its configuration allows %d", allowed)
		zh += fmt.Sprintf("，配置允许 %d 个", allowed)
	}
	return en + ": " + strings.Join(parts, ", "), zh + "：" + strings.Join(parts, "，")
}

// lastWords is how long a scanner has to return after its ctx has ended.
const lastWords = time.Second

// guarded turns what a scanner must not do into an error of its attempt: to panic,
// and to go on after ctx has ended. One that does not stop is left behind, lest it
// keep a worker, and the process, for ever.
func guarded[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("the scanner panicked: %v\n%s", p, debug.Stack())
			}
			answered <- a
		}()
		a.v, a.err = f()
	}()
	select {
	case a := <-answered:
		return a.v, a.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case a := <-answered:
		return a.v, a.err
	case <-timer.C:
		var none T
		return none, fmt.Errorf("%w, and the scanner did not stop", context.Cause(ctx))
	}
}

// causeOf prefers why a context ended to the bare fact that it did. What a scanner says
// that has run out of memory is not worth telling.
func causeOf(ctx context.Context, err error) error {
	var short *memoryError
	if errors.As(context.Cause(ctx), &short) {
		return short
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return err
}
