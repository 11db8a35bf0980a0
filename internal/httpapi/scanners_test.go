package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/httpapi"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/scanners"
)

// gate is one event store and one folder of blobs, with as many servers as a test wants.
type gate struct {
	*testing.T
	store    *testbench.Store
	blobs    *blob.Dir
	commands *commands.Commands
	key      scanner.Key
}

func newGate(t *testing.T) *gate {
	g := &gate{T: t, store: testbench.NewStore(t), blobs: testbench.NewBlobs(t), key: scanner.Key{ID: "00112233445566ff", Secret: scanner.Secret{1}}}
	g.commands = commands.New(g.store)
	_, err := g.commands.IssueScannerKey(t.Context(), scanner.IssueKey{Type: "README", KeyID: g.key.ID, SHA256: g.key.Digest()})
	require.NoError(t, err)
	return g
}

var quick = scanners.ChannelOptions{Lease: 700 * time.Millisecond, Backoff: time.Millisecond, Idle: 5 * time.Second}

// server is a process that serves the channel.
type server struct {
	url  string
	kill func() // its leases are lost
	end  func() // its polls end
}

func (g *gate) serve(o scanners.ChannelOptions) server {
	channel := scanners.NewChannel(scanners.Parts{Log: g.store, Blobs: g.blobs, Logger: testbench.Logger(g.T)}, o)
	ctx, cancel := context.WithCancel(g.Context())
	done := make(chan error, 1)
	go func() { done <- channel.Run(ctx) }()
	web := httptest.NewServer(httpapi.New(httpapi.Parts{
		Commands: g.commands, Blobs: g.blobs, Channel: channel, Keys: commands.NewKeyring(g.store), GraphQL: http.NotFoundHandler(), Console: http.NotFoundHandler(),
		Ready: g.store.Ping, Logger: testbench.Logger(g.T),
	}))
	kill := sync.OnceFunc(func() {
		cancel()
		require.NoError(g, <-done)
		web.Close()
	})
	g.Cleanup(kill)
	return server{web.URL, kill, channel.EndPolls}
}

// open makes a task with an open window.
func (g *gate) open() string {
	id := testbench.Upload(g, g.commands, g.blobs, packed(g.T, "README.md", fmt.Sprint("hello ", time.Now().UnixNano())))
	_, err := g.commands.OpenWindow(g.Context(), id, commands.Origin{}, task.Open{Now: time.Now(), Window: time.Hour, Quiet: time.Minute})
	require.NoError(g, err)
	return id
}

// worker is an instance of the scanner README.
type worker struct {
	*gate
	url, instance string
}

type lease struct {
	Lease, TaskID, SubTaskType string
	Deadline                   time.Time
	TookPart                   bool
	Attempt, AttemptsLeft      int
	Package                    struct{ URL, SHA256 string }
	Configuration              struct{ Project, Digest, Text string }
	Cause                      struct{ ID, Type string }
}

type said struct {
	status     int
	Deliveries []lease
	Attempt    int
	Changed    bool
	Facts      []struct{ ID, Type string }
	End        string
	Key        string
	SHA256     string
	Summary    report.Counts
	Refused    struct{ Code, Message string }
	header     http.Header
}

func (w worker) ask(method, path string, body []byte, header ...string) said {
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+"/api/scanners/README"+path, bytes.NewReader(body))
	require.NoError(w, err)
	for k, v := range map[string]string{"Authorization": "Bearer " + w.key.String(), "X-Factgate-Instance": w.instance, "X-Factgate-Scanner": "readme/1.2", "X-Factgate-Rules-Digest": "r"} {
		req.Header.Set(k, v)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(w, err)
	defer resp.Body.Close()
	got := said{status: resp.StatusCode, header: resp.Header}
	require.NoError(w, json.NewDecoder(resp.Body).Decode(&got))
	if got.status >= 400 {
		require.NotEmpty(w, got.Refused.Code)
	}
	return got
}

// next waits for a delivery.
func (w worker) next() lease {
	got := w.ask(http.MethodGet, "/deliveries?wait=30s", nil)
	require.Equal(w, http.StatusOK, got.status, got.Refused)
	require.Len(w, got.Deliveries, 1)
	return got.Deliveries[0]
}

