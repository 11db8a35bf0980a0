package wedata

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shape is how a document writes workflows.
type shape uint8

const (
	bundleShape  shape = iota + 1 // wedata.yml and its resources
	apiShape                      // requests and answers of the API 2025-08-06
	canvasShape                   // the canvas of the API 2021-08-20, and exports like it
	dolphinShape                  // DolphinScheduler
)

// document is a recognised file.
type document struct {
	path  string
	shape shape
	roots []*node
	// bundle of a bundleShape.
	bundle *bundle
}

// flow is a workflow, or what holds tasks of which only the workflow's id is known.
type flow struct {
	doc     *document
	at      *node // nil when only its tasks are delivered
	id      string
	name    string
	trigger bool // it is started by triggers, not task by task
	params  []param
	tasks   []*task
	links   []link
	linked  bool // the document draws links, be there one or none
}

// link is an edge that is drawn in a canvas.
type link struct {
	from, to string // task ids
	virtual  bool   // it crosses workflows
	at       *node
}

// task is one task as one document describes it.
type task struct {
	doc  *document
	flow *flow
	at   *node
	// sections are the objects that hold its fields: at, and those within it.
	sections []*node
	// strict: the document describes the task by the API's own sections, so that a
	// field that is missing there is missing indeed.
	base, conf, sched *node
	id, name          string
	virtual           bool // stands for a task of another workflow
	typeID            int  // 0 is unknown
	ups               []dependency
	upsAt             *node // the list of them, if there is one
	code              code
	params            []param
	inputs            []input
	outputs           []param
	outputsAt         *node
	inside            *node // of DolphinScheduler: the parameters of the task
	entity            int
	boundID           string // in a bundle: the id that the platform gave it, if it is said
}

// dependency is an entry of a list of upstream tasks.
type dependency struct {
	id       string
	foreign  bool // the entry itself says that the task belongs elsewhere
	earlier  bool // it waits for an earlier cycle, so no circle comes of it
	policy   bool // it says how cycles meet
	at       *node
	reversed bool // from a list of downstream tasks
}

type param struct {
	name, value string
	at          *node
}

// input is a parameter that another task hands over.
type input struct {
	param
	from, key string
}

// get looks for a field in all sections.
func (t *task) get(keys ...string) *node {
	for _, key := range keys {
		for _, s := range t.sections {
			if v := s.get(key); v != nil {
				return v
			}
		}
	}
	return nil
}

// label names a task to people.
func (t *task) label() string {
	switch {
	case t.name != "":
		return clip(t.name)
	case t.id != "":
		return clip(t.id)
	}
	return "?"
}

func (f *flow) label() string {
	switch {
	case f.name != "":
		return clip(f.name)
	case f.id != "":
		return clip(f.id)
	}
	return "?"
}

// clip makes a part of a package fit to be told: short, and without control
// characters.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return printable(s)
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// The keys by which shapes are known, folded.
var (
	taskSections = []string{"taskbaseattribute", "taskconfiguration", "taskschedulerconfiguration",
		"triggertaskbaseattribute", "triggertaskconfiguration", "triggertaskschedulerconfiguration"}
	flowKeys = []string{"workflowname", "workflowparams", "workflowschedulerconfiguration",
		"triggerworkflowschedulerconfigurations", "workflowtriggerconfig", "workflowtriggerconfigs"}
)

func (n *node) count(keys []string) (found int) {
	for _, key := range keys {
		if n.get(key) != nil {
			found++
		}
	}
	return found
}

func isTask(n *node) bool { return n.count(taskSections) >= 2 }
func isFlow(n *node) bool { return n.count(flowKeys) >= 2 }

// isCanvas wants tasks, links, and a word of the workflow; and, since other products
// draw too, a task or a link that looks like one of these.
func isCanvas(n *node) bool {
	tasks, links := n.get("tasks"), n.get("links")
	if tasks == nil || links == nil || (tasks.kind != array && tasks.kind != null) || (links.kind != array && links.kind != null) {
		return false
	}
	if n.count([]string{"workflowid", "workflowname"}) == 0 {
		return false
	}
	for _, t := range tasks.list() {
		return t.count([]string{"taskid", "taskname"}) > 0 || isTask(t)
	}
	for _, l := range links.list() {
		return l.count([]string{"taskfrom", "taskto"}) == 2
	}
	return true
}

