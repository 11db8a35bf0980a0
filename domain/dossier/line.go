package dossier

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/factgate/factgate/domain/task"
)

// Format and Version stand in the header.
const (
	Format  = "factgate-dossier"
	Version = 1
)

// Limits of what Verify reads, and Writer writes.
const (
	// maxLine holds the largest event that an event store takes (16 MiB), in Base64.
	maxLine  = 24 << 20
	maxFacts = 50_000
	maxBytes = 512 << 20 // of a whole dossier
	maxDepth = 100       // of nested JSON
)

// The kinds of lines, in the order in which they come.
const (
	kindHeader  = "header"
	kindFact    = "fact"
	kindRuleSet = "ruleSet"
	kindClosing = "closing"
)

type header struct {
	Kind    string    `json:"kind"`
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Task    string    `json:"task"`
	MadeAt  time.Time `json:"madeAt"`
	Tool    string    `json:"tool"`
}

type fact struct {
	Kind           string          `json:"kind"`
	ID             string          `json:"id"`
	Type           string          `json:"type"`
	Revision       uint64          `json:"revision"`
	Position       uint64          `json:"position,string"`
	RecordedAt     time.Time       `json:"recordedAt"`
	Data           json.RawMessage `json:"data,omitempty"`
	DataBase64     []byte          `json:"dataBase64,omitempty"`
	Metadata       json.RawMessage `json:"metadata,omitempty"`
	MetadataBase64 []byte          `json:"metadataBase64,omitempty"`
}

type ruleSet struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Version int    `json:"ruleSetVersion"`
	Digest  string `json:"digest"`
	// Text is the source; null when whoever wrote the dossier did not have it.
	Text *string `json:"text"`
}

func (r ruleSet) ref() task.RuleSetRef {
	return task.RuleSetRef{Name: r.Name, Version: r.Version, Digest: r.Digest}
}

type closing struct {
	Kind    string   `json:"kind"`
	Facts   uint64   `json:"facts"`
	Head    string   `json:"head"`
	Verdict *verdict `json:"verdict"`
}

// verdict is the newest one, for whoever looks at the end of the file only.
type verdict struct {
	Fact     string      `json:"fact"` // its id
	Revision int         `json:"revision"`
	Status   task.Status `json:"status"`
	Rule     string      `json:"rule"`
}

// link is a chain's state: the digest of the last line.
type link [sha256.Size]byte

func (l link) String() string { return hex.EncodeToString(l[:]) }

// next is the digest of a line, given without its chain.
func (l link) next(body []byte) link {
	h := sha256.New()
	h.Write(l[:])
	h.Write(body)
	return link(h.Sum(nil))
}

const (
	chainField  = `,"chain":"`
	chainLength = len(chainField) + 2*sha256.Size + len(`"}`)
)

// seal adds the chain to a line.
func seal(body []byte, l link) []byte {
	out := make([]byte, 0, len(body)+chainLength)
	out = append(out, body[:len(body)-1]...)
	return fmt.Appendf(out, "%s%s\"}\n", chainField, l)
}

var errForm = errors.New("it does not end with a chain, as every line does")

// unseal cuts a line, given without its newline, into what seal was given.
func unseal(line []byte) (body []byte, chain string, err error) {
	cut := len(line) - chainLength
	if cut < 1 || string(line[cut:cut+len(chainField)]) != chainField || !bytes.HasSuffix(line, []byte(`"}`)) {
		return nil, "", errForm
	}
	return append(bytes.Clone(line[:cut]), '}'), string(line[cut+len(chainField) : len(line)-2]), nil
}

// encode writes a line's fields as they are: no field of a fact is changed by it.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// portable returns JSON that encode leaves as it is, or else the bytes.
func portable(b []byte) (json.RawMessage, []byte) {
	var compact bytes.Buffer
	if len(b) > 0 && json.Compact(&compact, b) == nil && bytes.Equal(compact.Bytes(), b) &&
		!bytes.Equal(b, []byte("null")) && depth(b) < maxDepth-1 {
		return b, nil
	}
	return nil, b
}

// depth is how deep JSON is nested, or would be.
func depth(b []byte) (deepest int) {
	now, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}
