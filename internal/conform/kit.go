package conform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// Run makes every check and calls each with its result, in the order of Checks. An
// error says that the kit itself could not go on.
func Run(ctx context.Context, gate Gate, o Options, each func(Result)) error {
	for _, name := range o.Only {
		if !slices.Contains(Checks(), name) {
			return fmt.Errorf("there is no check %.60q; there are %s", name, strings.Join(Checks(), ", "))
		}
	}
	if !task.ValidType(o.Type) {
		return fmt.Errorf("%.60q is not a sub-task type", o.Type)
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	dir, err := os.MkdirTemp("", "factgate-conform-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	k := &kit{Options: o, ctx: ctx, gate: gate, each: each}
	if err := k.probes(dir); err != nil {
		return err
	}
	defer func() { k.running.kill() }()
	if err := k.begin(); err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{TakesPart, k.takesPart}, {Declines, k.declines}, {Hostile, k.hostile}, {Huge, k.huge},
		{Duplicate, k.duplicate}, {Takeover, k.takeover}, {Stale, k.stale},
	} {
		if !k.chosen(c.name) {
			k.notChosen(c.name)
		} else if err := c.run(); err != nil {
			return err
		}
	}
	return k.judge()
}

// judged are the checks that look at what was said of all probes.
var judged = []string{OneStart, Shapes, ReportReadable, CoverageHonest}

func (k *kit) chosen(check string) bool {
	return len(k.Only) == 0 || slices.Contains(k.Only, check) ||
		check == TakesPart && slices.ContainsFunc(k.Only, func(c string) bool { return slices.Contains(judged, c) })
}

func (k *kit) notChosen(check string) {
	k.say(check, NotRun, "not run: not among those of --only", "未执行：不在 --only 所列检查中")
}

type kit struct {
	Options
	ctx     context.Context // of Run
	gate    Gate
	each    func(Result)
	running *instance // nil without Exec
	tasks   []string  // all that were uploaded

	packages struct{ takesPart, declines, hostile, huge string }
}

// probes writes the packages.
func (k *kit) probes(dir string) (err error) {
	part, none := everything(), nothing()
	if k.TakesPart != "" {
		if part, err = read(k.TakesPart); err != nil {
			return err
		}
	}
	if k.Declines != "" {
		if none, err = read(k.Declines); err != nil {
			return err
		}
	}
	for name, p := range map[string]struct {
		path  *string
		files []file
	}{
		"takes-part": {&k.packages.takesPart, part}, "declines": {&k.packages.declines, none},
		"hostile": {&k.packages.hostile, hostile(part)}, "huge": {&k.packages.huge, huge(part)},
	} {
		if *p.path, err = write(dir, name, p.files); err != nil {
			return err
		}
	}
	for given, path := range map[string]*string{k.TakesPart: &k.packages.takesPart, k.Declines: &k.packages.declines} {
		if given != "" {
			*path = given // as it is, with names and folders of its own
		}
	}
	return nil
}

func (k *kit) begin() (err error) {
	if k.Exec != "" {
		k.running, err = k.start(k.ctx)
	}
	return err
}

func (k *kit) say(check string, status Status, en, zh string) {
	k.each(Result{check, status, report.Text{En: en, Zh: zh}})
}

func (k *kit) passed(check, en, zh string) { k.say(check, Passed, en, zh) }
func (k *kit) failed(check, en, zh string) { k.say(check, Failed, en, zh) }

func (k *kit) upload(path string) (string, error) {
	id, err := k.gate.Upload(k.ctx, path)
	if err == nil {
		k.tasks = append(k.tasks, id)
	}
	return id, err
}

// seen is what the type has said of a task.
type seen struct {
	facts []Fact
	state task.State
	mine  task.SubTask
	joins bool
	said  *task.Decline
}

func (s seen) ended() bool {
	return s.said != nil || s.joins && s.mine.State != task.StateRunning
}

func (k *kit) look(id string) (s seen, err error) {
	if s.facts, err = k.gate.History(k.ctx, id); err != nil {
		return s, err
	}
	for _, f := range s.facts {
		s.state = task.Evolve(s.state, task.Recorded{ID: f.ID, Revision: uint64(f.Revision), Fact: task.Read(f.Type, f.Data)})
	}
	s.mine, s.joins = s.state.SubTasks[k.Type]
	if d, ok := s.state.Declined[k.Type]; ok {
		s.said = &d
	}
	return s, nil
}

// lookEvery is how often the kit asks: facts come from elsewhere, and nobody tells it.
const lookEvery = 100 * time.Millisecond

// await looks until something holds, or the patience ends; then it holds not.
func (k *kit) await(id string, patience time.Duration, holds func(seen) bool) (s seen, ok bool, err error) {
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if s, err = k.look(id); err != nil || holds(s) {
			return s, err == nil, err
		}
		if time.Now().After(deadline) || k.gone() {
			return s, false, nil
		}
		select {
		case <-ticker.C:
		case <-k.ctx.Done():
			return s, false, k.ctx.Err()
		}
	}
}

