package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/strictyaml"
	"github.com/factgate/factgate/scanners"
)

// checkConfiguration refuses what scanners of a type would not understand. A type that
// this binary does not have is open: its text only has to be a configuration.
func checkConfiguration(subTaskType, text string) error {
	_, err := configurationOf(subTaskType, text)
	return err
}

// configurationOf is checkConfiguration and says whether the type is known here.
func configurationOf(subTaskType, text string) (known bool, err error) {
	for _, s := range scannerList() {
		if s.Describe().Type == subTaskType {
			_, _, err := scanners.Apply(s, text)
			return true, err
		}
	}
	_, err = configuration.Parse(text)
	return false, err
}

// configurationView is a document as GraphQL gives it.
type configurationView struct {
	Project string    `json:"project"`
	Type    string    `json:"type"`
	Digest  string    `json:"digest"`
	By      *string   `json:"by"`
	At      time.Time `json:"at"`
	Text    string    `json:"text"`
}

// configurationChange is the answer to a wish about a document.
type configurationChange struct {
	Project  string  `json:"project"`
	Type     string  `json:"type"`
	Digest   *string `json:"digest"`
	Changed  bool    `json:"changed"`
	Position string  `json:"position"`
}

// whose is a project in words.
func whose(name string, zh bool) string {
	switch {
	case name != project.All && zh:
		return "项目 " + name + " "
	case name != project.All:
		return "project " + name
	case zh:
		return "所有项目"
	}
	return "all projects"
}

func scannersConfigure() *cobra.Command {
	o := &operation{}
	var of, file string
	cmd := o.command("configure TYPE", "Say how a type checks a project's packages",
		`Configure takes a YAML document (see docs/scanners.md): enabled, include, exclude,
rules, fail and the type's own settings. It holds for attempts that begin from now on;
no scanner has to be started again. A project's own document replaces that of all
projects ('*'); the two are not merged. What is wrong is named with line and column,
and nothing is changed then.

  factgate scanners configure SQL -f sql.yaml
  factgate scanners configure SQL --project dw -f - < sql.yaml`,
		func(ctx context.Context, c *client, args []string) error {
			text, err := readConfiguration(file)
			if err != nil {
				return err
			}
			return o.configured(ctx, c, `mutation ($type: String!, $project: String!, $text: String!, $by: String) {
				did: configureScanner(type: $type, project: $project, text: $text, by: $by) { project type digest changed position } }`,
				map[string]any{"type": args[0], "project": of, "text": text, "by": o.by})
		})
	cmd.Flags().StringVar(&of, "project", project.All, "the project (default: all that have no document of their own)")
	cmd.Flags().StringVarP(&file, "file", "f", "", "the document; - is standard input")
	_ = cmd.MarkFlagRequired("file") // the flag is there
	cmd.Flags().StringVar(&o.by, "by", userName(), "who says it")
	return cmd
}

func scannersReset() *cobra.Command {
	o := &operation{}
	var of string
	cmd := o.command("reset TYPE", "Take a project's document for a type away",
		`Reset has the type check the project's packages as all projects' document says, or by
its defaults, from the next attempt on.`,
		func(ctx context.Context, c *client, args []string) error {
			return o.configured(ctx, c, `mutation ($type: String!, $project: String!, $by: String) {
				did: resetScanner(type: $type, project: $project, by: $by) { project type digest changed position } }`,
				map[string]any{"type": args[0], "project": of, "by": o.by})
		})
	cmd.Flags().StringVar(&of, "project", project.All, "the project (default: that of all projects)")
	cmd.Flags().StringVar(&o.by, "by", userName(), "who says it")
	return cmd
}

func (o *operation) configured(ctx context.Context, c *client, mutation string, variables map[string]any) error {
	did, err := patiently(ctx, uploadPatience, func() (configurationChange, error) {
		var got struct{ Did configurationChange }
		err := c.query(ctx, mutation, variables, &got)
		return got.Did, err
	})
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(did)
	}
	en, zh := "%s of %s: no document of its own", "%[2]s的 %[1]s：没有自己的配置"
	words := []any{did.Type, whose(did.Project, o.zh)}
	if did.Digest != nil {
		en, zh = "%s of %s: configured, %.12s", "%[2]s的 %[1]s：已配置，%.12[3]s"
		words = append(words, *did.Digest)
	}
	if !did.Changed {
		en, zh = en+" (so already)", zh+"（此前已如此）"
	}
	p := printer{w: o.out, zh: o.zh}
	p.say(en, zh, words...)
	return nil
}

