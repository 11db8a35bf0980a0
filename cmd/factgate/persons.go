package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/eventstore"
)

// tendPeople reads who is known and finishes erasures that were interrupted, before
// anybody asks. Should the store be away, it tries again until that is done.
func tendPeople(ctx context.Context, use *commands.Commands, logger *slog.Logger) {
	ctx, done := context.WithCancel(ctx)
	defer done()
	eventstore.Resume(ctx, logger, "the names of people", func(ctx context.Context, well func()) error {
		err := use.TendPeople(ctx)
		if err == nil {
			well()
			done()
		}
		return err
	})
}

func personsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "persons",
		Short: "Erase the names of people",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(personsErase(), personsErasures())
	return cmd
}

// personErasure is the answer to the wish, and the result of --json.
type personErasure struct {
	Changed   bool     `json:"changed"`
	Keys      []string `json:"keys"`
	ClearText struct {
		Facts    int64 `json:"facts"`
		Streams  int64 `json:"streams"`
		Complete bool  `json:"complete"`
	} `json:"clearText"`
}

func personsErase() *cobra.Command {
	o := &operation{}
	cmd := o.command("erase NAME", "Forget a person's name, for good",
		`Erase destroys the key under which facts hold a person's name. No fact changes and
no verdict does; wherever the name was shown, "erased" and a pseudonym stand. It
cannot be undone. What it does not reach is printed: facts from before names were
sealed, and what only the operator can reach.`,
		func(ctx context.Context, c *client, args []string) error {
			var got struct{ ErasePerson personErasure }
			_, err := patiently(ctx, uploadPatience, func() (struct{}, error) {
				return struct{}{}, c.query(ctx, `mutation ($name: String!, $reason: String!, $by: String) {
					erasePerson(name: $name, reason: $reason, by: $by) { changed keys clearText { facts streams complete } } }`,
					map[string]any{"name": args[0], "reason": o.reason, "by": o.by}, &got)
			})
			if err != nil {
				return err
			}
			if o.json {
				return json.NewEncoder(o.out).Encode(got.ErasePerson)
			}
			got.ErasePerson.print(o.printer())
			return nil
		})
	o.reasonFlags(cmd, "")
	return cmd
}

// erasureView is one of what erasures lists.
type erasureView struct {
	Revision int64     `json:"revision"`
	Key      string    `json:"key"`
	At       time.Time `json:"at"`
	By       *string   `json:"by"`
	Reason   string    `json:"reason"`
}

func personsErasures() *cobra.Command {
	o := &operation{}
	return o.command("erasures", "List the names that were erased",
		`Erasures lists when a name was erased, by whom, why, and the key that was destroyed,
which still tells that person's tasks apart. Whose name it was nobody knows any more.`,
		func(ctx context.Context, c *client, _ []string) error {
			all := []erasureView{}
			for {
				wish := map[string]any{"first": listPage, "after": nil}
				if n := len(all); n > 0 {
					wish["after"] = all[n-1].Revision
				}
				page, err := patiently(ctx, uploadPatience, func() ([]erasureView, error) {
					var got struct{ Erasures []erasureView }
					err := c.query(ctx, `query ($first: Int, $after: Int) { erasures(first: $first, afterRevision: $after) { revision key at by reason } }`, wish, &got)
					return got.Erasures, err
				})
				if err != nil {
					return err
				}
				if all = append(all, page...); len(page) < listPage {
					break
				}
			}
			if o.json {
				return printJSON(all)
			}
			p := o.printer()
			for _, e := range all {
				by := ""
				if e.By != nil {
					by = *e.By
				}
				p.say("%s  key %s, by %s: %s", "%s  密钥 %s，操作者 %s：%s", e.At.Format("2006-01-02 15:04:05"), e.Key, orDash(by), e.Reason)
			}
			return nil
		})
}

func (e personErasure) print(p *printer) {
	if e.Changed {
		p.say("erased; key %s is destroyed", "已删除；密钥 %s 已销毁", strings.Join(e.Keys, ", "))
	} else {
		p.say("nobody has this name, or has it any more", "没有此名称的人员，或其名称此前已删除")
	}
	p.say("what remains:", "仍保留的内容：")
	switch c := e.ClearText; {
	case !c.Complete:
		p.say("  %d or more facts in %d streams hold the name in clear text; the search took too long to finish",
			"  至少 %d 条事实（%d 个流）以明文包含该名称；检索超时未完成", c.Facts, c.Streams)
	case c.Facts > 0:
		p.say("  %d facts in %d streams, written before names were sealed, hold the name in clear text",
			"  %d 条事实（%d 个流）写于启用名称加密之前，以明文包含该名称", c.Facts, c.Streams)
	default:
		p.say("  no fact holds the name as who uploaded or wished", "  没有事实以上传者或操作者身份包含该名称")
	}
	p.say("  reasons, file names, packages and reports were not searched", "  未检索原因文本、文件名、包内容与报告")
	p.say("  the key's bytes leave the event store's disk with its next scavenge (factgate node scavenge), and backups when they are replaced",
		"  密钥数据将在事件存储下次清理（factgate node scavenge）后离开磁盘；备份须待轮换后才会消失")
}
