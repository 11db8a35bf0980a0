// Package readmodel holds what operators say about read models that outlives
// them: which facts they are to be folded without. It is kept as facts in stream
// readmodel-skips, because a read model is thrown away and made again, and must
// come out the same.
//
// Start at [FactSkipped].
package readmodel

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Category and SkipsKey name the stream: readmodel-skips.
const (
	Category = "readmodel"
	SkipsKey = "skips"
)

// SkippedType is the stored type name of FactSkipped.
const SkippedType = "FactSkipped"

// FactSkipped: a fact that no read model could apply is to be passed by, so that
// those behind it can be read again. It keeps its place in its stream as one that
// cannot be read. A version that can apply it does so when it folds it anew.
type FactSkipped struct {
	Position uint64 `json:"position"` // of the fact that is passed by
	ID       string `json:"id"`       // its event id
	Stream   string `json:"stream"`
	Revision uint64 `json:"revision"`
	Type     string `json:"type"`
	Reason   string `json:"reason"`
	By       string `json:"by,omitempty"`
}

// Key tells the fact apart from others of its stream: a fact is skipped once.
func (f FactSkipped) Key() string { return SkippedType + "/" + strconv.FormatUint(f.Position, 10) }

// Decode reads a stored fact of the stream; ok is false for one of a type that
// this version does not know.
func Decode(typeName string, data []byte) (f FactSkipped, ok bool, err error) {
	if typeName != SkippedType {
		return f, false, nil
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, false, fmt.Errorf("decode %s: %w", typeName, err)
	}
	if f.Position == 0 {
		return f, false, fmt.Errorf("decode %s: position is missing", typeName)
	}
	return f, true, nil
}
