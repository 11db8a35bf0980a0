package zippkg

import (
	"bytes"
	"compress/flate"
	"hash/crc32"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// entry is one file of a handmade zip. The zero values give an honest, deflated
// entry; every pointer is a lie that a test can tell.
type entry struct {
	name    string
	content string

	stored  bool
	flags   uint16
	method  *uint16
	creator uint16 // high byte: the system it was packed on
	attrs   uint32
	extra   []byte // in the directory
	zip64   bool   // sizes and offset in the zip64 extra field

	localName  *string
	localExtra []byte
	localFlags uint16
	crc        *uint32
	packed     *uint32
	unpacked   *uint32
	offset     *uint32
}

// archive is a handmade zip.
type archive struct {
	entries []entry
	before  []byte // in front of everything
	between []byte // between directory and end record
	comment string
	after   []byte
	count   *uint16
	disk    uint16
	zip64   bool
}

func at[T any](v T) *T { return &v }

func zipOf(entries ...entry) []byte { return archive{entries: entries}.bytes() }

func deflated(content string) []byte {
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestCompression)
	_, _ = io.WriteString(w, content)
	_ = w.Close()
	return packed.Bytes()
}

func (a archive) bytes() []byte {
	out := append([]byte(nil), a.before...)
	var records []byte
	for _, e := range a.entries {
		data, method := []byte(e.content), uint16(0)
		if !e.stored {
			data, method = deflated(e.content), 8
		}
		method = or(e.method, method)
		sum := or(e.crc, crc32.ChecksumIEEE([]byte(e.content)))
		packed, unpacked := or(e.packed, uint32(len(data))), or(e.unpacked, uint32(len(e.content)))
		offset := or(e.offset, uint32(len(out)))
		localName := or(e.localName, e.name)

		out = le.AppendUint32(out, localSig)
		out = le.AppendUint16(out, 20)
		out = le.AppendUint16(out, e.flags|e.localFlags)
		out = le.AppendUint16(out, method)
		out = le.AppendUint32(out, 0x5c21_0000) // 2026-01-01 00:00
		out = le.AppendUint32(out, sum)
		out = le.AppendUint32(out, packed)
		out = le.AppendUint32(out, unpacked)
		out = le.AppendUint16(out, uint16(len(localName)))
		out = le.AppendUint16(out, uint16(len(e.localExtra)))
		out = append(out, localName...)
		out = append(out, e.localExtra...)
		out = append(out, data...)

		extra := e.extra
		if e.zip64 {
			field := le.AppendUint16(nil, zip64ExtraTag)
			field = le.AppendUint16(field, 24)
			field = le.AppendUint64(field, uint64(unpacked))
			field = le.AppendUint64(field, uint64(packed))
			field = le.AppendUint64(field, uint64(offset))
			extra = append(field, extra...)
			packed, unpacked, offset = 0xffffffff, 0xffffffff, 0xffffffff
		}
		records = le.AppendUint32(records, recordSig)
		records = le.AppendUint16(records, e.creator|20)
		records = le.AppendUint16(records, 20)
		records = le.AppendUint16(records, e.flags)
		records = le.AppendUint16(records, method)
		records = le.AppendUint32(records, 0x5c21_0000)
		records = le.AppendUint32(records, sum)
		records = le.AppendUint32(records, packed)
		records = le.AppendUint32(records, unpacked)
		records = le.AppendUint16(records, uint16(len(e.name)))
		records = le.AppendUint16(records, uint16(len(extra)))
		records = append(records, make([]byte, 2+2+2)...) // comment, disk, internal attributes
		records = le.AppendUint32(records, e.attrs)
		records = le.AppendUint32(records, offset)
		records = append(records, e.name...)
		records = append(records, extra...)
	}
	start := len(out) - len(a.before)
	out = append(out, records...)
	out = append(out, a.between...)
	count, length, offset := or(a.count, uint16(len(a.entries))), uint32(len(records)), uint32(start)
	if a.zip64 {
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
	out = le.AppendUint16(out, a.disk)
	out = le.AppendUint16(out, a.disk)
	out = le.AppendUint16(out, count)
	out = le.AppendUint16(out, count)
	out = le.AppendUint32(out, length)
	out = le.AppendUint32(out, offset)
	out = le.AppendUint16(out, uint16(len(a.comment)))
	out = append(out, a.comment...)
	return append(out, a.after...)
}

func or[T any](v *T, otherwise T) T {
	if v != nil {
		return *v
	}
	return otherwise
}

func open(data []byte, limits Limits) (*Package, error) {
	return Open(bytes.NewReader(data), int64(len(data)), limits)
}

func mustOpen(t *testing.T, data []byte) *Package {
	t.Helper()
	p, err := open(data, Limits{})
	require.NoError(t, err)
	return p
}

func paths(p *Package) []string {
	out := []string{}
	for _, f := range p.Files() {
		out = append(out, f.Path)
	}
	return out
}

func requireRefused(t *testing.T, err error, code Code) *Error {
	t.Helper()
	var refused *Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, code, refused.Code, "%v", err)
	require.NotEmpty(t, refused.Message)
	require.NotEmpty(t, refused.MessageZH)
	return refused
}
