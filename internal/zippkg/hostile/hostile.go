// Package hostile builds zips that nobody should have to unpack, each from a few lines
// of Go that say what is wrong with it, and what Factgate answers. Whoever reads
// packages tests itself with [Packages]: an upload, a scanner, a scanner in another
// language.
//
// Codes are strings here, so that zippkg's own tests may use it.
package hostile

import (
	"strconv"
	"strings"
)

// Package is a zip that means harm, or is broken.
type Package struct {
	Name  string
	Bytes func() []byte // costs some time and memory to build

	// One of these is set. Refused is the code with which the upload is refused; Read
	// the one that reading a file of it gives, where only the file's own bytes show
	// what is wrong; Warned the one of a warning about a package that is taken.
	Refused, Read, Warned string
}

const (
	badName    = "zip.bad_name"
	bomb       = "zip.bomb"
	damaged    = "zip.damaged"
	duplicate  = "zip.duplicate_name"
	encrypted  = "zip.encrypted"
	overlap    = "zip.overlap"
	special    = "zip.special_file"
	symlink    = "zip.symlink"
	tooLarge   = "zip.too_large"
	tooMany    = "zip.too_many_entries"
	tooDeep    = "zip.nested_too_deep"
	unread     = "zip.nested_unread"
	notAZip    = "zip.not_a_zip"
	unsuitable = "zip.unsupported"

	unix        = 3 << 8 // the system that an entry was packed on
	maxEntries  = 20_000
	maxPath     = 512
	maxFolders  = 32
	longComment = 0xffff
)

