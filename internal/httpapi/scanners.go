package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/glob"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/scanners"
)

// The channel for scanners without a client of the event store; the whole protocol is
// docs/scanner-protocol.md. Every request shows a key of the type it speaks for.

// Limits of a scanner's requests.
const (
	maxFactBody  = 256 << 10
	maxHeader    = 200 // bytes of what a scanner says of itself
	usualWait    = 30 * time.Second
	wishPatience = 30 * time.Second // for the event store
)

// Headers by which a scanner says who it is.
const (
	instanceHeader = "X-Factgate-Instance" // required
	scannerHeader  = "X-Factgate-Scanner"  // name/version, required
	rulesHeader    = "X-Factgate-Rules-Digest"
	configHeader   = "X-Factgate-Config-Digest"
)

func (a *api) scannerRoutes(r chi.Router) {
	r.Route("/api/scanners/{type}", func(r chi.Router) {
		r.Get("/deliveries", a.asScanner(a.poll))
		r.Post("/deliveries/{lease}/heartbeat", a.asScanner(a.heartbeat))
		r.Post("/deliveries/{lease}/ack", a.asScanner(a.ack))
		r.Post("/deliveries/{lease}/nack", a.asScanner(a.nack))
		r.Post("/tasks/{id}/facts", a.asScanner(a.fact))
		r.Post("/tasks/{id}/reports", a.asScanner(a.report))
	})
}

// asScanner lets nobody in who does not hold a key of the type in the path.
func (a *api) asScanner(serve func(http.ResponseWriter, *http.Request, scanners.Worker) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := chi.URLParam(r, "type")
		err := a.admit(r, name)
		var who scanners.Worker
		if err == nil {
			who, err = workerOf(name, r)
		}
		if err == nil {
			err = serve(w, r, who)
		}
		switch {
		case err == nil:
		case domain.RuleOf(err) == "scanner_key.missing", domain.RuleOf(err) == "scanner_key.refused":
			w.Header().Set("WWW-Authenticate", `Bearer realm="factgate scanner"`)
			fallthrough
		case r.ContentLength > maxFactBody:
			a.refuseUnread(w, r, err)
		default:
			a.refuse(w, r, err)
		}
	}
}

// admit refuses a request without a key of the type.
func (a *api) admit(r *http.Request, name string) error {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		key = ""
	}
	return a.Keys.Admit(r.Context(), name, strings.TrimSpace(key))
}

func workerOf(name string, r *http.Request) (scanners.Worker, error) {
	program, version, _ := strings.Cut(r.Header.Get(scannerHeader), "/")
	w := scanners.Worker{Type: name, Scanner: task.Scanner{
		Name: program, Version: version, Instance: r.Header.Get(instanceHeader),
		RulesDigest: r.Header.Get(rulesHeader), ConfigDigest: r.Header.Get(configHeader),
	}}
	for _, h := range []string{instanceHeader, scannerHeader, rulesHeader, configHeader} {
		if v := r.Header.Get(h); len(v) > maxHeader || checkField(h, v) != nil {
			return w, &domain.Error{Kind: domain.Invalid, Rule: "scanner.headers",
				Msg: fmt.Sprintf("%s has at most %d bytes of printable UTF-8", h, maxHeader), MsgZH: fmt.Sprintf("%s 最长 %d 字节，且须为可打印的 UTF-8", h, maxHeader)}
		}
	}
	if w.Scanner.Instance == "" || program == "" || version == "" {
		return w, &domain.Error{Kind: domain.Invalid, Rule: "scanner.headers",
			Msg:   "say who asks: " + instanceHeader + " (unique among running processes) and " + scannerHeader + " (name/version)",
			MsgZH: "请说明请求方：" + instanceHeader + "（在运行的进程中唯一）和 " + scannerHeader + "（名称/版本）"}
	}
	return w, nil
}

