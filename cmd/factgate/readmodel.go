package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// readModelPause is how often a command that waits looks at the read models.
const readModelPause = 500 * time.Millisecond

func readModelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "readmodel",
		Short: "Show, rebuild, switch and drop read models",
		Long: `A read model is the tables that lists and details are read from, folded from the
log. One is in service; others are folded beside it and take its place at one
moment. The server's projectors do the work, this command asks and shows.

  factgate readmodel status
  factgate readmodel rebuild --promote     a new one, in service once it has caught up
  factgate readmodel rollback              back to the former one
  factgate readmodel drop 1                when nobody wants to go back any more
  factgate readmodel verify                is every row what the log says?`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("say what to do: factgate readmodel status|rebuild|promote|rollback|drop|skip|verify")
		},
	}
	cmd.AddCommand(readModelStatus(), readModelRebuild(), readModelPromote(), readModelRollback(), readModelDrop(), readModelSkip(), readModelVerify())
	return cmd
}

// readModelView is a read model as GraphQL gives it.
type readModelView struct {
	Name            string     `json:"name"`
	Number          int        `json:"number"`
	State           string     `json:"state"`
	Layout          int        `json:"layout"`
	Readable        bool       `json:"readable"`
	Reason          string     `json:"reason"`
	By              string     `json:"by"`
	BegunAt         time.Time  `json:"begunAt"`
	PromotedAt      *time.Time `json:"promotedAt"`
	RetiredAt       *time.Time `json:"retiredAt"`
	PromotesItself  bool       `json:"promotesItself"`
	Position        string     `json:"position"`
	Head            *string    `json:"head"`
	LagEvents       *int64     `json:"lagEvents"`
	LagSeconds      *float64   `json:"lagSeconds"`
	EventsPerSecond float64    `json:"eventsPerSecond"`
	EtaSeconds      *float64   `json:"etaSeconds"`
	Halted          *struct {
		At       time.Time `json:"at"`
		Position string    `json:"position"`
		Reason   string    `json:"reason"`
	} `json:"halted"`
	Skipped []struct {
		Position string `json:"position"`
		Stream   string `json:"stream"`
		Revision int    `json:"revision"`
		Type     string `json:"type"`
		Reason   string `json:"reason"`
		By       string `json:"by"`
	} `json:"skipped"`
}

const readModelFields = `name number state layout readable reason by begunAt promotedAt retiredAt promotesItself position head
	lagEvents lagSeconds eventsPerSecond etaSeconds halted { at position reason } skipped { position stream revision type reason by }`

func (c *client) readModels(ctx context.Context) ([]readModelView, error) {
	return patiently(ctx, uploadPatience, func() ([]readModelView, error) {
		var got struct{ ReadModels []readModelView }
		err := c.query(ctx, `{ readModels { `+readModelFields+` } }`, nil, &got)
		return got.ReadModels, err
	})
}

// live is the number of the read model in service.
func (c *client) live(ctx context.Context) (int, error) {
	list, err := c.readModels(ctx)
	if err != nil {
		return 0, err
	}
	for _, m := range list {
		if m.State == "LIVE" {
			return m.Number, nil
		}
	}
	return 0, errors.New("the server has no read model in service yet; start a projector")
}

// readModelChange is the answer to a wish.
type readModelChange struct {
	Number   int     `json:"number"`
	Name     string  `json:"name"`
	State    *string `json:"state"`
	Changed  bool    `json:"changed"`
	Position string  `json:"position"`
}

func (c *client) manage(ctx context.Context, declarations, mutation string, variables map[string]any) (readModelChange, error) {
	return patiently(ctx, uploadPatience, func() (readModelChange, error) {
		var got struct{ Wish readModelChange }
		err := c.query(ctx, "mutation ("+declarations+") { wish: "+mutation+" { number name state changed position } }", variables, &got)
		return got.Wish, err
	})
}

// managed prints what a wish did.
func (o *operation) managed(did readModelChange, en, zh string) error {
	return o.answer(did, did.Changed, "%s: "+en, "%s："+zh, did.Name)
}

func readModelStatus() *cobra.Command {
	o := &operation{}
	return o.command("status", "Show the read models, how far they are, and what they skipped", "",
		func(ctx context.Context, c *client, _ []string) error {
			list, err := c.readModels(ctx)
			if err != nil {
				return err
			}
			return o.printReadModels(list)
		})
}

