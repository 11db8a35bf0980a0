package openapi

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// Type is the sub-task type of this scanner.
const Type = "API"

const version = "1.0.0"

// Config of the scanner. The zero Config is the default one.
type Config struct {
	Limits Limits
}

// Limits bound what one file may cost. A field that is zero takes its default.
type Limits struct {
	FileBytes int64 // 10 MiB
	Nodes     int   // values in a file: 500,000; in YAML, lines and commas
	Depth     int   // of nested values: 200
}

func (l Limits) withDefaults() Limits {
	return Limits{
		FileBytes: cmp.Or(l.FileBytes, 10<<20),
		Nodes:     cmp.Or(l.Nodes, 500_000),
		Depth:     cmp.Or(l.Depth, 200),
	}
}

type scanner struct {
	limits      Limits
	settings    Settings
	description scanners.Description
}

// New returns the scanner for sub-tasks of type API.
func New(c Config) scanners.Scanner { return with(c.Limits.withDefaults(), DefaultSettings()) }

func with(limits Limits, settings Settings) *scanner {
	config := sha256.Sum256(fmt.Appendf(nil, "%+v %q %q %q", limits, settings.PublicPaths, settings.PagingParameters, settings.HTTPHosts))
	return &scanner{limits, settings, scanners.Description{
		Type: Type, Name: "factgate-openapi", Version: version,
		RulesDigest: rulesDigest(), ConfigDigest: hex.EncodeToString(config[:]),
	}}
}

func (s *scanner) Describe() scanners.Description { return s.description }

// Rules is the catalogue.
func (s *scanner) Rules() []report.Rule { return Rules() }

// Configure takes Settings.
func (s *scanner) Configure(given scanners.Settings) (scanners.Scanner, error) {
	settings := s.settings
	if err := given.Decode(&settings); err != nil {
		return nil, err
	}
	if err := settings.check(given); err != nil {
		return nil, err
	}
	return with(s.limits, settings), nil
}

// Decide takes part when one file is a description.
func (s *scanner) Decide(ctx context.Context, pkg *zippkg.Package) (scanners.Decision, error) {
	looked := 0
	for _, file := range pkg.Files() {
		ok, yamlToo := mayDescribe(file.Path)
		if !ok {
			continue
		}
		looked++
		is, err := s.recognise(ctx, file, yamlToo)
		if err != nil {
			return scanners.Decision{}, fmt.Errorf("look into %s: %w", file.Path, err)
		}
		if is != other {
			return scanners.TakePartBecause(report.Text{En: file.Path + " describes an interface", Zh: file.Path + " 是接口定义"}), nil
		}
	}
	if looked == 0 {
		return scanners.Decline(scanners.NoMatchingFiles, report.Text{
			En: "the package holds no .json, .yaml or .yml files, and so no description of an interface",
			Zh: "安装包中没有 .json、.yaml 或 .yml 文件，因此没有接口定义",
		}), nil
	}
	return scanners.Decline(scanners.NoMatchingFiles, report.Text{
		En: fmt.Sprintf("none of the .json, .yaml and .yml files (%d) describes an interface: neither OpenAPI or Swagger (a version under openapi or swagger), nor a data service of WeData (PathUrl and RequestParam), nor a collection of Postman", looked),
		Zh: fmt.Sprintf("%d 个 .json、.yaml、.yml 文件均不是接口定义：既不是 OpenAPI 或 Swagger（顶层含 openapi 或 swagger 版本号），也不是 WeData 数据服务（含 PathUrl 与 RequestParam）或 Postman 集合", looked),
	}), nil
}

// recognise returns other for a file that the package refuses: what it is nobody can
// say.
func (s *scanner) recognise(ctx context.Context, file *zippkg.File, yamlToo bool) (format, error) {
	in, err := file.Open()
	if err == nil {
		defer in.Close()
		var is format
		if is, err = recognise(ctx, in, yamlToo, s.limits); err == nil {
			return is, nil
		}
	}
	var refused *zippkg.Error
	if errors.As(err, &refused) {
		return other, nil
	}
	return other, err
}