// delivery is a lease as its holder sees it.
type delivery struct {
	Lease       string    `json:"lease"`
	Deadline    time.Time `json:"deadline"`
	ExpiresInMS int64     `json:"expiresInMs"` // for those whose clock differs
	Cause       struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	} `json:"cause"`
	TaskID       string `json:"taskId"`
	Type         string `json:"subTaskType"`
	TookPart     bool   `json:"tookPart"`
	Attempt      int    `json:"attempt"`
	AttemptsLeft int    `json:"attemptsLeft"`
	Project      string `json:"project"`
	Version      string `json:"version"`
	Package      struct {
		URL      string `json:"url"`
		Key      string `json:"key"`
		SHA256   string `json:"sha256"`
		Size     int64  `json:"size"`
		FileName string `json:"fileName"`
	} `json:"package"`
	Configuration *told `json:"configuration,omitempty"`
}

// told is what operators have said of the type for the task's project, but for
// enabled: what is switched off is delivered to nobody.
type told struct {
	Project  string                         `json:"project"`
	Digest   string                         `json:"digest"`
	Settings json.RawMessage                `json:"settings,omitempty"`
	Rules    map[string]configuration.Level `json:"rules,omitempty"`
	Include  []glob.Pattern                 `json:"include,omitempty"`
	Exclude  []glob.Pattern                 `json:"exclude,omitempty"`
	Fail     map[report.Severity]int        `json:"fail,omitempty"` // how many do not fail the check
}

func toldOf(c *scanners.Told) *told {
	t := &told{Project: c.Project, Digest: c.Configuration.Digest, Settings: c.Settings, Rules: c.Rules, Include: c.Include, Exclude: c.Exclude, Fail: map[report.Severity]int{}}
	for severity, n := range map[report.Severity]*int{report.Error: c.Fail.Error, report.Warning: c.Fail.Warning, report.Note: c.Fail.Note} {
		if n != nil {
			t.Fail[severity] = *n
		}
	}
	return t
}

// poll takes GET /api/scanners/{type}/deliveries?wait=30s&max=1.
func (a *api) poll(w http.ResponseWriter, r *http.Request, who scanners.Worker) error {
	patience, n := usualWait, 1
	var err error
	if v := r.URL.Query().Get("wait"); v != "" {
		if patience, err = time.ParseDuration(v); err != nil || patience < 0 || patience > scanners.MaxWait {
			return &domain.Error{Kind: domain.Invalid, Rule: "deliveries.wait",
				Msg: fmt.Sprintf("wait=%.40q: give 0s to %s", v, scanners.MaxWait), MsgZH: fmt.Sprintf("wait=%.40q 无效：请给出 0s 到 %s", v, scanners.MaxWait)}
		}
	}
	if v := r.URL.Query().Get("max"); v != "" {
		if n, err = strconv.Atoi(v); err != nil || n < 1 || n > scanners.MaxLeases {
			return &domain.Error{Kind: domain.Invalid, Rule: "deliveries.max",
				Msg: fmt.Sprintf("max=%.40q: give 1 to %d", v, scanners.MaxLeases), MsgZH: fmt.Sprintf("max=%.40q 无效：请给出 1 到 %d", v, scanners.MaxLeases)}
		}
	}
	leases, err := a.Channel.Poll(r.Context(), who, n, patience)
	if err != nil {
		return err
	}
	if len(leases) > 0 {
		if err := a.admit(r, who.Type); err != nil { // the key may have been revoked while its holder waited
			a.Channel.GiveBack(leases)
			return err
		}
	}
	out := struct {
		Deliveries []delivery `json:"deliveries"`
	}{[]delivery{}}
	for _, l := range leases {
		d := delivery{
			Lease: l.ID, Deadline: l.Deadline.UTC(), ExpiresInMS: time.Until(l.Deadline).Milliseconds(),
			TaskID: l.TaskID, Type: who.Type, TookPart: l.TookPart, Attempt: l.Attempt, AttemptsLeft: l.Left,
			Project: l.Upload.Project, Version: l.Upload.Version,
		}
		d.Cause.ID, d.Cause.Type = l.Cause.ID, task.TypeName(l.Cause.Fact)
		d.Package.URL, d.Package.Key, d.Package.SHA256 = "/api/tasks/"+l.TaskID+"/package", l.Upload.FilePath, l.Upload.SHA256
		d.Package.Size, d.Package.FileName = l.Upload.Size, l.Upload.FileName
		if c := l.Configuration; c != nil {
			d.Configuration = toldOf(c)
		}
		out.Deliveries = append(out.Deliveries, d)
	}
	answer(w, http.StatusOK, out)
	return nil
}

