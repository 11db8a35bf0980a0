package openapi

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/factgate/factgate/domain/report"
)

// walker goes once through a document along its shapes.
type walker struct {
	*check
	t       *tree
	edition edition
	way     []step // to where it stands
	seen    map[visit]bool
	known   map[string]*node // targets of references; nil is none
	outside int              // references that lead out of the document
	ids     map[string]string
	mapped  map[string]bool // components that discriminators name
	schemes *node           // security schemes by name
	// blind: the schemes are not all to be seen.
	blind bool
}

// step is a member's name, or an index.
type step struct {
	name  string
	index int // -1 for a name
}

type visit struct {
	n *node
	s *shape
}

// deepest is how far the walk goes where aliases lead on and on.
const deepest = 2000

func newWalker(c *check, t *tree, e edition) *walker {
	w := &walker{check: c, t: t, edition: e, seen: map[visit]bool{}, known: map[string]*node{}, ids: map[string]string{}, mapped: map[string]bool{}}
	within, name := t.root.get("components"), "securitySchemes"
	if e == swagger2 {
		within, name = t.root, "securityDefinitions"
	}
	if within != nil {
		within = w.follow(within)
		w.blind = within == nil
	}
	if section := within.get(name); section != nil {
		w.schemes = w.follow(section)
		w.blind = w.schemes == nil
	}
	return w
}

func (w *walker) pointer() string { return pointerOf(w.way...) }

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// pointerOf is a JSON pointer, cut where nobody would read on.
func pointerOf(way ...step) string {
	const longest = 1500
	var b strings.Builder
	for _, s := range way {
		b.WriteByte('/')
		if s.index >= 0 {
			b.WriteString(strconv.Itoa(s.index))
		} else {
			// One name may be as long as the file, and be asked for at each finding.
			b.WriteString(escaper.Replace(s.name[:min(len(s.name), longest+1)]))
		}
		if b.Len() > longest {
			return strings.ToValidUTF8(b.String()[:longest], "") + "…"
		}
	}
	return b.String()
}

func (w *walker) in(s step, do func()) {
	w.way = append(w.way, s)
	do()
	w.way = w.way[:len(w.way)-1]
}

func named(name string) step { return step{name, -1} }

// wrong is a fault of the document as such.
func (w *walker) wrong(line, column int32, en, zh string) {
	w.add(&rules.schema, line, column, w.pointer(), report.Text{En: en, Zh: zh})
}

func (w *walker) visit(n *node, s *shape) {
	if w.stopped() || len(w.way) > deepest {
		return
	}
	if n.kind != object {
		if n.kind != boolean || !s.boolean {
			w.wrong(n.line, n.column, fmt.Sprintf("The %s must be an object and is %s.", s.name, kindEn[n.kind]), fmt.Sprintf("%s应为对象，实际为%s。", s.inChinese(), kindZh[n.kind]))
		}
		return
	}
	if w.t.shared {
		v := visit{n, s}
		if w.seen[v] {
			return
		}
		w.seen[v] = true
	}
	reference := false
	if r := n.get("$ref"); r != nil && s.ref {
		reference = true
		w.reference(n, r, s)
		if !s.any {
			return
		}
	} else if w.elsewhere(n) {
		return
	}
	w.duplicates(n, s)
	for i := range n.members {
		m := &n.members[i]
		f, ok := s.fields[m.name]
		switch {
		case ok:
		case strings.HasPrefix(m.name, "x-"):
			continue
		case s.pattern != nil:
			f = *s.pattern
		case s.closed:
			w.in(named(m.name), func() {
				w.wrong(m.line, m.column, fmt.Sprintf("%q is no member of an OpenAPI document; mend its name, or begin it with x-.", clip(m.name, 100)),
					fmt.Sprintf("%q 不是 OpenAPI 文档的顶层字段，请更正名称；扩展字段应以 x- 开头。", clip(m.name, 100)))
			})
			continue
		default:
			continue
		}
		w.way = append(w.way, named(m.name))
		w.member(m, f)
		w.way = w.way[:len(w.way)-1]
	}
	for _, name := range s.required {
		if !reference && n.get(name) == nil {
			w.add(&rules.schema, n.line, n.column, pointerOf(append(slices.Clone(w.way), named(name))...), report.Text{
				En: fmt.Sprintf("The %s has no %s, which it must have.", s.name, name), Zh: fmt.Sprintf("%s缺少必需的 %s。", s.inChinese(), name)})
		}
	}
	if s.on != nil {
		s.on(w, n)
	}
}

