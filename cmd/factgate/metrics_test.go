package main

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/testbench"
)

// scraped is an answer of /metrics: for each series its value, or a histogram's count.
type scraped map[string]float64

func scrape(t *testing.T, url string) scraped {
	t.Helper()
	answer, err := http.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	require.NoError(t, err)
	out := scraped{}
	for name, family := range families {
		require.NotEmpty(t, family.GetHelp(), name)
		for _, m := range family.Metric {
			out[name+labels(m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

func labels(m *dto.Metric) string {
	var list []string
	for _, l := range m.Label {
		list = append(list, l.GetName()+"="+l.GetValue())
	}
	if len(list) == 0 {
		return ""
	}
	slices.Sort(list)
	return "{" + strings.Join(list, ",") + "}"
}

// has compares some series; what is not there is not 0.
func (s scraped) has(t *testing.T, want map[string]float64) {
	t.Helper()
	for series, value := range want {
		got, ok := s[series]
		require.True(t, ok, "%s is missing", series)
		require.Equal(t, value, got, series) //nolint:testifylint // counts are whole
	}
}

func TestMetricsOfARunAndOfARole(t *testing.T) {
	t.Parallel()
	d := deploy(t, time.Minute, time.Second)
	s := serve(t, t.TempDir(), slices.Concat(d.store(), d.tables(), []string{"--quiet", "1s"})...)
	defer s.kill()
	require.Eventually(t, func() bool { // it takes uploads before there is a read model
		_, installed := scrape(t, s.url+"/metrics")["factgate_read_model_halted{model=1}"]
		return installed
	}, testbench.Patience, 20*time.Millisecond)
	scrape(t, s.url+"/metrics").has(t, map[string]float64{
		"factgate_windows_open": 0, "factgate_read_model_halted{model=1}": 0, "factgate_read_model_live{model=1}": 1,
		"factgate_uploads_total{code=accepted}": 0, "factgate_scanner_deliveries_total{end=park,type=SQL}": 0,
		"factgate_reachable{part=postgresql}": 1, "factgate_reachable{part=event_store}": 1, "factgate_scan_memory_trips_total": 0,
	})

	checked := run(t, "check", d.packages["retail-1.5.0-rc1"], "--json", "--server", s.url)
	require.Equal(t, exitPartialSuccess, checked.code, checked.errors)
	require.Equal(t, exitFailed, run(t, "check", d.packages["docs-only"], "--server", s.url).code)
	require.Equal(t, exitRefused, run(t, "check", written(t, "no.zip", "no zip at all"), "--server", s.url).code)
	c, err := newClient(s.url, false)
	require.NoError(t, err)
	require.Error(t, c.query(t.Context(), `{ nothing }`, nil, &struct{}{}))
	require.Error(t, c.query(t.Context(), `{ task(id: "none") { id } }`, nil, &struct{}{}))

	var got scraped
	settled := func() bool { // acknowledged after the facts, and folded after the verdict
		got = scrape(t, s.url+"/metrics")
		acks := 0.0
		for _, name := range []string{"EXCEL", "SQL", "UNIT_TEST"} {
			acks += got["factgate_scanner_deliveries_total{end=ack,type="+name+"}"]
		}
		return acks == 6 && got["factgate_read_model_lag_events{model=1}"] == 0
	}
	require.Eventually(t, settled, testbench.Patience, 20*time.Millisecond)
	got.has(t, map[string]float64{
		"factgate_uploads_total{code=accepted}": 2, "factgate_uploads_total{code=zip.not_a_zip}": 1,
		"factgate_graphql_requests_total{outcome=refused}": 1, "factgate_graphql_requests_total{outcome=failed}": 1,
		"factgate_windows_open": 0, "factgate_windows_due": 0,
		"factgate_windows_closed_total{cause=SETTLED}": 2, "factgate_windows_closed_total{cause=DEADLINE}": 0,
		"factgate_verdicts_total{status=PARTIAL_SUCCESS}": 1, "factgate_verdicts_total{status=FAILED}": 1, "factgate_verdicts_total{status=SUCCESS}": 0,
		"factgate_verdict_delay_seconds{cause=SETTLED}":                                       2,
		"factgate_scanner_decisions_total{code=TAKES_PART,decision=TAKES_PART,type=SQL}":      1,
		"factgate_scanner_decisions_total{code=NO_MATCHING_FILES,decision=DECLINED,type=SQL}": 1,
		"factgate_scanner_attempts_total{type=SQL}":                                           1, "factgate_scanner_running{type=SQL}": 0,
		"factgate_scanner_deliveries_total{end=retry,type=SQL}": 0, "factgate_scanner_deliveries_total{end=park,type=SQL}": 0,
		"factgate_read_model_halted{model=1}": 0, "factgate_read_model_lag_seconds{model=1}": 0,
	})
	require.Positive(t, got["factgate_graphql_requests_total{outcome=ok}"])
	require.Positive(t, got["factgate_read_model_events_total{model=1}"])
	require.Positive(t, got["factgate_read_model_batch_seconds{model=1}"])
	require.Positive(t, got["go_goroutines"])
	require.Positive(t, got["process_resident_memory_bytes"])
	require.Equal(t, got["factgate_log_head"], got["factgate_read_model_position{model=1}"]) //nolint:testifylint // positions are whole
	var r result
	require.NoError(t, json.Unmarshal([]byte(checked.out), &r))
	for series := range got {
		require.NotContains(t, series, r.TaskID)
	}

	// A fact that nobody here can apply stops the read model, and that is what the alarm
	// looks at, also in a process that only stands by.
	id := uuid.Must(uuid.NewV7())
	_, err = d.log.Append(t.Context(), eventstore.StreamID{Category: task.Category, Key: id.String()}, eventstore.NoStream(),
		eventstore.Event{ID: eventstore.ID(uuid.New()), Type: "SubTaskDreamt", Data: []byte("{}"), Metadata: []byte("{}")})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return scrape(t, s.url+"/metrics")["factgate_read_model_halted{model=1}"] == 1
	}, testbench.Patience, 20*time.Millisecond)
	by := d.role(1, "projector", d.store(), d.tables(), []string{"--blobs", d.blobs(), "--metrics-listen", "127.0.0.1:0"})[0]
	at := regexp.MustCompile(`url=(http://\S+/metrics)`).FindStringSubmatch(d.said(by))
	require.Len(t, at, 2, d.said(by))
	got = scrape(t, at[1])
	got.has(t, map[string]float64{"factgate_read_model_halted{model=1}": 1, "factgate_reachable{part=event_store}": 1})
	require.Positive(t, got["factgate_read_model_lag_events{model=1}"])
	for series := range got {
		require.NotRegexp(t, "^factgate_(windows|uploads|scanner|graphql)", series, "a projector has none of it")
	}

	// Without the event store it still answers, and says whose fault that is.
	d.kill(d.node)
	require.Eventually(t, func() bool {
		got = scrape(t, s.url+"/metrics")
		return got["factgate_losses_total{what=deliveries}"] > 0 && got["factgate_losses_total{what=coordinator: intake}"] > 0
	}, testbench.Patience, 100*time.Millisecond)
	got.has(t, map[string]float64{"factgate_reachable{part=postgresql}": 1, "factgate_reachable{part=event_store}": 0, "factgate_read_model_halted{model=1}": 1})
	require.NotContains(t, got, "factgate_log_head")
	require.NoError(t, s.Process.Signal(os.Interrupt))
	require.NoError(t, s.Wait(), "%s", s.log)
}

func TestARoleDoesNotStartWithoutItsMetrics(t *testing.T) {
	got := run(t, "scanner", "SQL", "--eventstore", "esdb://127.0.0.1:1?tls=false", "--blobs", t.TempDir(), "--metrics-listen", "256.0.0.1:1")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errors, "choose another address with --metrics-listen")
}
