// Package ruleset is the life of a rule set of one name: its versions are
// published as facts and put in service as facts, in stream ruleset-{name}. What
// a rule set says is package rules' business; which name a project is judged by
// is package project's.
//
//	publish ──▶ version 1 ──▶ version 2 ──▶ …       a version never changes
//	               ▲             ▲
//	activate ──────┴─────────────┘                  for all, or for one project
//
// A text that rules.Parse refuses is never published and never activated.
// Publishing a text that a version has already, and activating what is active,
// is answered with silence.
//
// The built-in sets (rules.BuiltIns) are version 1 of their names and active
// without any fact; a text published under such a name becomes version 2. A
// version in service for a project stays so when another is put in service for
// all: it was wanted for that project.
//
// Stream ruleset-* is the directory: it holds RuleSetNamed for every name that
// was ever published.
package ruleset
