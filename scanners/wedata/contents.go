package wedata

import (
	"maps"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/secrets"
)

// inputs is WD017.
func inputs(c *check) {
	for _, t := range c.tasks {
		for _, in := range t.inputs {
			if in.from == "" || placeholder(in.from) || c.external[in.from] {
				continue
			}
			e, known := c.byID[family(t.doc)+in.from]
			if !known {
				if t.doc.shape == bundleShape && strings.Trim(in.from, "0123456789") == "" || foreignUpstream(t, in.from) {
					continue
				}
				c.atTask(t, in.at, in.name, "", say("Input %s of task %s comes from task %s, which is in no file of the package; correct FromTaskId.",
					"任务 %[2]s 的输入参数 %[1]s 引用的任务 %[3]s 不在安装包中，请修正 FromTaskId。", clip(in.name), t.label(), clip(in.from)))
				continue
			}
			// Only a description that lists outputs, or would, says which there are.
			told, found := false, in.key == ""
			for _, other := range c.entities[e].tasks {
				told = told || other.outputsAt != nil || other.doc.shape == apiShape && other.sched != nil
				for _, out := range other.outputs {
					found = found || out.name == in.key
				}
			}
			if told && !found {
				c.atTask(t, in.at, in.name, "", say("Input %s of task %s takes output %s of task %s, which has no such output; correct FromParamKey, or add it to ParamTaskOutList.",
					"任务 %[2]s 的输入参数 %[1]s 引用了任务 %[4]s 的输出 %[3]s，但该任务没有此输出，请修正 FromParamKey 或补充 ParamTaskOutList。",
					clip(in.name), t.label(), clip(in.key), c.entities[e].tasks[0].label()))
			}
		}
	}
}

// foreignUpstream reports whether the task waits for that one, and says that it is
// another project's.
func foreignUpstream(t *task, id string) bool {
	return slices.ContainsFunc(t.ups, func(u dependency) bool { return u.id == id && u.foreign })
}

// definitions are the names of parameters that a task may use.
func (c *check) definitions(t *task) map[string]bool {
	known := map[string]bool{}
	for _, other := range c.entities[t.entity].tasks {
		for _, list := range [][]param{other.params, other.flow.params, other.outputs} {
			for _, p := range list {
				known[p.name] = true
			}
		}
		for _, in := range other.inputs {
			known[in.name] = true
		}
		for _, p := range paramsOf(other.get("taskextconfigurationlist")) {
			known[p.name] = true
		}
	}
	return known
}

// mostNames of one task's code are looked for in that code.
const mostNames = 100

// undefinedParameter is WD018.
func undefinedParameter(c *check) {
	for _, t := range c.tasks {
		if !t.code.known || t.code.language != sql {
			continue
		}
		source := withoutComments(t.code.text)
		lower := ""
		var known map[string]bool
		seen := map[string]bool{}
		looked := 0
		at := newPlace(t.code.text)
		for _, r := range references(source) {
			name := r.name
			if seen[name] || !plainName(name) || timeParameter(name) || c.projectParams[name] || builtIn(name) {
				continue
			}
			seen[name] = true
			if known == nil {
				known = c.definitions(t)
				lower = strings.ToLower(source)
			}
			if known[name] {
				continue
			}
			if looked++; looked > mostNames {
				c.degrade(t.doc.path, say("task %s: only the first %d names of its code that the package does not define were looked at",
					"任务 %s：代码中安装包未定义的变量过多，仅检查了前 %d 个", t.label(), mostNames))
				break
			}
			if definedIn(lower, name) {
				continue
			}
			c.inCode(t, at, r.offset, name, "", say("The code of task %s uses ${%s}, which neither the task nor its workflow nor a project parameter of the package defines; define it, or correct its name.",
				"任务 %s 的代码使用了 ${%s}，任务、工作流及安装包中的项目参数均未定义，请补充定义或修正名称。", t.label(), clip(name)))
		}
	}
}