// gone reports whether the scanner that the kit runs has ended by itself.
func (k *kit) gone() bool {
	if k.running == nil {
		return false
	}
	select {
	case <-k.running.done:
		return true
	default:
		return false
	}
}

// probe uploads a package and waits for the answer.
func (k *kit) probe(path string, patience time.Duration) (s seen, ok bool, err error) {
	id, err := k.upload(path)
	if err != nil {
		return s, false, err
	}
	return k.await(id, patience, seen.ended)
}

// notHeard words a scanner that says nothing.
func (k *kit) notHeard(s seen, patience time.Duration) (en, zh string) {
	if k.gone() {
		return "the scanner ended by itself; see what it wrote, with --output FILE", "扫描器自行退出；请用 --output 文件 查看其输出"
	}
	if s.joins {
		return fmt.Sprintf("attempt %d was begun and not ended within %s", s.mine.Attempt, patience), fmt.Sprintf("第 %d 次尝试已开始，但 %s 内未结束", s.mine.Attempt, patience)
	}
	return fmt.Sprintf("nothing was said within %s: does a scanner of type %s run, and is it the key's type?", patience, k.Type),
		fmt.Sprintf("%s 内没有任何回应：是否有类型为 %s 的扫描器在运行？密钥是否属于该类型？", patience, k.Type)
}

func (k *kit) takesPart() error {
	s, ok, err := k.probe(k.packages.takesPart, k.Patience)
	switch {
	case err != nil:
		return err
	case !ok:
		en, zh := k.notHeard(s, k.Patience)
		k.failed(TakesPart, en, zh)
	case s.said != nil:
		k.failed(TakesPart, fmt.Sprintf("it declined (%s: %s); give a package that is its business with --takes-part", s.said.Code, s.said.Reason),
			fmt.Sprintf("扫描器不参与（%s：%s）；请用 --takes-part 提供属于它的安装包", s.said.Code, s.said.Reason))
	case s.mine.Kind == task.Error:
		k.failed(TakesPart, "the scan ended with an error: "+s.mine.Reason, "扫描以错误结束："+s.mine.Reason)
	default:
		k.passed(TakesPart, "took part and came to an end", "已参与并得出结果")
	}
	return nil
}

func (k *kit) declines() error {
	s, ok, err := k.probe(k.packages.declines, k.Patience)
	switch {
	case err != nil:
		return err
	case s.joins:
		k.failed(Declines, "it takes part in a package that is not its business; decline what has no file of its kind, or give another with --declines",
			"它参与了与其无关的安装包；没有相关文件时应声明不参与，或用 --declines 提供其他安装包")
	case !ok:
		en, zh := k.notHeard(s, k.Patience)
		k.failed(Declines, en+"; silence is not a decline", zh+"；沉默不等于不参与")
	default:
		k.passed(Declines, "declined: "+s.said.Code+", "+s.said.Reason, "已声明不参与："+s.said.Code+"，"+cmp.Or(s.said.ReasonZH, s.said.Reason))
	}
	return nil
}

