package rules

import (
	_ "embed"
	"sync"
)

//go:embed strict.yaml
var strictSource []byte

var strict = sync.OnceValue(func() *RuleSet { return compiledIn(strictSource) })

// BuiltIn returns a rule set that is compiled in, at its version 1.
func BuiltIn(name string) (*RuleSet, bool) {
	switch name {
	case "default":
		return Default(), true
	case "strict":
		return strict(), true
	}
	return nil, false
}

// BuiltIns are the names that BuiltIn knows.
func BuiltIns() []string { return []string{"default", "strict"} }