// builtIn names are the platforms' own.
func builtIn(name string) bool {
	lower := strings.ToLower(name)
	for _, prefix := range []string{"system.", "var.", "bundle.", "env.", "task.", "workflow.", "project.", "resources."} {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	switch foldKey(name) {
	case "taskid", "taskname", "workflowid", "workflowname", "projectid", "projectident", "instanceid", "instancekey", "currentrundate", "datatime", "tenantid", "owner":
		return true
	}
	return false
}

// withoutComments writes blanks over the comments of SQL, so that all else keeps its
// place.
func withoutComments(s string) string {
	if !strings.Contains(s, "--") && !strings.Contains(s, "/*") {
		return s
	}
	b := []byte(s)
	for i := 0; i < len(s); {
		var end int
		switch c := s[i]; {
		case strings.HasPrefix(s[i:], "--"):
			end = until(s, i, "\n")
		case strings.HasPrefix(s[i:], "/*"):
			end = until(s, i+2, "*/")
		case c == '\'' || c == '"':
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			i++
			continue
		default:
			i++
			continue
		}
		for ; i < end; i++ {
			if b[i] != '\n' && b[i] != '\r' {
				b[i] = ' '
			}
		}
	}
	return string(b)
}

// unusedParameter is WD019. A name that occurs anywhere as a word counts as used, and
// where some code is not delivered nothing is said.
func unusedParameter(c *check) {
	for _, t := range c.tasks {
		if len(t.params) == 0 || !t.code.known {
			continue
		}
		for _, p := range unused(t.params, t.usedTexts()) {
			c.atTask(t, p.at, p.name, "", say("Parameter %s of task %s is never used; remove it, or use it.", "任务 %[2]s 的参数 %[1]s 从未使用，请删除或使用。", clip(p.name), t.label()))
		}
	}
	for _, f := range c.flows {
		if f.at == nil || len(f.params) == 0 || len(f.tasks) == 0 {
			continue
		}
		var texts []string
		all := true
		for _, t := range f.tasks {
			all = all && (t.code.known || t.virtual)
			texts = append(texts, t.usedTexts()...)
			for _, p := range t.params {
				texts = append(texts, p.name, p.value)
			}
		}
		if !all {
			continue
		}
		for _, p := range unused(f.params, texts) {
			c.atFlow(f, p.at, p.name, "", say("Parameter %s of workflow %s is used by none of its tasks; remove it, or use it.", "工作流 %[2]s 的参数 %[1]s 未被任何任务使用，请删除或使用。", clip(p.name), f.label()))
		}
	}
}

// usedTexts are those in which a task may use a parameter.
func (t *task) usedTexts() []string {
	used := []string{t.code.text}
	for _, list := range [][]param{paramsOf(t.get("taskextconfigurationlist")), t.outputs} {
		for _, p := range list {
			used = append(used, p.value)
		}
	}
	for _, key := range []string{"yarnqueue", "resourcegroup", "datacluster", "brokerip", "crontabexpression"} {
		used = append(used, t.get(key).text())
	}
	return used
}

// unused are the parameters that occur as a word neither in the texts nor in the
// values of others.
func unused(params []param, texts []string) (out []param) {
	pending := map[string]bool{}
	for _, p := range params {
		whole := 0
		eachWord(p.name, func(string) { whole++ })
		if whole == 1 && !strings.ContainsAny(p.name, "-. ") { // others are no words
			pending[p.name] = true
		}
	}
	for _, s := range texts {
		eachWord(s, func(word string) { delete(pending, word) })
	}
	for _, p := range params {
		eachWord(p.value, func(word string) {
			if word != p.name {
				delete(pending, word)
			}
		})
	}
	for _, p := range params {
		if pending[p.name] {
			out = append(out, p)
		}
	}
	return out
}

// codeContent is WD020.
func codeContent(c *check) {
	for _, t := range c.tasks {
		switch {
		case t.doc.shape == bundleShape || t.code.at == nil:
		case t.code.wrong:
			c.atTask(t, t.code.at, "", "", say("CodeContent of task %s is no base64 of a text; export the task again.", "任务 %s 的 CodeContent 不是文本的 Base64 编码，请重新导出。", t.label()))
		case t.code.empty && taskTypes[t.typeID].script:
			c.atTask(t, t.code.at, "", "", say("CodeContent of task %s (%s) is empty; add the code, or remove the task.", "任务 %s（%s）的 CodeContent 为空，请补充代码或删除任务。", t.label(), typeName(t.typeID)))
		}
	}
}

// plainSecrets is WD028. It looks through the documents, whatever stands where in
// them, and through the code.
func plainSecrets(c *check) {
	owners := map[*node]*task{}
	code := map[*node]bool{} // looked through as code
	for _, t := range c.tasks {
		owners[t.at] = t
		if t.code.at != nil && t.code.file == "" {
			code[t.code.at] = true
			if t.code.text != "" {
				c.secretsInCode(t)
			}
		}
	}
	for _, doc := range c.documents {
		for _, root := range doc.roots {
			c.secretsBelow(doc, root, owners, code)
		}
	}
	for _, b := range c.bundles {
		for _, p := range slices.Sorted(maps.Keys(b.texts)) {
			language, _ := languageOf(p)
			at := newPlace(b.texts[p])
			for _, s := range secretsIn(b.texts[p], language) {
				line, col := at.of(s.Start)
				c.add(report.Finding{Path: p, Line: int(line), Column: int(col), Anchor: "secret", Message: secretMessage(s.What)})
			}
		}
	}
}

func secretMessage(what secrets.What) report.Text {
	switch what {
	case secrets.InURL:
		return report.Text{En: "A URL with a password in plain text; use a data source of the platform, and change the password.", Zh: "连接串中出现明文口令，请改用平台数据源，并更换该口令。"}
	case secrets.AccessKey:
		return report.Text{En: "The id of a cloud access key in plain text; take keys from a secret store, and revoke this one.", Zh: "出现明文云访问密钥，请改用密钥管理，并吊销该密钥。"}
	}
	return report.Text{En: "A password or key in plain text; take it from a data source or a secret store, and change it.", Zh: "出现明文口令或密钥，请改用数据源或密钥管理，并更换。"}
}

func (c *check) secretsInCode(t *task) {
	at := newPlace(t.code.text)
	for _, s := range secretsIn(t.code.text, t.code.language) {
		c.inCode(t, at, s.Start, "secret", "", secretMessage(s.What))
	}
}

// secretsBelow looks at the values of an object under names of secrets, at pairs of
// name and value, and at texts. What a text of DolphinScheduler embeds is looked
// through in its place.
func (c *check) secretsBelow(doc *document, n *node, owners map[*node]*task, code map[*node]bool) {
	type step struct {
		n  *node
		of *task
	}
	stack := []step{{n, nil}}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if t := owners[at.n]; t != nil {
			at.of = t
			if t.inside != nil && t.inside.embedded {
				stack = append(stack, step{t.inside, t})
			}
		}
		if code[at.n] {
			continue
		}
		raise := func(n *node, what secrets.What, detail string) {
			if at.of != nil {
				c.atTask(at.of, n, detail, "", secretMessage(what))
			} else {
				c.atFile(doc, n, detail, secretMessage(what))
			}
		}
		switch at.n.kind {
		case object:
			if name := at.n.get("paramkey", "key", "prop", "paramname", "name").text(); name != "" {
				if v := at.n.get("paramvalue", "value", "default"); namesSecret(name, v.text()) {
					raise(v, secrets.Named, "secret "+clip(name))
					continue
				}
			}
			for i := len(at.n.children) - 1; i >= 0; i-- {
				child := at.n.children[i]
				if child.folded == "taskparams" && child.kind == text && at.of != nil && at.of.inside != nil {
					continue // looked through as what it embeds
				}
				stack = append(stack, step{child, at.of})
			}
		case array:
			for i := len(at.n.children) - 1; i >= 0; i-- {
				stack = append(stack, step{at.n.children[i], at.of})
			}
		case text, number:
			if at.n.key != "" && !referenceKey(at.n.folded) && namesSecret(at.n.key, at.n.text()) {
				raise(at.n, secrets.Named, "secret")
				continue
			}
			// A variable of a bundle: variables: {db_password: {default: x}}.
			if parent := at.n.parent; parent != nil && (at.n.folded == "default" || at.n.folded == "value") && namesSecret(parent.key, at.n.text()) {
				raise(at.n, secrets.Named, "secret")
				continue
			}
			if found := secretsIn(at.n.value, other); len(found) > 0 {
				raise(at.n, found[0].What, "secret")
			}
		}
	}
}

