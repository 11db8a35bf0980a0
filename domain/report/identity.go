package report

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strconv"
	"strings"
)

// Identity says that findings of two packages are the same finding: 32 hex digits.
type Identity string

// Identities gives the findings of one report their identities, in the order of the
// report. The zero value is ready.
//
// Two findings are the same when they have the same rule, the same path and the same
// anchor, and are the nth of that kind in their reports. A scanner that sets no
// Anchor is taken at its English message. Neither line nor column nor cell counts,
// so what is written above a finding does not make it a new one; a file that is
// renamed, or a message that quotes a line number, does.
type Identities struct{ seen map[string]int }

// Of is to be called once for each finding.
func (i *Identities) Of(f Finding) Identity {
	what := f.Anchor
	if what == "" {
		what = "\x00" + f.Message.En // no anchor is a message by accident
	}
	key := strings.Join([]string{f.Rule, normal(f.Path), what}, "\x1f")
	if i.seen == nil {
		i.seen = map[string]int{}
	}
	n := i.seen[key]
	i.seen[key]++
	sum := sha256.Sum256([]byte(strconv.Itoa(n) + "\x1f" + key))
	return Identity(hex.EncodeToString(sum[:16]))
}

// normal is one spelling of a path within a package.
func normal(p string) string {
	if p == "" {
		return ""
	}
	return strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(p, `\`, "/")), "/")
}
