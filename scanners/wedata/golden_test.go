package wedata_test

import (
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/wedata"
)

var update = flag.Bool("update", false, "rewrite the golden files")

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
	pkg := openPackage(t, files)
	decision, err := s.Decide(t.Context(), pkg)
	require.NoError(t, err)
	var out strings.Builder
	if !decision.TakesPart() {
		fmt.Fprintf(&out, "declined %s\n  %s\n  %s\n", decision.Code(), decision.Reason().En, decision.Reason().Zh)
		return out.String()
	}
	var found gathered
	coverage, err := s.Scan(t.Context(), pkg, &found)
	require.NoError(t, err)
	fmt.Fprintf(&out, "takes part: %d of %d read\n", coverage.Seen, coverage.Eligible)
	for _, d := range coverage.Degraded {
		require.Regexp(t, `\p{Han}`, d.ReasonZH, d.Reason)
		fmt.Fprintf(&out, "degraded %s: %s\n  %s\n", d.Path, d.Reason, d.ReasonZH)
	}
	for _, f := range found {
		fmt.Fprintf(&out, "%s %s %s:%d:%d", f.Rule, f.Severity, f.Path, f.Line, f.Column)
		if f.InnerLine > 0 {
			fmt.Fprintf(&out, " inner %d:%d", f.InnerLine, f.InnerColumn)
		}
		fmt.Fprintf(&out, " %s [%s]\n  %s\n  %s\n", f.Pointer, f.Anchor, f.Message.En, f.Message.Zh)
	}
	return out.String()
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
			want := strings.TrimSuffix(path, ".case") + ".want"
			if *update {
				require.NoError(t, os.WriteFile(want, []byte(got), 0o644))
			}
			golden, err := os.ReadFile(want)
			require.NoError(t, err)
			require.Equal(t, string(golden), got)
		})
	}
	for _, r := range s.(scanners.Catalogued).Rules() {
		require.True(t, kinds[r.ID+" bad"], "%s has no bad case", r.ID)
		require.True(t, kinds[r.ID+" good"], "%s has no good case", r.ID)
	}
}