func isDolphin(n *node) bool {
	definition := n.get("processdefinition", "workflowdefinition")
	relations := n.get("processtaskrelationlist", "workflowtaskrelationlist")
	return definition != nil && definition.kind == object && relations != nil && relations.kind == array
}

// marks says from a text in lower case which shape it may have. It is quick and
// generous; but sure says that the text bears so many of the keys that it is meant
// as one, even if it turns out to be broken.
func marks(lower string) (found shape, sure bool) {
	has := func(key string) bool { return hasKey(lower, key) }
	either := func(keys ...string) bool {
		for _, k := range keys {
			if has(k) {
				return true
			}
		}
		return false
	}
	if either("processdefinition", "workflowdefinition") && either("processtaskrelationlist", "workflowtaskrelationlist") {
		return dolphinShape, true
	}
	sections, others := 0, 0
	for _, key := range taskSections {
		if has(key) {
			sections++
		}
	}
	for _, key := range flowKeys {
		if has(key) {
			others++
		}
	}
	if sections >= 2 {
		return apiShape, true
	}
	if either("tasks") && either("workflowid", "workflowname") {
		drawn := either("links") && either("taskfrom", "taskid", "taskname")
		return canvasShape, drawn || has("taskid") && either("tasktypeid", "incharge", "cycletype", "cycleunit")
	}
	return apiShape, others >= 2
}

// hasKey looks for "key" followed by a colon; separators within the key are not
// looked through.
func hasKey(lower, key string) bool {
	for {
		i := strings.Index(lower, key)
		if i < 0 {
			return false
		}
		rest := lower[i+len(key):]
		if i > 0 && lower[i-1] == '"' && strings.HasPrefix(rest, `"`) && strings.HasPrefix(strings.TrimLeft(rest[1:min(len(rest), 64)], " \t\r\n"), ":") {
			return true
		}
		lower = rest
	}
}

// asciiLower folds case and keeps every byte in its place.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// searchDepth is how deep shapes are looked for.
const searchDepth = 6

// find collects the workflows and tasks at or below n, and reports whether there was
// one. flow is the workflow around, if any.
func (d *delivery) find(ctx context.Context, doc *document, n *node, around *flow, depth int) bool {
	if depth > searchDepth || n.kind != object && n.kind != array || ctx.Err() != nil {
		return false
	}
	found := false
	if n.kind == object {
		switch {
		case isDolphin(n):
			d.addDolphin(ctx, doc, n)
			return true
		case isCanvas(n):
			d.addCanvas(doc, n)
			return true
		case isTask(n):
			d.addTask(doc, n, around)
			return true
		case isFlow(n):
			around = d.addFlow(doc, n)
			found = true
		}
	}
	for _, c := range n.children {
		if d.find(ctx, doc, c, around, depth+1) {
			found = true
		}
	}
	return found
}

func (d *delivery) addFlow(doc *document, n *node) *flow {
	f := &flow{doc: doc, at: n}
	f.id = n.get("workflowid", "id").text()
	f.name = n.get("workflowname", "name").text()
	f.trigger = n.count([]string{"triggerworkflowschedulerconfigurations", "workflowtriggerconfig", "workflowtriggerconfigs"}) > 0
	f.params = paramsOf(n.get("workflowparams", "params", "workflowparameters", "globalparams"))
	d.flows = append(d.flows, f)
	return f
}

func (d *delivery) addCanvas(doc *document, n *node) {
	doc.shape = canvasShape
	f := d.addFlow(doc, n)
	f.linked = n.get("links").kind == array
	for _, l := range n.get("links").list() {
		kind := strings.ToLower(l.get("linktype").text())
		f.links = append(f.links, link{
			from: l.get("taskfrom").text(), to: l.get("taskto").text(),
			virtual: strings.HasPrefix(kind, "virtual"), at: l,
		})
	}
	for _, c := range n.get("tasks").list() {
		if c.kind == object {
			d.addTask(doc, c, f)
		}
	}
}