// Scan reads every description.
func (s *scanner) Scan(ctx context.Context, pkg *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
	var coverage task.Coverage
	known := newServices()
	for _, file := range pkg.Files() {
		ok, yamlToo := mayDescribe(file.Path)
		if !ok {
			continue
		}
		is, err := s.recognise(ctx, file, yamlToo)
		if err != nil {
			return task.Coverage{}, fmt.Errorf("look into %s: %w", file.Path, err)
		}
		if is == other {
			continue
		}
		coverage.Eligible++
		unsure, err := s.scanFile(ctx, file, is, yamlToo, known, out)
		var limit *overLimitError
		var refused *zippkg.Error
		switch {
		case errors.As(err, &limit), errors.As(err, &refused):
			why := reason(err)
			coverage.Degraded = degrade(coverage.Degraded, file.Path, report.Text{En: "not read: " + why.En, Zh: "未读取：" + why.Zh})
			continue
		case err != nil:
			return task.Coverage{}, fmt.Errorf("read %s: %w", file.Path, err)
		}
		coverage.Seen++
		for _, u := range unsure {
			coverage.Degraded = degrade(coverage.Degraded, file.Path, u)
		}
	}
	return coverage, nil
}

// reason is that of an *overLimitError or a *zippkg.Error.
func reason(err error) (why report.Text) {
	var limit *overLimitError
	var refused *zippkg.Error
	switch {
	case errors.As(err, &limit):
		why = limit.detail
	case errors.As(err, &refused):
		why = report.Text{En: refused.Message, Zh: refused.MessageZH}
	}
	return why
}

func degrade(list []task.Degraded, path string, reason report.Text) []task.Degraded {
	const most = 200 // coverage travels in a fact
	if len(list) < most {
		list = append(list, task.Degraded{Path: path, Reason: reason.En, ReasonZH: reason.Zh})
	}
	return list
}

// scanFile checks one file. What it does not understand of it, it returns.
func (s *scanner) scanFile(ctx context.Context, file *zippkg.File, is format, yamlToo bool, known *services, out scanners.Findings) (unsure []report.Text, err error) {
	content, err := file.Text(s.limits.FileBytes)
	if err != nil {
		return nil, err
	}
	c := newCheck(ctx, s.limits, s.settings, file.Path)
	outside, unsure, err := c.content(content.Content, is, yamlToo, known)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return append(unsure, c.end(out, outside)...), nil
}

// content checks a text. outside counts the references that lead out of it.
func (c *check) content(content string, is format, yamlToo bool, known *services) (outside int, unsure []report.Text, err error) {
	t, err := parse(c.ctx, content, yamlToo, c.limits)
	var bad *malformed
	switch {
	case errors.As(err, &bad):
		c.add(&rules.schema, int32(bad.line), int32(bad.column), "", report.Text{
			En: fmt.Sprintf("The file cannot be read: line %d: %s.", bad.line, bad.detail.En),
			Zh: fmt.Sprintf("文件无法解析：第 %d 行：%s。", bad.line, bad.detail.Zh),
		})
		return 0, nil, nil
	case err != nil:
		return 0, nil, err
	}
	if t.more {
		unsure = append(unsure, report.Text{En: "only the first document of the file is read", Zh: "文件含多个文档，仅读取了第一个"})
	}
	switch is {
	case dataService:
		if c.checkServices(t.root, known, nil) == 0 {
			unsure = append(unsure, report.Text{En: "no data service was found where one was looked for", Zh: "未在预期位置找到数据服务定义"})
		}
	case collection:
		c.checkCollection(t.root)
	case openapi:
		e, ok := editionOf(t.root)
		if !ok {
			return 0, append(unsure, report.Text{En: "its version of OpenAPI is not known here", Zh: "不支持该文件的 OpenAPI 版本"}), nil
		}
		w := newWalker(c, t, e)
		w.visit(t.root, roots[e])
		if e == openapi31 && t.root.kind == object && t.root.get("paths") == nil && t.root.get("webhooks") == nil && t.root.get("components") == nil {
			w.wrong(t.root.line, t.root.column, "The document has none of paths, webhooks and components; it describes nothing.", "文档不含 paths、webhooks、components 中的任何一个，没有描述任何内容。")
		}
		w.checkPaths()
		outside = w.outside
	}
	return outside, unsure, nil
}

func editionOf(root *node) (edition, bool) {
	v := root.get("openapi")
	if v == nil {
		v = root.get("swagger")
	}
	if v == nil {
		return 0, false
	}
	switch {
	case strings.HasPrefix(v.text, "2"):
		return swagger2, root.get("swagger") != nil
	case strings.HasPrefix(v.text, "3.0"), v.text == "3":
		return openapi30, true
	case strings.HasPrefix(v.text, "3."):
		return openapi31, true
	}
	return 0, false
}
