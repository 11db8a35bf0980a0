// Package metrics counts what a process does, for Prometheus: /metrics. What each
// number means, and which alarm to make of it, stands in docs/operations.md.
//
// It promises labels with few values: read models, sub-task types that this process
// runs, codes that this program knows. No task, project, person or file is a label.
// Nothing is registered globally, and the parts of Factgate know nothing of Prometheus:
// they tell a listener, or are asked when somebody scrapes. What cannot be asked then
// (PostgreSQL is away) is left out, and factgate_reachable says so.
//
// Start at [New]; what a process does not run, it does not mention.
package metrics

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/factgate/factgate/coordinator"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/graphqlapi"
	"github.com/factgate/factgate/projections"
	"github.com/factgate/factgate/scanners"
)

// Metrics of one process. Its methods are for those who wire the parts; what they
// return, and Lost, Uploaded, Answered and Folded themselves, may be called at any
// time and from anywhere.
type Metrics struct {
	registry *prometheus.Registry
	losses   *prometheus.CounterVec
	folded   *prometheus.CounterVec
	batches  *prometheus.HistogramVec
	uploads  *prometheus.CounterVec
	requests *prometheus.CounterVec
}

// New returns the metrics of a process that has said nothing yet, but for what Go
// and the system say of it. version is the program's.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		losses:   counters("losses_total", "Connections lost and looked for again, by who lost them.", "what"),
		folded:   counters("read_model_events_total", "Events that this process has folded into a read model.", "model"),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "factgate_read_model_batch_seconds", Help: "How long a batch of events took to be folded and written.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"model"}),
		uploads:  counters("uploads_total", "Uploads answered: accepted, existed, or the code of the refusal.", "code"),
		requests: counters("graphql_requests_total", "GraphQL requests: ok, failed (a field has an error), refused.", "outcome"),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "factgate_build_info", Help: "1; the version is in the label.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(build, m.losses, m.folded, m.batches, m.uploads, m.requests,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "factgate_" + name, Help: help}, labels)
}

// Handler answers a scrape.
func (m *Metrics) Handler(logger *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4,
	})
}

// Lost is for eventstore.WhenLost.
func (m *Metrics) Lost(what string, _ error) {
	if strings.HasPrefix(what, "read model ") {
		what = "read model" // rebuilds number them ever on
	}
	m.losses.WithLabelValues(what).Inc()
}

// Folded is for projections.Options.
func (m *Metrics) Folded(model projections.Model, events int, took time.Duration) {
	label := strconv.Itoa(int(model))
	m.folded.WithLabelValues(label).Add(float64(events))
	m.batches.WithLabelValues(label).Observe(took.Seconds())
}

// API has the counters of the HTTP role begin at 0, where an alarm sees the first
// step. Uploaded and Answered count.
func (m *Metrics) API() {
	for _, code := range []string{"accepted", "existed"} {
		m.uploads.WithLabelValues(code)
	}
	for _, outcome := range []string{graphqlapi.OutcomeOK, graphqlapi.OutcomeFailed, graphqlapi.OutcomeRefused} {
		m.requests.WithLabelValues(outcome)
	}
}

// Uploaded is for httpapi.Parts.
func (m *Metrics) Uploaded(code string) { m.uploads.WithLabelValues(code).Inc() }

// Answered is for graphqlapi.Options.
func (m *Metrics) Answered(outcome string) { m.requests.WithLabelValues(outcome).Inc() }

// Coordinator returns what counts for a coordinator. Call it once.
func (m *Metrics) Coordinator() coordinator.Listener {
	var (
		closed   = counters("windows_closed_total", "Windows that this process has closed, by cause.", "cause")
		verdicts = counters("verdicts_total", "Verdicts that this process has recorded, revisions among them, by status.", "status")
		after    = prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "factgate_verdict_delay_seconds", Help: "How long a verdict came after its window's end: the deadline, or the end of the quiet.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
		}, []string{"cause"})
	)
	m.registry.MustRegister(closed, verdicts, after)
	for _, cause := range []task.Cause{task.Settled, task.Deadline} {
		closed.WithLabelValues(string(cause))
		after.WithLabelValues(string(cause))
	}
	for _, status := range []task.Status{task.Success, task.PartialSuccess, task.Failed} {
		verdicts.WithLabelValues(string(status))
	}
	return coordinator.Listener{Converged: func(c coordinator.Converged) {
		verdicts.WithLabelValues(string(c.Status)).Inc()
		if c.Cause != "" {
			closed.WithLabelValues(string(c.Cause)).Inc()
			after.WithLabelValues(string(c.Cause)).Observe(c.After.Seconds())
		}
	}}
}

// Scanners returns what counts for scanners of these types, which share a room. Call
// it once.
func (m *Metrics) Scanners(types []string, room *scanners.Room) scanners.Listener {
	var (
		decided    = counters("scanner_decisions_total", "Packages that a scanner has decided about, by decision (TAKES_PART, DECLINED) and code: TAKES_PART, or why it declined.", "type", "decision", "code")
		attempts   = counters("scanner_attempts_total", "Attempts begun.", "type")
		deliveries = counters("scanner_deliveries_total", "Deliveries by their end: ack, retry (it comes again), park (a dead letter).", "type", "end")
		running    = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "factgate_scanner_running", Help: "Scans at work in this process."}, []string{"type"})
	)
	m.registry.MustRegister(decided, attempts, deliveries, running,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "factgate_scan_memory_trips_total", Help: "How often all scans at work were ended because memory was short.",
		}, func() float64 { return float64(room.MemoryTrips()) }))
	for _, name := range types {
		decided.WithLabelValues(name, scanners.TakesPart, scanners.TakesPart)
		attempts.WithLabelValues(name)
		running.WithLabelValues(name)
		for _, end := range []string{scanners.Acknowledged, scanners.Repeated, scanners.Parked} {
			deliveries.WithLabelValues(name, end)
		}
	}
	return scanners.Listener{
		Decided: func(name, code string) {
			decision := "DECLINED"
			if code == scanners.TakesPart {
				decision = code
			}
			decided.WithLabelValues(name, decision, code).Inc()
		},
		Began: func(name string) {
			attempts.WithLabelValues(name).Inc()
			running.WithLabelValues(name).Inc()
		},
		Scanned:   func(name string) { running.WithLabelValues(name).Dec() },
		Delivered: func(name, end string) { deliveries.WithLabelValues(name, end).Inc() },
	}
}
