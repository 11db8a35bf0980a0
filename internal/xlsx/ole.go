package xlsx

import (
	"bytes"
	"encoding/binary"
	"io"
)

var oleMagic = []byte{0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1}

// compound tells what an OLE compound file is: Office keeps a workbook that has
// a password in a stream called EncryptedPackage, and an .xls in one called
// Workbook or Book. The names stand in the directory, whose entries are 128
// bytes long and lie at multiples of 128.
//
//	0        64      66
//	| name   | bytes | kind: 2 is a stream | …
//	  UTF-16   of the name, its NUL among them
func compound(r io.ReaderAt, size int64) (*Error, error) {
	wanted := utf16le("EncryptedPackage")
	chunk := make([]byte, 64<<10)
	for at := int64(512); at < size; {
		n, err := r.ReadAt(chunk[:min(int64(len(chunk)), size-at)], at)
		for entry := chunk[:n]; len(entry) >= 68; entry = entry[min(128, len(entry)):] {
			if int(binary.LittleEndian.Uint16(entry[64:])) == len(wanted)+2 && entry[66] == 2 && bytes.HasPrefix(entry, wanted) {
				return &Error{Encrypted, "it needs a password", "需要密码"}, nil
			}
		}
		at += int64(n)
		if err != nil && err != io.EOF {
			return nil, err
		}
		if n == 0 {
			break
		}
	}
	return &Error{Legacy, "Excel 97-2003 format", "Excel 97-2003 格式"}, nil
}

func utf16le(ascii string) []byte {
	out := make([]byte, 0, 2*len(ascii))
	for i := range len(ascii) {
		out = append(out, ascii[i], 0)
	}
	return out
}

// looksLikeText tells exports that only bear a workbook's name.
func looksLikeText(head []byte) bool {
	head = bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")))
	return len(head) > 0 && bytes.IndexByte(head, 0) < 0 && (head[0] == '<' || bytes.ContainsAny(head, ",\t"))
}
