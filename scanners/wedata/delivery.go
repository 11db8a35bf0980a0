package wedata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/factgate/factgate/domain/report"
	facts "github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/digraph"
	"github.com/factgate/factgate/internal/zippkg"
)

// Limits of one package. What goes over them is degraded coverage.
const (
	jsonBytes     = 10 << 20 // of one JSON file
	yamlBytes     = 2 << 20  // of one YAML file: its parser takes some 60 times as much
	codeBytes     = 2 << 20  // of one file of code
	headBytes     = 64 << 10 // of a JSON file that is too large: whether it is one of ours
	documentNodes = 300_000  // values of one document
	packageNodes  = 1_000_000
	packageText   = 128 << 20 // bytes of all documents and code that are read
	bundleCount   = 50
	maxDegraded   = 200
)

// delivery is all that a package says of workflows.
type delivery struct {
	files    []*zippkg.File
	known    map[string]bool // their paths
	read     map[string]bool
	settings settings
	newest   time.Time // of the files of the package; zero if they do not say

	documents []*document
	bundles   []*bundle
	flows     []*flow
	tasks     []*task
	loose     map[string]*flow
	broken    []brokenDocument

	projectParams map[string]bool
	external      map[string]bool // tasks that exist elsewhere
	limit         budget
	textLeft      int64

	entities []entity
	byID     map[string]int
	next     [][]int // edges between entities, upstream to downstream
	edges    []edge

	coverage facts.Coverage
	unsaid   int // degradations beyond maxDegraded
}

type brokenDocument struct {
	path  string
	fault *syntaxError
}

// entity is a task, whoever describes it: a canvas and an answer of the API may both.
type entity struct{ tasks []*task }

// edge is a dependency between two entities.
type edge struct {
	from, to int
	earlier  bool
	at       *node
	task     *task // that names it, or nil
	flow     *flow // that draws it, or nil
}

func newDelivery(pkg *zippkg.Package, s settings, asOf time.Time) *delivery {
	d := &delivery{
		files: pkg.Files(), known: map[string]bool{}, read: map[string]bool{}, settings: s,
		loose: map[string]*flow{}, projectParams: map[string]bool{}, external: map[string]bool{}, byID: map[string]int{},
		limit: budget{all: packageNodes}, textLeft: packageText,
	}
	for _, id := range s.ExternalTasks {
		d.external[id] = true
	}
	for _, name := range s.ProjectParameters {
		d.projectParams[name] = true
	}
	first := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // a zip without times says 1979 or 1980
	for _, f := range d.files {
		d.known[f.Path] = true
		if f.Modified.After(first) && f.Modified.After(d.newest) {
			d.newest = f.Modified
		}
	}
	if !asOf.IsZero() {
		d.newest = asOf
	}
	return d
}

func (d *delivery) exists(p string) bool { return d.known[p] }

var textsTooLarge = say("not read: all texts together are larger than %d MiB", "未读取：所有文本合计超过 %d MiB", packageText>>20)

func (d *delivery) degrade(p string, reason report.Text) {
	if len(d.coverage.Degraded) == maxDegraded {
		d.unsaid++
		return
	}
	d.coverage.Degraded = append(d.coverage.Degraded, facts.Degraded{Path: p, Reason: reason.En, ReasonZH: reason.Zh})
}

// gather reads all documents. Its errors are those of the store and of the context.
func (d *delivery) gather(ctx context.Context) error {
	for _, f := range d.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if isManifest(f.Path) && len(d.bundles) == bundleCount {
			d.coverage.Eligible++
			d.degrade(f.Path, say("not read: the package has more than %d bundles", "未读取：安装包中的 Bundle 超过 %d 个", bundleCount))
			continue
		}
		if isManifest(f.Path) {
			if err := d.readBundle(ctx, f); err != nil {
				return err
			}
		}
	}
	for _, f := range d.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if isJSON(f.Path) {
			if err := d.readJSON(ctx, f); err != nil {
				return err
			}
		}
	}
	d.adopt()
	d.connect()
	return ctx.Err()
}

func isJSON(p string) bool { return strings.EqualFold(path.Ext(p), ".json") }

// readText returns the text of a file; false is the file's own fault and has been
// noted.
func (d *delivery) readText(ctx context.Context, f *zippkg.File, limit int64) (string, bool, error) {
	if err := ctx.Err(); err != nil {
		return "", false, err
	}
	content, err := f.Text(limit)
	var refused *zippkg.Error
	switch {
	case errors.As(err, &refused):
		d.degrade(f.Path, report.Text{En: refused.Message, Zh: refused.MessageZH})
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("read %s: %w", f.Path, err)
	case content.Undecodable:
		d.degrade(f.Path, say("the text cannot be decoded; save the file as UTF-8", "无法识别文本编码，请将文件另存为 UTF-8"))
		return "", false, nil
	}
	return content.Content, true, nil
}

// readYAML reads a document of a bundle; nil was not read.
func (d *delivery) readYAML(ctx context.Context, f *zippkg.File, b *bundle) (*document, error) {
	d.read[f.Path] = true
	d.coverage.Eligible++
	content, ok, err := d.readText(ctx, f, yamlBytes)
	if err != nil || !ok {
		return nil, err
	}
	d.limit.document = documentNodes
	roots, err := decodeYAML(content, &d.limit)
	if !d.accept(f.Path, err) {
		return nil, nil
	}
	doc := &document{path: f.Path, shape: bundleShape, roots: roots, bundle: b}
	if len(roots) == 0 {
		doc.roots = []*node{{kind: null, line: 1, col: 1}}
	}
	d.coverage.Seen++
	d.documents = append(d.documents, doc)
	return doc, nil
}