// referenceKey names what only refers to a secret.
func referenceKey(folded string) bool {
	return strings.HasPrefix(folded, "from") || strings.HasPrefix(folded, "has") || strings.HasPrefix(folded, "is")
}

// tables are those that a task writes and reads; none of code that is no SQL.
func (c *check) tables(t *task) tables {
	if !t.code.known || t.code.language != sql {
		return tables{}
	}
	if c.lineages == nil {
		c.lineages = map[*task]tables{}
	}
	found, ok := c.lineages[t]
	if !ok {
		found = lineage(t.code.text)
		c.lineages[t] = found
	}
	return found
}

// written lists the tables in the order of their names.
func (t tables) written() []string { return slices.Sorted(maps.Keys(t.writes)) }

// missingDependency is WD029. It speaks only of tasks whose dependencies are
// delivered, of tables that somebody writes other than the reader, and when there is
// no way between reader and writer, in either direction.
func missingDependency(c *check) {
	writers := map[string][]int{}
	for e, entity := range c.entities {
		for _, t := range entity.tasks {
			for table := range c.tables(t).writes {
				if list := writers[table]; len(list) == 0 || list[len(list)-1] != e {
					writers[table] = append(list, e)
				}
			}
		}
	}
	before := make([][]int, len(c.entities))
	for from, list := range c.next {
		for _, to := range list {
			before[to] = append(before[to], from)
		}
	}
	ways := newWays(len(c.entities))
	for e, entity := range c.entities {
		if c.ctx.Err() != nil {
			return
		}
		for _, t := range entity.tasks {
			found := c.tables(t)
			var names []string
			for table := range found.reads {
				if _, own := found.writes[table]; !own && len(writers[table]) > 0 {
					names = append(names, table)
				}
			}
			slices.SortFunc(names, func(a, b string) int { return found.reads[a] - found.reads[b] })
			at := newPlace(t.code.text)
			for _, table := range names {
				writer := slices.IndexFunc(writers[table], func(w int) bool { return c.dependenciesTold(t, c.entities[w].tasks[0]) })
				if writer < 0 || ways.lead(before, e, writers[table]) || ways.lead(c.next, e, writers[table]) {
					continue
				}
				if ways.steps < 0 {
					c.degrade("", say("WD029: too many dependencies to follow all of them", "WD029：依赖过多，未能全部追踪"))
					return
				}
				c.inCode(t, at, found.reads[table], "reads "+table, "", say("Task %s reads %s, which task %s writes, and does not wait for it; add the dependency.",
					"任务 %s 读取 %s，该表由任务 %s 写入，但未依赖它，请补充依赖。", t.label(), clip(table), c.entities[writers[table][writer]].tasks[0].label()))
			}
		}
	}
}

