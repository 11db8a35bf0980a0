package openapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/factgate/factgate/domain/report"
)

// api is what the rules about paths and operations know of a document.
type api struct {
	*walker
	protected bool // the document asks for authentication where operations do not
	secured   bool // it does so anywhere
	bare      int  // operations without authentication
	taken     map[string]string
}

// operationAt is one operation and where it stands.
type operationAt struct {
	path, method string
	m            *member
	op           *node // the member's value, or what it refers to
	way          []step
	shared       []*node // parameters of its path
	sharedSeen   bool    // they all are to be seen
}

// checkPaths is for documents that the walk has been through.
func (w *walker) checkPaths() {
	a := &api{walker: w, taken: map[string]string{}}
	a.protected = asksForAuthentication(w.t.root.get("security"))
	a.secured = a.protected
	paths := w.follow(w.t.root.get("paths"))
	if paths == nil || paths.kind != object {
		a.document(0)
		return
	}
	operations := 0
	a.eachOperation(paths, func(o operationAt) {
		operations++
		a.secured = a.secured || asksForAuthentication(o.op.get("security"))
	})
	for i := range paths.members {
		if m := &paths.members[i]; strings.HasPrefix(m.name, "/") {
			a.path(m)
		}
	}
	a.eachOperation(paths, a.operation)
	a.document(operations)
}

// eachOperation goes through the operations of the paths that are to be seen.
func (a *api) eachOperation(paths *node, do func(operationAt)) {
	for i := range paths.members {
		m := &paths.members[i]
		if !strings.HasPrefix(m.name, "/") {
			continue
		}
		item := a.follow(m.value)
		if item == nil || item.kind != object || a.stopped() {
			continue
		}
		o := operationAt{path: m.name}
		o.shared, o.sharedSeen = a.parameters(item.get("parameters"))
		for j := range item.members {
			o.m = &item.members[j]
			if !slices.Contains(methods[a.edition], o.m.name) {
				continue
			}
			if o.op = a.follow(o.m.value); o.op != nil && o.op.kind == object {
				o.method = o.m.name
				o.way = []step{named("paths"), named(m.name), named(o.method)}
				do(o)
			}
		}
	}
}

// parameters are those of a list, references followed. seen is false if some are not
// to be seen.
func (a *api) parameters(of *node) (found []*node, seen bool) {
	if of == nil {
		return nil, true
	}
	if of = a.follow(of); of == nil {
		return nil, false
	}
	if of.kind != list {
		return nil, true
	}
	seen = true
	a.work(len(of.members))
	for _, m := range of.members {
		p := a.follow(m.value)
		if p == nil || p.kind != object {
			seen = false
			continue
		}
		found = append(found, p)
	}
	return found, seen
}

func (a *api) at(r *report.Rule, line, column int32, message report.Text, way ...step) {
	a.add(r, line, column, pointerOf(way...), message)
}

// path looks at a path's name.
func (a *api) path(m *member) {
	way := []step{named("paths"), named(m.name)}
	name := clip(m.name, 200)
	bare, _, query := strings.Cut(m.name, "?")
	if query {
		a.at(&rules.pathQuery, m.line, m.column, report.Text{
			En: fmt.Sprintf("The path %s has a query; declare what follows the question mark as parameters in query.", name),
			Zh: fmt.Sprintf("路径 %s 含有查询串，请将问号之后的内容声明为 query 参数。", name)}, way...)
	}
	if len(bare) > 1 && strings.HasSuffix(bare, "/") {
		a.at(&rules.trailingSlash, m.line, m.column, report.Text{
			En: fmt.Sprintf("The path %s ends in a slash; take it off.", name), Zh: fmt.Sprintf("路径 %s 以斜杠结尾，请去掉。", name)}, way...)
	}
	if _, ok := placeholders(m.name); !ok {
		a.at(&rules.pathDeclaration, m.line, m.column, report.Text{
			En: fmt.Sprintf("The path %s has an empty or unclosed {}; write {name}.", name), Zh: fmt.Sprintf("路径 %s 中的 {} 为空或未闭合，请写为 {参数名}。", name)}, way...)
	}
}

