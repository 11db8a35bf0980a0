package wedata

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/factgate/factgate/internal/zippkg"
)

// bundle is a folder with a manifest, wedata.yml or databuddy.yml.
type bundle struct {
	folder    string // "" is the package itself
	manifest  *document
	resources []*document
	variables map[string]bool
	includes  []include
	// sources are the files below src/, by path in the package.
	sources []*zippkg.File
	texts   map[string]string   // of the sources that are code
	called  map[string][]string // their paths, by the name without extension
	broken  bool                // the manifest or a resource could not be read, so nothing is said of what is missing
}

// include is a pattern of the manifest, and how many files it matched.
type include struct {
	pattern string
	at      *node
	matched int
}

func isManifest(p string) bool {
	switch strings.ToLower(path.Base(p)) {
	case "wedata.yml", "databuddy.yml":
		return true
	}
	return false
}

func isYAML(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".yml", ".yaml":
		return true
	}
	return false
}

// inside returns a path from a folder on.
func inside(folder, p string) (string, bool) {
	if folder == "" {
		return p, true
	}
	return strings.CutPrefix(p, folder+"/")
}

const defaultInclude = "resources/*/*.yml"

// readBundle reads a manifest and the resources that it includes.
func (d *delivery) readBundle(ctx context.Context, manifest *zippkg.File) error {
	b := &bundle{folder: path.Dir(manifest.Path), variables: map[string]bool{}, texts: map[string]string{}, called: map[string][]string{}}
	if b.folder == "." {
		b.folder = ""
	}
	d.bundles = append(d.bundles, b)
	doc, err := d.readYAML(ctx, manifest, b)
	if err != nil {
		return err
	}
	for _, f := range d.files {
		if p, ok := inside(b.folder, f.Path); ok && strings.HasPrefix(p, "src/") {
			b.sources = append(b.sources, f)
		}
	}
	if doc == nil {
		b.broken = true
		return nil
	}
	b.manifest = doc
	root := doc.roots[0]
	for _, v := range root.get("variables").fields() {
		b.variables[v.key] = true
	}
	for _, target := range root.get("targets").fields() {
		for _, v := range target.get("variables").fields() {
			b.variables[v.key] = true
		}
	}
	for _, at := range root.get("include").elements() {
		if pattern := at.text(); pattern != "" {
			b.includes = append(b.includes, include{pattern: path.Clean(pattern), at: at})
		}
	}
	patterns := b.includes
	if root.get("include") == nil {
		patterns = []include{{pattern: defaultInclude}}
	}
	for _, f := range d.files {
		p, ok := inside(b.folder, f.Path)
		if !ok || f == manifest {
			continue
		}
		taken := false
		for i := range patterns {
			if matches(patterns[i].pattern, p) {
				patterns[i].matched++
				taken = true
			}
		}
		if !taken || !isYAML(p) || d.read[f.Path] {
			continue
		}
		doc, err := d.readYAML(ctx, f, b)
		if err != nil {
			return err
		}
		if doc == nil {
			b.broken = true
			continue
		}
		b.resources = append(b.resources, doc)
	}
	for _, f := range b.sources {
		if language, ok := languageOf(f.Path); ok && language != none {
			if d.textLeft -= f.Size; d.textLeft < 0 {
				d.degrade(f.Path, textsTooLarge)
				continue
			}
			content, ok, err := d.readText(ctx, f, codeBytes)
			if err != nil {
				return err
			}
			if ok {
				b.texts[f.Path] = content
				b.called[stem(f.Path)] = append(b.called[stem(f.Path)], f.Path)
			}
		}
	}
	// Tasks name their workflows, so these come first.
	documents := append([]*document{b.manifest}, b.resources...)
	known := map[*document]bool{}
	for _, add := range []func(*document, *node) bool{d.addWorkflows, d.addTasks} {
		for _, doc := range documents {
			for _, root := range doc.roots {
				for _, n := range []*node{root, root.get("resources")} {
					if add(doc, n) {
						known[doc] = true
					}
				}
			}
		}
	}
	for _, doc := range b.resources {
		if !known[doc] {
			d.degrade(doc.path, say("none of the kinds of resources that are known here (workflows, tasks, …)", "不含已知类型的资源（workflows、tasks 等）"))
		}
	}
	return nil
}

// fields are the values of an object; elements those of an array, or the value that
// stands for an array of one.
func (n *node) fields() []*node {
	if n == nil || n.kind != object {
		return nil
	}
	return n.children
}