// dependenciesTold reports whether a dependency between the two would have been seen:
// within a workflow that draws links or lists upstream tasks, or between tasks that
// both list theirs.
func (c *check) dependenciesTold(reader, writer *task) bool {
	if reader.upsAt != nil && reader.upsAt.kind != null && writer.upsAt != nil {
		return true
	}
	return reader.flow == writer.flow && (reader.flow.linked || slices.ContainsFunc(reader.flow.tasks, func(t *task) bool { return t.upsAt != nil }) && reader.flow.id != "")
}

// ways looks for ways in a graph, again and again, within a number of steps that is
// far over what people draw.
type ways struct {
	steps        int
	round        int32
	seen, wanted []int32 // the round in which a node was
	queue        []int
}

func newWays(nodes int) *ways {
	return &ways{steps: 50_000_000, seen: make([]int32, nodes), wanted: make([]int32, nodes)}
}

// lead reports whether a way leads from a node to one of the others, or whether it is
// one of them. When the steps are used up it is false, and steps below 0.
func (w *ways) lead(next [][]int, from int, to []int) bool {
	w.round++
	w.steps -= len(to)
	for _, n := range to {
		w.wanted[n] = w.round
	}
	w.queue = append(w.queue[:0], from)
	w.seen[from] = w.round
	for at := 0; at < len(w.queue) && w.steps >= 0; at++ {
		node := w.queue[at]
		if w.wanted[node] == w.round {
			return true
		}
		w.steps -= len(next[node])
		for _, n := range next[node] {
			if w.seen[n] != w.round {
				w.seen[n] = w.round
				w.queue = append(w.queue, n)
			}
		}
	}
	return false
}

// missingFiles is WD025.
func missingFiles(c *check) {
	for _, b := range c.bundles {
		if b.manifest == nil {
			continue
		}
		for _, in := range b.includes {
			if in.matched > 0 || placeholder(in.pattern) {
				continue
			}
			if strings.ContainsAny(in.pattern, "*?[") {
				c.atFile(b.manifest, in.at, in.pattern, say("include: no file of the package matches %q; add the files, or correct the pattern.", "include：安装包中没有文件匹配 %q，请补充文件或修正路径。", clip(in.pattern)))
				continue
			}
			c.atFile(b.manifest, in.at, in.pattern, say("include: the package holds no file %q; add it, or correct the path.", "include：安装包中没有文件 %q，请补充或修正路径。", clip(in.pattern)))
		}
		for _, doc := range b.resources {
			for _, root := range doc.roots {
				c.eachText(root, func(n *node) bool {
					if !namesSource(n.text()) {
						return true
					}
					if _, ok := b.resolve(doc, n.text(), c.existsOrFolder); !ok {
						c.atFile(doc, n, n.text(), say("The package holds no file %q; add it, or correct the path.", "安装包中没有文件 %q，请补充或修正路径。", clip(n.text())))
					}
					return true
				})
			}
		}
	}
}

