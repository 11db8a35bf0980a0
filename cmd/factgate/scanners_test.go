package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/internal/testbench"
)

// DEAD was enlisted once and comes no more: strict rules fail a package for its
// silence until somebody retires it.
func TestADeadScannerIsSeenSilentAndRetiredFromTheCommandLine(t *testing.T) {
	t.Parallel()
	store := testbench.NewStore(t)
	_, err := commands.New(store).EnlistScanner(t.Context(), "scanner DEAD", scanner.Enlist{Type: "DEAD", Instance: "i1", Version: "1"})
	require.NoError(t, err)
	s := serve(t, t.TempDir(), "--eventstore", store.Node.ConnectionString(), "--quiet", "5s")
	defer s.kill()
	cli := func(args ...string) ran { return run(t, append(args, "--server", s.url)...) }
	list := func() map[string]scannerView {
		var views []scannerView
		got := cli("scanners", "list", "--json")
		if got.code != 0 || json.Unmarshal([]byte(got.out), &views) != nil {
			return nil // the read model is made only now
		}
		byType := map[string]scannerView{}
		for _, v := range views {
			byType[v.Type] = v
		}
		return byType
	}
	require.Eventually(t, func() bool {
		l := list()
		return len(l) == len(scannerList())+1 && len(l["SQL"].Instances) == 1 && l["SQL"].Instances[0].State == "ONLINE"
	}, testbench.Patience, 50*time.Millisecond)

	pack := packed(t)["retail-1.4.0"]
	require.Zero(t, cli("rules", "activate", "strict", "--by", "li").code)
	var judged result
	got := cli("check", pack, "--json")
	require.Equal(t, exitFailed, got.code, got.errors)
	readJSON(t, got, &judged)
	require.Equal(t, []string{"DEAD"}, judged.Silent)
	require.Contains(t, cli("explain", judged.TaskID).out, "silent")

	for _, want := range []string{"DEAD is retired: windows", "DEAD is retired (it was so already)"} {
		got = cli("scanners", "retire", "DEAD", "--reason", "replaced", "--by", "li")
		require.Zero(t, got.code, got.errors)
		require.Contains(t, got.out, want)
	}
	require.Eventually(t, func() bool { return list()["DEAD"].State == "RETIRED" }, testbench.Patience, 50*time.Millisecond)
	got = cli("scanners", "list", "--lang", "zh")
	require.Contains(t, got.out, "由 li 退役：replaced")
	require.Contains(t, got.out, "在线")
	got = cli("check", pack, "--json", "--idempotency-key", "after")
	require.Zero(t, got.code, got.out)
	judged = result{}
	readJSON(t, got, &judged)
	require.Empty(t, judged.Silent)

	require.Contains(t, cli("scanners", "retire", "NOBODY", "--reason", "x").errors, "scanner.unknown")
	require.Contains(t, cli("scanners", "retire", "SQL").errors, `"reason" not set`)
	require.Contains(t, run(t, "scanners").errors, "factgate scanners list|retire|configure|reset|show|validate|key|keys|revoke-key")
	s.stop(t)
}