var (
	kindEn = [...]string{null: "empty", boolean: "true or false", number: "a number", text: "a text", list: "a list", object: "an object"}
	kindZh = [...]string{null: "空", boolean: "布尔值", number: "数值", text: "文本", list: "列表", object: "对象"}
)

func (w *walker) member(m *member, f field) {
	n := m.value
	if f.sort != one && f.sort != anything && w.elsewhere(n) {
		return
	}
	switch f.sort {
	case scalarSort:
		if n.kind == list || n.kind == object {
			w.mustBe(m, "a text", "文本")
			return
		}
		if n.kind == text && (m.name == "description" || m.name == "title" || m.name == "summary") {
			w.markdown(m)
		}
	case truth:
		if n.kind != boolean && n.kind != null {
			w.mustBe(m, "true or false", "布尔值")
		}
	case aNumber:
		if n.kind == list || n.kind == object || n.kind == boolean {
			w.mustBe(m, "a number", "数值")
		}
	case textList:
		if n.kind != list && n.kind != null {
			w.mustBe(m, "a list of texts", "文本列表")
			return
		}
		for _, item := range n.members {
			if !item.value.scalar() {
				w.mustBe(m, "a list of texts", "文本列表")
				return
			}
		}
	case one:
		w.visit(n, f.of)
	case listOrOne:
		if n.kind != list {
			w.visit(n, f.of)
			return
		}
		fallthrough
	case listOf:
		if n.kind != list {
			if n.kind != null {
				w.mustBe(m, "a list", "列表")
			}
			return
		}
		for i, item := range n.members {
			w.way = append(w.way, step{index: i})
			w.visit(item.value, f.of)
			w.way = w.way[:len(w.way)-1]
		}
	case dictOf:
		if n.kind != object {
			if n.kind != null {
				w.mustBe(m, "an object", "对象")
			}
			return
		}
		w.duplicates(n, nil)
		for i := range n.members {
			item := &n.members[i]
			if item.value.kind != object && strings.HasPrefix(item.name, "x-") {
				continue
			}
			w.way = append(w.way, named(item.name))
			w.visit(item.value, f.of)
			w.way = w.way[:len(w.way)-1]
		}
	}
}

func (w *walker) mustBe(m *member, en, zh string) {
	w.wrong(m.value.line, m.value.column, fmt.Sprintf("%s must be %s and is %s.", clip(m.name, 100), en, kindEn[m.value.kind]),
		fmt.Sprintf("%s 应为%s，实际为%s。", clip(m.name, 100), zh, kindZh[m.value.kind]))
}

// duplicates finds members of one name: which of them counts is left to chance.
func (w *walker) duplicates(n *node, s *shape) {
	var names map[string]bool
	if len(n.members) > 16 {
		names = make(map[string]bool, len(n.members))
	}
	for i := range n.members {
		m := &n.members[i]
		twice := false
		if names != nil {
			twice = names[m.name]
			names[m.name] = true
		} else {
			for j := range i {
				if n.members[j].name == m.name {
					twice = true
					break
				}
			}
		}
		if !twice {
			continue
		}
		r := &rules.schema
		if s != nil && (s.name == "paths" || s.name == "path item" && slices.Contains(methods[w.edition], m.name)) {
			r = &rules.duplicateOperation
		}
		w.in(named(m.name), func() {
			w.add(r, m.line, m.column, w.pointer(), report.Text{
				En: fmt.Sprintf("%s stands here twice, and one silently replaces the other; keep one.", clip(m.name, 200)),
				Zh: fmt.Sprintf("%s 重复出现，其中一个会悄悄覆盖另一个，请只保留一个。", clip(m.name, 200))})
		})
	}
}

// markdown finds what a browser would run where descriptions are shown.
func (w *walker) markdown(m *member) {
	lower := m.value.text
	if !strings.Contains(lower, "<") {
		return
	}
	if lower = strings.ToLower(lower); strings.Contains(lower, "<script") {
		w.add(&rules.script, m.value.line, m.value.column, w.pointer(), rules.script.Message)
	}
}

// Where a reference leads.
type lead uint8

const (
	leadsTo lead = iota
	leadsNowhere
	leadsOut // of what is to be seen
)

