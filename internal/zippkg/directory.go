package zippkg

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Records of the zip format, as far as this file reads them (all numbers are
// little-endian; APPNOTE 4.3):
//
//	[ local header | data ]…  [ directory record ]…  [ zip64 end | zip64 locator ]?  [ end | comment ]
//	                          └ directory.start      └ directory.end
//
// archive/zip parses the directory too, but it keeps the offsets of the local
// headers to itself, believes in no limit on their number, and tolerates bytes
// before, between and after these parts.
const (
	localSize     = 30
	recordSize    = 46
	endSize       = 22
	zip64EndSize  = 56
	zip64LocSize  = 20
	longestTail   = endSize + 0xffff + zip64LocSize
	localSig      = 0x04034b50
	recordSig     = 0x02014b50
	endSig        = 0x06054b50
	zip64EndSig   = 0x06064b50
	zip64LocSig   = 0x07064b50
	zip64ExtraTag = 0x0001
)

var le = binary.LittleEndian

// directory is where the zip's directory lies and where it says that each
// entry's local header begins, in the order of the directory.
type directory struct {
	start, end int64
	offsets    []int64
}

func readDirectory(src *source, limits Limits) (directory, error) {
	d, records, err := findDirectory(src)
	if err != nil {
		return directory{}, err
	}
	tooMany := refuse(CodeTooManyEntries, "",
		fmt.Sprintf("the zip has more than %d entries; split the package", limits.Entries),
		fmt.Sprintf("zip 中的条目超过 %d 个，请拆分安装包", limits.Entries))
	if records > uint64(limits.Entries) {
		return directory{}, tooMany
	}
	if d.end-d.start > limits.Directory {
		return directory{}, refuse(CodeTooLarge, "",
			fmt.Sprintf("the zip's directory takes %s, more than %s; split the package", inBytes(d.end-d.start), inBytes(limits.Directory)),
			fmt.Sprintf("zip 的目录区占 %s，超过上限 %s，请拆分安装包", inBytes(d.end-d.start), inBytes(limits.Directory)))
	}

	in := bufio.NewReaderSize(io.NewSectionReader(src, d.start, d.end-d.start), int(min(64<<10, d.end-d.start)))
	var record [recordSize]byte
	var extra []byte
	for {
		if _, err := io.ReadFull(in, record[:]); err == io.EOF {
			break
		} else if err != nil {
			return directory{}, directoryBroken(err)
		}
		if le.Uint32(record[:]) != recordSig {
			return directory{}, directoryBroken(nil)
		}
		if len(d.offsets) == limits.Entries {
			return directory{}, tooMany
		}
		nameLen, extraLen, commentLen := int(le.Uint16(record[28:])), int(le.Uint16(record[30:])), int(le.Uint16(record[32:]))
		if _, err := in.Discard(nameLen); err != nil {
			return directory{}, directoryBroken(err)
		}
		extra = append(extra[:0], make([]byte, extraLen)...)
		if _, err := io.ReadFull(in, extra); err != nil {
			return directory{}, directoryBroken(err)
		}
		if _, err := in.Discard(commentLen); err != nil {
			return directory{}, directoryBroken(err)
		}
		offset, ok := localOffset(record[:], extra)
		if !ok || offset > uint64(d.start) {
			return directory{}, directoryBroken(nil)
		}
		d.offsets = append(d.offsets, int64(offset))
	}
	// Without zip64 the count has 16 bits, and old writers let it wrap.
	if found := uint64(len(d.offsets)); found != records && (records > 0xffff || found&0xffff != records) {
		return directory{}, damaged("",
			fmt.Sprintf("it says that it has %d entries, but has %d", records, found),
			fmt.Sprintf("声明有 %d 个条目，实际有 %d 个", records, found))
	}
	return d, nil
}

// findDirectory finds where the directory lies and how many records it claims
// to have. It wants the parts drawn above to follow one another without gaps:
// an end record that is not at the very end, or a directory that does not touch
// it, is where unpackers begin to disagree about what a zip holds.
func findDirectory(src *source) (directory, uint64, error) {
	if src.size < endSize {
		return directory{}, 0, noDirectory(src)
	}
	tail := make([]byte, min(src.size, longestTail))
	tailAt := src.size - int64(len(tail))
	if _, err := src.ReadAt(tail, tailAt); err != nil {
		return directory{}, 0, err
	}
	at := len(tail) - endSize
	for at >= 0 && le.Uint32(tail[at:]) != endSig {
		at--
	}
	if at < 0 {
		return directory{}, 0, noDirectory(src)
	}
	end := tail[at:]
	if endSize+int(le.Uint16(end[20:])) != len(end) {
		return directory{}, 0, damaged("", "bytes are missing or follow after its end", "文件尾部缺少字节或带有多余字节")
	}
	if disk, first := le.Uint16(end[4:]), le.Uint16(end[6:]); disk != first || disk != 0 && disk != 0xffff {
		return directory{}, 0, splitZip()
	}
	records, length, start := uint64(le.Uint16(end[10:])), uint64(le.Uint32(end[12:])), uint64(le.Uint32(end[16:]))
	endAt := tailAt + int64(at)

	if at >= zip64LocSize && le.Uint32(tail[at-zip64LocSize:]) == zip64LocSig {
		locator := tail[at-zip64LocSize : at]
		if le.Uint32(locator[4:]) != 0 || le.Uint32(locator[16:]) > 1 {
			return directory{}, 0, splitZip()
		}
		var z [zip64EndSize]byte
		z64At := le.Uint64(locator[8:])
		if z64At > uint64(endAt-zip64LocSize) || int64(z64At)+zip64EndSize > endAt-zip64LocSize {
			return directory{}, 0, directoryBroken(nil)
		}
		if _, err := src.ReadAt(z[:], int64(z64At)); err != nil {
			return directory{}, 0, directoryBroken(err)
		}
		if le.Uint32(z[:]) != zip64EndSig {
			return directory{}, 0, directoryBroken(nil)
		}
		records64, length64, start64 := le.Uint64(z[32:]), le.Uint64(z[40:]), le.Uint64(z[48:])
		// The old record says "see zip64" by all bits set; what it does say must agree.
		if records != 0xffff && records != records64 ||
			length != 0xffffffff && length != length64 ||
			start != 0xffffffff && start != start64 {
			return directory{}, 0, damaged("", "it has two directories that disagree", "其中有两个互相矛盾的目录")
		}
		records, length, start = records64, length64, start64
		endAt = int64(z64At)
	}
	if start > uint64(endAt) || length != uint64(endAt)-start {
		return directory{}, 0, damaged("",
			"there are bytes before it or inside it that are no part of it (a self-extracting archive?)",
			"文件前部或内部有不属于 zip 的字节（是否为自解压文件？）")
	}
	return directory{start: int64(start), end: endAt}, records, nil
}

// noDirectory tells a zip that was cut off from something that never was one.
func noDirectory(src *source) error {
	var magic [4]byte
	if src.size >= int64(len(magic)) {
		if _, err := src.ReadAt(magic[:], 0); err != nil {
			return err
		}
		if le.Uint32(magic[:]) == localSig {
			return damaged("", "its end is missing, probably because the upload was cut off", "缺少结尾，可能是上传中断")
		}
	}
	return refuse(CodeNotAZip, "",
		"this is not a zip file; pack the package as .zip and upload it again",
		"这不是 zip 文件，请将安装包打包为 .zip 后重新上传")
}

func splitZip() *Error {
	return refuse(CodeUnsupported, "",
		"this is one part of a zip split into several files; upload it as one file",
		"这是分卷 zip 的其中一卷，请合并为单个文件后上传")
}

// directoryBroken is the answer to a directory that cannot be followed, unless
// its bytes could not be fetched in the first place.
func directoryBroken(cause error) error {
	var fetch *sourceError
	if errors.As(cause, &fetch) {
		return fetch
	}
	return damaged("", "its directory cannot be read", "目录区无法读取").because(cause)
}

// localOffset returns where the local header of a directory record begins.
func localOffset(record, extra []byte) (uint64, bool) {
	const see64 = 0xffffffff
	offset := le.Uint32(record[42:])
	if offset != see64 {
		return uint64(offset), true
	}
	field, ok := extraField(extra, zip64ExtraTag)
	if !ok {
		return 0, false
	}
	skip := 0 // the unpacked and the packed size come first, if they are there
	for _, at := range []int{24, 20} {
		if le.Uint32(record[at:]) == see64 {
			skip += 8
		}
	}
	if len(field) < skip+8 {
		return 0, false
	}
	return le.Uint64(field[skip:]), true
}

// extraField returns the first extra field with this tag.
func extraField(extra []byte, tag uint16) ([]byte, bool) {
	for len(extra) >= 4 {
		length := int(le.Uint16(extra[2:]))
		if len(extra) < 4+length {
			return nil, false
		}
		if le.Uint16(extra) == tag {
			return extra[4 : 4+length], true
		}
		extra = extra[4+length:]
	}
	return nil, false
}
