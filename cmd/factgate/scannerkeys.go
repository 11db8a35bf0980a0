package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/domain/scanner"
)

func scannersKey() *cobra.Command {
	o := &operation{}
	cmd := o.command("key TYPE", "Make a key by which scanners of a type speak over HTTP",
		`Key draws a key here, has the server take its SHA-256, and prints the key once:
nobody can show it again. A scanner sends it as Authorization: Bearer. It speaks
for its own type and for no other; see docs/scanner-protocol.md.`,
		func(ctx context.Context, c *client, args []string) error {
			key, err := c.issueKey(ctx, args[0], o.by)
			if err != nil {
				return err
			}
			if o.json {
				return json.NewEncoder(o.out).Encode(map[string]string{"type": args[0], "keyId": key.ID, "key": key.String()})
			}
			fmt.Fprintln(o.out, key)
			p := printer{w: os.Stderr, zh: o.zh}
			p.say("this is the only time the key is shown; revoke it with  factgate scanners revoke-key %s %s", "密钥仅显示这一次；撤销：factgate scanners revoke-key %s %s", args[0], key.ID)
			return nil
		})
	cmd.Flags().StringVar(&o.by, "by", userName(), "who wishes it")
	return cmd
}

// issueKey draws a key and has it put in force. The secret stays here.
func (c *client) issueKey(ctx context.Context, subTaskType, by string) (scanner.Key, error) {
	var key scanner.Key
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails
	_, _ = rand.Read(key.Secret[:])
	key.ID = hex.EncodeToString(id[:])
	_, err := patiently(ctx, uploadPatience, func() (bool, error) {
		var got struct{ IssueScannerKey struct{ Changed bool } }
		err := c.query(ctx, `mutation ($type: String!, $id: String!, $sum: String!, $by: String) { issueScannerKey(type: $type, keyId: $id, sha256: $sum, by: $by) { changed } }`,
			map[string]any{"type": subTaskType, "id": key.ID, "sum": key.Digest(), "by": by}, &got)
		return got.IssueScannerKey.Changed, err
	})
	return key, err
}

// keyView is a key in force.
type keyView struct {
	KeyID string  `json:"keyId"`
	By    *string `json:"by"`
}

func scannersKeys() *cobra.Command {
	o := &operation{}
	return o.command("keys TYPE", "List the keys in force of a type",
		`Keys lists the keys by which scanners of a type may speak over HTTP, by their ids.
The keys themselves are nowhere but with their holders.`,
		func(ctx context.Context, c *client, args []string) error {
			got := struct{ ScannerKeys []keyView }{ScannerKeys: []keyView{}}
			if err := c.query(ctx, `query ($type: String!) { scannerKeys(type: $type) { keyId by } }`, map[string]any{"type": args[0]}, &got); err != nil {
				return err
			}
			if o.json {
				return json.NewEncoder(o.out).Encode(got.ScannerKeys)
			}
			p := printer{w: o.out, zh: o.zh}
			if len(got.ScannerKeys) == 0 {
				p.say("%s has no key in force; make one with  factgate scanners key %s", "%s 没有有效密钥；可用 factgate scanners key %s 生成", args[0], args[0])
			}
			for _, k := range got.ScannerKeys {
				p.say("%s  issued by %s", "%s  签发人 %s", k.KeyID, deref(k.By))
			}
			return nil
		})
}

func scannersRevokeKey() *cobra.Command {
	o := &operation{}
	cmd := o.command("revoke-key TYPE KEY_ID", "End a key of a type, at once and for good",
		`Revoke-key ends a key: whoever holds it is refused from now on.`,
		func(ctx context.Context, c *client, args []string) error {
			did, err := patiently(ctx, uploadPatience, func() (bool, error) {
				var got struct{ RevokeScannerKey struct{ Changed bool } }
				err := c.query(ctx, `mutation ($type: String!, $id: String!, $reason: String!, $by: String) { revokeScannerKey(type: $type, keyId: $id, reason: $reason, by: $by) { changed } }`,
					map[string]any{"type": args[0], "id": args[1], "reason": o.reason, "by": o.by}, &got)
				return got.RevokeScannerKey.Changed, err
			})
			if err != nil {
				return err
			}
			if o.json {
				return json.NewEncoder(o.out).Encode(map[string]any{"type": args[0], "keyId": args[1], "changed": did})
			}
			p := printer{w: o.out, zh: o.zh}
			if did {
				p.say("key %s of %s is revoked", "%[2]s 的密钥 %[1]s 已撤销", args[1], args[0])
			} else {
				p.say("key %s of %s is revoked (it was so already)", "%[2]s 的密钥 %[1]s 已撤销（此前已如此）", args[1], args[0])
			}
			return nil
		})
	o.reasonFlags(cmd, "")
	return cmd
}