// Packages lists them, by what they do.
func Packages() []Package {
	var all []Package
	add := func(list ...Package) { all = append(all, list...) }

	// Names that write where they should not.
	for _, c := range []struct{ name, path string }{
		{"slip", "../../etc/cron.d/job"},
		{"slip with backslashes", `jobs\..\..\..\windows\win.ini`},
		{"slip in the middle", "jobs/../../etc/passwd"},
		{"absolute", "/etc/passwd"},
		{"absolute with a backslash", `\windows\win.ini`},
		{"a share", `\\server\share\x.sql`},
		{"drive letter", `C:\windows\win.ini`},
		{"NUL in a name", "job.sql\x00.txt"},
		{"terminal escape in a name", "job\x1b[2J.sql"},
		{"513 bytes of path", strings.Repeat("p", maxPath+1)},
		{"33 components", strings.Repeat("d/", maxFolders) + "f"},
		{"60,000 bytes of path", strings.Repeat("p", 60_000)},
		{"no name", ""},
	} {
		add(Package{Name: c.name, Refused: badName, Bytes: func() []byte { return Of(Entry{Name: c.path, Content: "x"}) }})
	}
	add(
		Package{Name: "symlink", Refused: symlink, Bytes: func() []byte {
			return Of(Entry{Name: "etc", Content: "/etc", Creator: unix, Attrs: 0o120777 << 16})
		}},
		Package{Name: "reparse point", Refused: symlink, Bytes: func() []byte { return Of(Entry{Name: "link", Attrs: 0x420}) }},
		Package{Name: "device", Refused: special, Bytes: func() []byte {
			return Of(Entry{Name: "sda", Creator: unix, Attrs: 0o060660 << 16})
		}},
		Package{Name: "pipe", Refused: special, Bytes: func() []byte {
			return Of(Entry{Name: "pipe", Creator: unix, Attrs: 0o010666 << 16})
		}},
		Package{Name: "duplicate names", Refused: duplicate, Bytes: func() []byte {
			return Of(Entry{Name: "job.sql", Content: "select 1"}, Entry{Name: "job.sql", Content: "drop table t"})
		}},
		Package{Name: "duplicate names by backslash", Refused: duplicate, Bytes: func() []byte {
			return Of(Entry{Name: "a/job.sql", Content: "select 1"}, Entry{Name: `a\job.sql`, Content: "drop table t"})
		}},
		Package{Name: "a file that is a folder", Refused: duplicate, Bytes: func() []byte {
			return Of(Entry{Name: "job"}, Entry{Name: "job/a.sql"})
		}},
	)

	// More than one asked for.
	add(
		Package{Name: "flat bomb", Refused: bomb, Bytes: func() []byte {
			return Of(Entry{Name: "zeros.sql", Content: zeros(8 << 20)})
		}},
		Package{Name: "bomb of many files", Refused: bomb, Bytes: func() []byte {
			entries := make([]Entry, 16)
			for i := range entries {
				entries[i] = Entry{Name: strconv.Itoa(i) + ".sql", Content: zeros(1 << 20)}
			}
			return Of(entries...)
		}},
		Package{Name: "bomb in a zip", Refused: bomb, Bytes: func() []byte {
			return Of(Entry{Name: "inner.zip", Stored: true, Content: string(Of(Entry{Name: "zeros.sql", Content: zeros(8 << 20)}))})
		}},
		Package{Name: "bomb in two halves", Refused: bomb, Bytes: func() []byte {
			// Each level stays below the ratio; what comes out of both does not.
			inner := Of(
				Entry{Name: "1.sql", Content: zeros(1 << 20)}, Entry{Name: "2.sql", Content: zeros(1 << 20)},
				Entry{Name: "3.sql", Content: zeros(1 << 20)}, Entry{Name: "4.sql", Content: zeros(1 << 20)})
			return Of(Entry{Name: "inner.zip", Content: string(inner)})
		}},
		Package{Name: "zips in zips without end", Warned: tooDeep, Bytes: func() []byte {
			data := Of(Entry{Name: "job.sql", Content: "select 1"})
			for range 40 {
				data = Of(Entry{Name: "r.zip", Stored: true, Content: string(data)}, Entry{Name: "s.zip", Content: string(data[:0])})
			}
			return data
		}},
		Package{Name: "a bomb of bombs, like 42.zip", Warned: tooDeep, Bytes: func() []byte {
			leaf := string(Of(Entry{Name: "zeros", Content: zeros(2 << 20)}))
			sixteen := func(content string) string {
				var entries []Entry
				for i := range 16 {
					entries = append(entries, Entry{Name: strconv.Itoa(i) + ".zip", Content: content})
				}
				return string(Of(entries...))
			}
			return []byte(sixteen(sixteen(leaf)))
		}},
		Package{Name: "overlap: one file under many names", Refused: overlap, Bytes: func() []byte {
			entries := []Entry{{Name: "0", Content: noise(4 << 10)}}
			for i := 1; i < 100; i++ {
				same := entries[0]
				same.Name, same.Offset = strconv.Itoa(i), At(uint32(0))
				entries = append(entries, same)
			}
			return Of(entries...)
		}},
		Package{Name: "overlap: files that quote each other", Refused: overlap, Bytes: func() []byte { return Quoting(26, noise(64<<10)) }},
		Package{Name: "overlap in a zip", Refused: overlap, Bytes: func() []byte {
			return Of(Entry{Name: "inner.zip", Content: string(Quoting(26, noise(4<<10)))})
		}},
		Package{Name: "20,001 entries", Refused: tooMany, Bytes: func() []byte { return Of(many(maxEntries + 1)...) }},
		Package{Name: "20,001 entries in two levels", Warned: unread, Bytes: func() []byte {
			return Of(Entry{Name: "inner.zip", Content: string(Of(many(maxEntries)...))})
		}},
		Package{Name: "a directory of comments", Refused: tooLarge, Bytes: func() []byte {
			entries := many(520)
			for i := range entries {
				entries[i].Comment = strings.Repeat("c", longComment)
			}
			return Of(entries...)
		}},
	)

	// Lies.
	long := strings.Repeat("insert into t values (1);\n", 200)
	add(
		Package{Name: "says less than it holds", Read: damaged, Bytes: func() []byte {
			return Of(Entry{Name: "job.sql", Content: long, Unpacked: At(uint32(10))})
		}},
		Package{Name: "a bomb that says it is small", Read: damaged, Bytes: func() []byte {
			return Of(Entry{Name: "job.sql", Content: zeros(8 << 20), Unpacked: At(uint32(10))})
		}},
		Package{Name: "says more than it holds", Read: damaged, Bytes: func() []byte {
			return Of(Entry{Name: "job.sql", Content: long, Unpacked: At(uint32(9000))})
		}},
		Package{Name: "a wrong checksum", Read: damaged, Bytes: func() []byte {
			return Of(Entry{Name: "job.sql", Content: long, CRC: At(uint32(42))})
		}},
		Package{Name: "another name in its own header", Read: damaged, Bytes: func() []byte {
			return Of(Entry{Name: "job.sql", LocalName: At("job.exe"), Content: long})
		}},
		Package{Name: "data that is not deflate", Read: damaged, Bytes: func() []byte {
			return Of(Entry{Name: "job.sql", Content: "\xff\xff\xff\xff", Stored: true, Method: At(uint16(8))})
		}},
		Package{Name: "zip64: a size of 2^63", Refused: damaged, Bytes: func() []byte {
			return Of(Entry{Name: "job.sql", Content: long, Zip64: true, Unpacked64: At(uint64(1) << 63)})
		}},
		Package{Name: "zip64: a size of 2^62", Refused: bomb, Bytes: func() []byte {
			return Of(Entry{Name: "job.sql", Content: long, Zip64: true, Unpacked64: At(uint64(1) << 62)})
		}},
		Package{Name: "zip64: 2^63 entries", Refused: tooMany, Bytes: func() []byte { return spoil64(32, 1<<63) }},
		Package{Name: "zip64: a directory of 2^63 bytes", Refused: damaged, Bytes: func() []byte { return spoil64(40, 1<<63) }},
		Package{Name: "zip64: a directory at 2^63", Refused: damaged, Bytes: func() []byte { return spoil64(48, 1<<63) }},
		Package{Name: "bytes before the entries", Refused: damaged, Bytes: func() []byte {
			return Zip{Before: []byte("#!/bin/sh\nexit\n"), Entries: []Entry{{Name: "job.sql", Content: long}}}.Bytes()
		}},
		Package{Name: "a program before the entries", Refused: damaged, Bytes: func() []byte {
			return Zip{Stub: []byte("#!/bin/sh\nexit\n"), Entries: []Entry{{Name: "job.sql", Content: long}}}.Bytes()
		}},
		Package{Name: "garbage between entries", Refused: damaged, Bytes: func() []byte {
			return Of(Entry{Name: "a.sql", Content: long, After: []byte(noise(500))}, Entry{Name: "b.sql", Content: long})
		}},
		Package{Name: "a hidden entry that no directory lists", Refused: damaged, Bytes: func() []byte {
			hidden := Of(Entry{Name: "hidden.sql", Content: "drop table t; -- seen only by who reads from the front"})
			return Of(Entry{Name: "a.sql", Content: long, After: hidden[:len(hidden)-22-46-len("hidden.sql")]}, Entry{Name: "b.sql", Content: long})
		}},
		Package{Name: "bytes behind the directory", Refused: damaged, Bytes: func() []byte {
			return Zip{Between: []byte("???"), Entries: []Entry{{Name: "job.sql", Content: long}}}.Bytes()
		}},
		Package{Name: "bytes behind the end", Refused: damaged, Bytes: func() []byte {
			return Zip{After: []byte("???"), Entries: []Entry{{Name: "job.sql", Content: long}}}.Bytes()
		}},
		Package{Name: "a huge comment that is a zip", Refused: damaged, Bytes: func() []byte {
			other := string(Of(Entry{Name: "other.sql", Content: "drop table t"}))
			return Zip{Comment: strings.Repeat("c", longComment-len(other)-1) + other + "c", Entries: []Entry{{Name: "job.sql"}}}.Bytes()
		}},
	)

	// Locked, cut off, or something else.
	add(
		Package{Name: "encrypted", Refused: encrypted, Bytes: func() []byte { return Of(Entry{Name: "job.sql", Content: long, Flags: 1}) }},
		Package{Name: "encrypted with AES", Refused: encrypted, Bytes: func() []byte {
			return Of(Entry{Name: "job.sql", Content: long, Flags: 1, Method: At(uint16(99))})
		}},
		Package{Name: "encrypted in a zip", Warned: unread, Bytes: func() []byte {
			return Of(Entry{Name: "inner.zip", Content: string(Of(Entry{Name: "job.sql", Content: long, Flags: 1}))})
		}},
		Package{Name: "LZMA", Refused: unsuitable, Bytes: func() []byte {
			return Of(Entry{Name: "job.sql", Content: long, Method: At(uint16(14))})
		}},
		Package{Name: "one of several volumes", Refused: unsuitable, Bytes: func() []byte {
			return Zip{Disk: 2, Entries: []Entry{{Name: "job.sql"}}}.Bytes()
		}},
		Package{Name: "nothing", Refused: notAZip, Bytes: func() []byte { return nil }},
		Package{Name: "a text that is called a zip, in a zip", Warned: unread, Bytes: func() []byte {
			return Of(Entry{Name: "inner.zip", Content: long})
		}},
		Package{Name: "slip in a zip", Refused: badName, Bytes: func() []byte {
			return Of(Entry{Name: "inner.zip", Content: string(Of(Entry{Name: "../../etc/passwd"}))})
		}},
		Package{Name: "symlink in a zip", Refused: symlink, Bytes: func() []byte {
			return Of(Entry{Name: "inner.zip", Stored: true, Content: string(Of(Entry{Name: "etc", Content: "/etc", Creator: unix, Attrs: 0o120777 << 16}))})
		}},
		Package{Name: "a folder in the place of a zip's inside", Refused: duplicate, Bytes: func() []byte {
			return Of(Entry{Name: "inner.zip", Content: string(Of(Entry{Name: "job.sql", Content: "drop table t"}))},
				Entry{Name: "inner.zip!/job.sql", Content: "select 1"})
		}},
	)
	whole := Zip{Comment: "release 1", Entries: []Entry{{Name: "a.sql", Content: long}, {Name: "b.sql", Content: long}}}
	data := whole.Bytes()
	end := len(data) - 22 - len(whole.Comment)
	directory := end - 2*(46+len("a.sql"))
	for _, c := range []struct {
		in string
		at int
	}{
		{"its first signature", 3},
		{"a local header", 20},
		{"a name", 32},
		{"data", 60},
		{"the second entry", directory/2 + 10},
		{"the directory's begin", directory},
		{"a directory record", directory + 30},
		{"between records", directory + 46 + len("a.sql")},
		{"the end's begin", end},
		{"the end record", end + 10},
		{"the end record's last byte", end + 21},
		{"the comment", len(data) - 1},
	} {
		code := damaged
		if c.at < 4 {
			code = notAZip
		}
		add(Package{Name: "cut off in " + c.in, Refused: code, Bytes: func() []byte { return whole.Bytes()[:c.at] }})
	}
	return all
}