// addTask reads a task of the API's shape, of a canvas, or of a bundle.
func (d *delivery) addTask(doc *document, n *node, around *flow) *task {
	t := &task{doc: doc, at: n, flow: around, sections: []*node{n}}
	t.base = n.get("taskbaseattribute", "triggertaskbaseattribute", "baseattribute")
	t.conf = n.get("taskconfiguration", "triggertaskconfiguration", "configuration")
	t.sched = n.get("taskschedulerconfiguration", "triggertaskschedulerconfiguration", "schedulerconfiguration")
	for _, s := range []*node{t.sched, t.conf, t.base} {
		if s != nil && s.kind == object {
			t.sections = append([]*node{s}, t.sections...)
		}
	}
	t.id = t.get("taskid").text()
	if t.id == "" && n.parent != nil && n.key != "" { // UpdateTask names the task beside it
		t.id = n.parent.get("taskid").text()
	}
	t.name = t.get("taskname").text()
	t.virtual = truth(t.get("virtualflag"))
	t.typeID, _ = t.get("tasktypeid", "tasktype").whole()
	if t.flow == nil {
		t.flow = d.flowOf(doc, t.get("workflowid").text(), t.get("workflowname").text())
	}
	t.flow.tasks = append(t.flow.tasks, t)
	t.upsAt = t.get("upstreamdependencyconfiglist", "dependencyconfiglist")
	for _, u := range t.upsAt.list() {
		t.ups = append(t.ups, dependencyOf(u, false))
	}
	for _, u := range t.get("downstreamdependencyconfiglist").list() {
		t.ups = append(t.ups, dependencyOf(u, true))
	}
	t.params = paramsOf(t.get("taskschedulingparameterlist", "schedulingparameterlist", "params"))
	t.outputsAt = t.get("paramtaskoutlist")
	t.outputs = paramsOf(t.outputsAt)
	for _, in := range t.get("paramtaskinlist").list() {
		t.inputs = append(t.inputs, input{
			param: param{name: in.get("paramkey").text(), at: in},
			from:  in.get("fromtaskid").text(), key: in.get("fromparamkey").text(),
		})
	}
	if doc.shape != bundleShape {
		t.code = encodedCode(t)
	}
	d.tasks = append(d.tasks, t)
	return t
}

func dependencyOf(u *node, reversed bool) dependency {
	main, sub, offset := u.get("maincyclicconfig").text(), u.get("subordinatecyclicconfig").text(), u.get("offset").text()
	dep := dependency{id: u.get("taskid").text(), at: u, reversed: reversed}
	if u.kind == text || u.kind == number {
		dep.id = u.text()
	}
	dep.policy = main != "" || sub != "" || offset != ""
	dep.earlier = strings.HasPrefix(strings.ToUpper(sub), "PREVIOUS") || strings.EqualFold(sub, "RECENT_DATE")
	if offset != "" {
		dep.earlier = true
		for _, part := range strings.Split(offset, ",") {
			dep.earlier = dep.earlier && strings.HasPrefix(strings.TrimSpace(part), "-")
		}
	}
	dep.foreign = u.get("projectid", "projectident", "projectname").text() != "" || strings.HasPrefix(strings.ToLower(u.get("linktype").text()), "virtual")
	return dep
}

// flowOf is the workflow of a task that is delivered alone.
func (d *delivery) flowOf(doc *document, id, name string) *flow {
	key := doc.path + "\x00" + id + "\x00" + name
	if id != "" {
		key = "\x00" + id // the same workflow in several files
	}
	if f, ok := d.loose[key]; ok {
		return f
	}
	f := &flow{doc: doc, id: id, name: name}
	d.loose[key] = f
	d.flows = append(d.flows, f)
	return f
}

// adopt gives tasks that were delivered alone to their workflow, if that is
// delivered too.
func (d *delivery) adopt() {
	byID := map[string]*flow{}
	for _, f := range d.flows {
		if f.at != nil && f.id != "" && f.doc.shape != dolphinShape && f.doc.shape != bundleShape && byID[f.id] == nil {
			byID[f.id] = f
		}
	}
	kept := d.flows[:0]
	for _, f := range d.flows {
		if home := byID[f.id]; f.at == nil && f.id != "" && home != nil {
			for _, t := range f.tasks {
				t.flow = home
			}
			home.tasks = append(home.tasks, f.tasks...)
			continue
		}
		kept = append(kept, f)
	}
	d.flows = kept
}