func scannersShow() *cobra.Command {
	o := &operation{}
	var of string
	cmd := o.command("show TYPE", "Show how a type checks a project's packages",
		`Show prints the document that is in force: the project's own, else that of all
projects. It tells whose it is; the text follows behind ---.`,
		func(ctx context.Context, c *client, args []string) error {
			v, err := patiently(ctx, uploadPatience, func() (*configurationView, error) {
				var got struct{ ScannerConfiguration *configurationView }
				err := c.query(ctx, `query ($type: String!, $project: String!) { scannerConfiguration(type: $type, project: $project) { project type digest by at text } }`,
					map[string]any{"type": args[0], "project": of}, &got)
				return got.ScannerConfiguration, err
			})
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(v)
			}
			p := printer{w: o.out, zh: o.zh}
			if v == nil {
				p.say("%s of %s: nobody has said anything, its defaults hold", "%[2]s的 %[1]s：没有配置，使用默认值", args[0], whose(of, o.zh))
				return nil
			}
			by := "—"
			if v.By != nil {
				by = *v.By
			}
			p.say("# %s, by the document of %s: %s, %s, by %s", "# %s，采用%s的配置：%s，%s，由 %s 设置", v.Type, whose(v.Project, o.zh), v.Digest, v.At.Local().Format(time.DateTime), by)
			p.say("---", "---")
			_, err = fmt.Fprintln(o.out, strings.TrimRight(v.Text, "\n"))
			return err
		})
	cmd.Flags().StringVar(&of, "project", project.All, "the project")
	return cmd
}

func scannersValidate() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate TYPE FILE",
		Short: "Check a document of a type, offline",
		Long: `Validate says whether a server of this version would take the document, and all places
where it is wrong if not, as FILE:LINE:COLUMN: reason. The exit code is 1 then. Of a
type that this binary does not have, it knows neither rules nor settings, and says so.
The file - is standard input.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("give a type and a file: factgate scanners validate TYPE FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			zh, err := chinese(cmd)
			if err != nil {
				return err
			}
			text, err := readConfiguration(args[1])
			if err != nil {
				return err
			}
			known, err := configurationOf(args[0], text)
			said := validated(args[1], err)
			if asJSON {
				if failed := printJSON(said); failed != nil {
					return failed
				}
			}
			p := printer{w: os.Stdout, zh: zh}
			switch {
			case asJSON:
			case err != nil:
				for _, v := range said {
					fmt.Println(v.text(zh))
				}
			case known:
				p.say("%s: ok (%s, digest %.12s)", "%s：正确（%s，摘要 %.12s）", args[1], args[0], configuration.Digest(text))
			default:
				p.say("%s: a configuration; whether %s knows these rules and settings cannot be told here", "%s：是合法的配置；此处无法判断 %s 是否支持其中的规则和设置", args[1], args[0])
			}
			if err != nil {
				return &exit{code: 1}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, one object for a file that is right or a thing that is wrong")
	return cmd
}

// validated is what lint would say.
func validated(file string, err error) []lintView {
	if err == nil {
		return []lintView{{File: file, OK: true}}
	}
	var placed *strictyaml.Error
	if !errors.As(err, &placed) {
		text := report.Text{En: err.Error(), Zh: err.Error()}
		var worded *domain.Error
		if errors.As(err, &worded) {
			text = report.Text{En: worded.Msg, Zh: worded.MsgZH}
		}
		placed = strictyaml.Refuse(nil, text)
	}
	var all []lintView
	for _, p := range placed.Problems {
		all = append(all, lintView{File: file, Code: domain.RuleOf(err), Line: p.Line, Column: p.Column, Message: p.Text.En, MessageZH: p.Text.Zh})
	}
	return all
}

func readConfiguration(file string) (string, error) {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("cannot read the configuration: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, configuration.MaxBytes+1)) // one more is told as too long
	if err != nil {
		return "", fmt.Errorf("cannot read the configuration: %w", err)
	}
	return string(text), nil
}
