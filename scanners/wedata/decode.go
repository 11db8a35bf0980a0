package wedata

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/report"
)

// syntaxError says where a document stops being one.
type syntaxError struct {
	line, col int32
	what      report.Text
}

func (e *syntaxError) Error() string { return e.what.En }

// limitError says that a document goes over a limit: it may be fine, but is not read.
type limitError struct{ what report.Text }

func (e *limitError) Error() string { return e.what.En }

// decodeJSON reads one JSON value. The error is a *syntaxError, a *limitError, or
// that of the context.
func decodeJSON(ctx context.Context, source string, limit *budget) (*node, error) {
	d := jsonDecoder{source: source, tokens: json.NewDecoder(strings.NewReader(source)), at: newPlace(source), limit: limit, folded: map[string]string{}}
	d.tokens.UseNumber()
	root, err := d.run(ctx)
	if err != nil {
		return nil, err
	}
	return root, nil
}

type jsonDecoder struct {
	source string
	tokens *json.Decoder
	at     *place
	limit  *budget
	folded map[string]string
}

// next returns a token and where it begins.
func (d *jsonDecoder) next() (json.Token, int, error) {
	from := int(d.tokens.InputOffset())
	token, err := d.tokens.Token()
	for from < len(d.source) && strings.IndexByte(" \t\r\n,:", d.source[from]) >= 0 {
		from++
	}
	return token, from, err
}

// run builds the tree without recursion, since depth is the package's choice.
func (d *jsonDecoder) run(ctx context.Context) (*node, error) {
	var root, open *node
	key, depth := "", 0
	wantKey := false
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		token, from, err := d.next()
		if errors.Is(err, io.EOF) && root != nil && open == nil {
			return root, nil
		}
		if err != nil {
			return nil, d.broken(from, err)
		}
		if root != nil && open == nil {
			return nil, d.unexpected(from)
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open.parent
			depth--
			wantKey = open != nil && open.kind == object
			continue
		}
		if wantKey {
			key = token.(string) // the decoder sees to it that keys are strings
			wantKey = false
			continue
		}
		if !d.limit.take() {
			return nil, &limitError{say("it holds too many values", "文件中的值过多")}
		}
		v := &node{parent: open}
		v.line, v.col = d.at.of(from)
		switch t := token.(type) {
		case json.Delim:
			v.kind = object
			if t == '[' {
				v.kind = array
			}
		case string:
			v.kind, v.value = text, t
		case json.Number:
			v.kind, v.value = number, t.String()
		case bool:
			v.kind, v.value = boolean, fmt.Sprint(t)
		}
		switch {
		case open == nil:
			root = v
		case open.kind == array:
			v.index = int32(len(open.children))
			open.children = append(open.children, v)
		default:
			folded, ok := d.folded[key]
			if !ok {
				folded = foldKey(key)
				d.folded[key] = folded
			}
			v.key, v.folded = key, folded
			open.children = append(open.children, v)
			wantKey = true
		}
		if v.kind == object || v.kind == array {
			if depth++; depth > maxDepth {
				return nil, &limitError{say("its values are nested deeper than %d", "嵌套超过 %d 层", maxDepth)}
			}
			open = v
			wantKey = v.kind == object
		}
	}
}

func (d *jsonDecoder) broken(from int, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		line, col := d.at.of(len(d.source))
		return &syntaxError{line, col, report.Text{En: "it ends in the middle of a value", Zh: "内容在中途结束"}}
	}
	return d.unexpected(from)
}

func (d *jsonDecoder) unexpected(from int) error {
	line, col := d.at.of(from)
	return &syntaxError{line, col, report.Text{En: "this is no JSON from here on", Zh: "从此处起不是合法的 JSON"}}
}

// decodeYAML reads the documents of a YAML text. What an alias stands for is read
// again at each use and counts each time, so that a text that grows by aliases
// meets the limit.
func decodeYAML(source string, limit *budget) (documents []*node, err error) {
	defer func() { // the parser is another's, and the text is a stranger's
		if r := recover(); r != nil {
			documents, err = nil, &syntaxError{1, 1, report.Text{En: "it cannot be parsed", Zh: "无法解析"}}
		}
	}()
	const most = 20
	in := yaml.NewDecoder(bytes.NewReader([]byte(source)))
	d := yamlDecoder{limit: limit, folded: map[string]string{}}
	for {
		var top yaml.Node
		err := in.Decode(&top)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, yamlFault(err)
		}
		if len(documents) == most {
			return nil, &limitError{say("it holds more than %d documents", "文件包含超过 %d 个文档", most)}
		}
		root, err := d.value(&top, nil, 0)
		if err != nil {
			return nil, err
		}
		documents = append(documents, root)
	}
}

