// Package external makes a scanner of any command that prints what it finds: a
// file in YAML says which files it is for, how it is called and how its output is
// read. Adding such a type takes no code at all.
//
//	definition (YAML) ─▶ New: is the command there, and of which version?
//	package ─▶ Decide: does a file match its globs?
//	        ─▶ Scan: a private copy of just those files ─▶ the command, in bunches
//	           of files ─▶ exit code: clean, findings, or an error of the attempt
//	           ─▶ SARIF, JUnit or lines ─▶ findings, in the order of paths and places
//
// What it promises:
//
//   - The command sees a copy of the matched files and nothing else of the package,
//     an empty home, and only the variables that the definition names. The copy is
//     removed when the scan ends.
//   - Where the system allows, it runs in namespaces of its own: without a network,
//     unless the definition asks for one, and with a process tree that ends with it.
//     [Scanner.Confined] says whether it does.
//   - Its time, memory and output are bounded. Whoever goes over has not finished
//     its scan; that is an error of the attempt, never a clean result.
//   - An exit code that the definition does not call clean or findings is an error.
//     So is one that says findings when none can be read: silence is not success.
//
// It is not a jail for hostile programs: the command can read what the user of the
// process can read. It keeps a linter that somebody trusts from hurting by mistake,
// and what it scans from leaving the machine.
//
// Start at [Parse] and [New].
package external
