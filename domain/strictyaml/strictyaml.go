// Package strictyaml reads what people write in YAML, and refuses what it does not
// understand: a key that does not exist, a value of another kind, a key given twice,
// a second document. Every refusal says line and column, and all are told at once.
//
// Sizes, depth and the work that anchors and aliases make are bounded; merge keys
// (<<) are not understood. Values are not quoted in messages: they may be secret.
//
// Start at [Parse]; [Fill] is for a part of a document.
package strictyaml

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
)

// Limits of a document.
const (
	MaxBytes    = 64 << 10
	maxDepth    = 32
	maxNodes    = 20_000 // looked at, aliases followed
	maxProblems = 20     // told
)

// Problem is one thing that is wrong, and where.
type Problem struct {
	Line, Column int // from 1
	Text         report.Text
}

// Error says what is wrong with a document, in the order of the lines.
type Error struct{ Problems []Problem }

func (e *Error) Error() string { return e.Text().En }

// Text is the whole message.
func (e *Error) Text() report.Text {
	var en, zh []string
	for _, p := range e.Problems {
		en = append(en, fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Text.En))
		zh = append(zh, fmt.Sprintf("第 %d 行第 %d 列：%s", p.Line, p.Column, p.Text.Zh))
	}
	return report.Text{En: strings.Join(en, "; "), Zh: strings.Join(zh, "；")}
}

// Refuse makes an Error of one problem, at a node; without one, at the beginning.
func Refuse(at *yaml.Node, text report.Text) *Error {
	var c checker
	c.refuse(at, text.En, text.Zh)
	return c.result()
}

// Join makes one Error of the problems of several; nil if there are none.
func Join(errs ...*Error) *Error {
	var c checker
	for _, e := range errs {
		if e != nil {
			c.problems = append(c.problems, e.Problems...)
		}
	}
	return c.result()
}

// Parse reads one document of at most [MaxBytes] into a pointer to a struct, and
// returns its root; nil for a text that says nothing. What the text does not say
// keeps its value. The error is an *[Error].
func Parse(text []byte, into any) (*yaml.Node, error) {
	root, err := read(text)
	if err != nil || root == nil {
		return nil, err
	}
	return root, Fill(root, into)
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

func read(text []byte) (*yaml.Node, error) {
	if len(text) > MaxBytes {
		return nil, Refuse(nil, report.Text{En: fmt.Sprintf("the text is longer than %d KiB", MaxBytes>>10), Zh: fmt.Sprintf("文本超过 %d KiB", MaxBytes>>10)})
	}
	if !utf8.Valid(text) {
		return nil, Refuse(nil, report.Text{En: "the text is not UTF-8; save it as UTF-8", Zh: "文本不是 UTF-8 编码；请另存为 UTF-8"})
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	err := d.Decode(&document)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		at := &yaml.Node{Line: 1, Column: 1}
		reason := strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlLine.FindStringSubmatch(reason); m != nil {
			at.Line, _ = strconv.Atoi(m[1])
			reason = strings.Replace(reason, m[0], "", 1)
		}
		return nil, Refuse(at, report.Text{En: "this is not YAML: " + reason, Zh: "不是合法的 YAML：" + reason})
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, Refuse(&more, report.Text{En: "only one document is read; take away what follows ---", Zh: "只读取一个文档；请删除 --- 之后的内容"})
	}
	if len(document.Content) == 0 || document.Content[0].ShortTag() == "!!null" {
		return nil, nil
	}
	return document.Content[0], nil
}

// Fill is Parse for a node of a document.
func Fill(node *yaml.Node, into any) error {
	if node == nil {
		return nil
	}
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("strictyaml: %T is not a pointer to fill", into)
	}
	var c checker
	c.check(node, v.Type().Elem(), 0)
	if err := c.result(); err != nil {
		return err
	}
	if err := node.Decode(into); err != nil {
		return Refuse(node, report.Text{En: strings.TrimPrefix(err.Error(), "yaml: "), Zh: "无法读取：" + strings.TrimPrefix(err.Error(), "yaml: ")})
	}
	return nil
}

type checker struct {
	problems []Problem
	nodes    int
	full     bool // the limit of nodes was told
}

