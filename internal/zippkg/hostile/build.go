package hostile

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Entry is one file of a handmade zip. The zero values give an honest, deflated
// entry; every pointer is a lie that can be told.
type Entry struct {
	Name    string
	Content string

	Stored  bool
	Flags   uint16
	Method  *uint16
	Creator uint16 // high byte: the system it was packed on
	Attrs   uint32
	Extra   []byte // in the directory
	Zip64   bool   // sizes and offset in the zip64 extra field
	Comment string

	LocalName  *string
	LocalExtra []byte
	LocalFlags uint16
	After      []byte // behind its data
	CRC        *uint32
	Packed     *uint32
	Unpacked   *uint32
	Unpacked64 *uint64 // with Zip64
	Offset     *uint32
}

// Zip is a handmade zip.
type Zip struct {
	Entries []Entry
	Before  []byte // in front of everything; no offset knows of it
	Stub    []byte // in front of the entries; the offsets know of it
	Between []byte // between directory and end record
	Comment string
	After   []byte
	Count   *uint16
	Disk    uint16
	Zip64   bool
}

// Of is a zip of these entries and nothing odd besides.
func Of(entries ...Entry) []byte { return Zip{Entries: entries}.Bytes() }

// At makes a lie of a value.
func At[T any](v T) *T { return &v }

var le = binary.LittleEndian

const (
	localSig      = 0x04034b50
	recordSig     = 0x02014b50
	endSig        = 0x06054b50
	zip64EndSig   = 0x06064b50
	zip64LocSig   = 0x07064b50
	zip64EndSize  = 56
	zip64ExtraTag = 0x0001
	newYear2026   = 0x5c21_0000 // in the time of DOS
)

func deflated(content string) []byte {
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestCompression)
	_, _ = io.WriteString(w, content)
	_ = w.Close()
	return packed.Bytes()
}

// header is what local header and directory record have in common, from the version
// on.
type header struct {
	flags, method         uint16
	crc, packed, unpacked uint32
	name, extra           int
}

func (h header) append(out []byte) []byte {
	out = le.AppendUint16(out, 20)
	out = le.AppendUint16(out, h.flags)
	out = le.AppendUint16(out, h.method)
	out = le.AppendUint32(out, newYear2026)
	out = le.AppendUint32(out, h.crc)
	out = le.AppendUint32(out, h.packed)
	out = le.AppendUint32(out, h.unpacked)
	out = le.AppendUint16(out, uint16(h.name))
	return le.AppendUint16(out, uint16(h.extra))
}

