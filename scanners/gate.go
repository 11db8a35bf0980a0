package scanners

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/strictyaml"
	"github.com/factgate/factgate/domain/suppression"
	"github.com/factgate/factgate/internal/zippkg"
)

// The runtime's own rules.
const (
	unusedSuppression  = "SUP001"
	expiredSuppression = "SUP002"
	brokenSuppressions = "SUP003"
)

// SuppressionRules are the rules of suppressions, which the runtime applies for
// every type.
func SuppressionRules() []report.Rule {
	const example = "suppressions:\n  - {rule: SQL001, path: legacy/**, reason: one-off export"
	return []report.Rule{
		{
			ID: unusedSuppression, Severity: report.Note, Syntax: "yaml",
			Message:   report.Text{En: "A suppression suppresses nothing; take it away.", Zh: "抑制项没有抑制任何问题，请删除。"},
			Rationale: report.Text{En: "What suppresses nothing today may hide something tomorrow.", Zh: "今天没有作用的抑制项，明天可能掩盖真正的问题。"},
		},
		{
			ID: expiredSuppression, Severity: report.Note, Syntax: "yaml",
			Message:   report.Text{En: "A suppression has expired; correct what it hid, or renew it.", Zh: "抑制项已过期；请修复其掩盖的问题，或重新申请。"},
			Rationale: report.Text{En: "An exception that was granted for a time is no rule.", Zh: "限期的例外不应成为惯例。"},
			Bad:       example + ", expires: 2020-01-01}\n",
		},
		{
			ID: brokenSuppressions, Severity: report.Warning, Syntax: "yaml",
			Message:   report.Text{En: ".factgate.yml is not understood, and suppresses nothing; correct it.", Zh: ".factgate.yml 无法解析，其中的抑制项均不生效；请修正。"},
			Rationale: report.Text{En: "Half of a file of exceptions may be the wrong half.", Zh: "只采用一部分抑制项，可能恰好采用了错误的部分。"},
			Bad:       example + ", until: 2020-01-01}\n", Good: example + "}\n",
		},
	}
}

// gate stands between a scanner and its report: it does to findings what operators
// and the package have said. It is used by one goroutine.
type gate struct {
	out    Findings
	levels map[string]configuration.Level
	rules  map[string]report.Rule // the scanner's; empty if it has no catalogue
	opened time.Time

	byRule   map[string][]*exception
	all      []*exception
	identify bool // some exception speaks of identities
	ids      report.Identities

	left    int    // of maxMatching
	spentAt string // the path at which nothing was left; the package's own suppress nothing from there
	spent   bool
}

// maxMatching bounds what the patterns of a package may cost in steps of glob's: some
// seconds for the worst of them. A few hundred that begin with a folder cost next to
// nothing.
const maxMatching = 256 << 20

// exception is a suppression of the package's own, or a waiver.
type exception struct {
	suppression.Which
	how          report.Suppression
	waiver       bool
	everyones    bool // a waiver of all projects
	expired      bool
	used         bool // a finding matched, whether it was suppressed or not
	line, column int

	path    string // the last one looked at
	matches bool   // … and whether it matched
	looked  bool
}

func newGate(out Findings, c configured, opened time.Time) *gate {
	g := &gate{out: out, levels: c.Document.Rules, rules: c.rules, opened: opened, byRule: map[string][]*exception{}, left: maxMatching}
	for _, w := range c.waivers {
		g.know(&exception{
			Which: w.Which, waiver: true, everyones: w.Project == project.All, expired: w.Expires.Over(opened),
			how: report.Suppression{Kind: report.External, By: w.By, Reason: w.Reason, Expires: string(w.Expires), Waiver: w.ID},
		})
	}
	return g
}

func (g *gate) know(e *exception) {
	g.all = append(g.all, e)
	g.byRule[e.Rule] = append(g.byRule[e.Rule], e)
	g.identify = g.identify || e.Identity != ""
}

