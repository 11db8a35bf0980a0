package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/ruleset"
)

// maxRuleSetFile bounds what is read of a file; Parse says what is too long.
const maxRuleSetFile = 1 << 20

func rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Check, publish, activate and compare rule sets",
		Long: `A rule set turns the facts of a task into a verdict; docs/rules.md explains the
language. Lint works offline; everything else asks a server.

  factgate rules lint mine.yaml
  factgate rules publish mine.yaml            it becomes a version; nothing is judged by it yet
  factgate rules activate mine                windows opened from now on are judged by it
  factgate rules activate mine --project dw   … those of one project only`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(rulesLintCommand(), rulesPublishCommand(), rulesActivateCommand(), rulesListCommand(), rulesShowCommand(), rulesDiffCommand(), rulesDryRunCommand(), rulesShadowCommand(), rulesShadowReportCommand())
	return cmd
}

// ruleSetView is a version as GraphQL gives it.
type ruleSetView struct {
	Name        string     `json:"name"`
	Version     int        `json:"version"`
	Digest      string     `json:"digest"`
	BuiltIn     bool       `json:"builtIn"`
	PublishedAt *time.Time `json:"publishedAt"`
	By          *string    `json:"by"`
	Active      bool       `json:"active"`
	InService   bool       `json:"inService"`
	Projects    []string   `json:"projects"`
	Text        string     `json:"text,omitempty"`
}

// ruleSetChange is the answer to publish and activate.
type ruleSetChange struct {
	Name     string `json:"name"`
	Version  int    `json:"version"`
	Digest   string `json:"digest"`
	Changed  bool   `json:"changed"`
	Position string `json:"position"`
}

const versionFields = "name version digest builtIn publishedAt by active inService projects"

func (c *client) ruleSet(ctx context.Context, name string, version *int) (v ruleSetView, err error) {
	return patiently(ctx, uploadPatience, func() (ruleSetView, error) {
		var got struct{ RuleSet ruleSetView }
		err := c.query(ctx, `query ($name: String!, $version: Int) { ruleSet(name: $name, version: $version) { `+versionFields+` text } }`,
			map[string]any{"name": name, "version": version}, &got)
		return got.RuleSet, err
	})
}

