package metrics

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/queries"
)

// patience bounds what a scrape asks PostgreSQL and the event store.
const patience = 5 * time.Second

// asked is read anew by each scrape.
type asked struct {
	descs []*prometheus.Desc
	ask   func(ctx context.Context, out chan<- prometheus.Metric)
}

func (a asked) Describe(out chan<- *prometheus.Desc) {
	for _, d := range a.descs {
		out <- d
	}
}

func (a asked) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a.ask(ctx, out)
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("factgate_"+name, help, labels, nil)
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// Windows shows what count says, of all coordinators on the database. Call it once.
func (m *Metrics) Windows(count func(context.Context) (open, due int64, err error)) {
	open := desc("windows_open", "Windows that are open, in all processes.")
	due := desc("windows_due", "Windows that wait to be judged now, in all processes.")
	m.registry.MustRegister(asked{[]*prometheus.Desc{open, due}, func(ctx context.Context, out chan<- prometheus.Metric) {
		if o, d, err := count(ctx); err == nil {
			out <- gauge(open, float64(o))
			out <- gauge(due, float64(d))
		}
	}})
}

// ReadModels shows each read model that stands in the registry, whoever folds it, and
// whether PostgreSQL and the event store answer. Call it once.
func (m *Metrics) ReadModels(q *queries.Queries) {
	var (
		reachable = desc("reachable", "1 if the part answered this scrape, else 0.", "part")
		live      = desc("read_model_live", "1 for the read model in service, else 0.", "model")
		halted    = desc("read_model_halted", "1 if the read model has stopped before a fact that it cannot apply, else 0.", "model")
		position  = desc("read_model_position", "Position in the log up to which everything is folded.", "model")
		head      = desc("log_head", "Position of the log's end.")
		lag       = desc("read_model_lag_seconds", "How long the oldest event that is not folded has been waiting.", "model")
		behind    = desc("read_model_lag_events", "Events of the log that are not folded; estimated when there are many.", "model")
	)
	m.registry.MustRegister(asked{[]*prometheus.Desc{reachable, live, halted, position, head, lag, behind}, func(ctx context.Context, out chan<- prometheus.Metric) {
		list, err := q.ReadModels(ctx)
		out <- gauge(reachable, oneIf(domain.RuleOf(err) != "readmodel.unavailable"), "postgresql")
		if err != nil || len(list) == 0 {
			return
		}
		out <- gauge(reachable, oneIf(list[0].Head != nil), "event_store")
		if list[0].Head != nil {
			out <- gauge(head, float64(*list[0].Head))
		}
		for _, r := range list {
			label := strconv.Itoa(r.Number)
			out <- gauge(live, oneIf(r.State == queries.ReadModelLive), label)
			out <- gauge(halted, oneIf(r.HaltedAt != nil), label)
			out <- gauge(position, float64(r.Position), label)
			if r.Lag != nil {
				out <- gauge(lag, r.Lag.Seconds(), label)
			}
			if r.LagEvents != nil {
				out <- gauge(behind, float64(*r.LagEvents), label)
			}
		}
	}})
}