// hard has a probe answered that is more than a scanner would like.
func (k *kit) hard(check, path string, patience time.Duration) error {
	s, ok, err := k.probe(path, patience)
	if err != nil {
		return err
	}
	switch {
	case !ok:
		en, zh := k.notHeard(s, patience)
		k.failed(check, en, zh)
	case s.said != nil:
		k.failed(check, "it declined, though the probe's own files are in the package: "+s.said.Reason, "包内含有探测文件，但扫描器不参与："+s.said.Reason)
	case s.mine.Kind == task.Error:
		k.failed(check, "a bad file is a finding or degraded coverage, and the scan ended with an error: "+s.mine.Reason, "坏文件应记为问题或降级覆盖，而扫描以错误结束："+s.mine.Reason)
	case s.mine.Attempt > 1:
		k.failed(check, fmt.Sprintf("it needed %d attempts: the earlier ones came to no end", s.mine.Attempt), fmt.Sprintf("共尝试 %d 次：此前的尝试没有结束", s.mine.Attempt))
	default:
		en, zh := "came to an end", "已得出结果"
		if c := s.mine.Coverage; c != nil {
			en += fmt.Sprintf(": %d of %d files read, %d degraded", c.Seen, c.Eligible, len(c.Degraded))
			zh += fmt.Sprintf("：读取 %d/%d 个文件，%d 个降级", c.Seen, c.Eligible, len(c.Degraded))
		}
		k.passed(check, en, zh)
	}
	return nil
}

func (k *kit) hostile() error { return k.hard(Hostile, k.packages.hostile, k.Patience) }
func (k *kit) huge() error    { return k.hard(Huge, k.packages.huge, 3*k.Patience) }

// killing reports whether the kit may kill; if not it says so.
func (k *kit) killing(check string) bool {
	if k.running == nil {
		k.say(check, NotRun, "not run: the kit does not start the scanner itself; give --exec 'COMMAND'", "未执行：需由工具自行启动扫描器；请提供 --exec '命令'")
	}
	return k.running != nil
}

// atTheEnd uploads a probe and waits until the running instance is about to say, or has
// just said, how its attempt ended.
func (k *kit) atTheEnd(check string, m mode) (id string, ok bool, err error) {
	reached := k.running.set(m)
	if id, err = k.upload(k.packages.takesPart); err != nil {
		return "", false, err
	}
	k.running.watch(id)
	timer := time.NewTimer(k.Patience)
	defer timer.Stop()
	select {
	case <-reached:
		return id, true, nil
	case <-k.running.done:
		en, zh := k.notHeard(seen{}, 0)
		k.failed(check, en, zh)
	case <-timer.C:
		s, err := k.look(id)
		if err != nil {
			return "", false, err
		}
		en, zh := k.notHeard(s, k.Patience)
		k.failed(check, en, zh)
	case <-k.ctx.Done():
		return "", false, k.ctx.Err()
	}
	return id, false, k.renew()
}

// renew kills what runs and starts anew.
func (k *kit) renew() error {
	k.running.kill()
	return k.begin()
}

// duplicate: the end is durable, and the scanner dies before it can acknowledge.
func (k *kit) duplicate() error {
	if !k.killing(Duplicate) {
		return nil
	}
	id, ok, err := k.atTheEnd(Duplicate, mute)
	if err != nil || !ok {
		return err
	}
	before, ok, err := k.await(id, settleTime, seen.ended)
	for tries := 0; err == nil && !ok && tries < 5; tries++ {
		// Perhaps somebody else was faster and the answer said so: it may hear that, and
		// say its end again.
		again := k.running.set(mute)
		k.running.watch(id)
		if err = k.within(again, k.Patience); err == nil {
			before, ok, err = k.await(id, settleTime, seen.ended)
		}
	}
	if err != nil {
		return err
	}
	if err := k.renew(); err != nil {
		return err
	}
	if !ok {
		k.failed(Duplicate, "what the scanner said was not recorded", "扫描器提交的结果未被记录")
		return nil
	}
	// Deliveries have no order, but what comes again comes before what is new.
	fresh, ok, err := k.probe(k.packages.takesPart, 3*k.Patience)
	if err != nil {
		return err
	}
	if !ok {
		en, zh := k.notHeard(fresh, 3*k.Patience)
		k.failed(Duplicate, "after it: "+en, "此后："+zh)
		return nil
	}
	if err := k.settle(); err != nil {
		return err
	}
	after, err := k.look(id)
	switch {
	case err != nil:
		return err
	case k.count(after) != k.count(before):
		k.failed(Duplicate, fmt.Sprintf("a delivery that came again led to more facts: %s after %s; look at the stream before you begin", k.words(after), k.words(before)),
			fmt.Sprintf("重复投递产生了新的事实：%s 之后又有 %s；开始前应先读取任务流", k.words(before), k.words(after)))
	default:
		k.passed(Duplicate, "a delivery that came again changed nothing", "重复投递未产生任何变化")
	}
	return nil
}