func (w worker) say(taskID, lease, fact, data string) said {
	return w.ask(http.MethodPost, "/tasks/"+taskID+"/facts", []byte(fmt.Sprintf(`{"fact":%q,"lease":%q,"data":%s}`, fact, lease, data)))
}

func (w worker) settle(l lease, how, body string) said {
	return w.ask(http.MethodPost, "/deliveries/"+l.Lease+"/"+how, []byte(body))
}

func (w worker) report(taskID string, findings ...report.Finding) said {
	var b bytes.Buffer
	out := report.NewWriter(&b, report.Header{TaskID: taskID, Type: "README", Attempt: 1, Scanner: "readme/1.2"})
	for _, f := range findings {
		out.Add(f)
	}
	require.NoError(w, out.Close())
	return w.ask(http.MethodPost, "/tasks/"+taskID+"/reports", b.Bytes())
}

var finding = report.Finding{Rule: "RM001", Severity: report.Error, Path: "README.md", Line: 1, Message: report.Text{En: "empty", Zh: "空"}}

func (g *gate) sub(id string) task.SubTask {
	facts, err := g.commands.Load(g.Context(), id)
	require.NoError(g, err)
	testbench.RequireSound(g.T, facts)
	return task.Fold(facts).SubTasks["README"]
}

// names are the facts after the window was opened. Tries that may not be the first
// are left out: whether one was heard of before its seat stood is chance.
func (g *gate) names(id string) (names []string) {
	facts, err := g.commands.Load(g.Context(), id)
	require.NoError(g, err)
	for _, r := range facts[2:] {
		if _, try := r.Fact.(task.SubTaskConsidered); !try {
			names = append(names, task.TypeName(r.Fact))
		}
	}
	return names
}

const passed = `{"attempt":%d,"result":"PASS","summary":{"error":0,"warning":0,"note":0},"coverage":{"eligible":1,"seen":1},"durationMs":5}`

func pass(attempt int) string { return fmt.Sprintf(passed, attempt) }

func TestAScannerOverHTTPTakesPart(t *testing.T) {
	g := newGate(t)
	w := worker{g, g.serve(quick).url, "one"}
	id := g.open()
	l := w.next()
	require.Equal(t, id, l.TaskID)
	require.Equal(t, "MainTaskCreated", l.Cause.Type)
	require.False(t, l.TookPart)
	require.Equal(t, 3, l.AttemptsLeft)
	resp, err := http.Get(w.url + l.Package.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, `"`+l.Package.SHA256+`"`, resp.Header.Get("ETag"))

	require.Equal(t, "delivery.unanswered", w.settle(l, "ack", "").Refused.Code)
	started := w.say(id, l.Lease, "SubTaskStarted", `{}`)
	require.Equal(t, 1, started.Attempt, started.Refused)
	require.True(t, started.Changed)
	again := w.say(id, l.Lease, "SubTaskStarted", `{}`)
	require.Equal(t, 1, again.Attempt)
	require.False(t, again.Changed)
	require.Equal(t, "delivery.unanswered", w.settle(l, "ack", "").Refused.Code)
	require.Equal(t, "sub_task.started", w.say(id, l.Lease, "SubTaskDeclined", `{"code":"NO","reason":"x"}`).Refused.Code)

	stored := w.report(id, finding)
	require.Equal(t, http.StatusCreated, stored.status, stored.Refused)
	require.Equal(t, report.Counts{Error: 1}, stored.Summary)
	failed := fmt.Sprintf(`{"attempt":1,"kind":"CHECK","reason":"1 error: RM001","reasonZh":"1 个错误：RM001","summary":{"error":1,"warning":0,"note":0},"coverage":{"eligible":1,"seen":1},"report":{"key":%q,"sha256":%q},"durationMs":3}`, stored.Key, stored.SHA256)
	for _, changed := range []bool{true, false} {
		got := w.say(id, l.Lease, "SubTaskFailed", failed)
		require.Equal(t, http.StatusOK, got.status, got.Refused)
		require.Equal(t, changed, got.Changed)
		if changed {
			taskID, err := eventstore.ParseID(id)
			require.NoError(t, err)
			require.Equal(t, eventstore.DeriveID(taskID, "SubTaskFailed/README/1").String(), got.Facts[0].ID)
		}
	}
	require.Zero(t, w.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt, "there is nothing to do any more")
	require.Equal(t, "attempt.ended", w.say(id, l.Lease, "SubTaskCompleted", pass(1)).Refused.Code)
	for range 2 {
		require.Equal(t, "ack", w.settle(l, "ack", "").End)
	}
	mine := g.sub(id)
	require.Equal(t, task.Scanner{Name: "readme", Version: "1.2", Instance: "one", RulesDigest: "r"}, mine.Scanner)
	require.Equal(t, task.Check, mine.Kind)
	require.Equal(t, []string{"SubTaskStarted", "SubTaskFailed"}, g.names(id))

	known, err := commands.NewRoster(g.store).Known(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"README"}, known)
}