func (c *check) existsOrFolder(p string) bool {
	if c.folders == nil {
		c.folders = map[string]bool{}
		for _, f := range c.files {
			for i, r := range f.Path {
				if r == '/' {
					c.folders[f.Path[:i]] = true
				}
			}
		}
	}
	return c.known[p] || c.folders[p]
}

// variables is WD026.
func variables(c *check) {
	for _, b := range c.bundles {
		if b.manifest == nil {
			continue
		}
		targets := b.manifest.roots[0].get("targets")
		production := false
		for _, t := range targets.fields() {
			name := strings.ToLower(t.key)
			production = production || strings.Contains(name, "prod") || strings.EqualFold(t.get("mode").text(), "production")
		}
		if !production {
			c.atFile(b.manifest, orNode(targets, b.manifest.roots[0]), "no production", report.Text{
				En: "The bundle has no target for production; add one with mode: production.", Zh: "资源包没有生产环境目标，请添加 mode: production 的 target。"})
		}
		reported := map[string]bool{}
		for _, doc := range append([]*document{b.manifest}, b.resources...) {
			for _, root := range doc.roots {
				c.eachText(root, func(n *node) bool {
					for _, r := range references(n.value) {
						name, ok := strings.CutPrefix(r.name, "var.")
						if !ok || b.variables[name] || !plainName(name) || reported[doc.path+"\x00"+name] {
							continue
						}
						reported[doc.path+"\x00"+name] = true
						c.atFile(doc, n, name, say("${var.%s} is not defined; add %s to the variables of the bundle.", "${var.%s} 未定义，请在资源包的 variables 中添加 %s。", clip(name), clip(name)))
					}
					return true
				})
			}
		}
	}
}

// unreferenced is WD027. A file counts as referred to when a resource names it, its
// folder or its base name, when a task is called like it, or when other code mentions
// it.
func unreferenced(c *check) {
	for _, b := range c.bundles {
		if b.manifest == nil || b.broken || len(b.resources) == 0 {
			continue
		}
		named := map[string]bool{} // paths, folders, base names, and tasks
		for _, t := range c.tasks {
			if t.doc.bundle == b {
				named[t.id], named[t.name] = true, true
			}
		}
		for _, doc := range append([]*document{b.manifest}, b.resources...) {
			for _, root := range doc.roots {
				for _, top := range root.fields() {
					if doc == b.manifest && (top.folded == "sync" || top.folded == "include") {
						continue
					}
					c.eachText(top, func(n *node) bool {
						for _, word := range strings.FieldsFunc(strings.ReplaceAll(n.value, `\`, "/"), func(r rune) bool { return strings.ContainsRune(" \t\n\r'\";,()=|&", r) }) {
							word = strings.TrimRight(word, "/*")
							named[word[strings.LastIndexByte(word, '/')+1:]] = true
							if p, ok := strings.CutPrefix(strings.TrimPrefix(word, "./"), "src/"); ok {
								named["src/"+p] = true
							}
						}
						return true
					})
				}
			}
		}
		// Where code mentions the name of a file: by which files, at most two.
		mentioned := map[string][]string{}
		for _, f := range b.sources {
			mentioned[stem(f.Path)] = nil
		}
		for _, p := range slices.Sorted(maps.Keys(b.texts)) {
			eachWord(b.texts[p], func(word string) {
				if by, ok := mentioned[word]; ok && len(by) < 2 && !slices.Contains(by, p) {
					mentioned[word] = append(by, p)
				}
			})
		}
		for _, f := range b.sources {
			p, _ := inside(b.folder, f.Path)
			base := p[strings.LastIndexByte(p, '/')+1:]
			if _, isCode := languageOf(p); !isCode || strings.HasPrefix(base, "__") || strings.HasPrefix(base, "test_") || strings.Contains(p, "/test/") || strings.Contains(p, "/tests/") || named[base] {
				continue
			}
			by := mentioned[stem(f.Path)]
			used := named[stem(p)] || len(by) > 1 || len(by) == 1 && by[0] != f.Path
			for folder := p; !used && strings.Contains(folder, "/"); {
				folder = folder[:strings.LastIndexByte(folder, '/')]
				used = folder != "src" && named[folder]
			}
			if !used {
				c.add(report.Finding{Path: f.Path, Line: 1, Column: 1, Anchor: "file", Message: report.Text{
					En: "Nothing in the bundle refers to this file; refer to it, or remove it.", Zh: "资源包中没有任何资源引用此文件，请引用或删除。"}})
			}
		}
	}
}

// stem is the name of a file without its extensions.
func stem(p string) string {
	s, _, _ := strings.Cut(p[strings.LastIndexByte(p, '/')+1:], ".")
	return s
}
