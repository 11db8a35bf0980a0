package external

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
)

// What a package can do so that a command finds something and nobody hears of it.

func TestAFloodHidesNoError(t *testing.T) {
	s := define(t, fmt.Sprintf(`yes a.txt:1:note:N:x | head -n %d; echo a.txt:2:error:E:bad; exit 1`, maxFindings), "")
	_, coverage, err := scan(t, s, map[string]string{"a.txt": ""})
	require.ErrorContains(t, err, "more than 100000 findings")
	require.Zero(t, coverage.Seen)
}

func TestALongLineIsRead(t *testing.T) {
	s := define(t, `printf 'a.txt:1:note:N:x\na.txt:2:error:E:'; head -c 100000 /dev/zero | tr '\0' y; echo; exit 1`, "")
	got, _, err := scan(t, s, map[string]string{"a.txt": ""})
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, report.Error, got[1].Severity)
	require.Less(t, len(got[1].Message.En)+len(got[1].Anchor), 32<<10, "what is too long for a report ends the attempt")
}

// A line of text cannot say where such a name ends.
func TestANameThatCannotBeReadBackIsNotTakenForClean(t *testing.T) {
	s := define(t, `for f in "$@"; do echo "$f:1:error:E:bad"; done; exit 1`, "")
	got, coverage, err := scan(t, s, map[string]string{"a.txt": "", "sub:1:c.txt": ""})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, []int{2, 1, 1}, []int{coverage.Eligible, coverage.Seen, len(coverage.Degraded)})
	require.Equal(t, "sub:1:c.txt", coverage.Degraded[0].Path)
	require.Contains(t, coverage.Degraded[0].Reason, "rename it")
}

// An output that a package brings along is not the command's.
func TestAPackageDoesNotBringTheOutput(t *testing.T) {
	s := define(t, `true`, "output: {format: sarif, from: z.txt}\n")
	_, coverage, err := scan(t, s, map[string]string{"a.txt": "", "z.txt": `{"version":"2.1.0","runs":[]}`})
	require.ErrorContains(t, err, "did not write z.txt")
	require.Zero(t, coverage.Seen)
}

// Names that a zip can hold and a folder cannot are no reason to scan nothing.
func TestANameThatNoFolderTakesIsDegraded(t *testing.T) {
	long := strings.Repeat("n", 300) + ".txt"
	got, coverage, err := scan(t, define(t, `for f in "$@"; do echo "$f:1:note:SEEN:x"; done`, ""), map[string]string{"a.txt": "", long: "", "z.txt": ""})
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, []int{3, 2, 1}, []int{coverage.Eligible, coverage.Seen, len(coverage.Degraded)})
}

// Arguments of a message may quote a package; they are put in once.
func TestArgumentsOfAMessageAreNoTemplates(t *testing.T) {
	arguments := []string{`"{1}"`, `"` + strings.Repeat("x", 50) + `"`}
	log := `{"version":"2.1.0","runs":[{"results":[{"ruleId":"R","message":{"text":"{0} {1}","arguments":[` + strings.Join(arguments, ",") + `]}}]}]}`
	c := &collector{definition: &Definition{}}
	require.NoError(t, c.sarif([]byte(log)))
	require.Equal(t, "{1} "+strings.Repeat("x", 50), c.list[0].Message.En)

	many := `{"version":"2.1.0","runs":[{"results":[{"ruleId":"R","message":{"text":"` + strings.Repeat("{0}", 10_000) + `","arguments":["` + strings.Repeat("y", 100_000) + `"]}}]}]}`
	c = &collector{definition: &Definition{}}
	require.NoError(t, c.sarif([]byte(many)))
	require.Less(t, len(c.list[0].Message.En), 32<<10)
}