func TestAScannerOverHTTPDeclines(t *testing.T) {
	g := newGate(t)
	w := worker{g, g.serve(quick).url, "one"}
	id := g.open()
	l := w.next()
	for _, changed := range []bool{true, false} {
		got := w.say(id, l.Lease, "SubTaskDeclined", `{"code":"NO_MATCHING_FILES","reason":"no README.md","reasonZh":"没有 README.md"}`)
		require.Equal(t, changed, got.Changed, got.Refused)
	}
	require.Equal(t, "ack", w.settle(l, "ack", "").End)
	require.Equal(t, []string{"SubTaskDeclined"}, g.names(id))
}

// What operators say of a type reaches its scanners, wherever they are.
func TestAConfigurationReachesAScannerOverHTTP(t *testing.T) {
	g := newGate(t)
	w := worker{g, g.serve(quick).url, "one"}
	const text = "settings: {limit: 3}\n"
	_, err := g.commands.ConfigureScanner(t.Context(), "dw", project.ConfigureScanner{Type: "README", Text: text, By: "li"})
	require.NoError(t, err)
	id := g.open()
	l := w.next()
	require.Equal(t, text, l.Configuration.Text)
	require.Equal(t, "dw", l.Configuration.Project)
	require.Equal(t, 1, w.say(id, l.Lease, "SubTaskStarted", `{"reason":"1 README","reasonZh":"1 个 README"}`).Attempt)
	require.True(t, w.say(id, l.Lease, "SubTaskCompleted", pass(1)).Changed)
	facts, err := g.commands.Load(t.Context(), id)
	require.NoError(t, err)
	for _, r := range facts {
		if f, ok := r.Fact.(task.SubTaskStarted); ok {
			require.Equal(t, l.Configuration.Digest, f.Configuration.Digest)
			require.Equal(t, "1 个 README", f.ReasonZH)
		}
	}
	require.Equal(t, "ack", w.settle(l, "ack", "").End)

	_, err = g.commands.ConfigureScanner(t.Context(), "dw", project.ConfigureScanner{Type: "README", Text: "enabled: false", By: "li"})
	require.NoError(t, err)
	id = g.open()
	testbench.Await(t, g.commands, id, "declined, though nobody asks", func(s task.State) bool { return s.Declined["README"].Code == scanners.Disabled })
}

func TestNobodySpeaksForATypeWithoutItsKey(t *testing.T) {
	g := newGate(t)
	_, err := g.commands.IssueScannerKey(t.Context(), scanner.IssueKey{Type: "OTHER", KeyID: "ff", SHA256: "ff"})
	require.Error(t, err)
	other := scanner.Key{ID: "0000000000000001", Secret: scanner.Secret{2}}
	_, err = g.commands.IssueScannerKey(t.Context(), scanner.IssueKey{Type: "OTHER", KeyID: other.ID, SHA256: other.Digest()})
	require.NoError(t, err)
	w := worker{g, g.serve(quick).url, "one"}
	id := g.open()
	for key, code := range map[string]string{
		"": "scanner_key.missing", "Bearer": "scanner_key.missing", "Bearer nonsense": "scanner_key.missing", "Basic " + g.key.String(): "scanner_key.missing",
		"Bearer " + other.String(): "scanner_key.refused",
	} {
		for path, method := range map[string]string{
			"/deliveries?wait=0s": http.MethodGet, "/deliveries/x/heartbeat": http.MethodPost, "/deliveries/x/ack": http.MethodPost, "/deliveries/x/nack": http.MethodPost,
			"/tasks/" + id + "/facts": http.MethodPost, "/tasks/" + id + "/reports": http.MethodPost,
		} {
			got := w.ask(method, path, nil, "Authorization", key, "Accept-Language", "zh-CN")
			require.Equal(t, http.StatusUnauthorized, got.status, key)
			require.Equal(t, code, got.Refused.Code)
			require.Contains(t, got.Refused.Message, "密钥")
			require.NotContains(t, got.Refused.Message, other.String()[24:])
			require.Contains(t, got.header.Get("WWW-Authenticate"), "Bearer")
		}
	}
	require.Equal(t, http.StatusOK, w.ask(http.MethodGet, "/deliveries?wait=0s", nil, "Authorization", "bearer  "+g.key.String()).status)
	_, err = g.commands.RevokeScannerKey(t.Context(), scanner.RevokeKey{Type: "README", KeyID: g.key.ID, Reason: "lost"})
	require.NoError(t, err)
	require.Equal(t, "scanner_key.refused", w.ask(http.MethodGet, "/deliveries?wait=0s", nil).Refused.Code, "at once")
}

