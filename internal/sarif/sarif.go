// Package sarif writes findings as SARIF 2.1.0, the form in which code hosts,
// editors and other gates read them.
//
// Each scanner is a run with its catalogue of rules; paths are relative to
// PKGROOT, columns count Unicode code points, and partialFingerprints hold the
// finding's identity, so that a reader recognises it when lines have moved. A
// place in a workbook is a logical location, as it has no line. What was not
// understood stands among the notifications: a reader must not take it for clean.
// Start at [Write].
package sarif

import (
	"io"
	"net/url"
	"strings"

	sarif "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// Run is what one scanner made of a package.
type Run struct {
	Type, Scanner, Version string
	Rules                  []report.Rule
	Findings               []report.Finding
	Coverage               task.Coverage
	// Failure says why the scan was not finished; the zero Text that it was.
	Failure report.Text
}

// fingerprint is the name under which identities are given; the number is raised
// when what makes two findings the same changes.
const fingerprint = "factgateIdentity/v1"

// Write writes the runs as one log, its messages in Chinese if zh.
func Write(w io.Writer, runs []Run, zh bool) error {
	log := sarif.NewReport()
	for _, r := range runs {
		log.AddRun(r.sarif(zh))
	}
	return log.PrettyWrite(w)
}

func in(t report.Text, zh bool) string {
	if zh && t.Zh != "" {
		return t.Zh
	}
	return t.En
}

func (r Run) sarif(zh bool) *sarif.Run {
	language := "en-US"
	if zh {
		language = "zh-CN"
	}
	driver := sarif.NewToolComponent().WithName(r.Scanner).WithVersion(r.Version).WithLanguage(language)
	index := map[string]int{}
	for i, rule := range r.Rules {
		index[rule.ID] = i
		d := sarif.NewRule(rule.ID).WithDescription(in(rule.Message, zh)).
			WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(string(rule.Severity)))
		if why := in(rule.Rationale, zh); why != "" {
			d.WithFullDescription(sarif.NewMultiformatMessageString().WithText(why))
		}
		driver.AddRule(d)
	}
	run := sarif.NewRun().WithTool(sarif.NewTool().WithDriver(driver)).WithColumnKind("unicodeCodePoints").WithLanguage(language).
		WithAutomationDetails(sarif.NewRunAutomationDetails().WithID("factgate/" + r.Type))
	run.OriginalUriBaseIds = map[string]sarif.ArtifactLocation{
		root: *sarif.NewArtifactLocation().WithDescription(sarif.NewTextMessage("the package's root, without a folder that encloses everything"))}
	var identities report.Identities
	for _, f := range r.Findings {
		result := finding(f, zh).WithPartialFingerprints(map[string]string{fingerprint: string(identities.Of(f))})
		if i, ok := index[f.Rule]; ok {
			result.WithRuleIndex(i)
		}
		run.AddResult(result)
	}
	run.AddInvocation(r.invocation(zh))
	return run
}

// root stands for the package's root.
const root = "PKGROOT"

func finding(f report.Finding, zh bool) *sarif.Result {
	result := sarif.NewRuleResult(f.Rule).WithLevel(string(f.Severity)).WithMessage(sarif.NewTextMessage(in(f.Message, zh)))
	where := sarif.NewLocation()
	if f.Path == "" {
		where.AddLogicalLocation(sarif.NewLogicalLocation().WithName("package").WithKind("resource"))
	} else {
		place := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewArtifactLocation().WithURI(uri(f.Path)).WithURIBaseID(root))
		if f.Line > 0 && f.Cell == "" {
			place.WithRegion(region(f))
		}
		where.WithPhysicalLocation(place)
	}
	if f.Cell != "" {
		cell := sarif.NewLogicalLocation().WithFullyQualifiedName(f.Cell).WithKind("cell")
		if _, name, ok := strings.Cut(f.Cell, "!"); ok {
			cell.WithName(name)
		}
		where.AddLogicalLocation(cell)
	}
	if f.Pointer != "" {
		where.AddLogicalLocation(sarif.NewLogicalLocation().WithFullyQualifiedName(f.Pointer).WithKind("value"))
	}
	result.AddLocation(where)
	if f.InnerLine > 0 {
		bag := sarif.NewPropertyBag()
		bag.Properties = map[string]any{"innerLine": f.InnerLine}
		if f.InnerColumn > 0 {
			bag.Properties["innerColumn"] = f.InnerColumn
		}
		result.WithProperties(bag)
	}
	if f.Suppressed {
		result.AddSuppression(suppression(f.Suppression))
	}
	return result
}

// suppression of a report that was written before suppressions had a kind is one in
// source: there was no other.
func suppression(s *report.Suppression) *sarif.Suppression {
	if s == nil {
		return sarif.NewSuppression().WithKind(string(report.InSource))
	}
	out := sarif.NewSuppression().WithKind(string(s.Kind)).WithStatus("accepted")
	if s.Reason != "" {
		out.WithJustification(s.Reason)
	}
	bag := sarif.NewPropertyBag()
	bag.Properties = map[string]any{}
	for name, value := range map[string]string{"by": s.By, "expires": s.Expires, "waiver": s.Waiver} {
		if value != "" {
			bag.Properties[name] = value
		}
	}
	if len(bag.Properties) > 0 {
		out.WithProperties(bag)
	}
	return out
}

func region(f report.Finding) *sarif.Region {
	r := sarif.NewRegion().WithStartLine(f.Line)
	if f.Column > 0 {
		r.WithStartColumn(f.Column)
	}
	if f.EndLine > 0 {
		r.WithEndLine(f.EndLine)
	}
	if f.EndColumn > 0 {
		r.WithEndColumn(f.EndColumn)
	}
	return r
}

// uri is a package's path as a relative reference. The first component may hold a
// colon, which must not be taken for a scheme's.
func uri(path string) string { return (&url.URL{Path: path}).String() }

func (r Run) invocation(zh bool) *sarif.Invocation {
	out := sarif.NewInvocation().WithExecutionSuccessful(r.Failure == report.Text{})
	notify := func(level, text, path string) {
		n := sarif.NewNotification().WithLevel(level).WithMessage(sarif.NewTextMessage(text))
		if path != "" {
			n.AddLocation(sarif.NewLocation().WithPhysicalLocation(sarif.NewPhysicalLocation().
				WithArtifactLocation(sarif.NewArtifactLocation().WithURI(uri(path)).WithURIBaseID(root))))
		}
		out.AddToolExecutionNotification(n)
	}
	if r.Failure != (report.Text{}) {
		notify("error", in(r.Failure, zh), "")
	}
	for _, d := range r.Coverage.Degraded {
		notify("warning", in(report.Text{En: d.Reason, Zh: d.ReasonZH}, zh), d.Path)
	}
	return out
}
