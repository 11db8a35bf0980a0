package wedata

import "strings"

// kind is what a node of a document is.
type kind uint8

const (
	null kind = iota
	text
	number
	boolean
	object
	array
)

// node is a value in a JSON or YAML document, with the place where it stands: lines
// and columns count from 1, columns in runes.
type node struct {
	kind      kind
	embedded  bool // the root of a document that stands in a text of another one
	line, col int32
	index     int32  // among the elements of an array
	key       string // in an object, as it is written
	folded    string // the key without case, _ and -
	value     string // of a scalar
	parent    *node
	children  []*node
}

// foldKey is the spelling of a key by which it is looked up: the console, the API
// and hand-written files differ in case and separators only.
func foldKey(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case r == '_' || r == '-':
			return -1
		}
		return r
	}, key)
}

// get returns the value of the first of these folded keys that the object has; of a
// key given twice the last, as most decoders do. A null is a value. n may be nil.
func (n *node) get(keys ...string) *node {
	if n == nil || n.kind != object {
		return nil
	}
	for _, key := range keys {
		for i := len(n.children) - 1; i >= 0; i-- {
			if n.children[i].folded == key {
				return n.children[i]
			}
		}
	}
	return nil
}

// text returns a scalar as text, whatever its type; "" for null, for what is no
// scalar, and for nil.
func (n *node) text() string {
	if n == nil || n.kind == object || n.kind == array || n.kind == null {
		return ""
	}
	return strings.TrimSpace(n.value)
}

// whole returns a scalar that stands for a whole number: 3, "3", 3.0.
func (n *node) whole() (int, bool) {
	s := n.text()
	if whole, fraction, ok := strings.Cut(s, "."); ok && strings.Trim(fraction, "0") == "" {
		s = whole
	}
	negative := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	if s == "" || len(s) > 9 {
		return 0, false
	}
	v := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	if negative {
		v = -v
	}
	return v, true
}

// list returns the elements of an array, or nothing. A single object stands for an
// array of one, as tools write it that came from XML.
func (n *node) list() []*node {
	switch {
	case n == nil:
		return nil
	case n.kind == array:
		return n.children
	case n.kind == object:
		return []*node{n}
	}
	return nil
}

// pointer is the JSON pointer of a node. What stands within a text has the pointer
// of that text.
func (n *node) pointer() string { return n.way(nil, decimal) }

// anchorWithin is the way from an ancestor on, in which elements of an array are not
// counted, so that it stays when others are added.
func (n *node) anchorWithin(top *node) string {
	return n.way(top, func(int32) string { return "*" })
}

func (n *node) way(top *node, element func(int32) string) string {
	var steps []string
	for at := n; at != nil && at != top; at = at.parent {
		if at.embedded {
			steps = steps[:0]
		}
		switch {
		case at.parent == nil:
		case at.parent.kind == array:
			steps = append(steps, element(at.index))
		default:
			steps = append(steps, escapeStep(at.key))
		}
	}
	var b strings.Builder
	for i := len(steps) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(steps[i])
	}
	return b.String()
}

// escapeStep writes a key as a step of a JSON pointer.
func escapeStep(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key
	}
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

func decimal(n int32) string {
	if n < 10 {
		return string('0' + n)
	}
	return decimal(n/10) + string('0'+n%10)
}

// place turns offsets into lines and columns. Offsets must not go back.
type place struct {
	text      string
	at        int
	line, col int32
}

func newPlace(text string) *place { return &place{text: text, line: 1, col: 1} }

func (p *place) of(offset int) (line, col int32) {
	for ; p.at < offset && p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '\n', c == '\r' && (p.at+1 == len(p.text) || p.text[p.at+1] != '\n'):
			p.line++
			p.col = 1
		case c&0xc0 != 0x80: // the first byte of a rune
			p.col++
		}
	}
	return p.line, p.col
}

// budget is how many more nodes may be made, of one document and of all.
type budget struct{ document, all int }

func (b *budget) take() bool {
	b.document--
	b.all--
	return b.document >= 0 && b.all >= 0
}

// maxDepth of nested values in a document: far over what workflows need.
const maxDepth = 100