func (n *node) elements() []*node {
	switch {
	case n == nil || n.kind == null:
		return nil
	case n.kind == array:
		return n.children
	}
	return []*node{n}
}

// resources are what a kind of resource is made of: an object by keys, or a list.
func (n *node) resources() []*node {
	if n == nil || n.kind != object && n.kind != array {
		return nil
	}
	return n.children
}

// addWorkflows reads all but the tasks.
func (d *delivery) addWorkflows(doc *document, n *node) bool {
	known := n.count([]string{"resourcefiles", "alarms", "events"}) > 0
	for _, kind := range []string{"workflows", "triggerworkflows"} {
		at := n.get(kind)
		known = known || at != nil
		for _, r := range at.resources() {
			if r.kind != object {
				continue
			}
			f := d.addFlow(doc, r)
			f.trigger = f.trigger || kind == "triggerworkflows"
			if r.key != "" {
				f.id = r.key
			}
			for _, id := range []string{f.id, f.name} {
				if key := bundleFlow(doc.bundle, id); id != "" && d.loose[key] == nil {
					d.loose[key] = f
				}
			}
		}
	}
	for _, p := range n.get("projectparams").resources() {
		known = true
		for _, name := range []string{p.key, p.get("paramkey").text(), p.get("paramname").text(), p.get("name").text(), p.get("key").text()} {
			if name != "" {
				d.projectParams[name] = true
			}
		}
	}
	return known
}

func (d *delivery) addTasks(doc *document, n *node) bool {
	known := false
	for _, kind := range []string{"workflows", "triggerworkflows"} {
		for _, r := range n.get(kind).resources() {
			for _, t := range r.get("tasks").resources() {
				if t.kind == object {
					known = true
					d.addBundleTask(doc, t, d.loose[bundleFlow(doc.bundle, orElse(r.key, r.get("workflowid", "id").text()))])
				}
			}
		}
	}
	for _, kind := range []string{"tasks", "triggertasks"} {
		at := n.get(kind)
		known = known || at != nil
		for _, r := range at.resources() {
			if r.kind == object {
				d.addBundleTask(doc, r, nil)
			}
		}
	}
	return known
}

