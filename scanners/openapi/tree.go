package openapi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/factgate/factgate/domain/report"
)

// kind of a node.
type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	list
	object
)

// node is a value of a document.
type node struct {
	kind         kind
	line, column int32
	text         string   // of a scalar: a string as it is meant, others as they are written
	members      []member // of a list or an object, in their order

	index map[string]*node // of a large object, once somebody has asked
}

// member of an object, or of a list and then without a name.
type member struct {
	name         string
	line, column int32 // of the name
	value        *node
}

// get returns a member's value, or nil. Of two of one name the last counts.
func (n *node) get(name string) *node {
	const large = 16
	switch {
	case n == nil || n.kind != object:
		return nil
	case len(n.members) > large:
		if n.index == nil {
			n.index = make(map[string]*node, len(n.members))
			for _, m := range n.members {
				n.index[m.name] = m.value
			}
		}
		return n.index[name]
	}
	for i := len(n.members) - 1; i >= 0; i-- {
		if n.members[i].name == name {
			return n.members[i].value
		}
	}
	return nil
}

// string returns a text; scalars of other kinds, and nothing at all, are "".
func (n *node) string() string {
	if n == nil || n.kind != text {
		return ""
	}
	return n.text
}

// scalar reports whether the node is a text, a number or a boolean.
func (n *node) scalar() bool { return n != nil && n.kind >= boolean && n.kind <= text }

// isTrue reports whether a node says true.
func (n *node) isTrue() bool { return n != nil && n.kind == boolean && n.text == "true" }

// tree is a whole document.
type tree struct {
	root *node
	refs []string // the texts of all members that are called $ref, wherever they stand
	// shared: a node may stand in several places, or inside itself.
	shared bool
	more   bool // other documents follow in the file
}

// malformed is a file that is no JSON or YAML.
type malformed struct {
	line, column int
	detail       report.Text
}

func (e *malformed) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.detail.En) }

// overLimitError is a file that was not read to its end.
type overLimitError struct{ detail report.Text }

func (e *overLimitError) Error() string { return e.detail.En }

func overLimit(en, zh string, most int) *overLimitError {
	return &overLimitError{report.Text{En: fmt.Sprintf(en, most), Zh: fmt.Sprintf(zh, most)}}
}

// builder makes nodes, in slabs, up to a limit.
type builder struct {
	ctx    context.Context
	limits Limits
	tree   *tree
	slab   []node
	count  int
}

func newBuilder(ctx context.Context, limits Limits) *builder {
	return &builder{ctx: ctx, limits: limits, tree: &tree{}}
}

func (b *builder) node(k kind, line, column int32) (*node, error) {
	if len(b.slab) == 0 {
		if err := b.ctx.Err(); err != nil {
			return nil, err
		}
		b.slab = make([]node, min(max(b.count, 64), 4096))
	}
	if b.count++; b.count > b.limits.Nodes {
		return nil, overLimit("it has more than %d values", "文件中的值超过 %d 个", b.limits.Nodes)
	}
	n := &b.slab[0]
	b.slab = b.slab[1:]
	n.kind, n.line, n.column = k, line, column
	return n, nil
}

// added takes note of a member that has its value.
func (b *builder) added(m member) {
	if m.name == "$ref" && m.value.kind == text {
		b.tree.refs = append(b.tree.refs, m.value.text)
	}
}

// parse reads a document. What begins like JSON is JSON, unless it is called YAML and
// is only that. It returns *malformed, *overLimitError, or the context's error.
func parse(ctx context.Context, content string, yamlToo bool, limits Limits) (*tree, error) {
	if begin := strings.TrimLeft(content, " \t\r\n"); begin == "" || begin[0] == '{' || begin[0] == '[' || !yamlToo {
		t, err := parseJSON(ctx, content, limits)
		if bad := (*malformed)(nil); !errors.As(err, &bad) || !yamlToo {
			return t, err
		}
	}
	return parseYAML(ctx, content, limits)
}

// clip makes a document's words fit for a message: one line, at most so many runes.
func clip(s string, most int) string {
	if len(s) > 8*most {
		s = s[:8*most]
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	n := 0
	for i := range s {
		if n == most {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
