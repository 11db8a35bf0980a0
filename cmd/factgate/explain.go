package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func explainCommand() *cobra.Command {
	var server, at string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain TASK",
		Short: "Say why a task has its verdict: each rule, what it saw, and what would flip it",
		Long: `Explain shows the rule that held and each that did not with the values that they saw,
the moments of the window, the facts that were judged, and the smallest changes of
outcomes that would give another status. It reads the task's stream itself and
judges by the rule set that the task was opened under.

  factgate explain TASK
  factgate explain TASK --at 5                        as of revision 5
  factgate explain TASK --at 2026-11-25T08:00:00Z     as of that time

While a task is open it says what the verdict would be if the window closed now.`,
		Args: oneTask("factgate explain TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			zh, err := chinese(cmd)
			if err != nil {
				return err
			}
			variables := map[string]any{"id": args[0]}
			moment, err := parseAt(at)
			if err != nil {
				return err
			}
			if moment != nil {
				variables["revision"], variables["time"] = moment.Revision, moment.Time
			}
			if server == "" {
				server = "http://127.0.0.1:8080"
			}
			c, err := newClient(server, zh)
			if err != nil {
				return err
			}
			raw, e, err := c.explain(cmd.Context(), variables)
			if err != nil {
				return err
			}
			if asJSON {
				fmt.Println(string(raw))
				return nil
			}
			show := printer{w: os.Stdout, zh: zh}
			show.explanation(args[0], e, at != "")
			return nil
		},
	}
	serverFlag(cmd, &server, "http://127.0.0.1:8080")
	cmd.Flags().StringVar(&at, "at", "", "a revision of the task's stream, or a time (RFC 3339)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the explanation as JSON")
	return cmd
}

// explanationView is what the client asks of an explanation.
type explanationView struct {
	At          time.Time
	AtRevision  *int
	State       string
	Provisional bool
	RuleSet     *struct {
		Name    string
		Version int
	}
	Recorded    *struct{ Status string }
	RevisionDue *time.Time
	Window      *struct{ Text textView }
	Status      *string
	Because     *textView
	Rules       []struct {
		Result string
		Status string
		Text   textView
	}
	Types []struct {
		Type, Outcome string
		Advisory      bool
	}
	Evidence []factView
	Flips    []struct {
		Status string
		Text   textView
	}
	FlipsCut bool
	Shadow   *shadowView
}

// shadowView is what a rule set that decides nothing says of a task.
type shadowView struct {
	RuleSet     refView
	Status      *string
	Because     *textView
	Differs     *bool
	Undecidable *textView
	DueAt       *time.Time
}

const explainQuery = `query Explain($id: ID!, $revision: Int, $time: Time) {
  explain(task: $id, atRevision: $revision, atTime: $time) {
    at atRevision state provisional ruleSet { name version digest } recorded { status revision } revisionDue
    window { openedAt heardAt settlesAt quietSeconds minimumSeconds deadline dueAt cause text { en zh } }
    status rule { id when } because { en zh }
    rules { id when status line result values { name value } text { en zh } }
    types { type outcome advisory coveredNothing }
    evidence { revision id type position recordedAt late data }
    flips { changes { type from to } status rule text { en zh } } flipsCut
    shadow { ruleSet { name version digest } status rule { id when } because { en zh } differs undecidable { en zh } dueAt }
  }
}`

func (c *client) explain(ctx context.Context, variables map[string]any) (json.RawMessage, explanationView, error) {
	var got struct{ Explain json.RawMessage }
	var e explanationView
	if err := c.query(ctx, explainQuery, variables, &got); err != nil {
		return nil, e, err
	}
	return got.Explain, e, json.Unmarshal(got.Explain, &e)
}