// settleTime is what a scanner has for mistakes that it should not make; nobody can
// wait for what does not happen.
const settleTime = 3 * time.Second

func (k *kit) settle() error { return k.within(nil, settleTime) }

// within waits for something, so long and no longer.
func (k *kit) within(happens <-chan struct{}, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-happens:
		return nil
	case <-timer.C:
		return nil
	case <-k.ctx.Done():
		return k.ctx.Err()
	}
}

// said are the facts of the type in a task, tries left out.
func (k *kit) said(s seen) (out []Fact) {
	for _, f := range s.facts {
		if f.Type != "SubTaskConsidered" && typeOf(f) == k.Type {
			out = append(out, f)
		}
	}
	return out
}

func (k *kit) count(s seen) int { return len(k.said(s)) }

func (k *kit) words(s seen) string {
	var names []string
	for _, f := range k.said(s) {
		names = append(names, f.Type)
	}
	return strings.Join(names, ", ")
}

// takeover: the scanner dies before its end is durable; the next instance begins the
// next attempt.
func (k *kit) takeover() error {
	if !k.killing(Takeover) {
		return nil
	}
	id, ok, err := k.atTheEnd(Takeover, hold)
	if err != nil || !ok {
		return err
	}
	before, err := k.look(id)
	if err != nil {
		return err
	}
	if err := k.renew(); err != nil {
		return err
	}
	s, ok, err := k.await(id, 3*k.Patience, seen.ended)
	switch {
	case err != nil:
		return err
	case !before.joins:
		k.failed(Takeover, "the scan was done and no SubTaskStarted was recorded before it; a crash would not be counted", "扫描前没有记录 SubTaskStarted，崩溃将无法计数")
	case !ok && s.mine.Attempt <= before.mine.Attempt:
		k.failed(Takeover, "the delivery did not come back: it was acknowledged before its facts were durable", "投递没有再次到来：在事实持久化之前就已确认（ack）")
	case !ok:
		en, zh := k.notHeard(s, 3*k.Patience)
		k.failed(Takeover, en, zh)
	case s.mine.Attempt <= before.mine.Attempt:
		k.failed(Takeover, fmt.Sprintf("attempt %d was ended by another instance than the one that began it; begin the next attempt", s.mine.Attempt), fmt.Sprintf("第 %d 次尝试由另一实例结束；应开始新的尝试", s.mine.Attempt))
	default:
		k.passed(Takeover, fmt.Sprintf("after the crash attempt %d came to an end", s.mine.Attempt), fmt.Sprintf("崩溃后由第 %d 次尝试得出结果", s.mine.Attempt))
	}
	return nil
}

