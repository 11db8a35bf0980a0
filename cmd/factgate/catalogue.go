package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
)

func catalogueCommand() *cobra.Command {
	c := catalogue{}
	cmd := &cobra.Command{
		Use:   "rules-catalogue [TYPE…]",
		Short: "Print what the scanners check: every rule with its reason and examples",
		Long: `Rules-catalogue prints the rules of the scanners in this binary: id, severity, what is
wrong and what to do, why it matters, an example that breaks the rule and one that
does not, how to configure and how to suppress it. docs/rules/ is made from it.

  factgate rules-catalogue sql
  factgate rules-catalogue --format markdown > rules.md
  factgate rules-catalogue --json | jq '.[].rules[].id'`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if c.zh, err = chinese(cmd); err != nil {
				return err
			}
			list, err := c.external.scanners(cmd.Context(), func(string, report.Text) {})
			if err != nil {
				return err
			}
			if len(args) > 0 {
				for i := range args {
					args[i] = strings.ToUpper(args[i])
				}
				if list, err = choose(list, args); err != nil {
					return err
				}
			}
			if c.json {
				c.format = "json"
			}
			return c.print(cmd.OutOrStdout(), list)
		},
	}
	cmd.Flags().StringVar(&c.format, "format", "text", "text, markdown (in both languages) or json")
	cmd.Flags().BoolVar(&c.json, "json", false, "the same as --format json")
	c.external.flag(cmd)
	return cmd
}

type catalogue struct {
	external externals
	format   string
	json, zh bool
}

func (c catalogue) print(w io.Writer, list []scanners.Scanner) error {
	switch c.format {
	case "json":
		all := []catalogueView{}
		for _, s := range list {
			all = append(all, viewOfRules(s))
		}
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	case "markdown":
		for _, s := range list {
			if _, err := io.WriteString(w, rulesMarkdown(s)); err != nil {
				return err
			}
		}
		return nil
	case "text":
		p := printer{w: w, zh: c.zh}
		for _, s := range list {
			p.catalogue(s)
		}
		return nil
	}
	return fmt.Errorf("--format %q is not known; use text, markdown or json", c.format)
}

// rulesOf a scanner; one without a catalogue has none to show.
func rulesOf(s scanners.Scanner) []report.Rule {
	if c, ok := s.(scanners.Catalogued); ok {
		return c.Rules()
	}
	return nil
}

type catalogueView struct {
	Type  string     `json:"type"`
	Rules []ruleView `json:"rules"`
}

type ruleView struct {
	ID        string      `json:"id"`
	Severity  string      `json:"severity"`
	Message   report.Text `json:"message"`
	Rationale report.Text `json:"rationale"`
	Bad       string      `json:"bad,omitempty"`
	Good      string      `json:"good,omitempty"`
	Syntax    string      `json:"syntax,omitempty"`
	Configure report.Text `json:"configure"`
	Suppress  report.Text `json:"suppress"`
	Security  bool        `json:"security"`
}

func viewOfRules(s scanners.Scanner) catalogueView {
	about := s.Describe()
	out := catalogueView{Type: about.Type, Rules: []ruleView{}}
	for _, r := range rulesOf(s) {
		out.Rules = append(out.Rules, ruleView{ID: r.ID, Severity: string(r.Severity), Message: r.Message, Rationale: r.Rationale,
			Bad: r.Bad, Good: r.Good, Syntax: r.Syntax, Configure: configuring(r), Suppress: suppressing(r), Security: r.Security})
	}
	return out
}

// configuring says how to change a rule.
func configuring(r report.Rule) report.Text {
	both := report.Text{
		En: fmt.Sprintf("rules: {%s: off}, or another severity: error, warning, note", r.ID),
		Zh: fmt.Sprintf("rules: {%s: off}，或改为其他级别：error、warning、note", r.ID),
	}
	if r.Configure != (report.Text{}) {
		both.En += "; " + r.Configure.En
		both.Zh += "；" + cmp.Or(r.Configure.Zh, r.Configure.En)
	}
	return both
}

