package sarif_test

import (
	"bytes"
	"encoding/json"
	"testing"

	checker "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/sarif"
)

var runs = []sarif.Run{
	{
		Type: "SQL", Scanner: "factgate-sql", Version: "1",
		Rules: []report.Rule{
			{ID: "SQL001", Severity: report.Warning, Message: report.Text{En: "List the columns.", Zh: "请列出字段。"}, Rationale: report.Text{En: "Columns move.", Zh: "列会变动。"}},
			{ID: "SQL002", Severity: report.Error, Message: report.Text{En: "No WHERE.", Zh: "缺少 WHERE。"}},
		},
		Findings: []report.Finding{
			{Rule: "SQL002", Severity: report.Error, Message: report.Text{En: "No WHERE.", Zh: "缺少 WHERE。"}, Path: "a b/c:d.sql", Line: 3, Column: 5, EndLine: 3, EndColumn: 9, Anchor: "x"},
			{Rule: "SQL001", Severity: report.Warning, Message: report.Text{En: "List the columns."}, Path: "数据.json", Pointer: "/a/0", InnerLine: 2, InnerColumn: 1, Suppressed: true},
		},
		Coverage: task.Coverage{Eligible: 3, Seen: 2, Degraded: []task.Degraded{{Path: "x.sql", Reason: "not understood"}, {Reason: "more"}}},
	},
	{
		Type: "EXCEL", Scanner: "factgate-excel", Version: "2",
		Findings: []report.Finding{
			{Rule: "XLS005", Severity: report.Error, Message: report.Text{En: "Empty.", Zh: "为空。"}, Path: "j.xlsx", Cell: "'作业列表'!C7"},
			{Rule: "XLS031", Severity: report.Note, Message: report.Text{En: "Nothing."}, Suppressed: true,
				Suppression: &report.Suppression{Kind: report.External, By: "li", Reason: "one-off", Waiver: "0f"}},
		},
		Failure: report.Text{En: "the workbook cannot be read", Zh: "无法读取工作簿"},
	},
	{Type: "API", Scanner: "factgate-api", Version: "1"},
}

func TestALogIsValidAndSaysWhere(t *testing.T) {
	for _, zh := range []bool{false, true} {
		var out bytes.Buffer
		require.NoError(t, sarif.Write(&out, runs, zh))
		log, err := checker.FromBytes(out.Bytes())
		require.NoError(t, err)
		require.NoError(t, log.Validate(), out.String())
		require.Len(t, log.Runs, 3)
		require.Equal(t, "factgate/SQL", *log.Runs[0].AutomationDetails.ID)
		first := log.Runs[0].Results[0]
		require.Equal(t, map[bool]string{false: "No WHERE.", true: "缺少 WHERE。"}[zh], *first.Message.Text)
		require.Equal(t, []any{1, "error"}, []any{first.RuleIndex, first.Level})
		place := first.Locations[0].PhysicalLocation
		require.Equal(t, []any{"a%20b/c:d.sql", "PKGROOT"}, []any{*place.ArtifactLocation.URI, *place.ArtifactLocation.URIBaseID})
		require.Equal(t, []any{3, 5, 3, 9}, []any{*place.Region.StartLine, *place.Region.StartColumn, *place.Region.EndLine, *place.Region.EndColumn})
		require.Len(t, first.PartialFingerprints["factgateIdentity/v1"], 32)

		inner := log.Runs[0].Results[1]
		require.Equal(t, "inSource", *inner.Suppressions[0].Kind)
		require.Equal(t, "/a/0", *inner.Locations[0].LogicalLocations[0].FullyQualifiedName)
		require.InDelta(t, 2, inner.Properties.Properties["innerLine"], 0)
		require.Nil(t, inner.Locations[0].PhysicalLocation.Region)

		notes := log.Runs[0].Invocations[0].ToolExecutionNotifications
		require.Len(t, notes, 2)
		require.Equal(t, "x.sql", *notes[0].Locations[0].PhysicalLocation.ArtifactLocation.URI)
		require.True(t, *log.Runs[0].Invocations[0].ExecutionSuccessful)

		cell := log.Runs[1].Results[0].Locations[0].LogicalLocations[0]
		require.Equal(t, []any{"C7", "'作业列表'!C7", "cell"}, []any{*cell.Name, *cell.FullyQualifiedName, *cell.Kind})
		waived := log.Runs[1].Results[1].Suppressions[0]
		require.Equal(t, []any{"external", "one-off"}, []any{*waived.Kind, *waived.Justification})
		require.EqualValues(t, map[string]any{"by": "li", "waiver": "0f"}, waived.Properties.Properties)
		require.Equal(t, "package", *log.Runs[1].Results[1].Locations[0].LogicalLocations[0].Name)
		require.False(t, *log.Runs[1].Invocations[0].ExecutionSuccessful)
	}
}

// A colon in the first component must not be read as a scheme.
func TestAPathIsARelativeReference(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sarif.Write(&out, []sarif.Run{{Findings: []report.Finding{{Rule: "X1", Path: "a:b.sql"}}}}, false))
	var log struct {
		Runs []struct {
			Results []struct {
				Locations []struct {
					PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &log))
	require.Equal(t, "./a:b.sql", log.Runs[0].Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI)
}