// Harmless is a package that looks odd and is fine: a comment as long as they come,
// names in GB18030, zip64, an uncompressed and a compressed zip inside.
func Harmless() []byte {
	inner := Of(Entry{Name: "etl/a.sql", Content: "select 1"})
	return Zip{Comment: strings.Repeat("c", longComment), Zip64: true, Entries: []Entry{
		{Name: "\xb5\xf7\xb6\xc8.sql", Content: "select 1", Zip64: true},
		{Name: "stored.zip", Content: string(inner), Stored: true},
		{Name: "packed.zip", Content: string(inner)},
	}}.Bytes()
}

// spoil64 writes a number into the zip64 end record of an honest zip.
func spoil64(at int, number uint64) []byte {
	data := Zip{Zip64: true, Entries: []Entry{{Name: "job.sql", Content: "select 1", Zip64: true}}}.Bytes()
	record := len(data) - 22 - 20 - zip64EndSize
	le.PutUint64(data[record+at:], number)
	return data
}

func many(n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = Entry{Name: strconv.Itoa(i), Stored: true}
	}
	return entries
}

func zeros(n int) string { return strings.Repeat("\x00", n) }

// noise does not compress well and is the same every time.
func noise(n int) string {
	out, x := make([]byte, n), uint32(1)
	for i := range out {
		x = x*1664525 + 1013904223
		out[i] = 'A' + byte(x>>24)%64
	}
	return string(out)
}
