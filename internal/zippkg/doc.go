// Package zippkg is the one reader through which Factgate looks into an
// uploaded zip. Nothing is ever extracted: scanners read files in place.
//
// What it promises, for a package that [Open] accepted:
//
//   - Every path is relative, slash-separated, valid UTF-8 in NFC, free of
//     "..", drive letters and control characters, and names one file only.
//   - Reading all of it stays within the [Limits]: sizes that the directory
//     admits are refused by Open, sizes that it lies about are caught while
//     reading.
//   - No two entries share bytes of the zip, so a small upload cannot be made
//     to unpack to a large one by quoting itself.
//   - The zip has one reading. Archives that two unpackers would understand
//     differently (bytes around the archive or between its entries, local headers
//     that contradict the directory, a file that is also a folder) are refused: what
//     was checked must be what is later deployed.
//   - The files of a zip in the package are files of the package, one level deep,
//     as "tools.zip!/etl/a.sql"; readers need not know. All of the above holds for
//     them too, and the limits count both levels. Where a zip in the package could
//     not be opened, or lies deeper, a [Warning] says that nobody looked into it.
//
// What it refuses, it refuses with an [*Error]: a stable [Code] for programs
// and a sentence in English and Chinese for people. Any other error means that
// the bytes could not be fetched, says nothing about the package, and is worth
// a retry:
//
//	var refused *zippkg.Error
//	switch {
//	case errors.As(err, &refused): // the package is at fault; retrying is useless
//	case err != nil:               // the store is at fault; retry
//	}
//
// What it leaves to others: whether a file's text is good is a scanner's business;
// [File.Text] only tells how it was encoded. A workbook or a jar is one file, though
// it is a zip inside.
//
// Start with [Open], then [Package.Files] and [File.Text]. The package hostile holds
// what all this is tested with.
package zippkg