func (a *api) heartbeat(w http.ResponseWriter, r *http.Request, who scanners.Worker) error {
	deadline, err := a.Channel.Renew(who, chi.URLParam(r, "lease"))
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]any{"deadline": deadline.UTC(), "expiresInMs": time.Until(deadline).Milliseconds()})
	return nil
}

// settled tells how a delivery ended: ack, retry or park.
type settled struct {
	End string `json:"end"`
}

func (a *api) ack(w http.ResponseWriter, r *http.Request, who scanners.Worker) error {
	ctx, cancel := context.WithTimeout(r.Context(), wishPatience)
	defer cancel()
	if err := a.Channel.Ack(ctx, who, chi.URLParam(r, "lease")); err != nil {
		return err
	}
	answer(w, http.StatusOK, settled{scanners.Acknowledged})
	return nil
}

func (a *api) nack(w http.ResponseWriter, r *http.Request, who scanners.Worker) error {
	var wish struct {
		Action string `json:"action"`
		Reason string `json:"reason"`
	}
	if err := readJSON(r.Body, &wish); err != nil {
		return err
	}
	if wish.Action != scanners.Repeated && wish.Action != scanners.Parked {
		return &domain.Error{Kind: domain.Invalid, Rule: "nack.action",
			Msg: fmt.Sprintf("action %.40q is unknown; give retry or park", wish.Action), MsgZH: fmt.Sprintf("action %.40q 无效；请使用 retry 或 park", wish.Action)}
	}
	ctx, cancel := context.WithTimeout(r.Context(), wishPatience)
	defer cancel()
	how, err := a.Channel.Nack(ctx, who, chi.URLParam(r, "lease"), wish.Action == scanners.Parked, wish.Reason)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, settled{how})
	return nil
}

// factDone is the answer to a fact.
type factDone struct {
	Attempt  int         `json:"attempt,omitempty"` // of SubTaskStarted; none: there is nothing to do any more
	Changed  bool        `json:"changed"`           // false: all was so already
	Facts    []factNamed `json:"facts"`
	Position string      `json:"position"`
}

type factNamed struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// fact takes POST /api/scanners/{type}/tasks/{id}/facts.
func (a *api) fact(w http.ResponseWriter, r *http.Request, who scanners.Worker) error {
	var said struct {
		Fact  string          `json:"fact"`
		Lease string          `json:"lease"`
		Data  json.RawMessage `json:"data"`
	}
	if err := readJSON(r.Body, &said); err != nil {
		return err
	}
	f, err := factOf(who, chi.URLParam(r, "id"), said.Fact, said.Data)
	if err != nil {
		return err
	}
	if err := task.Honest(f); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), wishPatience)
	defer cancel()
	done, attempt, err := a.record(ctx, who, chi.URLParam(r, "id"), said.Lease, f)
	if err != nil {
		return err
	}
	out := factDone{Attempt: attempt, Changed: len(done.Facts) > 0, Facts: []factNamed{}, Position: fmt.Sprint(done.Position)}
	for _, f := range done.Facts {
		out.Facts = append(out.Facts, factNamed{commands.FactID(chi.URLParam(r, "id"), f), task.TypeName(f)})
	}
	answer(w, http.StatusOK, out)
	return nil
}

// record has the domain decide what a scanner says.
func (a *api) record(ctx context.Context, who scanners.Worker, taskID, lease string, f task.Fact) (done commands.Done, attempt int, err error) {
	switch f := f.(type) {
	case task.SubTaskStarted:
		done, attempt, err = a.Channel.Start(ctx, who, taskID, lease, report.Text{En: f.Reason, Zh: f.ReasonZH})
	case task.SubTaskDeclined:
		done, err = a.Channel.StayAway(ctx, who, taskID, lease, scanners.Decline(f.Code, report.Text{En: f.Reason, Zh: f.ReasonZH}))
	case task.SubTaskCompleted:
		done, err = a.Channel.Complete(ctx, who, taskID, lease, f)
	case task.SubTaskFailed:
		done, err = a.Channel.Fail(ctx, who, taskID, lease, f)
	}
	return done, attempt, err
}