func truth(n *node) bool {
	switch strings.ToLower(n.text()) {
	case "true", "1", "yes", "y":
		return true
	}
	return false
}

// paramsOf reads a list of parameters, whatever its entries call name and value; a
// plain object of names and values counts too.
func paramsOf(n *node) []param {
	var out []param
	if n == nil {
		return nil
	}
	if n.kind == object && n.get("paramkey", "key", "prop") == nil {
		for _, c := range n.children {
			out = append(out, param{c.key, c.text(), c})
		}
		return out
	}
	for _, p := range n.list() {
		if name := p.get("paramkey", "key", "prop", "paramname", "name").text(); name != "" {
			out = append(out, param{name, p.get("paramvalue", "value").text(), p})
		}
	}
	return out
}

// addDolphin reads a workflow of DolphinScheduler.
func (d *delivery) addDolphin(ctx context.Context, doc *document, n *node) {
	doc.shape = dolphinShape
	definition := n.get("processdefinition", "workflowdefinition")
	f := &flow{doc: doc, at: definition, id: definition.get("code", "id").text(), name: definition.get("name").text(), linked: true}
	f.params = append(paramsOf(decodeWithin(ctx, definition.get("globalparamlist"), &d.limit)), paramsOf(decodeWithin(ctx, definition.get("globalparams"), &d.limit))...)
	d.flows = append(d.flows, f)
	for _, l := range n.get("processtaskrelationlist", "workflowtaskrelationlist").list() {
		from := l.get("pretaskcode").text()
		if to := l.get("posttaskcode").text(); from != "0" && from != "" {
			f.links = append(f.links, link{from: from, to: to, at: l})
		}
	}
	for _, c := range n.get("taskdefinitionlist").list() {
		if c.kind != object {
			continue
		}
		t := &task{doc: doc, flow: f, at: c, sections: []*node{c}, id: c.get("code", "id").text(), name: c.get("name").text()}
		inside := decodeWithin(ctx, c.get("taskparams"), &d.limit)
		t.inside = inside
		t.params = paramsOf(inside.get("localparams"))
		kind := strings.ToUpper(c.get("tasktype").text())
		script := inside.get("rawscript")
		language := other
		switch kind {
		case "SQL", "PROCEDURE":
			script, language = inside.get("sql"), sql
		case "SHELL":
			language = shell
		case "PYTHON":
			language = python
		}
		if script.text() != "" {
			t.code = code{known: true, text: script.value, at: script, language: language}
		}
		f.tasks = append(f.tasks, t)
		d.tasks = append(d.tasks, t)
	}
}

// taskTypes are the names of the types that run something, and what their code is
// written in. Types whose code stands elsewhere (in a jar, a notebook) have none.
var taskTypes = map[int]struct {
	name     string
	language language
	script   bool // it runs the code that it carries
}{
	21: {"JDBC SQL", sql, true}, 23: {"TDSQL-PostgreSQL", sql, true}, 26: {"OfflineSynchronization", none, false},
	30: {"Python", python, true}, 31: {"PySpark", python, false}, 32: {"DLC SQL", sql, true}, 33: {"Impala", sql, true},
	34: {"Hive SQL", sql, true}, 35: {"Shell", shell, true}, 36: {"Spark SQL", sql, true}, 38: {"Shell Form Mode", shell, false},
	39: {"Spark", none, false}, 40: {"TCHouse-P", sql, true}, 43: {"TCHouse-X SQL", sql, true}, 46: {"DLC Spark", none, false},
	48: {"Trino", sql, true}, 50: {"DLC PySpark", python, false}, 92: {"MapReduce", none, false}, 130: {"Branch", none, false},
	131: {"Merge", none, false}, 132: {"Notebook", other, false}, 133: {"SSH", shell, true}, 134: {"StarRocks", sql, true},
	137: {"For-each", none, false}, 138: {"Setats SQL", sql, true},
}

// typeName names a type to people.
func typeName(id int) string {
	if t, ok := taskTypes[id]; ok {
		return t.name
	}
	return fmt.Sprintf("type %d", id)
}

// executes reports whether a task of a known type needs machines to run on; branch,
// merge and loop only steer.
func executes(id int) bool {
	_, known := taskTypes[id]
	return known && id != 130 && id != 131 && id != 137
}