// resolve finds the target of a reference within the document.
func (w *walker) resolve(ref string) (*node, lead) {
	fragment, ok := strings.CutPrefix(ref, "#")
	switch {
	case !ok:
		return nil, leadsOut
	case fragment == "":
		return w.t.root, leadsTo
	case fragment[0] != '/': // an anchor of JSON schema
		return nil, leadsOut
	}
	if n, ok := w.known[ref]; ok {
		if n == nil {
			return nil, leadsNowhere
		}
		return n, leadsTo
	}
	n := w.t.root
	for _, name := range strings.Split(fragment[1:], "/") {
		if n != w.t.root && n.get("$ref") != nil {
			return nil, leadsOut // through another reference
		}
		name = unescape(name)
		var next *node
		switch n.kind {
		case object:
			next = n.get(name)
		case list:
			if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.members) {
				next = n.members[i].value
			}
		}
		if n = next; n == nil {
			w.known[ref] = nil
			return nil, leadsNowhere
		}
	}
	w.known[ref] = n
	return n, leadsTo
}

// unescape is a name as it stands in the document, of a part of a reference.
func unescape(part string) string {
	if strings.Contains(part, "%") {
		if plain, err := url.PathUnescape(part); err == nil {
			part = plain
		}
	}
	return strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
}

// hops is how many references in a row are followed.
const hops = 32

// follow returns what a node stands for, or nil if that is not to be seen.
func (w *walker) follow(n *node) *node {
	for range hops {
		ref := n.get("$ref")
		if ref == nil || ref.kind != text {
			return n
		}
		target, where := w.resolve(ref.text)
		if where != leadsTo {
			return nil
		}
		n = target
	}
	return nil
}

func (w *walker) reference(n, ref *node, s *shape) {
	w.way = append(w.way, named("$ref"))
	defer func() { w.way = w.way[:len(w.way)-1] }()
	if ref.kind != text {
		w.wrong(ref.line, ref.column, "$ref must be a text.", "$ref 应为文本。")
		return
	}
	target, where := w.resolve(ref.text)
	switch where {
	case leadsNowhere:
		w.add(&rules.reference, ref.line, ref.column, w.pointer(), report.Text{
			En: fmt.Sprintf("The reference %s leads to nothing; mend it, or define its target.", clip(ref.text, 200)),
			Zh: fmt.Sprintf("引用 %s 指向不存在的定义，请更正或补充定义。", clip(ref.text, 200))})
	case leadsOut:
		w.outside++
	case leadsTo:
		for range hops {
			next := target.get("$ref")
			if next == nil || next.kind != text || target == n {
				break
			}
			if target, where = w.resolve(next.text); where != leadsTo {
				break
			}
		}
		if target == n {
			w.add(&rules.reference, ref.line, ref.column, w.pointer(), report.Text{
				En: fmt.Sprintf("The reference %s leads back to itself and never to a definition; define its target.", clip(ref.text, 200)),
				Zh: fmt.Sprintf("引用 %s 最终指回自身，没有实际定义，请补充定义。", clip(ref.text, 200))})
		}
	}
	if s.any {
		return
	}
	var ignored []string
	for _, m := range n.members {
		if m.name != "$ref" && !strings.HasPrefix(m.name, "x-") && !slices.Contains(s.siblings, m.name) {
			ignored = append(ignored, clip(m.name, 60))
		}
	}
	if len(ignored) > 0 {
		names := strings.Join(ignored[:min(len(ignored), 5)], ", ")
		w.add(&rules.siblings, ref.line, ref.column, w.pointer(), report.Text{
			En: fmt.Sprintf("What stands beside $ref is ignored (%s); move it to the target, or wrap the reference in allOf.", names),
			Zh: fmt.Sprintf("$ref 旁的字段（%s）会被忽略，请移到被引用的定义中，或用 allOf 包裹。", names)})
	}
}

// elsewhere reports whether a reference stands for n, be it in a place where the
// specification has none: documents of several files are put together by such.
func (w *walker) elsewhere(n *node) bool {
	ref := n.get("$ref")
	if ref == nil || ref.kind != text {
		return false
	}
	w.reference(n, ref, &shape{any: true})
	return true
}

// operation sees to it that its id is its own.
func (w *walker) operation(n *node) {
	id := n.get("operationId")
	if id == nil || !id.scalar() || id.text == "" {
		return
	}
	first, twice := w.ids[id.text]
	if !twice {
		w.ids[id.text] = w.pointer()
		return
	}
	w.in(named("operationId"), func() {
		w.add(&rules.operationID, id.line, id.column, w.pointer(), report.Text{
			En: fmt.Sprintf("The operationId %s is also that of %s; give each operation its own.", clip(id.text, 100), clip(first, 300)),
			Zh: fmt.Sprintf("operationId %s 与 %s 重复，每个接口应各不相同。", clip(id.text, 100), clip(first, 300))})
	})
}

