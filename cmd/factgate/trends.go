package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// trends asks what the tasks of a time came to.
type trends struct {
	project, subTaskType, by, from, to, zone, rules string
}

func trendsCommand() *cobra.Command {
	o := &operation{}
	var t trends
	cmd := o.command("trends", "Show what the tasks of a time came to, by hour, day, week or month",
		`Trends counts tasks by the time at which the log recorded their upload: how many
passed, how long a verdict took, and for each type of scanner how often it passed,
declined and stayed silent. p50 and p95 come from a histogram and are exact to a
factor of 1.19. Days, weeks (from Monday) and months are those of --tz.

With --rules the tasks are judged anew by another rule set, up to 2000 of them.`,
		func(ctx context.Context, c *client, _ []string) error { return o.trends(ctx, c, t) })
	cmd.Flags().StringVar(&t.by, "by", "day", "hour, day, week or month")
	cmd.Flags().StringVar(&t.from, "from", "", "a time (RFC 3339), a day (2026-11-25) or an age (720h); default: 24 hours, 14 days, 12 weeks or 12 months ago")
	cmd.Flags().StringVar(&t.to, "to", "", "until when, as --from; default: now")
	cmd.Flags().StringVar(&t.zone, "tz", "UTC", "time zone, such as Asia/Shanghai")
	cmd.Flags().StringVar(&t.project, "project", "", "only tasks of this project")
	cmd.Flags().StringVar(&t.subTaskType, "type", "", "only this type of sub-tasks; tasks are counted whatever their types")
	cmd.Flags().StringVar(&t.rules, "rules", "", "judge the tasks by this rule set: name@version, or a name for its newest version")
	return cmd
}

type durationsView struct {
	Count int64    `json:"count"`
	P50Ms *float64 `json:"p50Ms"`
	P95Ms *float64 `json:"p95Ms"`
}

type trendTypeView struct {
	Type                                                                      string
	Pass, PassWithWarnings, Failed, Errored, Running, Declined, Known, Silent int64
	PassRate, DeclineRate, SilenceRate                                        *float64
	Scans                                                                     durationsView
}

type trendCountsView struct {
	Tasks, Success, PartialSuccess, Failed, Cancelled, Open, Undecidable int64
	PassRate                                                             *float64
	TimeToVerdict                                                        durationsView
	TimedOut, LateFacts, DeadLetters                                     int64
	Types                                                                []trendTypeView
}

type trendsView struct {
	RuleSet *struct {
		Name    string
		Version int
	}
	Total   trendCountsView
	Buckets []struct {
		Label  string
		Counts trendCountsView
	}
}

const trendCountsFields = `{ tasks success partialSuccess failed cancelled open undecidable passRate timeToVerdict { count p50Ms p95Ms }
	scans { count p50Ms p95Ms } windows timedOut lateFacts deadLetters
	types { type pass passWithWarnings failed errored running declined known silent deadLetters passRate declineRate silenceRate scans { count p50Ms p95Ms } } }`

const trendsQuery = `query Trends($from: Time!, $to: Time!, $by: TrendUnit, $tz: String, $project: String, $type: String, $rules: String) {
  trends(from: $from, to: $to, by: $by, timeZone: $tz, project: $project, type: $type, ruleSet: $rules) {
    by timeZone from to ruleSet { name version digest }
    total ` + trendCountsFields + `
    buckets { start end label counts ` + trendCountsFields + ` }
  }
}`

func (o *operation) trends(ctx context.Context, c *client, t trends) error {
	now := time.Now()
	zone, err := time.LoadLocation(t.zone)
	if err != nil {
		return fmt.Errorf("--tz %q is no time zone; give a name such as Asia/Shanghai", t.zone)
	}
	begins := map[string]time.Time{"hour": now.Add(-24 * time.Hour), "day": now.AddDate(0, 0, -13), "week": now.AddDate(0, 0, -7*11), "month": now.AddDate(0, -11, 0)}
	from, ok := begins[strings.ToLower(t.by)]
	if !ok {
		return fmt.Errorf("--by %q is not known; use hour, day, week or month", t.by)
	}
	to := now
	for _, f := range []struct {
		name, text string
		into       *time.Time
	}{{"from", t.from, &from}, {"to", t.to, &to}} {
		if f.text == "" {
			continue
		}
		if *f.into, err = momentIn(f.text, zone, now); err != nil {
			return fmt.Errorf("--%s %w", f.name, err)
		}
	}
	variables := map[string]any{"from": from, "to": to, "by": strings.ToUpper(t.by), "tz": t.zone}
	for name, value := range map[string]string{"project": t.project, "type": t.subTaskType, "rules": t.rules} {
		if value != "" {
			variables[name] = value
		}
	}
	raw, err := patiently(ctx, uploadPatience, func() (json.RawMessage, error) {
		var got struct{ Trends json.RawMessage }
		err := c.query(ctx, trendsQuery, variables, &got)
		return got.Trends, err
	})
	if err != nil {
		return err
	}
	if o.json {
		_, err := fmt.Fprintf(o.out, "%s\n", raw)
		return err
	}
	var v trendsView
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("the server gave an answer that is not Factgate's: %w", err)
	}
	printTrends(o.out, v, t.zone, o.zh)
	return nil
}