func orElse(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

func bundleFlow(b *bundle, id string) string { return "bundle\x00" + b.folder + "\x00" + id }

func (d *delivery) addBundleTask(doc *document, n *node, around *flow) {
	if around == nil {
		belongs := n.get("workflowid", "workflow", "workflowkey", "workflowname")
		if belongs == nil {
			belongs = n.get("taskbaseattribute", "triggertaskbaseattribute").get("workflowid", "workflowname")
		}
		around = d.flowOfBundle(doc.bundle, resourceKey(belongs.text(), "workflows", "triggerworkflows"))
	}
	t := d.addTask(doc, n, around)
	if t.name == "" {
		t.name = n.get("name").text()
	}
	t.boundID = t.id
	if n.key != "" {
		t.id = n.key
	}
	for i := range t.ups {
		t.ups[i].id = resourceKey(t.ups[i].id, "tasks", "triggertasks")
	}
	for i := range t.inputs {
		t.inputs[i].from = resourceKey(t.inputs[i].from, "tasks", "triggertasks")
	}
	t.code = d.bundleCode(t)
}

// resourceKey takes the key out of ${resources.tasks.KEY.id}. What it does not
// understand it leaves as it is.
func resourceKey(s string, kinds ...string) string {
	within, ok := strings.CutPrefix(s, "${")
	if !ok || !strings.HasSuffix(within, "}") {
		return s
	}
	steps := strings.Split(strings.TrimSuffix(within, "}"), ".")
	for i, step := range steps[:len(steps)-1] {
		if slices.Contains(kinds, foldKey(step)) {
			return steps[i+1]
		}
	}
	return s
}

func (d *delivery) flowOfBundle(b *bundle, id string) *flow {
	key := bundleFlow(b, id)
	if f, ok := d.loose[key]; ok {
		return f
	}
	f := &flow{doc: b.manifest, id: id}
	if f.doc == nil {
		f.doc = &document{path: b.folder, shape: bundleShape, bundle: b}
	}
	d.loose[key] = f
	d.flows = append(d.flows, f)
	return f
}

// bundleCode is the file that a field of the task names, or what stands in the field
// of the code, encoded or not, or the one file that is called like the task.
func (d *delivery) bundleCode(t *task) code {
	var found code
	d.eachText(t.at, func(n *node) bool {
		p, ok := t.doc.bundle.resolve(t.doc, n.text(), d.exists)
		if !ok {
			return true
		}
		language, ok := languageOf(p)
		if !ok {
			return true
		}
		found = code{at: n, file: p, language: language}
		if content, ok := t.doc.bundle.texts[p]; ok {
			found.known, found.text = true, content
		}
		return false
	})
	if found.file != "" {
		return found
	}
	if t.at.get("codecontent") == nil && t.conf.get("codecontent") == nil {
		// No field names it: perhaps it is the one that is called like the task.
		alike := t.doc.bundle.called[t.id]
		if t.name != t.id {
			alike = append(slices.Clone(alike), t.doc.bundle.called[t.name]...)
		}
		if len(alike) != 1 {
			return code{}
		}
		language, _ := languageOf(alike[0])
		return code{known: true, text: t.doc.bundle.texts[alike[0]], at: t.at, file: alike[0], language: language}
	}
	inline := encodedCode(t)
	if inline.wrong {
		inline.wrong, inline.known, inline.text = false, true, inline.at.value
	}
	if inline.known && looksLikePath(inline.text) {
		return code{}
	}
	return inline
}

// eachText calls each with the texts at or below n until it says false.
func (d *delivery) eachText(n *node, each func(*node) bool) bool {
	if n == nil {
		return true
	}
	if n.kind == text {
		return each(n)
	}
	for _, c := range n.children {
		if !d.eachText(c, each) {
			return false
		}
	}
	return true
}

func looksLikePath(s string) bool {
	return len(s) > 3 && len(s) <= 300 && !strings.ContainsAny(s, " \t\n\r*?$<>|:;,(){}'\"") && strings.Contains(path.Base(s), ".")
}

// resolve finds the file of the package that a text names, seen from the bundle or
// from the document.
func (b *bundle) resolve(doc *document, s string, exists func(string) bool) (string, bool) {
	s = strings.ReplaceAll(s, `\`, "/")
	if !looksLikePath(s) {
		return "", false
	}
	for _, from := range []string{b.folder, path.Dir(doc.path)} {
		if p := path.Join(from, s); !strings.HasPrefix(p, "..") && exists(strings.TrimPrefix(p, "/")) {
			return strings.TrimPrefix(p, "/"), true
		}
	}
	return "", false
}

// namesSource reports whether a text is the path of something below src/.
func namesSource(s string) bool {
	s = strings.ReplaceAll(s, `\`, "/")
	if !looksLikePath(s) {
		return false
	}
	for {
		switch {
		case strings.HasPrefix(s, "./"):
			s = s[2:]
		case strings.HasPrefix(s, "../"):
			s = s[3:]
		default:
			return strings.HasPrefix(s, "src/") && path.Ext(s) != "" && !strings.HasSuffix(s, "/")
		}
	}
}

// languageOf tells code by the name of its file; false is no code.
func languageOf(p string) (language, bool) {
	switch strings.ToLower(path.Ext(p)) {
	case ".sql", ".hql", ".hive", ".ddl", ".dml":
		return sql, true
	case ".sh", ".bash":
		return shell, true
	case ".py":
		return python, true
	case ".scala", ".java", ".r", ".ipynb":
		return other, true
	case ".jar", ".zip", ".whl", ".egg":
		return none, true
	}
	return none, false
}

// matches reports whether a path matches a pattern, in which ** stands for any
// folders and * for a part of a name. It takes time in proportion to the product of
// both lengths.
func matches(pattern, p string) bool {
	const most = 64
	steps, names := strings.Split(strings.TrimPrefix(pattern, "./"), "/"), strings.Split(p, "/")
	if len(steps) > most || len(pattern) > 1024 {
		return false
	}
	// reach[i]: the first steps match the first i names.
	reach := make([]bool, len(names)+1)
	reach[0] = true
	for _, step := range steps {
		next := make([]bool, len(names)+1)
		for i := range reach {
			switch {
			case step == "**":
				next[i] = reach[i] || i > 0 && next[i-1]
			case i > 0 && reach[i-1]:
				ok, err := path.Match(step, names[i-1])
				next[i] = ok && err == nil
			}
		}
		reach = next
	}
	return reach[len(names)]
}