// accept notes what is wrong with a document, if anything.
func (d *delivery) accept(p string, err error) bool {
	var fault *syntaxError
	var over *limitError
	switch {
	case errors.As(err, &fault):
		d.broken = append(d.broken, brokenDocument{p, fault})
		d.degrade(p, say("malformed: %s (line %d)", "格式错误：%s（第 %d 行）", fault.what, fault.line))
		return false
	case errors.As(err, &over):
		d.degrade(p, say("not read: %s", "未读取：%s", over.what))
		return false
	}
	return err == nil
}

// readJSON reads a JSON file, if it is one of ours.
func (d *delivery) readJSON(ctx context.Context, f *zippkg.File) error {
	if f.Size > jsonBytes {
		ours, err := headIsOurs(f)
		if ours {
			d.coverage.Eligible++
			d.degrade(f.Path, say("not read: larger than %d MiB", "未读取：文件超过 %d MiB", jsonBytes>>20))
		}
		return err
	}
	content, err := f.Text(jsonBytes)
	var refused *zippkg.Error
	if errors.As(err, &refused) {
		return nil // whose it is cannot be told
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Path, err)
	}
	if content.Undecodable {
		return nil
	}
	shape, sure := marks(asciiLower(content.Content))
	if shape == 0 {
		return nil
	}
	if d.textLeft -= f.Size; d.textLeft < 0 {
		if sure {
			d.coverage.Eligible++
			d.degrade(f.Path, textsTooLarge)
		}
		return nil
	}
	d.limit.document = documentNodes
	root, err := decodeJSON(ctx, content.Content, &d.limit)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if sure {
			d.coverage.Eligible++
			d.accept(f.Path, err)
		}
		return nil
	}
	doc := &document{path: f.Path, shape: shape, roots: []*node{root}}
	if !d.find(ctx, doc, root, nil, 0) {
		return ctx.Err()
	}
	d.coverage.Eligible++
	d.coverage.Seen++
	d.documents = append(d.documents, doc)
	return ctx.Err()
}

// headIsOurs looks at the beginning of a file that is too large to be read.
func headIsOurs(f *zippkg.File) (bool, error) {
	in, err := f.Open()
	var refused *zippkg.Error
	if errors.As(err, &refused) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer in.Close()
	head, err := io.ReadAll(io.LimitReader(in, headBytes))
	switch {
	case errors.As(err, &refused):
		return false, nil
	case err != nil:
		return false, err
	}
	_, sure := marks(asciiLower(string(head)))
	return sure, nil
}

// family keeps ids apart that only look alike.
func family(doc *document) string {
	switch doc.shape {
	case bundleShape:
		return "bundle " + doc.bundle.folder + "\x00"
	case dolphinShape:
		return "dolphin\x00"
	}
	return ""
}

// connect makes entities of tasks and edges of what connects them.
func (d *delivery) connect() {
	for _, t := range d.tasks {
		t.entity = -1
		ids := []string{t.id, t.boundID}
		for _, id := range ids {
			if id == "" {
				continue
			}
			if e, ok := d.byID[family(t.doc)+id]; ok {
				t.entity = e
			}
		}
		if t.entity < 0 {
			t.entity = len(d.entities)
			d.entities = append(d.entities, entity{})
		}
		d.entities[t.entity].tasks = append(d.entities[t.entity].tasks, t)
		for _, id := range ids {
			if id != "" {
				d.byID[family(t.doc)+id] = t.entity
			}
		}
	}
	for _, t := range d.tasks {
		for _, u := range t.ups {
			other, ok := d.byID[family(t.doc)+u.id]
			if !ok || u.id == "" {
				continue
			}
			e := edge{from: other, to: t.entity, earlier: u.earlier, at: u.at, task: t}
			if u.reversed {
				e.from, e.to = e.to, e.from
			}
			d.edges = append(d.edges, e)
		}
	}
	for _, f := range d.flows {
		for _, l := range f.links {
			from, ok := d.byID[family(f.doc)+l.from]
			to, also := d.byID[family(f.doc)+l.to]
			if ok && also {
				d.edges = append(d.edges, edge{from: from, to: to, at: l.at, flow: f})
			}
		}
	}
	d.next = make([][]int, len(d.entities))
	for _, e := range d.edges {
		d.next[e.from] = append(d.next[e.from], e.to)
	}
}

// circles are the circles of dependencies within one cycle, and the tasks that
// depend on themselves.
func (d *delivery) circles() (circles [][]int) {
	next := make([][]int, len(d.entities))
	// An edge that also waits for an earlier cycle somewhere is that one, drawn again.
	earlier := map[[2]int]bool{}
	for _, e := range d.edges {
		if e.earlier {
			earlier[[2]int{e.from, e.to}] = true
		}
	}
	alone := map[int]bool{}
	for _, e := range d.edges {
		switch {
		case earlier[[2]int{e.from, e.to}]:
		case e.from == e.to:
			alone[e.from] = true
		default:
			next[e.from] = append(next[e.from], e.to)
		}
	}
	for e := range d.entities {
		if alone[e] {
			circles = append(circles, []int{e})
		}
	}
	for _, c := range digraph.Components(next) {
		circles = append(circles, digraph.ShortestCycle(next, c))
	}
	return circles
}