// factOf reads what a scanner says. A field that does not exist is refused, since it
// would be lost; who says it stands in the headers, and what it is about in the path.
func factOf(who scanners.Worker, taskID, name string, data []byte) (task.Fact, error) {
	switch name {
	case "SubTaskStarted":
		var f struct{ Reason, ReasonZh string }
		err := readFact(data, &f)
		return task.SubTaskStarted{TaskID: taskID, Type: who.Type, Attempt: 1, Scanner: who.Scanner, Reason: f.Reason, ReasonZH: f.ReasonZh}, err
	case "SubTaskDeclined":
		var f struct{ Code, Reason, ReasonZh string }
		err := readFact(data, &f)
		return task.SubTaskDeclined{TaskID: taskID, Type: who.Type, Code: f.Code, Reason: f.Reason, ReasonZH: f.ReasonZh, Scanner: who.Scanner}, err
	case "SubTaskCompleted":
		f := task.SubTaskCompleted{TaskID: taskID, Type: who.Type}
		err := readFact(data, &f)
		if err == nil && (f.TaskID != taskID || f.Type != who.Type) {
			err = elsewhere()
		}
		return f, err
	case "SubTaskFailed":
		f := task.SubTaskFailed{TaskID: taskID, Type: who.Type}
		err := readFact(data, &f)
		if err == nil && (f.TaskID != taskID || f.Type != who.Type) {
			err = elsewhere()
		}
		if err == nil && f.Parked {
			err = &domain.Error{Kind: domain.Invalid, Rule: "fact.shape",
				Msg: "parked is the server's to say; nack the delivery with park", MsgZH: "parked 由服务端给出；请以 park 方式 nack 该投递"}
		}
		return f, err
	}
	return nil, &domain.Error{Kind: domain.Invalid, Rule: "fact.unknown",
		Msg:   fmt.Sprintf("fact %.60q is not a scanner's; post SubTaskStarted, SubTaskDeclined, SubTaskCompleted or SubTaskFailed", name),
		MsgZH: fmt.Sprintf("%.60q 不是扫描器的事实；请提交 SubTaskStarted、SubTaskDeclined、SubTaskCompleted 或 SubTaskFailed", name)}
}

func elsewhere() error {
	return &domain.Error{Kind: domain.Invalid, Rule: "fact.shape",
		Msg: "taskId and subTaskType are those of the path; leave them out", MsgZH: "taskId 和 subTaskType 以路径为准，请省略"}
}

// readFact is readJSON of a fact's data, which may be left out.
func readFact(data []byte, into any) error {
	if len(data) == 0 {
		return nil
	}
	return readJSON(bytes.NewReader(data), into)
}

// readJSON reads one JSON object without unknown fields.
func readJSON(body io.Reader, into any) error {
	text, err := io.ReadAll(io.LimitReader(body, maxFactBody+1))
	switch {
	case domain.RuleOf(err) != "": // the body's own refusal
		return err
	case err != nil:
		return &domain.Error{Kind: domain.Invalid, Rule: "upload.broken", Msg: "the body broke off before its end; send it again", MsgZH: "请求体中断，请重新发送", Err: err}
	case len(text) > maxFactBody:
		return &domain.Error{Kind: domain.Invalid, Rule: "fact.too_large",
			Msg: fmt.Sprintf("the body is over %d KiB; details belong into the report", maxFactBody>>10), MsgZH: fmt.Sprintf("请求体超过 %d KiB；细节请放入报告", maxFactBody>>10)}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(into)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return &domain.Error{Kind: domain.Invalid, Rule: "fact.shape",
			Msg:   "the body is not the JSON object that belongs here: " + err.Error() + "; see docs/scanner-protocol.md",
			MsgZH: "请求体不是此处要求的 JSON 对象：" + err.Error() + "；参见 docs/scanner-protocol.md"}
	}
	return nil
}