// momentIn reads a time, a day of a zone, or an age.
func momentIn(s string, zone *time.Location, now time.Time) (time.Time, error) {
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(form, s, zone); err == nil {
			return t, nil
		}
	}
	if age, err := time.ParseDuration(s); err == nil && age >= 0 {
		return now.Add(-age), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-11-25T08:00:00Z, nor a day such as 2026-11-25, nor an age such as 720h", s)
}

func printTrends(w io.Writer, v trendsView, zone string, zh bool) {
	in := func(en, z string) string {
		if zh {
			return z
		}
		return en
	}
	if v.RuleSet != nil {
		fmt.Fprintf(w, in("judged anew by %s@%d\n", "按规则集 %s@%d 重新判定\n"), v.RuleSet.Name, v.RuleSet.Version)
	}
	heads := []string{in("tasks", "任务"), in("success", "成功"), in("partial", "部分成功"), in("failed", "失败"), in("other", "其他"), in("passed", "通过率"), "p50", "p95"}
	head := padded(zone, -26)
	for _, h := range heads {
		head += padded(h, 10)
	}
	fmt.Fprintln(w, head)
	most := int64(1)
	for _, b := range v.Buckets {
		most = max(most, b.Counts.Tasks)
	}
	row := func(label string, c trendCountsView, bar string) {
		line := padded(label, -26)
		for _, n := range []int64{c.Tasks, c.Success, c.PartialSuccess, c.Failed, c.Cancelled + c.Open + c.Undecidable} {
			line += padded(fmt.Sprint(n), 10)
		}
		line += padded(percent(c.PassRate), 10) + padded(milliseconds(c.TimeToVerdict.P50Ms), 10) + padded(milliseconds(c.TimeToVerdict.P95Ms), 10)
		fmt.Fprintln(w, strings.TrimRight(line+"  "+bar, " "))
	}
	for _, b := range v.Buckets {
		row(b.Label, b.Counts, bar(b.Counts, most))
	}
	row(in("total", "合计"), v.Total, "")
	fmt.Fprintf(w, in("timed out: %d  late facts: %d  dead letters: %d\n", "窗口超时：%d  迟到事实：%d  死信：%d\n"), v.Total.TimedOut, v.Total.LateFacts, v.Total.DeadLetters)
	if n := v.Total.Undecidable; n > 0 {
		fmt.Fprintf(w, in("under these rules undecidable, for what they ask was not recorded: %d\n", "因缺少所需记录而无法按此规则集判定：%d\n"), n)
	}
	if len(v.Total.Types) == 0 {
		return
	}
	fmt.Fprintln(w)
	head = padded(in("type", "类型"), -26)
	for _, h := range []string{in("passed", "通过"), in("failed", "未通过"), in("errored", "出错"), in("running", "进行中"), in("declined", "不参与"), in("declined%", "不参与率"), in("silent%", "无响应率"), "p50", "p95"} {
		head += padded(h, 10)
	}
	fmt.Fprintln(w, head)
	for _, t := range v.Total.Types {
		line := padded(t.Type, -26)
		for _, n := range []int64{t.Pass + t.PassWithWarnings, t.Failed, t.Errored, t.Running, t.Declined} {
			line += padded(fmt.Sprint(n), 10)
		}
		fmt.Fprintln(w, line+padded(percent(t.DeclineRate), 10)+padded(percent(t.SilenceRate), 10)+padded(milliseconds(t.Scans.P50Ms), 10)+padded(milliseconds(t.Scans.P95Ms), 10))
	}
}

// bar is as long as there are tasks: █ success, ▓ partial success, ░ failed, · others.
func bar(c trendCountsView, most int64) string {
	const width = 24
	var out strings.Builder
	parts := []struct {
		n    int64
		mark string
	}{{c.Success, "█"}, {c.PartialSuccess, "▓"}, {c.Failed, "░"}, {c.Cancelled + c.Open + c.Undecidable, "·"}}
	var sum, drawn int64
	for _, p := range parts {
		sum += p.n
		end := (sum*width + most - 1) / most // whatever there is can be seen
		out.WriteString(strings.Repeat(p.mark, int(max(0, end-drawn))))
		drawn = max(drawn, end)
	}
	return out.String()
}

func percent(rate *float64) string {
	if rate == nil {
		return "—"
	}
	return fmt.Sprintf("%.0f%%", *rate*100)
}

func milliseconds(ms *float64) string {
	if ms == nil {
		return "—"
	}
	switch d := time.Duration(*ms * float64(time.Millisecond)); {
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", *ms)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.1f min", d.Minutes())
	default:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
}

// padded fills to a width on a terminal, where a Chinese character takes two places;
// a negative width fills on the right.
func padded(s string, width int) string {
	taken := utf8.RuneCountInString(s)
	for _, r := range s {
		if r >= 0x2e80 {
			taken++
		}
	}
	if width < 0 {
		return s + strings.Repeat(" ", max(1, -width-taken))
	}
	return strings.Repeat(" ", max(1, width-taken)) + s
}
