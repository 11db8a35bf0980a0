// Package scanner holds the facts of scanners themselves, in four streams:
//
//	scannerkeys-{type}  who may speak for the type over HTTP, see Keys
//	scanners-roster     which types are waited for; verdicts read it, by way of
//	                    known in MainTaskCreated
//	scanner-{type}      comings and goings of instances   ┐ for people: told as well
//	heartbeat-{type}    signs of life, the newest few     ┘ as may be, no verdict
//	                                                        reads them
//
// A type joins the roster when it first comes online and stays until an operator
// retires it, so one whose instances have all died is "known, but silent". Start
// at Decide.
package scanner

import (
	"encoding/json"
	"fmt"
	"time"
)

// Categories of the streams of presence: scanner-{type} and heartbeat-{type}.
const (
	Category          = "scanner"
	HeartbeatCategory = "heartbeat"
)

// Stored type names of presence.
const (
	OnlineType    = "ScannerOnline"
	OfflineType   = "ScannerOffline"
	HeartbeatType = "ScannerHeartbeat"
)

const (
	// Heartbeat is how often an instance gives a sign of life.
	Heartbeat = 30 * time.Second
	// Patience is how long an instance may be unheard and still count as alive.
	Patience = 3 * Heartbeat
	// Heartbeats is how many the stream of a type holds on to.
	Heartbeats = 100
)

// Presence is the data of ScannerOnline, ScannerOffline and ScannerHeartbeat: an
// instance of a scanner began, ended in good order, or is there. One that was
// killed says nothing.
type Presence struct {
	Type         string `json:"type"` // the sub-task type
	Instance     string `json:"instance"`
	Version      string `json:"version"`
	RulesDigest  string `json:"rulesDigest"`
	ConfigDigest string `json:"configDigest"`
}

// Decode reads any of the three.
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
