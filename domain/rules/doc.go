// Package rules turns facts into verdicts.
//
// A rule set is data: YAML text, named, versioned and known by the digest of its
// text. Parse refuses one that does not compile or does not cover every case, so
// a rule set that exists always gives an answer. Start at default.yaml.
//
// Evaluate is the one function that decides, everywhere: the coordinator calls
// it with the clock, an audit with recorded times only. It is pure: the same
// rule set, facts and now give the same answer, down to the last byte.
//
// Time here is always the time at which the store recorded a fact, so no
// producer's clock can move a verdict; should the store's own clock step back,
// it counts as standing still.
package rules