func (w *walker) parameter(n *node) {
	in := n.get("in")
	if in == nil {
		return
	}
	places := []string{"query", "header", "path", "cookie", "querystring"}
	if w.edition == swagger2 {
		places = []string{"query", "header", "path", "formData", "body"}
	}
	if !slices.Contains(places, in.text) {
		w.in(named("in"), func() {
			w.wrong(in.line, in.column, fmt.Sprintf("A parameter is in one of %s, not in %s.", strings.Join(places, ", "), clip(in.text, 60)),
				fmt.Sprintf("参数位置 in 应为 %s 之一，而不是 %s。", strings.Join(places, "、"), clip(in.text, 60)))
		})
	}
	if in.text == "path" && !n.get("required").isTrue() {
		w.add(&rules.pathParams, n.line, n.column, w.pointer(), report.Text{
			En: fmt.Sprintf("The path parameter %s must be required: true.", clip(n.get("name").string(), 100)),
			Zh: fmt.Sprintf("路径参数 %s 必须声明 required: true。", clip(n.get("name").string(), 100))})
	}
}

func (w *walker) responses(n *node) {
	for i := range n.members {
		m := &n.members[i]
		if strings.HasPrefix(m.name, "x-") || m.name == "default" || responseCode(m.name) {
			continue
		}
		w.in(named(m.name), func() {
			w.wrong(m.line, m.column, fmt.Sprintf("%s is no status code; responses are named 200, 4XX or default.", clip(m.name, 60)),
				fmt.Sprintf("%s 不是状态码，响应名应为 200、4XX 或 default 等形式。", clip(m.name, 60)))
		})
	}
}

func responseCode(s string) bool {
	if len(s) != 3 || s[0] < '1' || s[0] > '5' {
		return false
	}
	digits := s[1] >= '0' && s[1] <= '9' && s[2] >= '0' && s[2] <= '9'
	return digits || s[1:] == "XX" || s[1:] == "xx"
}

func (w *walker) paths(n *node) {
	for i := range n.members {
		m := &n.members[i]
		if !strings.HasPrefix(m.name, "/") && !strings.HasPrefix(m.name, "x-") && m.name != "$ref" {
			w.in(named(m.name), func() {
				w.wrong(m.line, m.column, fmt.Sprintf("The path %s does not begin with a slash.", clip(m.name, 200)), fmt.Sprintf("路径 %s 未以斜杠开头。", clip(m.name, 200)))
			})
		}
	}
}

func (w *walker) securityRequirement(n *node) {
	for i := range n.members {
		m := &n.members[i]
		if w.blind || w.schemes != nil && w.schemes.get(m.name) != nil {
			continue
		}
		w.in(named(m.name), func() {
			section := "components.securitySchemes"
			if w.edition == swagger2 {
				section = "securityDefinitions"
			}
			w.add(&rules.securityDefined, m.line, m.column, w.pointer(), report.Text{
				En: fmt.Sprintf("The security scheme %s is not defined in %s; define it, or mend the name.", clip(m.name, 100), section),
				Zh: fmt.Sprintf("安全方案 %s 未在 %s 中定义，请补充定义或更正名称。", clip(m.name, 100), section)})
		})
	}
}

func (w *walker) securityScheme(n *node) {
	of := n.get("type")
	if of == nil {
		return
	}
	needs := map[string][]string{"apiKey": {"name", "in"}, "http": {"scheme"}, "oauth2": {"flows"}, "openIdConnect": {"openIdConnectUrl"}, "mutualTLS": nil}
	if w.edition == swagger2 {
		needs = map[string][]string{"apiKey": {"name", "in"}, "basic": nil, "oauth2": {"flow"}}
	}
	missing, ok := needs[of.text]
	if !ok {
		w.in(named("type"), func() {
			w.wrong(of.line, of.column, fmt.Sprintf("%s is no type of a security scheme.", clip(of.text, 60)), fmt.Sprintf("%s 不是有效的安全方案类型。", clip(of.text, 60)))
		})
	}
	for _, name := range missing {
		if n.get(name) == nil {
			w.wrong(n.line, n.column, fmt.Sprintf("A security scheme of type %s must have %s.", of.text, name), fmt.Sprintf("类型为 %s 的安全方案必须包含 %s。", of.text, name))
		}
	}
}

