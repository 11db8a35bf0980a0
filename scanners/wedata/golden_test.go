package wedata_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/scannertest"
	"github.com/factgate/factgate/scanners/wedata"
)

// readCase takes a case apart: a line "-- PATH --" begins a file of the package, and
// «code» stands for code in base64, with \n for line ends.
func readCase(t testing.TB, path string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	files := map[string]string{}
	name := ""
	for _, line := range strings.SplitAfter(string(content), "\n") {
		if inner, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(inner, " --\n") {
			name = strings.TrimSuffix(inner, " --\n")
			files[name] = ""
			continue
		}
		if name != "" {
			files[name] += withCode(line)
		}
	}
	require.NotEmpty(t, files, path)
	return files
}

func withCode(line string) string {
	for {
		before, rest, ok := strings.Cut(line, "«")
		if !ok {
			return line
		}
		code, after, _ := strings.Cut(rest, "»")
		line = before + base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(code, `\n`, "\n"))) + after
	}
}

// scan runs a package through the scanner and writes all that it says.
func scan(t testing.TB, s scanners.Scanner, files map[string]string) string {
	t.Helper()
	return scannertest.Said(t, s, openPackage(t, files), func(f report.Finding) string {
		place := fmt.Sprintf("%s:%d:%d", f.Path, f.Line, f.Column)
		if f.InnerLine > 0 {
			place += fmt.Sprintf(" inner %d:%d", f.InnerLine, f.InnerColumn)
		}
		return place + " " + f.Pointer
	})
}

// Each testdata/RULE/NAME.case is a package, and NAME.want what the scanner says of
// it. A bad one breaks the rule, a good one does not, whatever else they do. Rewrite
// with go test ./scanners/wedata -update, and read the difference.
func TestCases(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/*.case")
	require.NoError(t, err)
	s := wedata.New()
	kinds := map[string]bool{}
	for _, path := range cases {
		rule, name := filepath.Base(filepath.Dir(path)), strings.TrimSuffix(filepath.Base(path), ".case")
		kind, _, _ := strings.Cut(name, "-")
		kinds[rule+" "+kind] = true
		t.Run(rule+"/"+name, func(t *testing.T) {
			files := readCase(t, path)
			got := scan(t, s, files)
			require.Equal(t, got, scan(t, s, files), "a second scan says the same")
			switch kind {
			case "bad":
				require.Contains(t, got, "\n"+rule+" ")
			case "good":
				require.NotContains(t, got, "\n"+rule+" ")
			}
			scannertest.Golden(t, strings.TrimSuffix(path, ".case")+".want", got)
		})
	}
	for _, r := range s.(scanners.Catalogued).Rules() {
		require.True(t, kinds[r.ID+" bad"], "%s has no bad case", r.ID)
		require.True(t, kinds[r.ID+" good"], "%s has no good case", r.ID)
	}
}
