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
	Tasks  int              `json:"rebuildTasks"`
	Sizes  []int            `json:"growthTasks"`
	Memory map[string]int64 `json:"projectorMemory"` // bytes at most, by what it did
	Left   []string         `json:"leftOut,omitempty"`
}

func newReport(o options) *report {
	return &report{Report: lab.NewReport(o.rotations), Tasks: o.tasks, Sizes: o.sizes, Memory: map[string]int64{}}
}

func (r *report) remember(what string, bytes int64) { r.Memory[what] = max(bytes, r.Memory[what]) }

// best is the row of a side with the highest rate, whatever its load; nil when it
// was not measured.
func (r *report) best(part, side string) (best *lab.Row) {
	for _, row := range r.Rows {
		if row.Part == part && row.Side == side && (best == nil || row.Median.Rate > best.Median.Rate) {
			best = row
		}
	}
	return best
}

// judge compares with the goals. A ratio is ours over theirs.
func (r *report) judge() {
	if ours := r.Find(partRebuild, loadRebuild, ourName); ours != nil {
		against := func(name, side string, limit float64, text string) {
			theirs := r.best(partRebuild, side)
			if theirs == nil {
				theirs = &lab.Row{Side: side}
			}
			r.Compare(name, ours, theirs, "/s", lab.Rate, lab.AtLeast(limit), text)
		}
		against("rebuild, the same rows", sameRowsName, 2, "≥ 2×")
		against("rebuild, task rows only there", taskRowsName, 2, "≥ 2×")
		best := emmettName
		if rows := r.best(partRebuild, emmettRowsName); rows != nil && rows.Median.Rate > r.best(partRebuild, emmettName).Median.Rate {
			best = emmettRowsName
		}
		against("rebuild, Emmett's best", best, 60, "≥ 60×")
		against("rebuild, receiving alone", receiveName, 0.8, "≥ 0.80×")
		r.memory(rebuildMemory)
	}
	if ours := r.Find(partLive, loadLive, committed); ours != nil {
		r.Compare("append → row, p50", ours, r.Find(partLive, loadLive, notifyHandled), " ms", lab.P50, lab.AtMost(1.5), "≤ 1.5×")
		r.inform("append → row, p50", ours, r.Find(partLive, loadLive, notifyCommitted), " ms", lab.P50)
		r.inform("append → row, p99", ours, r.Find(partLive, loadLive, notifyHandled), " ms", lab.P99)
		r.memory("projector, live")
	}
	r.judgeGrowth()
}

func (r *report) judgeGrowth() {
	if len(r.Sizes) == 0 || r.Find(partGrowth, loadGrown, sizeName(r.Sizes[0])) == nil {
		return
	}
	first := r.Sizes[0]
	for _, size := range r.Sizes[1:] {
		short, long := r.Find(partGrowth, loadGrown, sizeName(first)), r.Find(partGrowth, loadGrown, sizeName(size))
		took := func(tasks int, row *lab.Row) float64 { return float64(tasks*factsPerTask) / row.Median.Rate }
		a, b := took(first, short), took(size, long)
		exponent := math.Log(b/a) / math.Log(float64(size)/float64(first))
		r.Goals = append(r.Goals, lab.Goal{
			Name: "rebuild of " + sizeName(size) + ", exponent", Figure: fmt.Sprintf("%.2f s", b), Peer: fmt.Sprintf("%s %.2f s", sizeName(first), a),
			Ratio: exponent, Limit: "≤ 1.02", Verdict: lab.Verdict(exponent <= 1.02),
		})
		base, most := r.Memory["projector, "+sizeName(first)], r.Memory["projector, "+sizeName(size)]
		if base > 0 {
			flat := float64(most) / float64(base)
			r.Goals = append(r.Goals, lab.Goal{
				Name: "projector's memory, " + sizeName(size), Figure: fmt.Sprintf("%d MB", most>>20), Peer: fmt.Sprintf("%s %d MB", sizeName(first), base>>20),
				Ratio: flat, Limit: "≤ 1.25×", Verdict: lab.Verdict(flat <= 1.25),
			})
		}
	}
	for _, row := range r.Rows {
		if row.Part == partGrowth && row.Load != loadGrown && row.Side != sizeName(first) {
			r.inform(row.Load+", "+row.Side+", p50", row, r.Find(partGrowth, row.Load, sizeName(first)), " ms", lab.P50)
			r.inform(row.Load+", "+row.Side+", p99", row, r.Find(partGrowth, row.Load, sizeName(first)), " ms", lab.P99)
		}
	}
}

// inform adds a ratio that has no limit.
func (r *report) inform(name string, ours, theirs *lab.Row, unit string, of func(lab.Cell) float64) {
	r.Compare(name, ours, theirs, unit, of, lab.AtLeast(0), "—")
	if g := &r.Goals[len(r.Goals)-1]; g.Verdict == lab.Reached {
		g.Verdict = lab.Information
	}
}

func (r *report) memory(what string) {
	r.Goals = append(r.Goals, lab.Goal{
		Name: "memory, " + what, Figure: fmt.Sprintf("%d MB", r.Memory[what]>>20), Peer: "the whole backend's", Limit: "≤ 300 MB",
		Verdict: lab.Verdict(r.Memory[what]>>20 <= 300),
	})
}

// write prints the table, and the JSON where it is wanted.
func (r *report) write(out io.Writer, jsonTo string) error {
	if done, err := lab.JSON(r, out, jsonTo); done || err != nil {
		return err
	}
	err := r.Table(out, "a ratio is the side's over the projector's (over the row's age live, over the smallest size in growth).\n"+
		"µs/event is processor time: that of all servers of the side, and that of the measuring process.", func(row *lab.Row) *lab.Row {
		switch row.Part {
		case partRebuild:
			return r.Find(partRebuild, loadRebuild, ourName)
		case partLive:
			return r.Find(partLive, loadLive, committed)
		default:
			return r.Find(row.Part, row.Load, sizeName(r.Sizes[0]))
		}
	})
	for _, left := range r.Left {
		fmt.Fprintln(out, left)
	}
	return err
}