// suppressing says how to let one place be.
func suppressing(r report.Rule) report.Text {
	switch {
	case r.Security:
		return report.Text{En: "by an operator's waiver only", Zh: "仅可由运维人员豁免"}
	case strings.HasPrefix(r.ID, "SQL"): // the ENC rules of that type are about whole files
		return report.Text{
			En: fmt.Sprintf("-- noqa: %s reason=…, an entry in .factgate.yml, or a waiver", r.ID),
			Zh: fmt.Sprintf("-- noqa: %s reason=…，或写入 .factgate.yml，或申请豁免", r.ID),
		}
	}
	return report.Text{En: "an entry in .factgate.yml, or a waiver", Zh: "写入 .factgate.yml，或申请豁免"}
}

func (p *printer) catalogue(s scanners.Scanner) {
	about, rules := s.Describe(), rulesOf(s)
	p.say("%s (%s): %d rules", "%s（%s）：%d 条规则", about.Type, about.Name, len(rules))
	for _, r := range rules {
		severity := string(r.Severity)
		if zh, ok := severities[r.Severity]; p.zh && ok {
			severity = zh
		}
		p.say("\n%s  %s  %s", "\n%s  %s  %s", r.ID, severity, p.text(r.Message))
		if why := p.text(r.Rationale); why != "" {
			p.say("  why:        %s", "  原因：%s", why)
		}
		p.example("  bad:        %s", "  反例：%s", r.Bad)
		p.example("  good:       %s", "  正例：%s", r.Good)
		p.say("  configure:  %s", "  配置：%s", p.text(configuring(r)))
		p.say("  suppress:   %s", "  抑制：%s", p.text(suppressing(r)))
	}
	p.say("", "")
}

func (p *printer) text(t report.Text) string {
	if p.zh && t.Zh != "" {
		return t.Zh
	}
	return t.En
}

func (p *printer) example(en, zh, text string) {
	if text = strings.TrimRight(text, "\n"); text != "" {
		p.say(en, zh, strings.ReplaceAll(text, "\n", "\n              "))
	}
}

// rulesMarkdown is a page of docs/rules.
func rulesMarkdown(s scanners.Scanner) string {
	about, rules := s.Describe(), rulesOf(s)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n<!-- Made by `make golden` from the scanner's own table; do not edit. -->\n\n| rule | severity | finds | 检查 |\n|---|---|---|---|\n", about.Type)
	cell := func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "|", `\|`), "\n", " ") }
	for _, r := range rules {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", r.ID, strings.ToLower(r.ID), r.Severity, cell(r.Message.En), cell(r.Message.Zh))
	}
	for _, r := range rules {
		fmt.Fprintf(&b, "\n## %s\n\n%s · %s\n\n", r.ID, r.Severity, severities[r.Severity])
		paragraph := func(t report.Text) {
			if t.En != "" {
				fmt.Fprintf(&b, "%s\n\n%s\n\n", t.En, cmp.Or(t.Zh, t.En))
			}
		}
		paragraph(r.Message)
		paragraph(r.Rationale)
		block := func(en, zh, text string) {
			if text == "" {
				return
			}
			fence := "```"
			for strings.Contains(text, fence) {
				fence += "`"
			}
			fmt.Fprintf(&b, "%s · %s\n\n%s%s\n%s\n%s\n\n", en, zh, fence, r.Syntax, strings.TrimRight(text, "\n"), fence)
		}
		block("Breaks it", "反例", r.Bad)
		block("Does not", "正例", r.Good)
		configure, suppress := configuring(r), suppressing(r)
		fmt.Fprintf(&b, "- Configure: %s\n- 配置：%s\n- Suppress: %s\n- 抑制：%s\n", configure.En, configure.Zh, suppress.En, suppress.Zh)
	}
	return b.String()
}