func (c *checker) result() *Error {
	if len(c.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	c.problems = c.problems[:min(len(c.problems), maxProblems)]
	return &Error{c.problems}
}

func (c *checker) refuse(at *yaml.Node, en, zh string) {
	if len(c.problems) >= maxProblems {
		return
	}
	p := Problem{Line: 1, Column: 1, Text: report.Text{En: en, Zh: zh}}
	if at != nil {
		p.Line, p.Column = max(at.Line, 1), max(at.Column, 1)
	}
	c.problems = append(c.problems, p)
}

var (
	nodeType     = reflect.TypeFor[yaml.Node]()
	durationType = reflect.TypeFor[time.Duration]()
	ownYAML      = reflect.TypeFor[yaml.Unmarshaler]()
	ownText      = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// check compares a node with the type that it is to fill.
func (c *checker) check(n *yaml.Node, t reflect.Type, depth int) {
	if c.nodes++; c.nodes > maxNodes {
		if !c.full {
			c.refuse(n, "the text is too large with its aliases written out; write less of them", "展开别名后文本过大；请减少别名")
		}
		c.full = true
		return
	}
	if depth > maxDepth {
		c.refuse(n, fmt.Sprintf("this lies deeper than %d levels", maxDepth), fmt.Sprintf("嵌套超过 %d 层", maxDepth))
		return
	}
	if n.Kind == yaml.AliasNode {
		c.check(n.Alias, t, depth+1)
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	pointer := reflect.PointerTo(t)
	switch {
	case t == nodeType || t.Kind() == reflect.Interface:
		c.walk(n, depth)
		return
	case pointer.Implements(ownYAML):
		c.own(n, n.Decode(reflect.New(t).Interface()))
		return
	case t == durationType:
		if n.Kind != yaml.ScalarNode {
			c.kind(n, "a length of time, such as 10m", "时长，如 10m")
		} else if _, err := time.ParseDuration(n.Value); err != nil {
			c.kind(n, "a length of time, such as 10m", "时长，如 10m")
		}
		return
	case pointer.Implements(ownText):
		if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
			c.kind(n, "a text", "文本")
			return
		}
		c.own(n, reflect.New(t).Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value)))
		return
	}
	null := n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
	switch t.Kind() {
	case reflect.Struct:
		if null {
			return
		}
		c.object(n, t, depth)
	case reflect.Map:
		if null {
			return
		}
		c.table(n, t, depth)
	case reflect.Slice, reflect.Array:
		if null {
			return
		}
		if n.Kind != yaml.SequenceNode {
			c.kind(n, "a list", "列表")
			return
		}
		if t.Kind() == reflect.Array && t.Len() != len(n.Content) {
			c.kind(n, fmt.Sprintf("a list of %d entries", t.Len()), fmt.Sprintf("含 %d 项的列表", t.Len()))
			return
		}
		for _, e := range n.Content {
			c.check(e, t.Elem(), depth+1)
		}
	default:
		c.scalar(n, t, null)
	}
}

// kind says what should stand here.
func (c *checker) kind(n *yaml.Node, en, zh string) {
	c.refuse(n, "here must be "+en, "此处应为"+zh)
}

// own reports what a type of its own says of a value.
func (c *checker) own(n *yaml.Node, err error) {
	var placed *Error
	var worded *domain.Error
	switch {
	case err == nil:
	case errors.As(err, &placed):
		c.problems = append(c.problems, placed.Problems...)
	case errors.As(err, &worded) && worded.MsgZH != "":
		c.refuse(n, worded.Msg, worded.MsgZH)
	default:
		reason := strings.TrimPrefix(err.Error(), "yaml: ")
		c.refuse(n, reason, reason)
	}
}

func (c *checker) scalar(n *yaml.Node, t reflect.Type, null bool) {
	en, zh := "a text", "文本"
	switch t.Kind() {
	case reflect.Bool:
		en, zh = "true or false", " true 或 false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		en, zh = "a whole number", "整数"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		en, zh = "a whole number, 0 or more", "非负整数"
	case reflect.Float32, reflect.Float64:
		en, zh = "a number", "数字"
	case reflect.String:
	default:
		c.refuse(n, "nothing can be written here", "此处不能填写内容")
		return
	}
	if n.Kind != yaml.ScalarNode || null {
		c.kind(n, en, zh)
		return
	}
	v := reflect.New(t)
	whole := v.Elem().CanInt() || v.Elem().CanUint() // a fraction would be cut without a word
	if n.Decode(v.Interface()) != nil || whole && n.ShortTag() != "!!int" {
		c.kind(n, en, zh)
		return
	}
	if v.Elem().CanFloat() && (math.IsNaN(v.Elem().Float()) || math.IsInf(v.Elem().Float(), 0)) {
		c.kind(n, en, zh)
	}
}