// lintView is what lint says of a file that is right, or of one thing that is wrong.
type lintView struct {
	File   string `json:"file"`
	OK     bool   `json:"ok"`
	Name   string `json:"name,omitempty"`
	Digest string `json:"digest,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Code   string `json:"code,omitempty"`
	// Message in English, MessageZH in Chinese.
	Message   string `json:"message,omitempty"`
	MessageZH string `json:"messageZh,omitempty"`
}

// lint judges a text as publishing would.
func lint(file string, text []byte) []lintView {
	v := lintView{File: file}
	rs, err := rules.Parse(text, 1)
	if err == nil {
		if err = ruleset.CheckName(rs.Ref().Name); err == nil {
			v.OK, v.Name, v.Digest = true, rs.Ref().Name, rs.Ref().Digest
			return []lintView{v}
		}
	}
	v.Code = domain.RuleOf(err)
	var all []lintView
	for _, e := range rules.SourceErrors(err) {
		v.Line, v.Column, v.Rule, v.Message, v.MessageZH = e.Line, e.Column, e.RuleID, e.Reason.En, e.Reason.Zh
		all = append(all, v)
	}
	if all != nil {
		return all
	}
	v.Line, v.Column, v.Message, v.MessageZH = 1, 1, err.Error(), err.Error()
	var known *domain.Error
	if errors.As(err, &known) {
		v.Message, v.MessageZH = known.Msg, known.MsgZH
	}
	return []lintView{v}
}

// text is a finding as a compiler would write it.
func (v lintView) text(zh bool) string {
	if zh {
		return fmt.Sprintf("%s:%d:%d: %s", v.File, v.Line, v.Column, v.MessageZH)
	}
	return fmt.Sprintf("%s:%d:%d: %s", v.File, v.Line, v.Column, v.Message)
}

func rulesLintCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Check rule set files, offline",
		Long: `Lint says whether a server of this version would take each file, and all places where
it is wrong if not, as FILE:LINE:COLUMN: reason. The exit code is 1 if any file is wrong.
The file - is standard input.`,
		Args: atLeastOne("factgate rules lint FILE..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			zh, err := chinese(cmd)
			if err != nil {
				return err
			}
			said, wrong := []lintView{}, false
			for _, file := range args {
				text, err := readRuleSet(file)
				if err != nil {
					return err
				}
				found := lint(file, text)
				wrong = wrong || !found[0].OK
				said = append(said, found...)
			}
			if asJSON {
				err = printJSON(said)
			} else {
				for _, v := range said {
					switch {
					case v.OK && zh:
						fmt.Printf("%s：正确（规则集 %s）\n", v.File, v.Name)
					case v.OK:
						fmt.Printf("%s: ok (rule set %s)\n", v.File, v.Name)
					default:
						fmt.Println(v.text(zh))
					}
				}
			}
			if err == nil && wrong {
				return &exit{code: 1}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, one object for a file that is right or a thing that is wrong")
	return cmd
}

func atLeastOne(usage string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errors.New("give at least one file: " + usage)
		}
		return nil
	}
}

func readRuleSet(file string) ([]byte, error) {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read the rule set: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxRuleSetFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the rule set: %w", err)
	}
	if len(text) > maxRuleSetFile {
		return nil, fmt.Errorf("%s is over %d bytes; that is no rule set", file, maxRuleSetFile)
	}
	return text, nil
}

func printJSON(v any) error {
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

func rulesPublishCommand() *cobra.Command {
	o := &operation{}
	cmd := o.command("publish FILE", "Publish a rule set as a new version",
		`Publish makes a version of the text in FILE, under the name that the text gives
itself. No task is judged by it before it is activated. Publishing the same text
again gives the version that it was. A text that is wrong is refused; the exit code
is 1 then.`,
		func(ctx context.Context, c *client, args []string) error {
			text, err := readRuleSet(args[0])
			if err != nil {
				return err
			}
			if found := lint(args[0], text); !found[0].OK { // says it with the file's name, and a server would say the same
				var lines []string
				for _, v := range found {
					lines = append(lines, fmt.Sprintf("%s (%s)", v.text(o.zh), v.Code))
				}
				return &exit{1, strings.Join(lines, "\n")}
			}
			did, err := patiently(ctx, uploadPatience, func() (ruleSetChange, error) {
				var got struct{ PublishRuleSet ruleSetChange }
				err := c.query(ctx, `mutation ($text: String!, $by: String) { publishRuleSet(text: $text, by: $by) { name version digest changed position } }`,
					map[string]any{"text": string(text), "by": o.by}, &got)
				return got.PublishRuleSet, err
			})
			if err != nil {
				return err
			}
			return o.reportRuleSet(did, "published", "已发布")
		})
	cmd.Flags().StringVar(&o.by, "by", userName(), "who publishes it")
	return cmd
}

func rulesActivateCommand() *cobra.Command {
	o := &operation{}
	var version int
	var project string
	cmd := o.command("activate NAME", "Put a version of a rule set in service",
		`Activate has windows that are opened from now on judged by a version of a rule set:
those of one project with --project, else those of all projects that have none of
their own. Windows that are open keep the version that they were opened under.`,
		func(ctx context.Context, c *client, args []string) error {
			wish := map[string]any{"name": args[0], "by": o.by, "version": nil, "project": nil}
			if version != 0 {
				wish["version"] = version
			}
			if project != "" {
				wish["project"] = project
			}
			did, err := patiently(ctx, uploadPatience, func() (ruleSetChange, error) {
				var got struct{ ActivateRuleSet ruleSetChange }
				err := c.query(ctx, `mutation ($name: String!, $version: Int, $project: String, $by: String) {
					activateRuleSet(name: $name, version: $version, project: $project, by: $by) { name version digest changed position } }`, wish, &got)
				return got.ActivateRuleSet, err
			})
			if err != nil {
				return err
			}
			return o.reportRuleSet(did, "in service", "已启用")
		})
	cmd.Flags().IntVar(&version, "version", 0, "which version (default: the newest)")
	cmd.Flags().StringVar(&project, "project", "", "for this project only (default: for all that have none of their own)")
	cmd.Flags().StringVar(&o.by, "by", userName(), "who activates it")
	return cmd
}

func (o *operation) reportRuleSet(did ruleSetChange, en, zh string) error {
	if o.json {
		return printJSON(did)
	}
	if !did.Changed {
		en, zh = en+" already", "此前"+zh
	}
	p := printer{w: o.out, zh: o.zh}
	p.say("rule set %s version %d: "+en, "规则集 %s 版本 %d："+zh, did.Name, did.Version)
	return nil
}

func rulesListCommand() *cobra.Command {
	o := &operation{}
	return o.command("list", "List rule sets, their versions and where they are in service", "",
		func(ctx context.Context, c *client, _ []string) error {
			sets, err := patiently(ctx, uploadPatience, func() ([]struct{ Versions []ruleSetView }, error) {
				var got struct {
					RuleSets []struct{ Versions []ruleSetView }
				}
				err := c.query(ctx, `{ ruleSets { versions { `+versionFields+` } } }`, nil, &got)
				return got.RuleSets, err
			})
			if err != nil {
				return err
			}
			all := []ruleSetView{}
			for _, s := range sets {
				all = append(all, s.Versions...)
			}
			if o.json {
				return printJSON(all)
			}
			for _, v := range all {
				fmt.Fprintln(o.out, v.line(o.zh))
			}
			return nil
		})
}

// line is a version in one line.
func (v ruleSetView) line(zh bool) string {
	pick := func(en, cn string) string {
		if zh {
			return cn
		}
		return en
	}
	words := []string{fmt.Sprintf("%s %d  %.12s", v.Name, v.Version, v.Digest)}
	switch {
	case v.BuiltIn:
		words = append(words, pick("built in", "内置"))
	case v.PublishedAt != nil:
		words = append(words, v.PublishedAt.Format("2006-01-02 15:04:05"))
	}
	if v.By != nil {
		words = append(words, *v.By)
	}
	if v.Active {
		words = append(words, pick("active", "生效版本"))
	}
	if v.InService {
		words = append(words, pick("in service for all projects", "对所有项目启用"))
	}
	if len(v.Projects) > 0 {
		words = append(words, pick("activated for ", "已为以下项目启用：")+strings.Join(v.Projects, ", "))
	}
	return strings.Join(words, "  ")
}

func rulesShowCommand() *cobra.Command {
	o := &operation{}
	var version int
	cmd := o.command("show NAME", "Print the text of a rule set",
		`Show prints a version's text as it was published, so that its SHA-256 is the digest
that verdicts name. With --json it says everything that is known of the version.`,
		func(ctx context.Context, c *client, args []string) error {
			v, err := c.ruleSet(ctx, args[0], numbered(version))
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(v)
			}
			_, err = io.WriteString(o.out, v.Text)
			return err
		})
	cmd.Flags().IntVar(&version, "version", 0, "which version (default: the newest)")
	return cmd
}

func numbered(version int) *int {
	if version == 0 {
		return nil
	}
	return &version
}

// diffView is what diff says as JSON.
type diffView struct {
	From string     `json:"from"`
	To   string     `json:"to"`
	Same bool       `json:"same"`
	Diff []diffLine `json:"lines"`
}

type diffLine struct {
	Op   string `json:"op"` // " ", "-" or "+"
	Text string `json:"text"`
}

func rulesDiffCommand() *cobra.Command {
	o := &operation{}
	cmd := o.command("diff NAME [A B | FILE]", "Compare versions of a rule set, or a file with its newest",
		`Diff compares line by line: versions A and B; or the newest version with FILE; or,
with the name alone, the version in service with the newest. The exit code is 1 if
they differ.`,
		func(ctx context.Context, c *client, args []string) error {
			fromName, from, toName, to, err := o.sides(ctx, c, args)
			if err != nil {
				return err
			}
			said := diffView{From: fromName, To: toName, Same: from == to, Diff: diffLines(from, to)}
			if o.json {
				err = printJSON(said)
			} else if !said.Same {
				fmt.Fprintf(o.out, "--- %s\n+++ %s\n", fromName, toName)
				for _, l := range said.Diff {
					fmt.Fprintln(o.out, l.Op+l.Text)
				}
			}
			if err == nil && !said.Same {
				return &exit{code: 1}
			}
			return err
		})
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) < 1 || len(args) > 3 {
			return errors.New("give a name, and two versions or a file: factgate rules diff NAME [A B | FILE]")
		}
		return nil
	}
	return cmd
}

// sides finds what is compared.
func (o *operation) sides(ctx context.Context, c *client, args []string) (fromName, from, toName, to string, err error) {
	version := func(n *int) (string, string, error) {
		v, err := c.ruleSet(ctx, args[0], n)
		return fmt.Sprintf("%s %d", v.Name, v.Version), v.Text, err
	}
	var a, b *int
	switch len(args) {
	case 1:
		var got struct {
			RuleSets []struct{ Versions []ruleSetView }
		}
		if err = c.query(ctx, `{ ruleSets { versions { name version active } } }`, nil, &got); err != nil {
			return "", "", "", "", err
		}
		for _, s := range got.RuleSets {
			for _, v := range s.Versions {
				if v.Name == args[0] && v.Active {
					a = &v.Version
				}
			}
		}
	case 2:
		if fromName, from, err = version(nil); err != nil {
			return "", "", "", "", err
		}
		text, err := readRuleSet(args[1])
		return fromName, from, args[1], string(text), err
	case 3:
		var n [2]int
		for i, s := range args[1:] {
			if n[i], err = strconv.Atoi(s); err != nil || n[i] < 1 {
				return "", "", "", "", fmt.Errorf("%q is not a version; versions count from 1", s)
			}
		}
		a, b = &n[0], &n[1]
	}
	if fromName, from, err = version(a); err == nil {
		toName, to, err = version(b)
	}
	return fromName, from, toName, to, err
}

// maxDiffCells bounds the work of a comparison; beyond it all lines are shown as
// replaced.
const maxDiffCells = 4 << 20

// diffLines gives every line of both texts, in order, with what became of it.
func diffLines(from, to string) []diffLine {
	a, b := linesOf(from), linesOf(to)
	out := []diffLine{}
	say := func(op string, lines ...string) {
		for _, l := range lines {
			out = append(out, diffLine{op, l})
		}
	}
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	say(" ", a[:head]...)
	rest := a[len(a)-tail:]
	a, b = a[head:len(a)-tail], b[head:len(b)-tail]
	if len(a)*len(b) > maxDiffCells {
		say("-", a...)
		say("+", b...)
		say(" ", rest...)
		return out
	}
	// longest[i][j] is how many lines a[i:] and b[j:] can have in common.
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			say(" ", a[i])
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			say("-", a[i])
			i++
		default:
			say("+", b[j])
			j++
		}
	}
	say("-", a[i:]...)
	say("+", b[j:]...)
	say(" ", rest...)
	return out
}

func linesOf(text string) []string {
	lines := slices.Collect(strings.Lines(text))
	for i, l := range lines {
		lines[i] = string(bytes.TrimSuffix([]byte(l), []byte("\n")))
	}
	return lines
}
