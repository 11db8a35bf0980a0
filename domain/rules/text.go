package rules

import "slices"

// DefaultText returns the source of the built-in rule set.
func DefaultText() []byte { return slices.Clone(defaultSource) }