// Bytes of the zip.
func (z Zip) Bytes() []byte {
	out := append(append([]byte(nil), z.Before...), z.Stub...)
	var records []byte
	for _, e := range z.Entries {
		data, method := []byte(e.Content), uint16(0)
		if !e.Stored {
			data, method = deflated(e.Content), 8
		}
		offset := or(e.Offset, uint32(len(out)-len(z.Before)))
		localName := or(e.LocalName, e.Name)
		h := header{
			flags: e.Flags | e.LocalFlags, method: or(e.Method, method), crc: or(e.CRC, crc32.ChecksumIEEE([]byte(e.Content))),
			packed: or(e.Packed, uint32(len(data))), unpacked: or(e.Unpacked, uint32(len(e.Content))),
			name: len(localName), extra: len(e.LocalExtra),
		}
		out = h.append(le.AppendUint32(out, localSig))
		out = append(out, localName...)
		out = append(out, e.LocalExtra...)
		out = append(out, data...)
		out = append(out, e.After...)

		extra := e.Extra
		if e.Zip64 {
			field := le.AppendUint16(nil, zip64ExtraTag)
			field = le.AppendUint16(field, 24)
			field = le.AppendUint64(field, or(e.Unpacked64, uint64(h.unpacked)))
			field = le.AppendUint64(field, uint64(h.packed))
			field = le.AppendUint64(field, uint64(offset))
			extra = append(field, extra...)
			h.packed, h.unpacked, offset = 0xffffffff, 0xffffffff, 0xffffffff
		}
		h.flags, h.name, h.extra = e.Flags, len(e.Name), len(extra)
		records = le.AppendUint32(records, recordSig)
		records = le.AppendUint16(records, e.Creator|20)
		records = h.append(records)
		records = le.AppendUint16(records, uint16(len(e.Comment)))
		records = append(records, make([]byte, 2+2)...) // disk, internal attributes
		records = le.AppendUint32(records, e.Attrs)
		records = le.AppendUint32(records, offset)
		records = append(records, e.Name...)
		records = append(records, extra...)
		records = append(records, e.Comment...)
	}
	start := len(out) - len(z.Before)
	out = append(out, records...)
	out = append(out, z.Between...)
	count, length, offset := or(z.Count, uint16(len(z.Entries))), uint32(len(records)), uint32(start)
	if z.Zip64 {
		end64 := uint64(len(out))
		out = le.AppendUint32(out, zip64EndSig)
		out = le.AppendUint64(out, zip64EndSize-12)
		out = append(out, 45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		out = le.AppendUint64(out, uint64(count))
		out = le.AppendUint64(out, uint64(count))
		out = le.AppendUint64(out, uint64(length))
		out = le.AppendUint64(out, uint64(offset))
		out = le.AppendUint32(out, zip64LocSig)
		out = le.AppendUint32(out, 0)
		out = le.AppendUint64(out, end64)
		out = le.AppendUint32(out, 1)
		count, length, offset = 0xffff, 0xffffffff, 0xffffffff
	}
	out = le.AppendUint32(out, endSig)
	out = le.AppendUint16(out, z.Disk)
	out = le.AppendUint16(out, z.Disk)
	out = le.AppendUint16(out, count)
	out = le.AppendUint16(out, count)
	out = le.AppendUint32(out, length)
	out = le.AppendUint32(out, offset)
	out = le.AppendUint16(out, uint16(len(z.Comment)))
	out = append(out, z.Comment...)
	return append(out, z.After...)
}

func or[T any](v *T, otherwise T) T {
	if v != nil {
		return *v
	}
	return otherwise
}

// Quoting is a zip of n files that all hold the last one's content: each quotes the
// header of the next as a block of its own data and goes on into it, so the bytes of
// the last are unpacked n times. It is how David Fifield's bombs overlap.
func Quoting(n int, content string) []byte {
	type file struct {
		header
		name string
	}
	files := make([]file, n)
	data, unpacked := deflated(content), content // of the file at hand and all behind it
	for i := n - 1; i >= 0; i-- {
		name := string(rune('a' + i))
		files[i] = file{header{
			method: 8, crc: crc32.ChecksumIEEE([]byte(unpacked)),
			packed: uint32(len(data)), unpacked: uint32(len(unpacked)), name: len(name),
		}, name}
		local := append(files[i].append(le.AppendUint32(nil, localSig)), name...)
		data = append(local, data...)
		if i > 0 { // the file before quotes this header in a block that is not compressed, and not the last
			length := uint16(len(local))
			block := le.AppendUint16(le.AppendUint16([]byte{0}, length), ^length)
			data, unpacked = append(block, data...), string(local)+unpacked
		}
	}
	out, start := data, len(data)
	for _, f := range files {
		offset := uint32(start) - f.packed - 30 - uint32(len(f.name))
		out = f.append(le.AppendUint16(le.AppendUint32(out, recordSig), 20))
		out = append(out, make([]byte, 2+2+2+4)...)
		out = append(le.AppendUint32(out, offset), f.name...)
	}
	length := len(out) - start
	out = append(le.AppendUint32(out, endSig), 0, 0, 0, 0)
	out = le.AppendUint16(le.AppendUint16(out, uint16(n)), uint16(n))
	out = le.AppendUint32(le.AppendUint32(out, uint32(length)), uint32(start))
	return append(out, 0, 0)
}
