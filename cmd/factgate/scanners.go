package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func scannersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scanners",
		Short: "List the types that are waited for, retire one, configure one, and make their keys",
		Long: `A type is waited for from its first scanner's start until somebody retires it: what
is waited for and not heard is silent, and rules may fail a package for that.
(To run scanners, see factgate scanner TYPE.)`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("say what to do: factgate scanners list|retire|configure|reset|show|validate|key|keys|revoke-key")
		},
	}
	cmd.AddCommand(scannersList(), scannersRetire(), scannersConfigure(), scannersReset(), scannersShow(), scannersValidate(), scannersKey(), scannersKeys(), scannersRevokeKey())
	return cmd
}

// scannerView is a type of scanners as GraphQL gives it.
type scannerView struct {
	Type        string     `json:"type"`
	State       string     `json:"state"`
	FirstSeenAt time.Time  `json:"firstSeenAt"`
	EnlistedAt  *time.Time `json:"enlistedAt"`
	LastHeardAt *time.Time `json:"lastHeardAt"`
	Retired     *struct {
		At     time.Time `json:"at"`
		By     *string   `json:"by"`
		Reason string    `json:"reason"`
	} `json:"retired"`
	Instances []struct {
		Instance     string     `json:"instance"`
		State        string     `json:"state"`
		Version      string     `json:"version"`
		RulesDigest  string     `json:"rulesDigest"`
		ConfigDigest string     `json:"configDigest"`
		OnlineAt     *time.Time `json:"onlineAt"`
		LastHeardAt  *time.Time `json:"lastHeardAt"`
		OfflineAt    *time.Time `json:"offlineAt"`
	} `json:"instances"`
}

func scannersList() *cobra.Command {
	o := &operation{}
	return o.command("list", "List the types, their states and their instances",
		`List prints each type whose scanners were ever heard of. ONLINE: heard within the
last 90 seconds. LOST: it never said that it goes, and is not heard any more.
OFFLINE: it ended in good order. RETIRED: nobody waits for it.`,
		func(ctx context.Context, c *client, _ []string) error {
			got := struct{ Scanners []scannerView }{Scanners: []scannerView{}}
			err := c.query(ctx, `{ scanners { type state firstSeenAt enlistedAt lastHeardAt retired { at by reason }
				instances { instance state version rulesDigest configDigest onlineAt lastHeardAt offlineAt } } }`, nil, &got)
			if err != nil {
				return err
			}
			if o.json {
				encoder := json.NewEncoder(o.out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(got.Scanners)
			}
			o.printScanners(got.Scanners)
			return nil
		})
}

var scannerStates = map[string]string{"ONLINE": "在线", "LOST": "失联", "OFFLINE": "已下线", "RETIRED": "已退役"}

func (o *operation) printScanners(list []scannerView) {
	p := printer{w: o.out, zh: o.zh}
	if len(list) == 0 {
		p.say("no scanner was ever online", "从未有扫描器上线")
	}
	say := func(state string) string {
		if zh, ok := scannerStates[state]; o.zh && ok {
			return zh
		}
		return state
	}
	heard := func(at *time.Time) string {
		if at == nil {
			return "—"
		}
		return at.Format(time.RFC3339)
	}
	for _, s := range list {
		p.say("%-16s %-8s last heard %s", "%-16s %-8s 最近一次响应 %s", s.Type, say(s.State), heard(s.LastHeardAt))
		if s.Retired != nil {
			p.say("    retired %s by %s: %s", "    %s 由 %s 退役：%s", s.Retired.At.Format(time.RFC3339), deref(s.Retired.By), s.Retired.Reason)
		}
		for _, i := range s.Instances {
			p.say("    %-8s instance %s, version %s, last heard %s", "    %-8s 实例 %s，版本 %s，最近一次响应 %s", say(i.State), i.Instance, i.Version, heard(i.LastHeardAt))
		}
	}
}

func scannersRetire() *cobra.Command {
	o := &operation{}
	cmd := o.command("retire TYPE", "Wait for a type no more",
		`Retire takes a type off the roster: windows opened from now on do not wait for it.
Stop its scanners first; one that starts again enlists the type anew.`,
		func(ctx context.Context, c *client, args []string) error {
			did, err := patiently(ctx, uploadPatience, func() (scannerChangeView, error) {
				var got struct{ RetireScanner scannerChangeView }
				err := c.query(ctx, `mutation ($type: String!, $reason: String!, $by: String) { retireScanner(type: $type, reason: $reason, by: $by) { type position changed } }`,
					map[string]any{"type": args[0], "reason": o.reason, "by": o.by}, &got)
				return got.RetireScanner, err
			})
			if err != nil {
				return err
			}
			if o.json {
				return json.NewEncoder(o.out).Encode(did)
			}
			p := printer{w: o.out, zh: o.zh}
			if did.Changed {
				p.say("%s is retired: windows opened from now on do not wait for it", "%s 已退役：此后开启的窗口期不再等待它", did.Type)
			} else {
				p.say("%s is retired (it was so already)", "%s 已退役（此前已如此）", did.Type)
			}
			return nil
		})
	o.reasonFlags(cmd, "")
	return cmd
}

// scannerChangeView is the answer to a wish about a type.
type scannerChangeView struct {
	Type     string `json:"type"`
	Position string `json:"position"`
	Changed  bool   `json:"changed"`
}