// walk bounds what is taken as it is.
func (c *checker) walk(n *yaml.Node, depth int) {
	if c.nodes++; c.nodes > maxNodes || depth > maxDepth {
		if !c.full {
			c.refuse(n, "the text is too large or too deep", "文本过大或嵌套过深")
		}
		c.full = true
		return
	}
	if n.Kind == yaml.AliasNode {
		c.walk(n.Alias, depth+1)
		return
	}
	if n.Kind == yaml.MappingNode {
		c.keys(n)
	}
	for _, child := range n.Content {
		c.walk(child, depth+1)
	}
}

// keys refuses keys that stand twice and those that are no names, and gives the rest
// with their values.
func (c *checker) keys(n *yaml.Node) (pairs [][2]*yaml.Node) {
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			c.refuse(n.Content[i], "a key must be a name", "键必须是名称")
		case key.ShortTag() == "!!merge":
			c.refuse(n.Content[i], "merge keys (<<) are not understood; write it out", "不支持合并键（<<）；请完整写出")
		case seen[key.Value]:
			c.refuse(n.Content[i], fmt.Sprintf("%.60q stands here twice", key.Value), fmt.Sprintf("%.60q 重复出现", key.Value))
		default:
			seen[key.Value] = true
			pairs = append(pairs, [2]*yaml.Node{key, n.Content[i+1]})
		}
	}
	return pairs
}

func (c *checker) table(n *yaml.Node, t reflect.Type, depth int) {
	if n.Kind != yaml.MappingNode {
		c.kind(n, "keys with values", "键值对")
		return
	}
	for _, p := range c.keys(n) {
		c.check(p[0], t.Key(), depth+1)
		c.check(p[1], t.Elem(), depth+1)
	}
}

func (c *checker) object(n *yaml.Node, t reflect.Type, depth int) {
	if n.Kind != yaml.MappingNode {
		c.kind(n, "keys with values", "键值对")
		return
	}
	known, rest := map[string]reflect.Type{}, reflect.Type(nil)
	fields(t, known, &rest)
	for _, p := range c.keys(n) {
		name := p[0].Value
		switch field, ok := known[name]; {
		case ok:
			c.check(p[1], field, depth+1)
		case rest != nil:
			c.check(p[1], rest, depth+1)
		default:
			names := make([]string, 0, len(known))
			for k := range known {
				names = append(names, k)
			}
			slices.Sort(names)
			hint := Unknown(name, names)
			c.refuse(p[0], hint.En, hint.Zh)
		}
	}
}

// fields finds the keys that a struct knows; rest is the type of what an inlined map
// takes.
func fields(t reflect.Type, known map[string]reflect.Type, rest *reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		inline := slices.Contains(strings.Split(options, ","), "inline")
		kind := f.Type
		for inline && kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		switch {
		case name == "-" && options == "", !f.IsExported() && !inline:
		case inline && kind.Kind() == reflect.Struct:
			fields(kind, known, rest)
		case inline && kind.Kind() == reflect.Map:
			*rest = kind.Elem()
		case name != "":
			known[name] = f.Type
		default:
			known[strings.ToLower(f.Name)] = f.Type
		}
	}
}

// Unknown words that a name does not exist, and which one may be meant.
func Unknown(name string, known []string) report.Text {
	const shown = 12
	t := report.Text{En: fmt.Sprintf("%.60q is not known here", name), Zh: fmt.Sprintf("不认识 %.60q", name)}
	if near := Nearest(name, known); near != "" {
		t.En += fmt.Sprintf("; did you mean %q?", near)
		t.Zh += fmt.Sprintf("；您是否想写 %q？", near)
		return t
	}
	if len(known) == 0 {
		return t
	}
	list := known[:min(len(known), shown)]
	more := ""
	if len(known) > shown {
		more = ", …"
	}
	t.En += "; known are " + strings.Join(list, ", ") + more
	t.Zh += "；可用的有 " + strings.Join(list, "、") + strings.ReplaceAll(more, ", ", "、")
	return t
}

// Nearest is the known name that somebody may have meant, or "".
func Nearest(name string, known []string) (nearest string) {
	if len(name) > 100 {
		return ""
	}
	best := min(3, len(name)/2+1)
	for _, k := range known {
		if len(k) > 100 {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < best {
			best, nearest = d, k
		}
	}
	return nearest
}

// distance counts the letters to change between two names.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		before := row[0]
		row[0] = i + 1
		for j := range y {
			cost := before
			if x[i] != y[j] {
				cost = 1 + min(before, row[j], row[j+1])
			}
			before, row[j+1] = row[j+1], cost
		}
	}
	return row[len(y)]
}
