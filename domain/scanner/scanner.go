// Package scanner holds the facts of scanners themselves: their comings and
// goings, one stream per sub-task type. They make "known, but silent" visible;
// no verdict reads them.
package scanner

import (
	"encoding/json"
	"fmt"
)

// Category of these streams: scanner-{type}.
const Category = "scanner"

// Stored type names.
const (
	OnlineType  = "ScannerOnline"
	OfflineType = "ScannerOffline"
)

// Presence is the data of both facts, ScannerOnline and ScannerOffline: an
// instance of a scanner began, or ended in good order. One that was killed says
// nothing.
type Presence struct {
	Type         string `json:"type"` // the sub-task type
	Instance     string `json:"instance"`
	Version      string `json:"version"`
	RulesDigest  string `json:"rulesDigest"`
	ConfigDigest string `json:"configDigest"`
}

// Decode reads either fact.
func Decode(data []byte) (Presence, error) {
	var p Presence
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("decode scanner presence: %w", err)
	}
	if p.Type == "" {
		return p, fmt.Errorf("decode scanner presence: type is missing")
	}
	return p, nil
}