// storedReport is the answer to a report.
type storedReport struct {
	Key     string        `json:"key"`
	SHA256  string        `json:"sha256"`
	Size    int64         `json:"size"`
	Summary report.Counts `json:"summary"`
}

// report takes POST /api/scanners/{type}/tasks/{id}/reports, JSON Lines, and stores
// what is a report of this task and type.
func (a *api) report(w http.ResponseWriter, r *http.Request, who scanners.Worker) error {
	facts, err := a.Commands.Load(r.Context(), chi.URLParam(r, "id"))
	switch {
	case err != nil:
		return err
	case len(facts) == 0: // nobody would ever look at it
		return &domain.Error{Kind: domain.NotFound, Rule: "task.unknown", Msg: "there is no such task", MsgZH: "任务不存在"}
	}
	in, out := io.Pipe()
	var counts report.Counts
	read := make(chan error, 1)
	go func() {
		err := readReport(io.TeeReader(http.MaxBytesReader(nil, r.Body, report.MaxBytes), out), who.Type, chi.URLParam(r, "id"), &counts)
		_ = out.CloseWithError(err) // nil means io.EOF: the report is whole
		read <- err
	}()
	info, err := a.Blobs.Put(r.Context(), in, report.MaxBytes)
	_ = in.CloseWithError(err) // a failed store must not leave the reader writing into nothing
	bad := <-read
	var large *http.MaxBytesError
	var refused *domain.Error
	switch {
	case err == nil:
		answer(w, http.StatusCreated, storedReport{string(info.Key), info.SHA256, info.Size, counts})
		return nil
	case errors.As(bad, &large):
		return &domain.Error{Kind: domain.Invalid, Rule: "report.too_large",
			Msg: fmt.Sprintf("the report is over %d MiB; report less", report.MaxBytes>>20), MsgZH: fmt.Sprintf("报告超过 %d MiB；请减少内容", report.MaxBytes>>20)}
	case errors.As(bad, &refused):
		return refused
	case errors.Is(bad, report.ErrDamaged):
		return &domain.Error{Kind: domain.Invalid, Rule: "report.damaged",
			Msg: bad.Error() + "; a report is JSON Lines, see docs/scanner-protocol.md", MsgZH: bad.Error() + "；报告为 JSON Lines 格式，参见 docs/scanner-protocol.md"}
	case r.Context().Err() != nil:
		return r.Context().Err()
	case bad != nil && errors.As(err, new(*blob.ReadError)):
		return &domain.Error{Kind: domain.Invalid, Rule: "upload.broken", Msg: "the report broke off before its end; send it again", MsgZH: "报告上传中断，请重新上传", Err: bad}
	default:
		return unavailable("the report could not be stored; try again in a moment", "报告暂时无法保存，请稍后重试", err)
	}
}

// readReport reads a report to its end and refuses what nobody could show.
func readReport(r io.Reader, subTaskType, taskID string, counts *report.Counts) error {
	line := 1
	h, err := report.Read(r, func(f report.Finding) error {
		line++
		known := f.Severity == report.Error || f.Severity == report.Warning || f.Severity == report.Note
		if f.Rule == "" || !known || f.Message.En == "" || f.Message.Zh == "" {
			return &domain.Error{Kind: domain.Invalid, Rule: "report.damaged",
				Msg:   fmt.Sprintf("line %d: a finding has a rule, a severity (error, warning or note) and a message in en and zh", line),
				MsgZH: fmt.Sprintf("第 %d 行：每个问题须有 rule、severity（error、warning 或 note）以及中英文 message", line)}
		}
		counts.Add(f)
		return nil
	})
	if err != nil {
		return err
	}
	if h.TaskID != taskID || h.Type != subTaskType || h.Attempt < 1 {
		return &domain.Error{Kind: domain.Invalid, Rule: "report.damaged",
			Msg:   "line 1: the header names another taskId or subTaskType, or no attempt",
			MsgZH: "第 1 行：头部的 taskId 或 subTaskType 与路径不符，或缺少 attempt"}
	}
	return nil
}
