package external

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/testbench"
)

// The examples are run with the programs that they name: make test sees to these.

func example(t *testing.T, file string) *Scanner {
	t.Helper()
	d, err := ParseFile(file)
	require.NoError(t, err)
	s, err := New(t.Context(), d)
	require.NoError(t, err)
	return s
}

func TestShellCheckIsAScanner(t *testing.T) {
	t.Parallel()
	s := example(t, filepath.Join("..", "..", "examples", "external", "shellcheck.yaml"))
	require.Equal(t, "SHELLCHECK", s.Describe().Type)
	got, coverage, err := scan(t, s, map[string]string{
		"bin/a.sh":   "#!/bin/sh\nrm -rf $1/*\n",
		"bin/b.sh":   "#!/bin/sh\necho fine\n",
		"sql/a.sql":  "select 1",
		"bin/坏 c.sh": "#!/bin/sh\nif true; then\n",
	})
	require.NoError(t, err)
	require.Equal(t, []int{3, 3}, []int{coverage.Eligible, coverage.Seen})
	rules := map[string]report.Finding{}
	for _, f := range got {
		rules[f.Rule] = f
	}
	require.Equal(t, []any{"bin/a.sh", 2, report.Note}, []any{rules["SC2086"].Path, rules["SC2086"].Line, rules["SC2086"].Severity})
	require.Equal(t, []any{"bin/坏 c.sh", report.Error}, []any{rules["SC1073"].Path, rules["SC1073"].Severity})
}

func TestAnNpmLinterIsAScanner(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.CopyFS(folder, os.DirFS(filepath.Join("..", "..", "examples", "external", "markdownlint"))))
	modules := testbench.NodeModules(t, folder)
	require.NoError(t, os.Symlink(filepath.Join(modules, "node_modules"), filepath.Join(folder, "node_modules")))
	file := filepath.Join(folder, "markdownlint.yaml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, fmt.Appendf(text, "readable: [%q]\n", modules), 0o600))

	s := example(t, file)
	require.Contains(t, s.Describe().Version, "0.17.2")
	got, coverage, err := scan(t, s, map[string]string{"README.md": "# One\n\nfine\n", "docs/发布说明.md": "# One\n# Two\n"})
	require.NoError(t, err)
	require.Equal(t, []int{2, 2}, []int{coverage.Eligible, coverage.Seen})
	require.NotEmpty(t, got)
	seen := map[string]bool{}
	for _, f := range got {
		require.Equal(t, []any{"docs/发布说明.md", report.Note}, []any{f.Path, f.Severity})
		seen[f.Rule] = true
	}
	require.True(t, seen["MD022"] && seen["MD025"], "%v", seen)
}

// What docs/scanners.md shows is a definition.
func TestTheDocumentedDefinitionIsOne(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "scanners.md"))
	require.NoError(t, err)
	_, shown, found := strings.Cut(string(text), "```yaml\ntype: SHELLCHECK")
	require.True(t, found)
	shown, _, _ = strings.Cut(shown, "```")
	d, err := Parse(strings.NewReader("type: SHELLCHECK" + shown))
	require.NoError(t, err)
	require.True(t, d.matches("bin/a.sh"))
	require.False(t, d.matches("vendor/x/a.sh"))
	require.Equal(t, report.Note, d.severity("style"))
}