func (o *operation) printReadModels(list []readModelView) error {
	if o.json {
		encoder := json.NewEncoder(o.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(list)
	}
	p := printer{w: o.out, zh: o.zh}
	for _, m := range list {
		p.say("%-6s %-8s %s", "%-6s %-8s %s", m.Name, m.State, m.progress(o.zh))
		p.say("       begun %s by %s: %s (layout %d)", "       始于 %s，由 %s：%s（布局 %d）", m.BegunAt.Local().Format(minutes), m.By, m.Reason, m.Layout)
		if !m.Readable {
			p.say("       it is of another version: this server cannot read it, and only projectors of that version move it on", "       属于其他版本：当前服务无法读取，仅该版本的投影器会继续更新")
		}
		if h := m.Halted; h != nil {
			p.say("       HALTED at position %s since %s: %s", "       停在位置 %s，自 %s：%s", h.Position, h.At.Local().Format(minutes), h.Reason)
			p.say("       to go on without this fact: factgate readmodel skip --position %s --reason …", "       跳过该事实继续：factgate readmodel skip --position %s --reason …", h.Position)
		}
		for _, s := range m.Skipped {
			p.say("       skipped %s (%d@%s) at position %s, by %s: %s", "       已跳过 %s（%d@%s），位置 %s，由 %s：%s", s.Type, s.Revision, s.Stream, s.Position, s.By, s.Reason)
		}
	}
	return nil
}

// progress is a bar with words.
func (m readModelView) progress(zh bool) string {
	if !m.Readable { // nobody here can say how fast it gets on, if at all
		if zh {
			return "位置 " + m.Position
		}
		return "position " + m.Position
	}
	head, known := 0.0, false
	at, err := strconv.ParseFloat(m.Position, 64)
	if err == nil && m.Head != nil {
		head, err = strconv.ParseFloat(*m.Head, 64)
		known = err == nil
	}
	if !known {
		if zh {
			return "位置 " + m.Position + "，事件存储无响应"
		}
		return "position " + m.Position + ", the event store does not answer"
	}
	if m.LagEvents != nil && *m.LagEvents == 0 {
		if zh {
			return "已追上，位置 " + m.Position
		}
		return "caught up, position " + m.Position
	}
	share := 1.0
	if head > 0 {
		share = min(at/head, 1)
	}
	const width = 30
	full := int(share * width)
	text := fmt.Sprintf("[%s%s] %5.1f%%", strings.Repeat("#", full), strings.Repeat(".", width-full), 100*share)
	if m.LagEvents != nil {
		text += fmt.Sprintf(map[bool]string{false: ", %d events to go", true: "，尚余 %d 个事件"}[zh], *m.LagEvents)
	}
	if m.EventsPerSecond > 0 {
		text += fmt.Sprintf(map[bool]string{false: ", %.0f events/s", true: "，%.0f 事件/秒"}[zh], m.EventsPerSecond)
	}
	if m.EtaSeconds != nil {
		left := time.Duration(*m.EtaSeconds * float64(time.Second)).Round(time.Second)
		text += fmt.Sprintf(map[bool]string{false: ", %s left", true: "，预计还需 %s"}[zh], left)
	}
	return text
}

func readModelRebuild() *cobra.Command {
	o := &operation{}
	var promote bool
	var task string
	cmd := o.command("rebuild", "Fold a read model anew beside the one in service",
		`Rebuild begins a new read model beside the one in service, which goes on serving.
The projectors fold it; one that is killed is taken over by another, from where it
was. With --promote it comes into service by itself once it has caught up, else see
promote. With --only-task the rows of one task are folded anew, in the read model in
service.`,
		func(ctx context.Context, c *client, _ []string) error {
			var only *string
			if task != "" {
				only = &task
			}
			did, err := c.manage(ctx, "$reason: String!, $promote: Boolean, $task: ID, $by: String",
				"rebuildReadModel(reason: $reason, promote: $promote, task: $task, by: $by)",
				map[string]any{"reason": o.reason, "promote": promote, "task": only, "by": o.by})
			if err != nil {
				return err
			}
			if only != nil {
				return o.managed(did, "the rows of task "+task+" are folded anew", "任务 "+task+" 的数据已重建")
			}
			if !o.wait {
				return o.managed(did, "being built; see factgate readmodel status", "正在构建；请查看 factgate readmodel status")
			}
			return o.awaitReadModel(ctx, c, did, promote)
		})
	o.reasonFlags(cmd, "asked for")
	cmd.Flags().BoolVar(&promote, "promote", false, "put it in service once it has caught up")
	cmd.Flags().StringVar(&task, "only-task", "", "fold only this task anew, in the read model in service")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "show progress until it has caught up, or with --promote is in service")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 24*time.Hour, "how long to wait")
	cmd.MarkFlagsMutuallyExclusive("only-task", "promote")
	return cmd
}

// awaitReadModel shows a rebuild until it is done.
func (o *operation) awaitReadModel(ctx context.Context, c *client, did readModelChange, promote bool) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	drawn := onTerminal(os.Stderr)
	erase := func() {
		if drawn {
			fmt.Fprint(os.Stderr, "\r\x1b[K")
		}
	}
	defer erase()
	for {
		list, err := c.readModels(ctx)
		if err != nil {
			return err
		}
		var m *readModelView
		for i := range list {
			if list[i].Number == did.Number {
				m = &list[i]
			}
		}
		erase()
		switch {
		case m == nil:
			return &exit{exitError, did.Name + " was dropped while it was waited for"}
		case m.Halted != nil:
			return &exit{exitError, fmt.Sprintf("%s has halted at position %s: %s", m.Name, m.Halted.Position, m.Halted.Reason)}
		case promote && m.State == "LIVE", !promote && m.LagEvents != nil && *m.LagEvents == 0:
			did.State, did.Position = &m.State, m.Position
			if promote {
				return o.managed(did, "in service, at position "+m.Position, "已启用，位置 "+m.Position)
			}
			return o.managed(did, fmt.Sprintf("caught up; put it in service with: factgate readmodel promote --number %d", m.Number),
				fmt.Sprintf("已追上；启用：factgate readmodel promote --number %d", m.Number))
		}
		if drawn {
			fmt.Fprint(os.Stderr, m.Name+" "+m.progress(o.zh))
		}
		timer := time.NewTimer(readModelPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return &exit{exitError, fmt.Sprintf("%s has not caught up: %v; it goes on, see factgate readmodel status", did.Name, context.Cause(ctx))}
		}
	}
}

