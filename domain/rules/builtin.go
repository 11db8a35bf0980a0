package rules

import "bytes"

// Builtin returns the source text of a rule set that is compiled in; each is
// version 1 of its name. ok is false for a name that is not built in.
func Builtin(name string) (text []byte, ok bool) {
	if name == Default().Ref().Name {
		return bytes.Clone(defaultSource), true
	}
	return nil, false
}

// Builtins returns the names of the rule sets that are compiled in, sorted.
func Builtins() []string { return []string{"default"} }
