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
//     removed when the scan ends, or by the next process if this one is killed.
//   - Where the system allows, it runs in namespaces of its own: without a network,
//     unless the definition asks for one, with a process tree that ends with it, and
//     with a file system that shows the system's folders, the tool's and those of
//     readable, and nothing else of the machine. [Scanner.Exposed] says what of this
//     the system does not give.
//   - Its time, memory, output and what it writes are bounded. Whoever goes over has
//     not finished its scan; that is an error of the attempt, never a clean result.
//   - An exit code that the definition does not call clean or findings is an error.
//     So is one that says findings when none can be read: silence is not success.
//
// It is no virtual machine: a command that breaks the kernel is out. It keeps a linter
// that somebody trusts from being turned against the machine by what it scans, and what
// it scans from leaving the machine.
//
// How a command is shut in, on Linux:
//
//	start ─▶ this program again, in new namespaces: Enter
//	      ─▶ a tmpfs as root: what is shown is bound into it, read-only; a tmpfs in
//	         it takes a copy of the files, and all that the command writes
//	      ─▶ pivot_root, the old root is let go, all capabilities are given up
//	      ─▶ the folder that the command writes in is sent back; then exec
//
// Start at [Parse] and [New]. A program that uses the package begins with [Enter].
package external
