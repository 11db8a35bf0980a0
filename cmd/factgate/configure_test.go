package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/configuration"
)

func TestAConfigurationIsValidatedOffline(t *testing.T) {
	good := written(t, "good.yaml", "rules: {SQL001: off}\n")
	require.Equal(t, good+": ok (SQL, digest "+configuration.Digest("rules: {SQL001: off}\n")[:12]+")\n", run(t, "scanners", "validate", "SQL", good).out)
	require.Contains(t, run(t, "scanners", "validate", "OWN", good, "--lang", "zh").out, "此处无法判断 OWN 是否支持")
	bad := written(t, "bad.yaml", "enabeld: true\nfail:\n  error: few\n")
	got := run(t, "scanners", "validate", "SQL", bad)
	require.Equal(t, ran{1, bad + `:1:1: "enabeld" is not known here; did you mean "enabled"?` + "\n" + bad + ":3:10: here must be a whole number\n", ""}, got)
	got = run(t, "scanners", "validate", "SQL", bad, "--lang", "zh")
	require.Equal(t, bad+`:1:1: 不认识 "enabeld"；您是否想写 "enabled"？`+"\n"+bad+":3:10: 此处应为整数\n", got.out)
	got = run(t, "scanners", "validate", "SQL", bad, "--json")
	var said []lintView
	readJSON(t, got, &said)
	require.Equal(t, []any{2, 1, "configuration.invalid"}, []any{len(said), said[0].Line, said[0].Code})
	require.Equal(t, exitError, run(t, "scanners", "validate", "SQL").code)
	require.Equal(t, exitError, run(t, "scanners", "validate", "SQL", "/nowhere").code)
}

// An operator configures a type and waives findings; the next package, and a retry of
// the one before, are checked by that.
func TestScannersAreConfiguredFromTheCommandLine(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--quiet", "1s")
	defer s.kill()
	cli := func(args ...string) ran { return run(t, append(args, "--server", s.url)...) }
	pack := packed(t)["retail-1.4.0"]
	check := func() (r result) {
		readJSON(t, cli("check", pack, "--json", "--project", "dw"), &r)
		return r
	}

	off := written(t, "off.yaml", "enabled: false\n")
	digest := configuration.Digest("enabled: false\n")[:12]
	require.Equal(t, ran{0, "EXCEL of all projects: configured, " + digest + "\n", ""}, cli("scanners", "configure", "EXCEL", "-f", off, "--by", "li"))
	require.Equal(t, "所有项目的 EXCEL：已配置，"+digest+"（此前已如此）\n", cli("scanners", "configure", "EXCEL", "-f", off, "--lang", "zh").out)
	got := cli("scanners", "configure", "EXCEL", "--project", "dw", "-f", written(t, "bad.yaml", "rules:\n  XLS001: never\n"))
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errors, "line 2, column 11: here must be off, note, warning or error")
	shown := cli("scanners", "show", "EXCEL", "--project", "dw").out
	require.Contains(t, shown, "# EXCEL, by the document of all projects: "+digest)
	require.Contains(t, shown, ", by li\n---\nenabled: false\n")
	require.Contains(t, cli("scanners", "show", "SQL").out, "its defaults hold")

	one := check()
	task := cli("show", one.TaskID).out
	require.Contains(t, task, "switched off by the configuration "+digest+" of all projects")

	require.Zero(t, cli("scanners", "reset", "EXCEL").code)
	require.Equal(t, "EXCEL of all projects: no document of its own (so already)\n", cli("scanners", "reset", "EXCEL").out)

	got = cli("waivers", "grant", "dw", "--rule", "SQL001", "--path", "**", "--reason", "one-off", "--expires", "2999-12-31", "--by", "li")
	require.Zero(t, got.code, got.errors)
	id := strings.TrimSuffix(strings.TrimPrefix(got.out, "waiver "), ": granted\n")
	require.Equal(t, id+"  SQL001, **, until 2999-12-31, by li, one-off\n", cli("waivers", "list", "dw").out)
	require.Equal(t, id+"  SQL001，**，有效至 2999-12-31，授予人 li，one-off\n", cli("waivers", "list", "dw", "--lang", "zh").out)
	require.Contains(t, cli("waivers", "grant", "dw", "--rule", "SQL001", "--path", "[", "--reason", "x").errors, "is no pattern")
	require.Equal(t, ran{0, "waiver " + id + ": revoked\n", ""}, cli("waivers", "revoke", "dw", id, "--reason", "fixed"))
	require.Equal(t, ran{0, "waiver " + id + ": revoked (it was so already)\n", ""}, cli("waivers", "revoke", "dw", id, "--reason", "fixed"))
	require.Equal(t, "project dw has no waivers\n", cli("waivers", "list", "dw").out)
}
