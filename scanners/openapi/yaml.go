package openapi

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/report"
)

// yamlReader turns the nodes of the YAML library into a tree. Aliases point to the
// node that they stand for: nothing is copied, except the members that a merge key
// (<<) brings in.
type yamlReader struct {
	*builder
	made   map[*yaml.Node]*node // of anchored nodes
	merged int                  // members that merge keys brought in
	depth  int
}

// parseYAML reads the first document.
func parseYAML(ctx context.Context, content string, limits Limits) (*tree, error) {
	// The library has no limit of its own, and takes some hundred bytes for each value.
	// None comes without a line end or a comma.
	if strings.Count(content, "\n")+strings.Count(content, ",") > limits.Nodes {
		return nil, overLimit("it has more than %d lines and commas", "文件的行数与逗号数合计超过 %d", limits.Nodes)
	}
	var doc yaml.Node
	in := yaml.NewDecoder(strings.NewReader(content))
	if err := in.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, &malformed{1, 1, report.Text{En: "it is empty", Zh: "文件为空"}}
	} else if err != nil {
		return nil, yamlError(err)
	}
	r := &yamlReader{builder: newBuilder(ctx, limits), made: map[*yaml.Node]*node{}}
	root, err := r.value(&doc)
	if err != nil {
		return nil, err
	}
	r.tree.root = root
	var more yaml.Node
	r.tree.more = !errors.Is(in.Decode(&more), io.EOF)
	return r.tree, nil
}

// yamlError takes the line out of "yaml: line 3: did not find expected key".
func yamlError(err error) *malformed {
	detail := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(detail, "line "); ok {
		if n, after, ok := strings.Cut(rest, ": "); ok {
			if at, err := strconv.Atoi(n); err == nil && at > 0 {
				line, detail = at, after
			}
		}
	}
	detail = clip(detail, 200)
	return &malformed{line, 1, report.Text{En: detail, Zh: "YAML 无法解析（" + detail + "）"}}
}

func (r *yamlReader) value(y *yaml.Node) (*node, error) {
	if y.Kind == yaml.DocumentNode && len(y.Content) == 1 {
		y = y.Content[0]
	}
	if y.Kind == yaml.AliasNode && y.Alias != nil {
		r.tree.shared = true
		if n := r.made[y.Alias]; n != nil {
			return n, nil
		}
		y = y.Alias // an anchor in what was left out
	}
	if r.depth++; r.depth > r.limits.Depth {
		return nil, overLimit("values are nested more than %d deep", "嵌套超过 %d 层", r.limits.Depth)
	}
	defer func() { r.depth-- }()
	n, err := r.node(null, int32(y.Line), int32(y.Column))
	if err != nil {
		return nil, err
	}
	if y.Anchor != "" {
		r.made[y] = n
	}
	switch y.Kind {
	case yaml.ScalarNode:
		n.text = y.Value
		switch y.ShortTag() {
		case "!!null":
		case "!!bool":
			n.kind, n.text = boolean, strings.ToLower(y.Value)
		case "!!int", "!!float":
			n.kind = number
		default:
			n.kind = text
		}
	case yaml.SequenceNode:
		n.kind = list
		n.members = make([]member, 0, len(y.Content))
		for _, item := range y.Content {
			v, err := r.value(item)
			if err != nil {
				return nil, err
			}
			n.members = append(n.members, member{"", int32(item.Line), int32(item.Column), v})
		}
	case yaml.MappingNode:
		n.kind = object
		n.members = make([]member, 0, len(y.Content)/2)
		var merges []*node
		for i := 0; i+1 < len(y.Content); i += 2 {
			key := y.Content[i]
			v, err := r.value(y.Content[i+1])
			if err != nil {
				return nil, err
			}
			if key.Tag == "!!merge" || key.Value == "<<" && key.Style == 0 {
				merges = append(merges, v)
				continue
			}
			m := member{key.Value, int32(key.Line), int32(key.Column), v}
			r.added(m)
			n.members = append(n.members, m)
		}
		for _, m := range merges {
			if err := r.merge(n, m); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

// merge brings the members of other, or of the objects in it, into n, where they are
// not yet.
func (r *yamlReader) merge(n, other *node) error {
	if other.kind == list {
		for _, m := range other.members {
			if m.value.kind == object {
				if err := r.merge(n, m.value); err != nil {
					return err
				}
			}
		}
		return nil
	}
	has := make(map[string]bool, len(n.members))
	for _, m := range n.members {
		has[m.name] = true
	}
	if r.merged += len(n.members) + len(other.members); r.merged > r.limits.Nodes {
		return overLimit("its merge keys (<<) bring in more than %d values", "合并键（<<）引入的值超过 %d 个", r.limits.Nodes)
	}
	r.tree.shared = true
	for _, m := range other.members {
		if !has[m.name] {
			n.members = append(n.members, m)
		}
	}
	return nil
}