// schema looks at the values that it lists.
func (w *walker) schema(n *node) {
	if mapping := n.get("discriminator").get("mapping"); mapping != nil {
		for _, m := range mapping.members {
			w.mapped[m.value.text[strings.LastIndexByte(m.value.text, '/')+1:]] = true
		}
	}
	values := n.get("enum")
	if values == nil {
		return
	}
	w.way = append(w.way, named("enum"))
	defer func() { w.way = w.way[:len(w.way)-1] }()
	if values.kind != list {
		if values.kind != null {
			w.wrong(values.line, values.column, "enum must be a list.", "enum 应为列表。")
		}
		return
	}
	types := typesOf(n, w.edition)
	seen := map[string]bool{}
	for i, item := range values.members {
		v := item.value
		if !v.scalar() {
			continue
		}
		key := string(rune('0'+v.kind)) + v.text
		if seen[key] {
			w.in(step{index: i}, func() {
				w.add(&rules.duplicateEnum, v.line, v.column, w.pointer(), report.Text{
					En: fmt.Sprintf("The value %s stands in the enum twice; keep one.", clip(v.text, 100)),
					Zh: fmt.Sprintf("枚举值 %s 重复，请只保留一个。", clip(v.text, 100))})
			})
		}
		seen[key] = true
		if len(types) > 0 && !slices.ContainsFunc(types, func(t string) bool { return fits(v, t) }) {
			w.in(step{index: i}, func() {
				w.add(&rules.typedEnum, v.line, v.column, w.pointer(), report.Text{
					En: fmt.Sprintf("The value %s is %s, but the type is %s; mend one of them.", clip(v.text, 100), kindEn[v.kind], strings.Join(types, ", ")),
					Zh: fmt.Sprintf("枚举值 %s 是%s，与声明的类型 %s 不符，请改正其一。", clip(v.text, 100), kindZh[v.kind], strings.Join(types, "、"))})
			})
		}
	}
}

// typesOf are the types that a schema allows; none if it does not say so plainly.
func typesOf(n *node, e edition) []string {
	of := n.get("type")
	if of == nil {
		return nil
	}
	var types []string
	switch {
	case of.kind == text:
		types = []string{of.text}
	case of.kind == list && e == openapi31:
		for _, m := range of.members {
			types = append(types, m.value.string())
		}
	}
	for _, t := range types {
		switch t {
		case "string", "number", "integer", "boolean", "null", "array", "object":
		default:
			return nil
		}
	}
	return types
}

// fits reports whether a scalar is of a type. Numbers and booleans that YAML saw
// where a text was meant (on, 1.0) are taken as they are: that is the fault.
func fits(v *node, of string) bool {
	switch of {
	case "string":
		return v.kind == text
	case "number":
		return v.kind == number
	case "integer":
		if v.kind != number {
			return false
		}
		f, err := strconv.ParseFloat(v.text, 64)
		return err != nil || f == float64(int64(f))
	case "boolean":
		return v.kind == boolean
	}
	return false
}

func (w *walker) server(n *node) {
	at := n.get("url")
	if at == nil || at.kind != text {
		return
	}
	w.in(named("url"), func() { w.plainHTTP(at, at.text) })
}

// plainHTTP finds a server that is spoken to without encryption.
func (w *walker) plainHTTP(at *node, address string) {
	if len(address) < 7 || !strings.EqualFold(address[:7], "http://") {
		return
	}
	host := hostOf(address)
	if slices.Contains(w.settings.HTTPHosts, host) {
		return
	}
	w.add(&rules.http, at.line, at.column, w.pointer(), report.Text{
		En: fmt.Sprintf("The server %s is reached over plain http, so everybody on the way can read and change what is sent; use https.", clip(host, 100)),
		Zh: fmt.Sprintf("服务器 %s 使用明文 http，传输内容可被窃听和篡改，请使用 https。", clip(host, 100))})
}

// hostOf is the host of an address, without credentials and port.
func hostOf(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if strings.HasPrefix(rest, "[") {
		if end := strings.IndexByte(rest, ']'); end > 0 {
			return strings.ToLower(rest[1:end])
		}
	}
	host, _, _ := strings.Cut(rest, ":")
	return strings.ToLower(host)
}
