// Package wedata checks workflows of Tencent Cloud WeData as they are delivered: as a
// bundle of YAML files, as requests and answers of its API, as a canvas, or as the
// workflows of DolphinScheduler that are imported there. Its sub-task type is WEDATA.
//
// The way of a package through it:
//
//	file ─ decode ─▶ nodes ─ find ─▶ workflows, tasks ─ connect ─▶ delivery ─ rules ─▶ findings
//	       (JSON or         (four shapes,             (who waits for whom,
//	        YAML, with       by their keys)            who writes what)
//	        places)
//
// A file is recognised by its keys, never by its name; only a bundle's manifest has a
// name of its own. Keys are read without regard to case, values whatever their type,
// since exports, API and hand-written files differ in both.
//
// # What it promises
//
// Bounded memory and time: sizes, depth, the number of values and what aliases stand
// for are limited, and what goes over a limit is degraded coverage. It would rather
// miss something than accuse wrongly: a field that a shape does not promise is not
// missed, and of code that is not understood nothing is said. No message, pointer or
// anchor repeats a secret. It reads no clock: whether a schedule has expired is seen
// from the newest file of the package, or from the setting asOf.
//
// # What it refuses
//
// It asks no server, so it knows only what is delivered. It does not check the SQL of
// tasks, which is the business of the type SQL; it looks there for parameters, for
// secrets, and for the tables that are read and written.
//
// # Where to start
//
// The table of rules in rules.go: an entry with its reasons and examples, and one
// small function, for each. What a document becomes is in model.go.
package wedata
