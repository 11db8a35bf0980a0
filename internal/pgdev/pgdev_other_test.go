//go:build !linux

package pgdev

import "testing"

// requireNoProcess needs to see other processes' descriptors.
func requireNoProcess(*testing.T, string) {}