// yamlFault finds the line in the parser's message: "yaml: line 3: …". The rest of
// it may quote the text and is not repeated.
func yamlFault(err error) error {
	line := 0
	if _, after, ok := strings.Cut(err.Error(), "line "); ok {
		for _, c := range []byte(after) {
			if c < '0' || c > '9' || line > 1<<24 {
				break
			}
			line = line*10 + int(c-'0')
		}
	}
	what := report.Text{En: "this is no YAML", Zh: "不是合法的 YAML"}
	for _, known := range []struct {
		part string
		what report.Text
	}{
		{"cannot start any token", report.Text{En: "a value begins with a character that must be quoted (a tab, @, ` or %)", Zh: "值以必须加引号的字符开头（制表符、@、` 或 %）"}},
		{"did not find expected", report.Text{En: "the indentation or a bracket does not fit", Zh: "缩进或括号不匹配"}},
		{"mapping values are not allowed", report.Text{En: "a colon stands where no key is expected; quote the value", Zh: "冒号出现在不应有键的位置，请为该值加引号"}},
		{"could not find expected ':'", report.Text{En: "a key without a colon", Zh: "键后缺少冒号"}},
		{"unknown anchor", report.Text{En: "an alias of an anchor that does not exist", Zh: "引用了不存在的锚点"}},
		{"unexpected end of stream", report.Text{En: "a quote is never closed", Zh: "引号未闭合"}},
	} {
		if strings.Contains(err.Error(), known.part) {
			what = known.what
			break
		}
	}
	return &syntaxError{int32(max(line, 1)), 1, what}
}

type yamlDecoder struct {
	limit  *budget
	folded map[string]string
}

func (d *yamlDecoder) value(from *yaml.Node, parent *node, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, &limitError{say("its values are nested deeper than %d", "嵌套超过 %d 层", maxDepth)}
	}
	switch from.Kind {
	case yaml.DocumentNode:
		if len(from.Content) == 0 {
			return &node{line: 1, col: 1}, nil
		}
		return d.value(from.Content[0], parent, depth)
	case yaml.AliasNode:
		if from.Alias == nil {
			return &node{parent: parent, line: int32(from.Line), col: int32(from.Column)}, nil
		}
		return d.value(from.Alias, parent, depth+1) // an alias within itself ends by its depth
	}
	if !d.limit.take() {
		return nil, &limitError{say("it holds too many values", "文件中的值过多")}
	}
	n := &node{parent: parent, line: int32(from.Line), col: int32(from.Column)}
	switch from.Kind {
	case yaml.MappingNode:
		n.kind = object
		var merged []*node // by <<: *defaults; weaker than what is written
		for i := 0; i+1 < len(from.Content); i += 2 {
			key := from.Content[i]
			v, err := d.value(from.Content[i+1], n, depth+1)
			if err != nil {
				return nil, err
			}
			if key.ShortTag() == "!!merge" {
				for _, defaults := range v.list() {
					if defaults.kind == object {
						merged = append(merged, defaults.children...)
					}
				}
				continue
			}
			folded, ok := d.folded[key.Value]
			if !ok {
				folded = foldKey(key.Value)
				d.folded[key.Value] = folded
			}
			v.key, v.folded = key.Value, folded
			n.children = append(n.children, v)
		}
		if len(merged) > 0 {
			for _, c := range merged {
				c.parent = n
			}
			n.children = append(merged, n.children...)
		}
	case yaml.SequenceNode:
		n.kind = array
		for i, c := range from.Content {
			v, err := d.value(c, n, depth+1)
			if err != nil {
				return nil, err
			}
			v.index = int32(i)
			n.children = append(n.children, v)
		}
	default:
		n.value = from.Value
		switch from.ShortTag() {
		case "!!null":
			n.kind = null
		case "!!bool":
			n.kind = boolean
		case "!!int", "!!float":
			n.kind = number
		default:
			n.kind = text
		}
	}
	return n, nil
}

// decodeWithin reads the JSON object or array that stands in a text, as
// DolphinScheduler keeps parameters; nil if there is none. Its values have the place
// of the text.
func decodeWithin(ctx context.Context, n *node, limit *budget) *node {
	if n == nil || n.kind == object || n.kind == array {
		return n
	}
	source := n.text()
	if !strings.HasPrefix(source, "{") && !strings.HasPrefix(source, "[") {
		return nil
	}
	root, err := decodeJSON(ctx, source, limit)
	if err != nil {
		return nil
	}
	root.embedded, root.parent, root.key, root.folded, root.index = true, n.parent, n.key, n.folded, n.index
	settle(root, n.line, n.col)
	return root
}

func settle(n *node, line, col int32) {
	n.line, n.col = line, col
	for _, c := range n.children {
		settle(c, line, col)
	}
}
