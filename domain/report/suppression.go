package report

// Suppression says why a finding left the gate, and on whose word.
type Suppression struct {
	Kind SuppressionKind `json:"kind"`
	// By is whose word it is: a person, or the place where it is written, such as
	// .factgate.yml:12.
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Expires is the last day on which it holds, in UTC, as 2026-12-31; empty for none.
	Expires string `json:"expires,omitempty"`
	// Waiver is the id of the waiver that was applied, if it was one.
	Waiver string `json:"waiver,omitempty"`
}

// SuppressionKind says where a suppression is written, in SARIF's words.
type SuppressionKind string

const (
	// InSource is written beside what it suppresses.
	InSource SuppressionKind = "inSource"
	// External is written elsewhere: in the package's .factgate.yml, or as a waiver.
	External SuppressionKind = "external"
)
