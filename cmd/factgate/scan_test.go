package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
)

func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

func TestScanReadsFilesFoldersAndPackages(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, folder, map[string]string{
		"sql/a.sql":            "-- a\nDELETE FROM t;\n",
		"sql/deep/b.sql":       "-- b\nSELECT a FROM t WHERE b = NULL;\n",
		"sql/.git/c.sql":       "DELETE FROM t;\n",
		"node_modules/d/d.sql": "DELETE FROM t;\n",
		"clean/e.sql":          "-- e\nDELETE FROM t WHERE a = 1;\n",
		"docs/readme.md":       "nothing\n",
		"unread/f.sql":         "\x00\x01\x02",
	})
	all := run(t, "scan", "sql", folder)
	require.Equal(t, exitFailed, all.code, all.errors)
	require.Contains(t, all.out, "sql/a.sql:2:1: error SQL002")
	require.Contains(t, all.out, "sql/deep/b.sql:2:")
	require.NotContains(t, all.out, "c.sql")
	require.NotContains(t, all.out, "d.sql")

	one := run(t, "scan", "sql", filepath.Join(folder, "clean"), "--lang", "zh")
	require.Zero(t, one.code, one.errors)
	require.Contains(t, one.out, "SQL：0 个错误")

	nothing := run(t, "scan", "SQL", filepath.Join(folder, "docs"))
	require.Equal(t, exitNoVerdict, nothing.code)
	require.Contains(t, nothing.out, "SQL does not take part")

	file := filepath.Join(folder, "sql", "a.sql")
	asJSON := run(t, "scan", "sql,excel", file, "--json")
	require.Equal(t, exitFailed, asJSON.code, asJSON.errors)
	var reports []scanReport
	require.NoError(t, json.Unmarshal([]byte(asJSON.out), &reports))
	require.Len(t, reports, 2)
	require.Equal(t, 1, reports[0].Coverage.Seen)
	require.True(t, strings.HasSuffix(reports[0].Findings[0].Path, "sql/a.sql"), reports[0].Findings[0].Path)
	require.NotNil(t, reports[1].Declined)

	asSARIF := run(t, "scan", "sql", file, "--format", "sarif")
	require.Equal(t, exitFailed, asSARIF.code, asSARIF.errors)
	log, err := sarif.FromBytes([]byte(asSARIF.out))
	require.NoError(t, err)
	require.NoError(t, log.Validate())
	require.Equal(t, "SQL002", *log.Runs[0].Results[0].RuleID)

	var packed bytes.Buffer
	out := zip.NewWriter(&packed)
	entry, err := out.Create("p/x.sql")
	require.NoError(t, err)
	_, err = entry.Write([]byte("-- x\nDELETE FROM t;\n"))
	require.NoError(t, err)
	require.NoError(t, out.Close())
	archive := filepath.Join(folder, "p.zip")
	require.NoError(t, os.WriteFile(archive, packed.Bytes(), 0o644))
	inZip := run(t, "scan", "sql", archive)
	require.Equal(t, exitFailed, inZip.code, inZip.errors)
	require.Contains(t, inZip.out, "x.sql:2:1: error SQL002")

	require.NoError(t, os.WriteFile(archive, []byte("no zip"), 0o644))
	refused := run(t, "scan", "sql", archive, "--lang", "zh")
	require.Equal(t, exitRefused, refused.code)
	require.Contains(t, refused.errors, "zip.not_a_zip")

	// What could not be read is no pass, whatever another type has read.
	write(t, folder, map[string]string{"blind/big.sql": strings.Repeat("-- too large to be read\n", 1<<19), "blind/api.yaml": "openapi: 3.0.0\ninfo: {title: a, version: \"1\"}\npaths: {}\n"})
	blind := run(t, "scan", "sql,api", filepath.Join(folder, "blind"))
	require.Equal(t, exitNoVerdict, blind.code, blind.errors)
	require.Contains(t, blind.out, "this is not a pass")
	packed.Reset()
	out = zip.NewWriter(&packed)
	_, err = out.Create("../up.sql")
	require.NoError(t, err)
	require.NoError(t, out.Close())
	require.NoError(t, os.WriteFile(archive, packed.Bytes(), 0o644))
	refused = run(t, "scan", "sql", archive, "--lang", "zh")
	require.Equal(t, exitRefused, refused.code)
	require.Contains(t, refused.errors, "../up.sql", "the entry is named")

	require.Equal(t, exitError, run(t, "scan", "sql", filepath.Join(folder, "nowhere")).code)
	require.Equal(t, exitError, run(t, "scan", "sql").code)
	require.Equal(t, exitError, run(t, "scan", "perl", folder).code)
	require.Equal(t, exitError, run(t, "scan", "sql", folder, "--format", "xml").code)
}

