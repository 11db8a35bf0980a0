package main

import (
	"fmt"
	"io"
	"math"

	"github.com/factgate/factgate/bench/internal/lab"
)

// report is what a run found.
type report struct {
	lab.Report
	Short  int `json:"shortHistory"` // events
	Long   int `json:"longHistory"`
	Memory struct {
		Idle int64 `json:"idle"`
		Load int64 `json:"appending"`
		Long int64 `json:"longHistory"`
	} `json:"nodeMemory"` // bytes
}

func newReport(o options) *report { return &report{Report: lab.NewReport(o.rotations)} }

// judge compares with the goals. A ratio is ours over theirs.
func (r *report) judge() {
	compare := func(name, part, load, side, peer, unit string, of func(lab.Cell) float64, holds func(float64) bool, limit string) {
		theirs := r.Find(part, load, peer)
		if theirs == nil {
			theirs = &lab.Row{Side: peer}
		}
		r.Compare(name, r.Find(part, load, side), theirs, unit, of, holds, limit)
	}

	compare("append, 1 writer", "append", load(1), nodeName, messageDBName, "/s", lab.Rate, lab.AtLeast(1.2), "≥ 1.2×")
	compare("append, 16 writers", "append", load(16), nodeName, goesName, "/s", lab.Rate, lab.AtLeast(2), "≥ 2×")
	compare("append, 64 writers", "append", load(64), nodeName, goesName, "/s", lab.Rate, lab.AtLeast(3), "≥ 3×")
	for _, n := range writers {
		compare(fmt.Sprintf("append p99, %s", load(n)), "append", load(n), nodeName, goesName, " ms", lab.P99, lab.AtMost(1./3), "≤ 0.33×")
	}
	compare("append, 64 writers", "append", load(64), nodeName, nullName, "/s", lab.Rate, lab.AtLeast(0.6), "≥ 0.60×")
	compare("receive $all", "receive $all", "1 subscriber", nodeName, nullName, "/s", lab.Rate, lab.AtLeast(0.8), "≥ 0.80×")

	sixteen := fmt.Sprintf("%d subscribers", subscribers)
	if f := r.Find("fan-out", sixteen, nodeName); f != nil {
		g := lab.Goal{Name: "fan-out, " + sixteen, Figure: lab.Figure(f.Median.Rate, "/s"), Peer: "—", Limit: "≥ 300k/s", Verdict: lab.Verdict(f.Median.Rate >= 300_000)}
		if null := r.Find("fan-out", sixteen, nullName); null != nil {
			g.Peer, g.Ratio = nullName+" "+lab.Figure(null.Median.Rate, "/s"), f.Median.Rate/null.Median.Rate
		}
		r.Goals = append(r.Goals, g)
	}

	for _, n := range []int{16, 64} {
		r.compareHistories("append to 10× history, "+load(n), "append to a history", load(n), "/s", lab.Rate, lab.AtLeast(0.95), "≥ 0.95×")
	}
	if short, long := r.Find("receive $all", "the whole log", shortName), r.Find("receive $all", "the whole log", longName); short != nil && long != nil {
		took := func(events int, r *lab.Row) float64 { return float64(events) / r.Median.Rate }
		a, b := took(r.Short, short), took(r.Long, long)
		exponent := math.Log(b/a) / math.Log(float64(r.Long)/float64(r.Short))
		r.Goals = append(r.Goals, lab.Goal{
			Name: "receive the whole log, exponent", Figure: fmt.Sprintf("%.2f s", b), Peer: fmt.Sprintf("%s %.2f s", shortName, a),
			Ratio: exponent, Limit: "≤ 1.02", Verdict: lab.Verdict(exponent <= 1.02),
		})
	}
	for _, how := range []string{"after a stop", "after a kill -9"} {
		r.compareHistories("open "+how, "open", how, " ms", lab.P50, lab.AtMost(1.25), "≤ 1.25×")
	}
	for _, m := range []struct {
		name  string
		bytes int64
		limit int64
	}{
		{"memory, idle", r.Memory.Idle, 150}, {"memory, appending", r.Memory.Load, 300}, {"memory, long history", r.Memory.Long, 300},
	} {
		if m.bytes > 0 {
			r.Goals = append(r.Goals, lab.Goal{
				Name: m.name, Figure: fmt.Sprintf("%d MB", m.bytes>>20), Peer: "the whole backend's",
				Limit: fmt.Sprintf("≤ %d MB", m.limit), Verdict: lab.Verdict(m.bytes>>20 <= m.limit),
			})
		}
	}
}

func (r *report) compareHistories(name, part, load, unit string, of func(lab.Cell) float64, holds func(float64) bool, limit string) {
	short, long := r.Find(part, load, shortName), r.Find(part, load, longName)
	if short == nil || long == nil {
		return
	}
	r.Compare(name, long, short, unit, of, holds, limit)
}

// write prints the table, and the JSON where it is wanted.
func (r *report) write(out io.Writer, jsonTo string) error {
	if done, err := lab.JSON(r, out, jsonTo); done || err != nil {
		return err
	}
	return r.Table(out, "a ratio is the side's over the node's (the short history's below them).\n"+
		"µs/event is processor time: the server's, and that of the client in the measuring process.", func(row *lab.Row) *lab.Row {
		if first := r.Find(row.Part, row.Load, nodeName); first != nil {
			return first
		}
		return r.Find(row.Part, row.Load, shortName)
	})
}