// placeholders are the names in the braces of a path. ok is false if one is empty or
// not closed.
func placeholders(path string) (names []string, ok bool) {
	ok = true
	for {
		_, rest, found := strings.Cut(path, "{")
		if !found {
			return names, ok && !strings.Contains(path, "}")
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || strings.Contains(name, "{") {
			return names, false
		}
		if strings.TrimSpace(name) == "" {
			ok = false
		} else {
			names = append(names, name)
		}
		path = after
	}
}

// likeness is a path with its placeholders unnamed: paths that are alike take each
// other's requests.
func likeness(path string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(path, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, after, closed := strings.Cut(rest, "}")
		if !closed {
			b.WriteString("{" + rest)
			return b.String()
		}
		b.WriteString("{}")
		path = after
	}
}

func (a *api) operation(o operationAt) {
	op := o.op
	called := strings.ToUpper(o.method) + " " + clip(o.path, 200)
	like := o.method + " " + likeness(o.path)
	if other, ok := a.taken[like]; ok && other != o.path {
		a.at(&rules.duplicateOperation, o.m.line, o.m.column, report.Text{
			En: fmt.Sprintf("%s takes the same requests as %s; only names of placeholders differ. Keep one.", called, clip(other, 200)),
			Zh: fmt.Sprintf("%s 与 %s 仅占位符名称不同，匹配相同的请求，请只保留一个。", called, clip(other, 200))}, o.way...)
	} else {
		a.taken[like] = o.path
	}

	own, seen := a.parameters(op.get("parameters"))
	seen = seen && o.sharedSeen
	a.pathParameters(o, own, seen, called)
	a.responsesOf(o, called)

	if !asksForAuthentication(op.get("security")) && (op.get("security") != nil || !a.protected) && !a.settings.public(o.path) {
		a.bare++
		if a.secured {
			a.at(&rules.unauthenticated, o.m.line, o.m.column, report.Text{
				En: fmt.Sprintf("%s asks for no authentication; name a security scheme, or list it under publicPaths.", called),
				Zh: fmt.Sprintf("%s 未要求认证，请声明安全方案；确需公开的接口请加入 publicPaths。", called)}, o.way...)
		}
	}
	if o.method == "get" && seen && a.givesList(o) && !slices.ContainsFunc(slices.Concat(own, o.shared), a.limits) {
		a.at(&rules.paging, o.m.line, o.m.column, report.Text{
			En: fmt.Sprintf("%s gives a list and has no parameter that limits it (such as limit or pageSize); add one.", called),
			Zh: fmt.Sprintf("%s 返回列表，但没有限制条数的参数（如 limit、pageSize），请补充。", called)}, o.way...)
	}
	if d := op.get("description"); !d.scalar() || strings.TrimSpace(d.text) == "" {
		a.at(&rules.description, o.m.line, o.m.column, report.Text{
			En: fmt.Sprintf("%s has no description; say what it does.", called), Zh: fmt.Sprintf("%s 缺少描述，请说明其用途。", called)}, o.way...)
	}
	if tags := op.get("tags"); tags == nil || tags.kind == null || tags.kind == list && len(tags.members) == 0 {
		a.at(&rules.tags, o.m.line, o.m.column, report.Text{
			En: fmt.Sprintf("%s has no tags; add one, so that it is found in the documentation.", called), Zh: fmt.Sprintf("%s 没有标签，请添加以便在文档中归类。", called)}, o.way...)
	}
}

// pathParameters compares the placeholders of a path with the parameters in path.
func (a *api) pathParameters(o operationAt, own []*node, seen bool, called string) {
	names, _ := placeholders(o.path)
	declared := map[string]bool{}
	for _, p := range slices.Concat(own, o.shared) {
		if p.get("in").string() == "path" {
			declared[p.get("name").string()] = true
		}
	}
	placed := map[string]bool{}
	for _, name := range names {
		twice := placed[name]
		placed[name] = true
		if twice {
			a.at(&rules.pathParams, o.m.line, o.m.column, report.Text{
				En: fmt.Sprintf("%s has the placeholder {%s} twice; give each its own name.", called, clip(name, 100)),
				Zh: fmt.Sprintf("%s 中占位符 {%s} 重复，请使用不同的名称。", called, clip(name, 100))}, o.way...)
		} else if seen && !declared[name] {
			a.at(&rules.pathParams, o.m.line, o.m.column, report.Text{
				En: fmt.Sprintf("%s has the placeholder {%s} and no parameter of this name in path; declare it.", called, clip(name, 100)),
				Zh: fmt.Sprintf("%s 含占位符 {%s}，但没有对应的 path 参数，请声明。", called, clip(name, 100))}, o.way...)
		}
	}
	both := map[string]bool{}
	for _, p := range own {
		in, name := p.get("in").string(), p.get("name").string()
		if in == "" || name == "" {
			continue
		}
		if both[in+" "+name] {
			a.at(&rules.pathParams, p.line, p.column, report.Text{
				En: fmt.Sprintf("%s declares the parameter %s in %s twice; keep one.", called, clip(name, 100), clip(in, 60)),
				Zh: fmt.Sprintf("%s 重复声明了 %[3]s 参数 %[2]s，请只保留一个。", called, clip(name, 100), clip(in, 60))}, append(o.way, named("parameters"))...)
		}
		both[in+" "+name] = true
		if in == "path" && !placed[name] {
			a.at(&rules.pathParams, p.line, p.column, report.Text{
				En: fmt.Sprintf("%s declares the path parameter %s, which is not in its path; add {%[2]s}, or remove it.", called, clip(name, 100)),
				Zh: fmt.Sprintf("%s 声明了路径参数 %s，但路径中没有 {%[2]s}，请补充或删除。", called, clip(name, 100))}, append(o.way, named("parameters"))...)
		}
	}
}

// responsesOf wants one that tells of success. What only has a default means that.
func (a *api) responsesOf(o operationAt, called string) {
	responses := a.follow(o.op.get("responses"))
	if responses == nil || responses.kind != object {
		return // said elsewhere, or not to be seen
	}
	others := false
	for _, m := range responses.members {
		switch {
		case len(m.name) == 3 && m.name[0] >= '1' && m.name[0] <= '3':
			return
		case m.name != "default" && !strings.HasPrefix(m.name, "x-"):
			others = true
		}
	}
	if !others && responses.get("default") != nil {
		return
	}
	a.at(&rules.success, o.m.line, o.m.column, report.Text{
		En: fmt.Sprintf("%s has no response of success (2xx or 3xx); describe what it answers.", called),
		Zh: fmt.Sprintf("%s 没有成功响应（2xx 或 3xx），请描述其返回内容。", called)}, append(o.way, named("responses"))...)
}

// asksForAuthentication reports whether a list of security requirements has any, and
// does not leave the choice to have none.
func asksForAuthentication(security *node) bool {
	if security == nil || security.kind != list || len(security.members) == 0 {
		return false
	}
	for _, m := range security.members {
		if m.value.kind == object && len(m.value.members) == 0 {
			return false
		}
	}
	return true
}

// givesList reports whether an operation answers with a list of any length.
func (a *api) givesList(o operationAt) bool {
	if strings.HasSuffix(strings.TrimSuffix(o.path, "/"), "}") {
		return false // one thing, by its name
	}
	responses := a.follow(o.op.get("responses"))
	for _, code := range []string{"200", "2XX", "2xx"} {
		response := a.follow(responses.get(code))
		if response == nil {
			continue
		}
		if a.edition == swagger2 {
			return a.unbounded(response.get("schema"), 0)
		}
		content := response.get("content")
		if content == nil || content.kind != object {
			return false
		}
		for _, m := range content.members {
			if strings.Contains(m.name, "json") || m.name == "*/*" {
				return a.unbounded(m.value.get("schema"), 0)
			}
		}
	}
	return false
}

// listNames are what members are called that hold the rows of an answer.
var listNames = []string{"items", "data", "list", "records", "results", "rows", "content", "values", "result"}

// unbounded reports whether a schema is a list without an upper bound, or wraps one.
func (a *api) unbounded(schema *node, depth int) bool {
	schema = a.follow(schema)
	if schema == nil || schema.kind != object || depth > 3 {
		return false
	}
	types := typesOf(schema, a.edition)
	if slices.Contains(types, "array") {
		return schema.get("maxItems") == nil
	}
	if properties := schema.get("properties"); properties != nil && properties.kind == object {
		for _, name := range listNames {
			if inner := a.follow(properties.get(name)); inner != nil && a.unbounded(inner, depth+1) {
				return true
			}
		}
	}
	if all := schema.get("allOf"); all != nil && all.kind == list {
		for _, m := range all.members[:min(len(all.members), 8)] {
			if a.unbounded(m.value, depth+1) {
				return true
			}
		}
	}
	return false
}

var unseparated = strings.NewReplacer("_", "", "-", "", ".", "", "[", "", "]", "", "$", "", " ", "")

// limits reports whether a parameter limits how much is answered, by its name.
func (a *api) limits(p *node) bool {
	name := strings.ToLower(unseparated.Replace(p.get("name").string()))
	return slices.ContainsFunc(a.settings.PagingParameters, func(known string) bool { return strings.Contains(name, known) })
}

// document looks at what concerns the whole.
func (a *api) document(operations int) {
	root := a.t.root
	if operations > 0 && !a.secured && a.bare > 0 {
		a.at(&rules.unauthenticated, root.line, root.column, report.Text{
			En: fmt.Sprintf("The document asks for no authentication at all (operations: %d); declare security, or list what is public under publicPaths.", a.bare),
			Zh: fmt.Sprintf("文档未要求任何认证（涉及 %d 个接口），请声明 security；确需公开的接口请加入 publicPaths。", a.bare)})
	}
	if info := root.get("info"); info != nil && info.kind == object {
		if d := info.get("description"); !d.scalar() || strings.TrimSpace(d.text) == "" {
			a.at(&rules.infoDescription, info.line, info.column, rules.infoDescription.Message, named("info"))
		}
	}
	if a.edition == swagger2 {
		a.host(root)
	} else if servers := root.get("servers"); operations > 0 && (servers == nil || servers.kind == null || servers.kind == list && len(servers.members) == 0) {
		a.at(&rules.servers, root.line, root.column, rules.servers.Message)
	}
	if operations > 0 {
		a.unused(root)
	}
}

// host is what Swagger 2 has in the place of servers.
func (a *api) host(root *node) {
	host := root.get("host")
	if host == nil || host.kind == null || host.text == "" {
		a.at(&rules.servers, root.line, root.column, report.Text{
			En: "The document has no host; say where the interface is reached.", Zh: "文档没有声明 host，请说明接口的访问地址。"})
		return
	}
	schemes := root.get("schemes")
	if schemes == nil || schemes.kind != list {
		return
	}
	for i, m := range schemes.members {
		if strings.EqualFold(m.value.string(), "http") {
			a.way = []step{named("schemes"), {index: i}}
			a.plainHTTP(m.value, "http://"+host.text)
			a.way = nil
		}
	}
}

// unused finds components that nothing refers to. A document without operations is a
// library for others.
func (a *api) unused(root *node) {
	type component struct{ section, name string }
	used := map[component]bool{}
	for _, ref := range a.t.refs {
		names := strings.SplitN(strings.TrimPrefix(ref, "#/"), "/", 4)
		if a.edition != swagger2 {
			names = names[1:]
		}
		if len(names) > 1 {
			used[component{names[0], unescape(names[1])}] = true
		}
	}
	sections := []string{"schemas", "responses", "parameters", "examples", "requestBodies", "headers", "links", "callbacks"}
	base, way := root.get("components"), []step{named("components")}
	if a.edition == swagger2 {
		sections, base, way = []string{"definitions", "parameters", "responses"}, root, nil
	}
	for _, section := range sections {
		s := base.get(section)
		if s == nil || s.kind != object {
			continue
		}
		for i := range s.members {
			m := &s.members[i]
			place := append(slices.Clone(way), named(section), named(m.name))
			if used[component{section, m.name}] || a.mapped[m.name] || strings.HasPrefix(m.name, "x-") || m.name == "$ref" {
				continue
			}
			a.at(&rules.unused, m.line, m.column, report.Text{
				En: fmt.Sprintf("Nothing refers to the component %s; remove it, or use it.", clip(m.name, 200)),
				Zh: fmt.Sprintf("组件 %s 未被引用，请删除或使用。", clip(m.name, 200))}, place...)
		}
	}
}