func readModelPromote() *cobra.Command {
	o := &operation{}
	var number int
	var force bool
	cmd := o.command("promote", "Put a read model in service",
		`Promote puts a read model in service, for all readers at one moment; without
--number the newest that is being built. It is refused while that is behind.`,
		func(ctx context.Context, c *client, _ []string) error {
			variables := map[string]any{"force": force, "by": o.by}
			if number != 0 {
				variables["number"] = number
			}
			did, err := c.manage(ctx, "$number: Int, $force: Boolean, $by: String", "promoteReadModel(number: $number, force: $force, by: $by)", variables)
			if err != nil {
				return err
			}
			return o.managed(did, "in service", "已启用")
		})
	cmd.Flags().IntVar(&number, "number", 0, "which one (default: the newest that is being built)")
	o.forceFlags(cmd, &force)
	return cmd
}

func (o *operation) forceFlags(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force", false, "also when it is behind: readers see the past again")
	cmd.Flags().StringVar(&o.by, "by", userName(), "who wishes it")
}

func readModelRollback() *cobra.Command {
	o := &operation{}
	var force bool
	cmd := o.command("rollback", "Put the former read model back in service",
		`Rollback puts the read model that was in service before back in service. It has been
kept up to date, so nothing is missing.`,
		func(ctx context.Context, c *client, _ []string) error {
			from, err := c.live(ctx)
			if err != nil {
				return err
			}
			did, err := c.manage(ctx, "$from: Int, $force: Boolean, $by: String", "rollbackReadModel(from: $from, force: $force, by: $by)",
				map[string]any{"from": from, "force": force, "by": o.by})
			if err != nil {
				return err
			}
			return o.managed(did, "in service again", "已重新启用")
		})
	o.forceFlags(cmd, &force)
	return cmd
}

func readModelDrop() *cobra.Command {
	o := &operation{}
	cmd := o.command("drop NUMBER", "Drop a read model that is not in service, with its tables", "",
		func(ctx context.Context, c *client, args []string) error {
			number, err := strconv.Atoi(strings.TrimPrefix(args[0], "rm_"))
			if err != nil {
				return fmt.Errorf("%.40q is not the number of a read model; see factgate readmodel status", args[0])
			}
			did, err := c.manage(ctx, "$number: Int!, $by: String", "dropReadModel(number: $number, by: $by)", map[string]any{"number": number, "by": o.by})
			if err != nil {
				return err
			}
			return o.managed(did, "dropped", "已删除")
		})
	cmd.Flags().StringVar(&o.by, "by", userName(), "who wishes it")
	return cmd
}

// factSkip is the answer to skip.
type factSkip struct {
	Skipped  string `json:"skipped"`
	Stream   string `json:"stream"`
	Revision int    `json:"revision"`
	Type     string `json:"type"`
	Changed  bool   `json:"changed"`
	Position string `json:"position"`
}

func readModelSkip() *cobra.Command {
	o := &operation{}
	var position string
	cmd := o.command("skip", "Let read models pass by the fact before which one has halted",
		`Skip records in the log that the fact at --position is to be passed by; only the one
before which a read model has halted can be. Its task shows that it is incomplete,
status lists it for ever, and every read model folded later passes it by too, until
a version comes that can apply it.`,
		func(ctx context.Context, c *client, _ []string) error {
			did, err := patiently(ctx, uploadPatience, func() (factSkip, error) {
				var got struct{ SkipFact factSkip }
				err := c.query(ctx, `mutation ($position: String!, $reason: String!, $by: String) {
					skipFact(position: $position, reason: $reason, by: $by) { skipped stream revision type changed position } }`,
					map[string]any{"position": position, "reason": o.reason, "by": o.by}, &got)
				return got.SkipFact, err
			})
			if err != nil {
				return err
			}
			if o.json {
				return json.NewEncoder(o.out).Encode(did)
			}
			p := printer{w: o.out, zh: o.zh}
			p.say("skipped: %s (%d@%s) at position %s", "已跳过：%s（%d@%s），位置 %s", did.Type, did.Revision, did.Stream, did.Skipped)
			return nil
		})
	o.reasonFlags(cmd, "")
	cmd.Flags().StringVar(&position, "position", "", "of the fact, as status shows it")
	_ = cmd.MarkFlagRequired("position") // the flag is there
	return cmd
}