// own is what a package says of itself. An error that is neither a *zippkg.Error nor a
// *strictyaml.Error is the store's.
func own(pkg *zippkg.Package) ([]suppression.Entry, error) {
	file, ok := pkg.Lookup(suppression.FileName)
	if !ok {
		return nil, nil
	}
	text, err := file.Text(configuration.MaxBytes)
	if err != nil {
		return nil, err
	}
	return suppression.Parse([]byte(text.Content))
}

// overIn are the places of a package's own suppressions that were over at a moment.
func overIn(pkg *zippkg.Package, opened time.Time) (over []int, err error) {
	entries, err := own(pkg)
	var refused *zippkg.Error
	var wrong *strictyaml.Error
	if err != nil && !errors.As(err, &refused) && !errors.As(err, &wrong) {
		return nil, err
	}
	for i, e := range entries {
		if e.Expires.Over(opened) {
			over = append(over, i)
		}
	}
	return over, nil
}

// withOver is the digest of a configuration, another one once suppressions of the
// package are over: the same package may then have another result, and is not to be
// taken for one whose result changes by chance.
func withOver(digest string, over []int) string {
	if len(over) == 0 {
		return digest
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\nover %v", digest, over))
	return hex.EncodeToString(sum[:])
}

// read takes up what the package says of itself. The error is the store's.
func (g *gate) read(pkg *zippkg.Package) error {
	if _, ok := pkg.Lookup(suppression.WrongName); ok {
		g.Add(report.Finding{
			Rule: brokenSuppressions, Severity: report.Warning, Path: suppression.WrongName, Line: 1, Column: 1, Anchor: "name",
			Message: report.Text{
				En: "Nothing in this file suppresses anything, since suppressions are read from " + suppression.FileName + " only; rename the file, or add what it holds to that one.",
				Zh: "只读取 " + suppression.FileName + "，本文件中的抑制项不生效；请将文件改名，或将内容并入该文件。",
			},
		})
	}
	entries, err := own(pkg)
	var refused *zippkg.Error
	var wrong *strictyaml.Error
	switch {
	case errors.As(err, &refused):
		g.broken(strictyaml.Problem{Text: report.Text{En: refused.Message, Zh: refused.MessageZH}})
		return nil
	case errors.As(err, &wrong):
		for _, p := range wrong.Problems {
			g.broken(p)
		}
		return nil
	case err != nil:
		return err
	}
	for _, e := range entries {
		g.know(&exception{
			Which: e.Which, expired: e.Expires.Over(g.opened), line: e.Line, column: e.Column,
			how: report.Suppression{Kind: report.External, By: fmt.Sprintf("%s:%d", suppression.FileName, e.Line), Reason: e.Reason, Expires: string(e.Expires)},
		})
	}
	return nil
}

func (g *gate) broken(p strictyaml.Problem) {
	g.Add(report.Finding{
		Rule: brokenSuppressions, Severity: report.Warning, Path: suppression.FileName, Line: p.Line, Column: p.Column,
		Message: report.Text{
			En: "Nothing in this file suppresses anything until it is corrected: " + p.Text.En,
			Zh: "修正之前，本文件中的抑制项均不生效：" + p.Text.Zh,
		},
		Anchor: p.Text.En,
	})
}

// Add is part of Findings.
func (g *gate) Add(f report.Finding) {
	if level, ok := g.levels[f.Rule]; ok {
		if level == configuration.Off {
			return
		}
		f.Severity = report.Severity(level)
	}
	security := g.rules[f.Rule].Security
	if security { // nothing in the package has a say in it
		f.Suppressed, f.Suppression = false, nil
	}
	var id report.Identity
	if g.identify {
		id = g.ids.Of(f)
	}
	suppressed := f.Suppressed || f.Suppression != nil
	for _, e := range g.byRule[f.Rule] {
		if !g.matches(e, f, id) {
			continue
		}
		e.used = true
		if e.expired || suppressed || security && !e.waiver {
			continue
		}
		how := e.how
		f.Suppressed, f.Suppression, suppressed = true, &how, true
	}
	g.out.Add(f)
}

// matches is Matches; findings come path by path, and each path is matched once.
func (g *gate) matches(e *exception, f report.Finding, id report.Identity) bool {
	if g.spent && !e.waiver {
		return false
	}
	if !e.looked || e.path != f.Path {
		if !e.waiver {
			if g.left -= e.Path.Cost(f.Path); g.left < 0 {
				g.spent, g.spentAt = true, f.Path
				return false
			}
		}
		e.looked, e.path, e.matches = true, f.Path, e.Path.Match(f.Path)
	}
	return e.matches && (e.Anchor == "" || e.Anchor == f.Anchor) && (e.Identity == "" || e.Identity == id)
}

// close says which exceptions are over and which were of no use, as far as they are
// this type's business: those of rules that it knows.
func (g *gate) close() {
	if g.spent {
		g.Add(report.Finding{
			Rule: brokenSuppressions, Severity: report.Warning, Path: suppression.FileName, Line: 1, Column: 1, Anchor: "patterns",
			Message: report.Text{
				En: fmt.Sprintf("The patterns in this file are too many for so many files: from %.200q on it suppresses nothing. Write fewer, or begin them with a folder.", g.spentAt),
				Zh: fmt.Sprintf("对如此多的文件而言，本文件中的匹配模式过多：从 %.200q 起，其中的抑制项不再生效。请减少模式，或让模式以文件夹名开头。", g.spentAt),
			},
		})
	}
	for _, e := range g.all {
		rule, ours := g.rules[e.Rule]
		if g.levels[e.Rule] == configuration.Off {
			continue // whether it is of use, nobody knows
		}
		f := report.Finding{Rule: unusedSuppression, Severity: report.Note, Anchor: e.Rule + " " + string(e.Path) + " " + e.Anchor + string(e.Identity)}
		what, whatZH := "the suppression of "+e.Rule+" in "+string(e.Path), "对 "+string(e.Path)+" 中 "+e.Rule+" 的抑制项"
		if e.waiver {
			what, whatZH = fmt.Sprintf("waiver %s of %s in %s", e.how.Waiver, e.Rule, e.Path), fmt.Sprintf("对 %s 中 %s 的豁免 %s", e.Path, e.Rule, e.how.Waiver)
		} else {
			f.Path, f.Line, f.Column = suppression.FileName, e.line, e.column
		}
		switch {
		case e.expired && (e.used || ours && !e.waiver):
			f.Rule = expiredSuppression
			f.Message = report.Text{
				En: fmt.Sprintf("%s expired on %s and suppresses nothing any more; correct what it hid, or renew it.", what, e.how.Expires),
				Zh: fmt.Sprintf("%s已于 %s 过期，不再生效；请修复其掩盖的问题，或重新申请。", whatZH, e.how.Expires),
			}
		case !e.waiver && rule.Security:
			f.Message = report.Text{
				En: fmt.Sprintf("%s has no effect: a package cannot suppress a security rule; correct the finding, or ask an operator for a waiver.", what),
				Zh: fmt.Sprintf("%s无效：安装包不能抑制安全规则；请修复问题，或向管理员申请豁免。", whatZH),
			}
		case e.expired || e.used || !ours || e.everyones || g.spent && !e.waiver:
			continue
		case e.waiver:
			f.Message = report.Text{
				En: fmt.Sprintf("%s matches no finding of this package; revoke it if it is not needed any more.", what),
				Zh: fmt.Sprintf("%s未匹配到本次安装包的任何问题；若不再需要，请撤销。", whatZH),
			}
		default:
			f.Message = report.Text{En: what + " suppresses nothing; take it away.", Zh: whatZH + "没有抑制任何问题，请删除。"}
		}
		g.Add(f)
	}
}
