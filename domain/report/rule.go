package report

// Rule is an entry of a scanner's catalogue: what a check finds, why that matters,
// and what breaks it and what does not.
type Rule struct {
	ID string // stable, such as SQL002
	// Severity of its findings, unless a check says otherwise or somebody has
	// configured another.
	Severity Severity
	// Message says what is wrong and what to do; a finding may say it more exactly.
	Message Text
	// Rationale says why it matters.
	Rationale Text
	// Bad breaks the rule and Good does not, in the language Syntax names (sql, yaml,
	// json, xml, csv, text). They are for the documentation, and tests hold the rule
	// to them.
	Bad, Good string
	Syntax    string
	// Configure says which settings of the type change the rule, and how; empty when
	// only its severity can be changed.
	Configure Text
	// Security rules cannot be suppressed in source.
	Security bool
}