func TestAnExternalScannerTakesPart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, folder, map[string]string{
		"bin/a.sh": "#!/bin/sh\nif true; then\n",
		"own.yaml": "type: SQL\ncommand: [\"true\"]\nfiles: [a]\noutput: {format: sarif}\n",
		"bad.yaml": "type: X\nfiles: [a]\n",
	})
	example := filepath.Join("..", "..", "examples", "external", "shellcheck.yaml")
	here := run(t, "scan", "shellcheck", folder, "--external", example)
	require.Equal(t, exitFailed, here.code, here.errors)
	require.Contains(t, here.out, "bin/a.sh:2:10: error SC1073: ")

	var packed bytes.Buffer
	out := zip.NewWriter(&packed)
	entry, err := out.Create("bin/a.sh")
	require.NoError(t, err)
	_, err = entry.Write([]byte("#!/bin/sh\necho $1\n"))
	require.NoError(t, err)
	require.NoError(t, out.Close())
	archive := filepath.Join(folder, "p.zip")
	require.NoError(t, os.WriteFile(archive, packed.Bytes(), 0o644))
	checked := run(t, "check", archive, "--external", example, "--json")
	require.Zero(t, checked.code, checked.out+checked.errors)
	require.Contains(t, checked.out, `"SHELLCHECK"`)
	require.Contains(t, checked.out, `SC2086`)

	taken := run(t, "scan", "sql", folder, "--external", filepath.Join(folder, "own.yaml"))
	require.Contains(t, taken.errors, "there is a scanner of type SQL already")
	bad := run(t, "run", "--data", folder, "--external", filepath.Join(folder, "bad.yaml"))
	require.Equal(t, exitError, bad.code)
	require.Contains(t, bad.errors, "command: name the program")
	require.Contains(t, run(t, "scan", "sql", folder, "--external", filepath.Join(folder, "bin")).errors, "there is no .yaml file in")
}

// What a developer sees here is what the gate will say: by the package's own
// suppressions, and by a configuration.
func TestScanHeedsSuppressionsAndAConfiguration(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, folder, map[string]string{
		"sql/a.sql":      "-- a\nDELETE FROM t;\n",
		"sql/test/b.sql": "-- b\nDELETE FROM t;\n",
		".factgate.yml":  "suppressions:\n  - {rule: SQL002, path: sql/a.sql, reason: agreed}\n  - {rule: SQL002, path: gone/**, reason: agreed}\n",
	})
	config := written(t, "sql.yaml", "exclude: ['**/test/**']\n")
	got := runIn(t, folder, "scan", "sql", "sql")
	require.Equal(t, exitFailed, got.code, got.errors)
	require.NotContains(t, got.out, "a.sql:2:1: error")
	require.Contains(t, got.out, "b.sql:2:1: error SQL002")
	require.Contains(t, got.out, ".factgate.yml:3:5: note SUP001: the suppression of SQL002 in gone/** suppresses nothing; take it away.")
	got = runIn(t, folder, "scan", "sql", ".", "--config", config)
	require.Zero(t, got.code, got.out)
	require.Contains(t, got.out, "1 suppressed")
	require.NoError(t, os.Rename(filepath.Join(folder, ".factgate.yml"), filepath.Join(folder, ".factgate.yaml")))
	got = runIn(t, folder, "scan", "sql", "sql")
	require.Contains(t, got.out, "a.sql:2:1: error SQL002")
	require.Contains(t, got.out, ".factgate.yaml:1:1: warning SUP003: Nothing in this file suppresses anything")
	require.NoError(t, os.Remove(filepath.Join(folder, ".factgate.yaml")))
	got = runIn(t, folder, "scan", "sql", "sql", "--config", written(t, "only.yaml", "include: ['sql/test/**']\n"))
	require.Contains(t, got.out, "b.sql:2:1: error SQL002", "patterns are of the folder one stands in")
	require.NotContains(t, got.out, "a.sql")
	got = runIn(t, folder, "scan", "sql", ".", "--config", written(t, "soft.yaml", "rules: {SQL002: warning}\n"), "--lang", "zh")
	require.Zero(t, got.code, got.out)
	require.Contains(t, got.out, "警告 SQL002")
	got = runIn(t, folder, "scan", "sql", ".", "--config", written(t, "off.yaml", "enabled: false\n"))
	require.Equal(t, exitNoVerdict, got.code)
	require.Contains(t, got.out, "SQL does not take part: switched off by its configuration")
	got = runIn(t, folder, "scan", "sql", ".", "--config", written(t, "bad.yaml", "rules: {SQL999: off, SQL02: off}\n"))
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.errors, `bad.yaml:1:9: there is no rule "SQL999"`)
	require.Equal(t, exitError, runIn(t, folder, "scan", "sql,excel", ".", "--config", config).code)
}

func TestAFloodOfFindingsIsCountedAndItsErrorsAreListed(t *testing.T) {
	t.Parallel()
	f := &findings{}
	for range maxListed {
		f.Add(report.Finding{Rule: "N", Severity: report.Note})
	}
	f.Add(report.Finding{Rule: "E", Severity: report.Error})
	require.Equal(t, report.Counts{Error: 1, Note: maxListed}, f.counts)
	require.Len(t, f.list, maxListed-maxListed/10+1)
	require.Equal(t, "E", f.list[len(f.list)-1].Rule)
	require.Contains(t, f.left()[0].Reason, "10000 more findings")
	require.NotEmpty(t, f.left()[0].ReasonZH)
	require.Empty(t, (&findings{}).left())
}
