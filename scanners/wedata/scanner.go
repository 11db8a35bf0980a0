package wedata

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/factgate/factgate/domain/report"
	facts "github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// Type is the sub-task type of this scanner.
const Type = "WEDATA"

const version = "1.0.0"

// settings of the scanner, as they are written.
type settings struct {
	// ProjectParameters are defined in the project and not delivered; WD018 knows them.
	ProjectParameters []string `yaml:"projectParameters" json:"projectParameters"`
	// ExternalTasks are ids of tasks that exist without being delivered; WD003 and
	// WD017 know them.
	ExternalTasks []string `yaml:"externalTasks" json:"externalTasks"`
	// HighPriorityPercent is how many of a workflow's tasks may have the highest
	// priority before WD022 says something.
	HighPriorityPercent int `yaml:"highPriorityPercent" json:"highPriorityPercent"`
	// AsOf is the day at which WD010 calls a schedule expired; without it the time of
	// the newest file of the package.
	AsOf string `yaml:"asOf" json:"asOf"`
}

func defaults() settings { return settings{HighPriorityPercent: 30} }

type scanner struct {
	settings    settings
	asOf        time.Time // zero is the time of the newest file
	description scanners.Description
}

// New returns the scanner for sub-tasks of type WEDATA.
func New() scanners.Scanner { return defaults().scanner() }

// problem says which setting makes no sense, and why.
func (s settings) problem() (key string, why report.Text, bad bool) {
	if s.HighPriorityPercent < 0 || s.HighPriorityPercent > 100 {
		return "highPriorityPercent", report.Text{En: "write a number from 0 to 100", Zh: "请填写 0～100 的数字"}, true
	}
	if _, ok := moment(s.AsOf); s.AsOf != "" && !ok {
		return "asOf", report.Text{En: "write a day such as 2026-03-31", Zh: "请填写日期，如 2026-03-31"}, true
	}
	return "", report.Text{}, false
}

// scanner with these settings, which make sense.
func (s settings) scanner() *scanner {
	s.ProjectParameters = slices.Sorted(slices.Values(s.ProjectParameters))
	s.ExternalTasks = slices.Sorted(slices.Values(s.ExternalTasks))
	b, err := json.Marshal(s)
	if err != nil {
		b = nil // texts and a number: it cannot fail
	}
	config := sha256.Sum256(b)
	asOf, _ := moment(s.AsOf)
	return &scanner{settings: s, asOf: asOf, description: scanners.Description{
		Type: Type, Name: "factgate-wedata", Version: version,
		RulesDigest: rulesDigest(), ConfigDigest: hex.EncodeToString(config[:]),
	}}
}

// Configure is part of scanners.Configurable.
func (*scanner) Configure(given scanners.Settings) (scanners.Scanner, error) {
	s := defaults()
	if err := given.Decode(&s); err != nil {
		return nil, err
	}
	if key, why, bad := s.problem(); bad {
		return nil, given.Refuse(why, key)
	}
	return s.scanner(), nil
}

// Describe is part of scanners.Scanner.
func (s *scanner) Describe() scanners.Description { return s.description }

// Rules is part of scanners.Catalogued.
func (*scanner) Rules() []report.Rule {
	var out []report.Rule
	for _, r := range rules() {
		out = append(out, r.Rule)
	}
	return out
}

// Decide takes part when the package holds a manifest of a bundle, or a JSON file
// that is a workflow or a task, or was meant as one. Its name does not matter.
func (s *scanner) Decide(ctx context.Context, pkg *zippkg.Package) (scanners.Decision, error) {
	looked := 0
	files := pkg.Files()
	if i := slices.IndexFunc(files, func(f *zippkg.File) bool { return isManifest(f.Path) }); i >= 0 {
		return scanners.TakePartBecause(report.Text{En: files[i].Path + " is the manifest of a bundle", Zh: files[i].Path + " 是资源包清单"}), ctx.Err()
	}
	d := newDelivery(pkg, s.settings, s.asOf)
	for _, f := range files {
		if !isJSON(f.Path) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return scanners.Decision{}, err
		}
		looked++
		if err := d.readJSON(ctx, f); err != nil {
			return scanners.Decision{}, fmt.Errorf("look into %s: %w", f.Path, err)
		}
		if d.coverage.Eligible > 0 {
			return scanners.TakePartBecause(report.Text{En: f.Path + " is a workflow or a task", Zh: f.Path + " 是工作流或任务"}), nil
		}
	}
	reason := report.Text{
		En: "no wedata.yml, and no .json files that could be workflows",
		Zh: "没有 wedata.yml，也没有可能是工作流的 .json 文件",
	}
	if looked > 0 {
		reason = report.Text{
			En: fmt.Sprintf("no wedata.yml, and none of the .json files (%d) is a WeData task, workflow or canvas, or a DolphinScheduler workflow", looked),
			Zh: fmt.Sprintf("没有 wedata.yml，%d 个 .json 文件均不是 WeData 任务、工作流或画布，也不是 DolphinScheduler 工作流", looked),
		}
	}
	return scanners.Decline(scanners.NoMatchingFiles, reason), nil
}

// Scan reads all documents before the first rule runs, since a task may wait for one
// in another file.
func (s *scanner) Scan(ctx context.Context, pkg *zippkg.Package, out scanners.Findings) (facts.Coverage, error) {
	d := newDelivery(pkg, s.settings, s.asOf)
	if err := d.gather(ctx); err != nil {
		return facts.Coverage{}, err
	}
	if err := d.run(ctx, out); err != nil {
		return facts.Coverage{}, err
	}
	if d.unsaid > 0 {
		more := say("%d more reasons why files were not fully checked", "另有 %d 条未完整检查的说明未列出", d.unsaid)
		d.coverage.Degraded = append(d.coverage.Degraded, facts.Degraded{Reason: more.En, ReasonZH: more.Zh})
	}
	return d.coverage, nil
}

// moment reads a time as workflows write it, without a zone.
func moment(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly, "2006/01/02 15:04:05", "2006/01/02", time.RFC3339, "2006-01-02T15:04:05", "20060102"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
