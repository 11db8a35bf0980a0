// Package dossier reads and writes the audit file (档案) of one task: everything
// that is needed to check its verdict without the server that gave it.
//
// A dossier is JSON lines:
//
//	{"kind":"header","format":"factgate-dossier","version":1,"task":…,"madeAt":…,"tool":…,"chain":…}
//	{"kind":"fact","id":…,"type":…,"revision":0,"position":"42","recordedAt":…,"data":{…},"metadata":{…},"chain":…}
//	… one line a fact, in revision order
//	{"kind":"ruleSet","name":…,"ruleSetVersion":1,"digest":…,"text":…,"chain":…}
//	{"kind":"closing","facts":9,"head":…,"verdict":{…},"chain":…}
//
// Data and metadata are what the log holds, byte by byte: what is not JSON in its
// shortest form travels as dataBase64 and metadataBase64.
//
// chain is the last field of each line, lower-case hex:
//
//	chain(n) = SHA-256( chain(n-1) as 32 bytes ‖ line n without its chain )
//
// where chain(0) is 32 zero bytes, and "without its chain" is the line's own bytes
// up to `,"chain":"` and a closing brace. The closing line's head is the chain of
// the line before. So there is one way to write a line, no byte of the file can
// change without a line that says so, and what is checked are the bytes
// themselves and not somebody's reading of them.
//
// A chain that is in order shows that nothing was altered since the file was
// written. It does not show who wrote it: whoever alters a fact may make a new
// chain. Against that stand the recomputed verdict, which has to be the recorded
// one, and a signature; see [Sign].
//
// Start at [NewWriter] and [Verify].
package dossier