// stale: an instance is cut off before it can say its end, another takes over, and the
// first comes back.
func (k *kit) stale() error {
	if !k.killing(Stale) {
		return nil
	}
	id, ok, err := k.atTheEnd(Stale, hold)
	if err != nil || !ok {
		return err
	}
	zombie := k.running
	defer zombie.kill()
	zombie.set(refuse)
	if err := k.begin(); err != nil {
		return err
	}
	s, ok, err := k.await(id, 3*k.Patience, func(s seen) bool { return s.ended() && s.mine.Attempt > 1 })
	if err != nil {
		return err
	}
	if !ok {
		en, zh := k.notHeard(s, 3*k.Patience)
		k.failed(Stale, "nobody took over: "+en, "没有实例接管："+zh)
		return nil
	}
	zombie.set(pass)
	// It may say its end again, or have given up; either is right.
	deadline := time.Now().Add(15 * time.Second)
	for zombie.ended() == 0 && time.Now().Before(deadline) {
		if err := k.settle(); err != nil {
			return err
		}
	}
	if err := k.settle(); err != nil {
		return err
	}
	after, err := k.look(id)
	switch {
	case err != nil:
		return err
	case k.count(after) != k.count(s):
		k.failed(Stale, fmt.Sprintf("an attempt that was taken over was ended all the same: %s; append with the revision that you have read, and drop what is stale", k.words(after)),
			fmt.Sprintf("已被接管的尝试仍然写入了结果：%s；追加时须带上所读版本号，并丢弃过期结果", k.words(after)))
	case zombie.ended() == 0:
		k.passed(Stale, "the instance that was cut off did not say its end any more", "被隔离的实例没有再提交结果")
	default:
		k.passed(Stale, "the instance that was cut off came back with its end, and nothing came of it", "被隔离的实例恢复后提交的结果未生效")
	}
	return nil
}

// judge looks at everything that the type has said of all probes.
func (k *kit) judge() error {
	faults := map[string][]report.Text{}
	ends, reports := 0, 0
	for _, id := range k.tasks {
		s, err := k.look(id)
		if err != nil {
			return err
		}
		for _, f := range k.said(s) {
			ends += map[string]int{"SubTaskCompleted": 1, "SubTaskFailed": 1}[f.Type]
		}
		for check, why := range k.faults(id, s) {
			faults[check] = append(faults[check], why...)
		}
		if s.mine.Report == nil {
			continue
		}
		reports++
		got, err := k.gate.Findings(k.ctx, id, k.Type, s.facts[len(s.facts)-1].Revision)
		var unreadable *UnreadableError
		switch {
		case errors.As(err, &unreadable):
			faults[ReportReadable] = append(faults[ReportReadable], report.Text{En: "a report cannot be read: " + err.Error(), Zh: "报告无法读取：" + err.Error()})
		case err != nil:
			return err
		case s.mine.Summary != nil && !counts(got, *s.mine.Summary):
			faults[ReportReadable] = append(faults[ReportReadable], report.Text{
				En: fmt.Sprintf("a report counts %+v and its fact %+v", got, *s.mine.Summary), Zh: fmt.Sprintf("报告计数为 %+v，而事实中为 %+v", got, *s.mine.Summary)})
		}
	}
	for _, check := range judged {
		switch why := faults[check]; {
		case !k.chosen(check):
			k.notChosen(check)
		case len(why) > 0:
			more := report.Text{}
			if len(why) > 1 {
				more = report.Text{En: fmt.Sprintf(" (and %d more)", len(why)-1), Zh: fmt.Sprintf("（另有 %d 处）", len(why)-1)}
			}
			k.failed(check, why[0].En+more.En, why[0].Zh+more.Zh)
		case ends == 0:
			k.say(check, NotRun, "not run: no attempt came to an end", "未执行：没有任何尝试结束")
		case check == ReportReadable && reports == 0:
			k.say(check, NotRun, "not run: no attempt had a report", "未执行：没有任何尝试带有报告")
		default:
			k.passed(check, fmt.Sprintf("held in %d tasks with %d ends", len(k.tasks), ends), fmt.Sprintf("%d 个任务、%d 个结果均符合", len(k.tasks), ends))
		}
	}
	return nil
}

// counts reports whether a report's findings fit what was counted: a report may have
// no room for all.
func counts(in, said report.Counts) bool {
	if in.Error+in.Warning+in.Note >= report.MaxFindings-report.MaxFindings/10 {
		return in.Error <= said.Error && in.Warning <= said.Warning && in.Note <= said.Note
	}
	return in == said
}

var known = task.Types()

func isKnown(name string) bool { return slices.Contains(known, name) }
