package scanners

import (
	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/strictyaml"
)

// Settings are what a type's configuration says under settings:, still as it was
// written. The zero value says nothing.
type Settings struct{ node *yaml.Node }

// ParseSettings reads settings that stand by themselves, without the rest of a
// configuration.
func ParseSettings(text string) (Settings, error) {
	var node yaml.Node
	root, err := strictyaml.Parse([]byte(text), &node)
	return Settings{root}, err
}

// Decode fills into, a pointer to a struct with yaml tags; what the settings do not
// say keeps its value. A key that the struct does not have, or a value of another
// kind, is an error that names line and column. So is what a type of into says with
// UnmarshalText.
func (s Settings) Decode(into any) error {
	if s.node == nil {
		return nil
	}
	return strictyaml.Fill(s.node, into)
}

// Refuse is an error about the value that lies below these keys, with its line and
// column: for what only the scanner can know.
func (s Settings) Refuse(text report.Text, keys ...string) error {
	at := s.node
	for _, key := range keys {
		if at = below(at, key); at == nil {
			return strictyaml.Refuse(s.node, text)
		}
	}
	return strictyaml.Refuse(at, text)
}

func below(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