func (p *printer) shadow(s shadowView) {
	name := fmt.Sprintf("%s %d", s.RuleSet.Name, s.RuleSet.Version)
	switch {
	case s.Undecidable != nil:
		p.say("  in its shadow, %s cannot tell: %s", "  影子规则集 %s 无法判定：%s", name, s.Undecidable.in(p.zh))
	case s.DueAt != nil:
		p.say("  in its shadow, %s would decide at %s if nothing more happens", "  影子规则集 %s 若无新事实将于 %s 得出结论", name, s.DueAt.Format(time.RFC3339))
	case s.Status == nil || s.Because == nil:
	case s.Differs != nil && *s.Differs:
		p.say("  IN ITS SHADOW, %s SAYS OTHERWISE: %s: %s (nothing is decided by it)", "  影子规则集 %s 的结论不同：%s：%s（仅供参考，不生效）", name, *s.Status, s.Because.in(p.zh))
	default:
		p.say("  in its shadow, %s says %s: %s", "  影子规则集 %s：%s：%s", name, *s.Status, s.Because.in(p.zh))
	}
}

func (p *printer) explanation(id string, e explanationView, past bool) {
	if past {
		if e.AtRevision == nil {
			p.say("at %s the log had no facts of task %s", "%s 时日志中尚无任务 %s 的事实", e.At.Format(time.RFC3339), id)
			return
		}
		p.say("as of %s, revision %d:", "截至 %s，修订号 %d：", e.At.Format("2006-01-02T15:04:05.000Z07:00"), *e.AtRevision)
	}
	if e.Window == nil || e.Status == nil || e.Because == nil || e.RuleSet == nil {
		p.say("the task has no window (yet), so nothing is judged", "任务（尚）无窗口期，无从判定")
		return
	}
	because := e.Because.in(p.zh)
	switch {
	case e.State == "CANCELLED":
		p.say("cancelled; it would have been %s: %s", "已取消；否则为 %s：%s", *e.Status, because)
	case e.Provisional:
		p.say("no verdict; if the window closed now: %s: %s", "尚无结论；若窗口期此刻结束：%s：%s", *e.Status, because)
	default:
		p.say("%s: %s", "%s：%s", *e.Status, because)
	}
	if e.Recorded != nil && !e.Provisional && e.Recorded.Status != *e.Status {
		p.say("THE RECORDED VERDICT IS %s: make a dossier and see what differs", "记录在案的结论为 %s，与此不一致：请生成档案核对", e.Recorded.Status)
	}
	p.say("  window: %s", "  窗口期：%s", e.Window.Text.in(p.zh))
	if e.Shadow != nil {
		p.shadow(*e.Shadow)
	}
	if e.RevisionDue != nil {
		p.say("  late facts wait for a revision, due at %s", "  有迟到事实待修订，将于 %s 修订", e.RevisionDue.Format(time.RFC3339))
	}
	p.say("  rules of %s version %d:", "  规则集 %s 版本 %d：", e.RuleSet.Name, e.RuleSet.Version)
	marks := map[string]string{"HELD": "→", "DID_NOT_HOLD": "✗", "BROKEN": "!", "NOT_REACHED": "·"}
	for _, r := range e.Rules {
		fmt.Fprintf(p.w, "    %s %s  ⇒ %s\n", marks[r.Result], r.Text.in(p.zh), r.Status)
	}
	var types []string
	for _, t := range e.Types {
		text := t.Type + " " + t.Outcome
		if t.Advisory {
			text += map[bool]string{true: "（仅提示）", false: " (advisory)"}[p.zh]
		}
		types = append(types, text)
	}
	if len(types) > 0 {
		p.say("  types: %s", "  类型：%s", strings.Join(types, "; "))
	}
	p.say("  judged facts:", "  所依据的事实：")
	for _, f := range e.Evidence {
		fmt.Fprintf(p.w, "    %4d  %s  %s  %s\n", f.Revision, f.RecordedAt.Format("2006-01-02 15:04:05.000"), f.Type, f.ID)
	}
	if len(e.Flips) == 0 {
		p.say("  no change of one or two outcomes would give another status", "  改变一两项结果不会改变状态")
		return
	}
	p.say("  another status:", "  可改变状态的情形：")
	const each = 3 // ways to each status; --json has them all
	shown := map[string]int{}
	for _, f := range e.Flips {
		if shown[f.Status]++; shown[f.Status] <= each {
			fmt.Fprintf(p.w, "    %s\n", f.Text.in(p.zh))
		} else {
			e.FlipsCut = true
		}
	}
	if e.FlipsCut {
		p.say("    … and more", "    … 其余从略")
	}
}
