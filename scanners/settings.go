package scanners

import "go.yaml.in/yaml/v3"

// Settings are what a type's configuration says under settings:, still as it was
// written. The zero value says nothing.
type Settings struct{ node *yaml.Node }

// Decode fills into, a pointer to a struct with yaml tags; what the settings do not
// say keeps its value. Errors name line and column.
func (s Settings) Decode(into any) error {
	if s.node == nil {
		return nil
	}
	return s.node.Decode(into)
}
