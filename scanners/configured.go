package scanners

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/strictyaml"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg"
)

// Apply reads a configuration for a scanner and returns it with that. It refuses
// what the scanner does not know: a rule, a setting. The error is a *domain.Error,
// rule configuration.invalid, and names line and column.
func Apply(s Scanner, text string) (Scanner, configuration.Document, error) {
	d, err := configuration.Parse(text)
	if err != nil {
		return nil, d, err
	}
	var rules error
	if c, ok := s.(Catalogued); ok {
		if known := c.Rules(); len(known) > 0 { // none listed: nobody wrote them down
			rules = d.Check(append(known, SuppressionRules()...))
		}
	}
	with, settings := configure(s, Settings{d.Settings})
	var wrongRules, wrongSettings *strictyaml.Error
	switch {
	case errors.As(rules, &wrongRules) && errors.As(settings, &wrongSettings):
		return nil, d, configuration.Invalid(strictyaml.Join(wrongRules, wrongSettings))
	case rules != nil:
		return nil, d, rules
	case settings != nil:
		return nil, d, configuration.Invalid(settings)
	}
	return with, d, nil
}

func configure(s Scanner, settings Settings) (Scanner, error) {
	if settings.node == nil {
		return s, nil
	}
	c, ok := s.(Configurable)
	if !ok {
		return nil, settings.Refuse(report.Text{
			En: "type " + s.Describe().Type + " has no settings of its own; take settings away",
			Zh: "类型 " + s.Describe().Type + " 没有自己的设置；请删除 settings",
		})
	}
	return c.Configure(settings)
}

// Tried is what a scanner says of a package outside of a runtime.
type Tried struct {
	Decision Decision
	Coverage task.Coverage
	Fail     configuration.Thresholds // by which the check fails
}

// Try has a scanner look at a package here and now, as a runtime would by this text of
// a configuration (empty: its defaults), with the package's own suppressions and
// without waivers. Nothing is recorded.
func Try(ctx context.Context, s Scanner, text string, at time.Time, pkg *zippkg.Package, out Findings) (Tried, error) {
	c := configured{Scanner: s, Document: configuration.Document{Enabled: true}, rules: rulesOf(s)}
	if text != "" {
		var err error
		if c.Scanner, c.Document, err = Apply(s, text); err != nil {
			return Tried{}, err
		}
		c.applied = &task.Configuration{Digest: c.Digest}
	}
	tried := Tried{Fail: c.Fail}
	if !c.Enabled {
		tried.Decision = Decline(Disabled, report.Text{En: "switched off by its configuration", Zh: "已被其配置停用"})
		return tried, nil
	}
	view := pkg
	if c.Narrows() {
		view = pkg.Only(c.Sees)
	}
	var err error
	if tried.Decision, err = c.Decide(ctx, view); err != nil || !tried.Decision.TakesPart() {
		tried.Decision.reason = c.seen(tried.Decision.reason, len(view.Files()), len(pkg.Files()))
		return tried, err
	}
	g := newGate(out, c, at)
	if err := g.read(pkg); err != nil {
		return tried, err
	}
	if tried.Coverage, err = c.Scan(ctx, view, g); err != nil {
		return tried, err
	}
	g.close()
	return tried, nil
}

// configured is a scanner as it checks one package: by what operators have said.
type configured struct {
	Scanner
	configuration.Document
	as      task.Scanner
	applied *task.Configuration // nil: the defaults
	rules   map[string]report.Rule
	waivers []project.Waiver
	// settings are the document's in JSON, for a scanner elsewhere.
	settings json.RawMessage
}

// unusable: operators have said something that this scanner does not understand.
// Nothing is checked then, as nobody wants to be judged by what was not meant.
type unusable struct{ report.Text }

func (e *unusable) Error() string { return e.En }

// as is how the scanner checks a package of a project whose window was opened at a
// moment, and what operators have said of that. If they have said what cannot be
// used, the error is an *unusable, and what comes with it names the configuration.
func (r *runtime) as(said commands.SaidOfScanner, opened time.Time) (configured, error) {
	c := configured{Scanner: r.scanner, Document: configuration.Document{Enabled: true}, as: r.me, rules: rulesOf(r.scanner), waivers: said.Waivers}
	if r.scanner == nil {
		c.as.ConfigDigest = "" // what it says itself is added by asFor
	}
	var err error
	if told := said.Configuration; told != nil {
		c.applied = &task.Configuration{Project: told.Project, Digest: told.Digest, By: told.By}
		c.as.ConfigDigest = told.Digest
		if r.scanner == nil { // it is elsewhere, and judges rules and settings by itself
			if c.Document, err = configuration.Parse(told.Text); err == nil {
				c.settings, err = c.SettingsJSON()
			}
		} else {
			var s Scanner
			if s, c.Document, err = Apply(r.scanner, told.Text); err == nil {
				c.Scanner = s
			}
		}
	}
	if len(c.waivers) > 0 {
		// Other waivers may mean another result: two such scans are not the same.
		sum := sha256.New()
		_, _ = io.WriteString(sum, c.as.ConfigDigest)
		for _, w := range c.waivers {
			_, _ = fmt.Fprintf(sum, "\n%s %t", w.ID, w.Expires.Over(opened))
		}
		c.as.ConfigDigest = hex.EncodeToString(sum.Sum(nil))
	}
	if err == nil {
		return c, nil
	}
	en, zh := err.Error(), err.Error()
	var worded *domain.Error
	if errors.As(err, &worded) {
		en, zh = worded.Msg, worded.MsgZH
	}
	return c, &unusable{report.Text{
		En: fmt.Sprintf("the configuration %.12s of %s cannot be used by %s %s: %s", c.applied.Digest, ofProject(c.applied.Project), r.about.Name, r.about.Version, en),
		Zh: fmt.Sprintf("%s的配置 %.12s 无法被 %s %s 使用：%s", ofProjectZH(c.applied.Project), c.applied.Digest, r.about.Name, r.about.Version, zh),
	}}
}

func ofProject(name string) string {
	if name == project.All {
		return "all projects"
	}
	return "project " + name
}

func ofProjectZH(name string) string {
	if name == project.All {
		return "所有项目"
	}
	return "项目 " + name + " "
}

// disabled is the decline of a scanner that an operator has switched off.
func (c configured) disabled() Decision {
	return Decline(Disabled, report.Text{
		En: fmt.Sprintf("switched off by the configuration %.12s of %s", c.applied.Digest, ofProject(c.applied.Project)),
		Zh: strings.TrimSpace(fmt.Sprintf("已被%s的配置 %.12s 停用", ofProjectZH(c.applied.Project), c.applied.Digest)),
	})
}

// seen adds to a reason how much of the package the scanner was shown.
func (c configured) seen(reason report.Text, shown, all int) report.Text {
	if !c.Narrows() || reason.En == "" {
		return reason
	}
	reason.En += fmt.Sprintf("; its configuration shows it %d of %d files", shown, all)
	if reason.Zh != "" {
		reason.Zh += fmt.Sprintf("；按配置它只看到 %d 个文件（共 %d 个）", shown, all)
	}
	return reason
}

// rulesOf is the catalogue by id, empty for a scanner that has none.
func rulesOf(s Scanner) map[string]report.Rule {
	rules := map[string]report.Rule{}
	if c, ok := s.(Catalogued); ok {
		for _, r := range c.Rules() {
			rules[r.ID] = r
		}
	}
	return rules
}