func TestALeaseThatRunsOutGoesToAnotherAndTheFirstIsStale(t *testing.T) {
	g := newGate(t)
	s := g.serve(quick)
	one, two := worker{g, s.url, "one"}, worker{g, s.url, "two"}
	id := g.open()
	l := one.next()
	require.Equal(t, 1, one.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
	require.Equal(t, "lease.gone", two.settle(l, "heartbeat", "").Refused.Code, "another instance's")
	beat := one.settle(l, "heartbeat", "")
	require.Equal(t, http.StatusOK, beat.status)

	next := two.next()
	require.Equal(t, id, next.TaskID)
	require.True(t, next.TookPart)
	require.Equal(t, 1, next.Attempt)
	require.Equal(t, 2, next.AttemptsLeft)
	for _, how := range []string{"heartbeat", "ack"} {
		got := one.settle(l, how, "")
		require.Equal(t, http.StatusGone, got.status)
		require.Equal(t, "lease.gone", got.Refused.Code)
	}
	require.Equal(t, "lease.gone", one.say(id, l.Lease, "SubTaskStarted", `{}`).Refused.Code)
	require.Equal(t, 2, two.say(id, next.Lease, "SubTaskStarted", `{}`).Attempt)
	stale := one.say(id, l.Lease, "SubTaskCompleted", pass(1))
	require.Equal(t, http.StatusConflict, stale.status)
	require.Equal(t, "attempt.stale", stale.Refused.Code)
	require.True(t, two.say(id, next.Lease, "SubTaskCompleted", pass(2)).Changed)
	require.Equal(t, "ack", two.settle(next, "ack", "").End)
	require.Equal(t, []string{"SubTaskStarted", "SubTaskStarted", "SubTaskCompleted"}, g.names(id))
}

// As long as nobody has begun another attempt, a late result is worth having; and the
// delivery that comes again is settled without a worker.
func TestAResultCountsThoughItsLeaseIsGone(t *testing.T) {
	g := newGate(t)
	s := g.serve(quick)
	one := worker{g, s.url, "one"}
	id := g.open()
	l := one.next()
	require.Equal(t, 1, one.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
	require.Eventually(t, func() bool { return one.settle(l, "ack", "").Refused.Code == "lease.gone" }, testbench.Patience, 20*time.Millisecond)
	require.True(t, one.say(id, l.Lease, "SubTaskCompleted", pass(1)).Changed)
	other := g.open()
	for {
		got := one.next()
		if got.TaskID == other {
			break
		}
		require.Equal(t, id, got.TaskID, "it waited here before the result came")
		require.Zero(t, one.say(id, got.Lease, "SubTaskStarted", `{}`).Attempt)
		require.Equal(t, "ack", one.settle(got, "ack", "").End)
	}
	require.Equal(t, []string{"SubTaskStarted", "SubTaskCompleted"}, g.names(id))
}

func TestALostServerGivesItsLeasesToAnother(t *testing.T) {
	g := newGate(t)
	first, second := g.serve(scanners.ChannelOptions{}), g.serve(scanners.ChannelOptions{})
	one, two := worker{g, first.url, "one"}, worker{g, second.url, "two"}
	id := g.open()
	l := one.next()
	require.Equal(t, 1, one.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
	one.url = second.url
	require.Equal(t, "lease.gone", one.settle(l, "heartbeat", "").Refused.Code, "another server gave it")
	first.kill()
	next := two.next()
	require.Equal(t, id, next.TaskID)
	require.Equal(t, 2, two.say(id, next.Lease, "SubTaskStarted", `{}`).Attempt)
	require.Equal(t, "attempt.stale", one.say(id, l.Lease, "SubTaskCompleted", pass(1)).Refused.Code)
	require.True(t, two.say(id, next.Lease, "SubTaskCompleted", pass(2)).Changed)
	require.Equal(t, "ack", two.settle(next, "ack", "").End)
}

func TestAfterItsLastAttemptADeliveryIsParked(t *testing.T) {
	g := newGate(t)
	w := worker{g, g.serve(quick).url, "one"}
	id := g.open()
	for n := 1; n <= 3; n++ {
		l := w.next()
		require.Equal(t, n > 1, l.TookPart)
		require.Equal(t, 4-n, l.AttemptsLeft)
		require.Equal(t, n, w.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
		require.Equal(t, "reason.invalid", w.settle(l, "nack", `{"action":"retry"}`).Refused.Code)
		require.Equal(t, "nack.action", w.settle(l, "nack", `{"action":"drop","reason":"x"}`).Refused.Code)
		require.Equal(t, map[bool]string{true: "park", false: "retry"}[n == 3], w.settle(l, "nack", `{"action":"retry","reason":"the disk is full"}`).End)
	}
	mine := g.sub(id)
	require.True(t, mine.Parked)
	require.Equal(t, task.Error, mine.Kind)
	require.Equal(t, "the scan could not be finished: the disk is full", mine.Reason)
	require.NotEmpty(t, mine.ReasonZH)

	// Once more on request, with all attempts.
	_, err := g.commands.Replay(t.Context(), id, commands.Origin{}, task.ReplayDeadLetter{Type: "README", Reason: "disk replaced"}, nil)
	require.NoError(t, err)
	l := w.next()
	require.Equal(t, "SubTaskRetryRequested", l.Cause.Type)
	require.Equal(t, 3, l.AttemptsLeft)
	require.Equal(t, 4, w.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
	require.True(t, w.say(id, l.Lease, "SubTaskCompleted", pass(4)).Changed)
	require.Equal(t, "ack", w.settle(l, "nack", `{"action":"park","reason":"too late"}`).End)
}

func TestADeliveryIsParkedOnRequest(t *testing.T) {
	g := newGate(t)
	w := worker{g, g.serve(quick).url, "one"}
	id := g.open()
	require.Equal(t, "park", w.settle(w.next(), "nack", `{"action":"park","reason":"never seen such a thing"}`).End)
	require.True(t, g.sub(id).Parked)
	require.Equal(t, []string{"SubTaskStarted", "SubTaskFailed"}, g.names(id))
}

// A package that kills whoever looks at it, before anything is said, ends too.
func TestWhoNeverAnswersIsGivenUp(t *testing.T) {
	g := newGate(t)
	o := quick
	o.Lease = 20 * time.Millisecond
	w := worker{g, g.serve(o).url, "one"}
	id := g.open()
	require.Eventually(t, func() bool {
		w.ask(http.MethodGet, "/deliveries?wait=100ms", nil)
		return g.sub(id).Parked
	}, testbench.Patience, time.Millisecond)
	require.Equal(t, []string{"SubTaskStarted", "SubTaskFailed"}, g.names(id))
	require.Contains(t, g.sub(id).Reason, "times a scanner looked at the package and ended without an answer")
}

func TestAnIdleSeatIsGivenUpAndSaysSo(t *testing.T) {
	g := newGate(t)
	o := quick
	o.Idle = 50 * time.Millisecond
	s := g.serve(o)
	w := worker{g, s.url, "one"}
	require.Empty(t, w.ask(http.MethodGet, "/deliveries?wait=0s", nil).Deliveries)
	presence := func() (types []string) {
		for r, err := range g.store.ReadStream(t.Context(), eventstore.StreamID{Category: scanner.Category, Key: "README"}, 0) {
			if err != nil {
				return nil
			}
			types = append(types, r.Type)
		}
		return types
	}
	require.Eventually(t, func() bool { return len(presence()) == 2 }, testbench.Patience, 10*time.Millisecond)
	require.Equal(t, []string{scanner.OnlineType, scanner.OfflineType}, presence())
	id := g.open()
	require.Equal(t, id, w.next().TaskID, "and is there again when it asks")
}

func TestPollsHaveBoundsAndEndWithTheirServer(t *testing.T) {
	g := newGate(t)
	s := g.serve(quick)
	w := worker{g, s.url, "one"}
	for query, code := range map[string]string{"max=0": "deliveries.max", "max=33": "deliveries.max", "max=x": "deliveries.max", "wait=61s": "deliveries.wait", "wait=-1s": "deliveries.wait", "wait=x": "deliveries.wait"} {
		got := w.ask(http.MethodGet, "/deliveries?"+query, nil)
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Equal(t, code, got.Refused.Code)
	}
	require.Equal(t, "scanner.headers", w.ask(http.MethodGet, "/deliveries", nil, "X-Factgate-Instance", "").Refused.Code)
	require.Equal(t, "scanner.headers", w.ask(http.MethodGet, "/deliveries", nil, "X-Factgate-Scanner", "nameless").Refused.Code)
	require.Equal(t, "scanner.headers", w.ask(http.MethodGet, "/deliveries", nil, "X-Factgate-Instance", strings.Repeat("x", 201)).Refused.Code)

	for range 3 {
		g.open()
	}
	var leased []lease
	for len(leased) < 2 {
		leased = append(leased, w.ask(http.MethodGet, "/deliveries?wait=30s&max=2", nil).Deliveries...)
	}
	require.Len(t, leased, 2, "and not the third while both are held")
	require.Empty(t, w.ask(http.MethodGet, "/deliveries?wait=0s&max=2", nil).Deliveries)

	ended := make(chan said)
	two := worker{g, s.url, "two"}
	waits := make(chan struct{})
	go func() {
		close(waits)
		for {
			if got := two.ask(http.MethodGet, "/deliveries?wait=60s", nil); got.status != http.StatusOK {
				ended <- got
				return
			}
		}
	}()
	<-waits
	s.end()
	got := <-ended
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "channel.closed", got.Refused.Code)
	require.NotEmpty(t, got.header.Get("Retry-After"))
}

func TestFactsThatCannotBeSoAreRefused(t *testing.T) {
	g := newGate(t)
	w := worker{g, g.serve(scanners.ChannelOptions{}).url, "one"}
	id := g.open()
	l := w.next()
	require.Equal(t, "sub_task.not_started", w.say(id, l.Lease, "SubTaskCompleted", pass(1)).Refused.Code)
	for _, c := range []struct{ fact, data, code string }{
		{"SubTaskPaused", `{}`, "fact.unknown"},
		{"MainTaskConverged", `{}`, "fact.unknown"},
		{"SubTaskStarted", `{"attempt":7}`, "fact.shape"},
		{"SubTaskStarted", `[]`, "fact.shape"},
		{"SubTaskDeclined", `{"reason":"no code"}`, "fact.shape"},
		{"SubTaskDeclined", `{"code":"no","reason":"x"}`, "fact.shape"},
		{"SubTaskDeclined", `{"code":"NO"}`, "fact.shape"},
		{"SubTaskDeclined", `{"code":"NO","reason":"x","mood":"good"}`, "fact.shape"},
		{"SubTaskCompleted", pass(0), "fact.shape"},
		{"SubTaskCompleted", `{"attempt":1,"result":"FINE","coverage":{"eligible":1,"seen":1}}`, "fact.result"},
		{"SubTaskCompleted", `{"attempt":1,"result":"PASS","summary":{"error":1,"warning":0,"note":0},"coverage":{"eligible":1,"seen":1}}`, "fact.result"},
		{"SubTaskCompleted", `{"attempt":1,"result":"PASS","coverage":{"eligible":10,"seen":0}}`, "fact.coverage"},
		{"SubTaskCompleted", `{"attempt":1,"result":"PASS","coverage":{"eligible":1,"seen":2}}`, "fact.coverage"},
		{"SubTaskCompleted", `{"attempt":1,"result":"PASS_WITH_WARNINGS","summary":{"error":0,"warning":1,"note":0},"coverage":{"eligible":1,"seen":1}}`, "fact.report"},
		{"SubTaskCompleted", `{"attempt":1,"result":"PASS","coverage":{"eligible":1,"seen":1},"report":{"key":"sha256/../x","sha256":"x"}}`, "fact.report"},
		{"SubTaskCompleted", fmt.Sprintf(`{"attempt":1,"result":"PASS","coverage":{"eligible":1,"seen":1},"report":{"key":"sha256/ab/%[1]s","sha256":"%[1]s"}}`, "ab"+strings.Repeat("0", 62)), "report.unknown"},
		{"SubTaskCompleted", fmt.Sprintf(`{"attempt":1,"result":"PASS","coverage":{"eligible":1,"seen":1},"report":{"key":"sha256/%.2[1]s/%[1]s","sha256":"%[1]s"}}`, l.Package.SHA256), "report.damaged"},
		{"SubTaskCompleted", `{"attempt":1,"subTaskType":"SQL"}`, "fact.shape"},
		{"SubTaskFailed", `{"attempt":1,"kind":"ERROR","reason":"x","parked":true}`, "fact.shape"},
		{"SubTaskFailed", `{"attempt":1,"kind":"ODD","reason":"x"}`, "fact.result"},
		{"SubTaskFailed", `{"attempt":1,"kind":"CHECK","reason":"x"}`, "fact.result"},
		{"SubTaskFailed", `{"attempt":1,"kind":"ERROR"}`, "fact.shape"},
	} {
		got := w.say(id, l.Lease, c.fact, c.data)
		require.Equal(t, http.StatusBadRequest, got.status, c)
		require.Equal(t, c.code, got.Refused.Code, c)
	}
	require.Equal(t, "fact.shape", w.ask(http.MethodPost, "/tasks/"+id+"/facts", []byte(`{"fact":"SubTaskStarted"} {}`)).Refused.Code)
	big := w.ask(http.MethodPost, "/tasks/"+id+"/facts", []byte(`{"fact":"`+strings.Repeat("x", 300<<10)+`"}`))
	require.Equal(t, http.StatusRequestEntityTooLarge, big.status)
	require.Equal(t, "lease.gone", w.say(id, "nope", "SubTaskStarted", `{}`).Refused.Code)
	require.Equal(t, "lease.task", w.say(g.open(), l.Lease, "SubTaskStarted", `{}`).Refused.Code)
	require.Equal(t, 1, w.say(id, l.Lease, "SubTaskStarted", `{}`).Attempt)
	stored := w.report(id, finding)
	lie := fmt.Sprintf(`{"attempt":1,"result":"PASS","coverage":{"eligible":1,"seen":1},"report":{"key":%q,"sha256":%q}}`, stored.Key, stored.SHA256)
	require.Equal(t, "fact.report", w.say(id, l.Lease, "SubTaskCompleted", lie).Refused.Code)
	require.Equal(t, []string{"SubTaskStarted"}, g.names(id))
}

func TestOnlyReportsAreStoredAsReports(t *testing.T) {
	g := newGate(t)
	w := worker{g, g.serve(quick).url, "one"}
	id := g.open()
	header := fmt.Sprintf(`{"format":1,"taskId":%q,"subTaskType":"README","attempt":1,"scanner":"readme/1"}`+"\n", id)
	for name, body := range map[string]string{
		"nothing": "", "no JSON": "hello", "another format": `{"format":2}`, "another task": strings.Replace(header, id[:8], "00000000", 1),
		"another type": strings.Replace(header, "README", "SQL", 1), "no rule": header + `{"severity":"error","message":{"en":"x","zh":"x"}}`,
		"no severity": header + `{"rule":"A","severity":"fatal","message":{"en":"x","zh":"x"}}`, "one language": header + `{"rule":"A","severity":"error","message":{"en":"x"}}`,
		"long line": header + `{"rule":"` + strings.Repeat("x", 70<<10) + `"}`, "cut": header + `{"rule":`,
	} {
		t.Run(name, func(t *testing.T) {
			got := w.ask(http.MethodPost, "/tasks/"+id+"/reports", []byte(body))
			require.Equal(t, http.StatusBadRequest, got.status)
			require.Equal(t, "report.damaged", got.Refused.Code)
		})
	}
	stored := 0
	for _, err := range g.blobs.List(t.Context()) {
		require.NoError(t, err)
		stored++
	}
	require.Equal(t, 1, stored, "the package, and nothing of what was refused")
	require.Equal(t, http.StatusCreated, w.ask(http.MethodPost, "/tasks/"+id+"/reports", []byte(header)).status)
}
