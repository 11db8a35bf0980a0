package zippkg

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// File is one file of a package. Any number of readers may read it at once.
type File struct {
	Path         string // as described at Open; unique in the package
	Size         int64  // bytes unpacked, as declared; reading never gives more
	Modified     time.Time
	NameEncoding Encoding // how the name was encoded in the zip

	pkg         *Package
	src         *source // of the zip that it is an entry of
	within      *File   // that zip, if it is not the upload
	entry       *zip.File
	folder      bool
	header, end int64        // where its local header begins, and the latest byte it may end before
	unpacked    atomic.Int64 // how far the reader that came furthest has come
}

func (f *File) packed() int64 { return int64(f.entry.CompressedSize64) }

// Open returns the file's unpacked bytes from the beginning. The caller closes
// the reader. A read error is an [*Error] if the package is at fault (corrupt
// data, wrong checksum, sizes that were a lie, a limit); a limit, once broken,
// stays broken for every reader of the package.
func (f *File) Open() (io.ReadCloser, error) {
	if err := f.checkHeader(); err != nil {
		return nil, err
	}
	rc, err := f.entry.Open()
	if err != nil {
		return nil, f.readError(err)
	}
	return &reader{file: f, in: rc}, nil
}

// checkHeader compares the local header with the directory. Unpackers that
// stream a zip believe the former, all others the latter; a file that differs
// would be checked as one thing and deployed as another.
func (f *File) checkHeader() error {
	header := make([]byte, localSize+len(f.entry.Name))
	if _, err := f.src.ReadAt(header, f.header); err != nil {
		return f.readError(err)
	}
	if le.Uint32(header) != localSig {
		return damaged(f.Path, "a file is not where the directory says", "文件不在目录区所指的位置")
	}
	flags, method := le.Uint16(header[6:]), le.Uint16(header[8:])
	nameLen, extraLen := int(le.Uint16(header[26:])), int(le.Uint16(header[28:]))
	begins := f.header + localSize + int64(nameLen) + int64(extraLen)
	switch {
	case encrypted(flags, method):
		return refuse(CodeEncrypted, f.Path, "the file is encrypted; pack it without a password", "文件已加密，请不设密码重新打包")
	case method != f.entry.Method, nameLen != len(f.entry.Name), string(header[localSize:]) != f.entry.Name:
		return damaged(f.Path, "a file's own header contradicts the directory", "文件头与目录区互相矛盾")
	case begins+f.packed() > f.end:
		return overlap(f.Path)
	case !descriptor(flags|f.entry.Flags, f.end-begins-f.packed()):
		return bytesBetween(f.Path)
	}
	if at, err := f.entry.DataOffset(); err != nil {
		return f.readError(err)
	} else if at != begins {
		return directoryBroken(nil)
	}
	return nil
}

// descriptor tells whether so many bytes behind the data can be the record that
// repeats checksum and sizes, in 4 or 8 bytes each, with or without a signature.
func descriptor(flags uint16, size int64) bool {
	switch size {
	case 0:
		return true
	case 12, 16, 20, 24:
		const follows = 1 << 3
		return flags&follows != 0
	}
	return false
}

// ReadAll returns the whole file, after its checksum has been verified. A file
// of more than limit bytes is refused with [CodeFileTooLarge] without being
// read. A limit of zero or less means Limits.File.
func (f *File) ReadAll(limit int64) ([]byte, error) {
	if limit <= 0 {
		limit = f.pkg.meter.limits.File
	}
	if f.Size > limit {
		return nil, tooLarge(CodeFileTooLarge, f.Path, "the file", "文件", f.Size, limit)
	}
	rc, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	// Open checked that so many bytes can come out of what the upload holds.
	content := make([]byte, f.Size)
	if _, err := io.ReadFull(rc, content); err != nil {
		return nil, f.readError(err)
	}
	// The checksum is compared when the end is reached.
	if _, err := io.ReadFull(rc, make([]byte, 1)); err == nil {
		return nil, f.readError(zip.ErrFormat)
	} else if err != io.EOF {
		return nil, err
	}
	return content, nil
}

// Text reads the whole file like [File.ReadAll] and decodes it. A limit of zero
// or less means Limits.Text.
func (f *File) Text(limit int64) (Text, error) {
	if limit <= 0 {
		limit = f.pkg.meter.limits.Text
	}
	raw, err := f.ReadAll(limit)
	if err != nil {
		return Text{}, err
	}
	return Decode(raw), nil
}

// readError says whose fault a failed read was.
func (f *File) readError(err error) error {
	var fetch *sourceError
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &fetch):
		return fmt.Errorf("reading %q: %w", f.Path, fetch)
	case errors.Is(err, zip.ErrFormat):
		return damaged(f.Path, "a file holds more data than the directory declares", "文件数据多于目录区声明的大小").because(err)
	case errors.Is(err, zip.ErrChecksum):
		return damaged(f.Path, "a file's checksum is wrong", "文件校验和错误").because(err)
	default:
		return damaged(f.Path, "a file's data cannot be unpacked", "文件数据无法解压").because(err)
	}
}

type reader struct {
	file *File
	in   io.ReadCloser
	read int64
	err  error // sticky
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.in.Read(p)
	r.read += int64(n)
	if over := r.file.pkg.meter.reached(r.file, r.read); over != nil {
		r.err = over
		return 0, over
	}
	if err != nil && err != io.EOF {
		err = r.file.readError(err)
	}
	r.err = err
	return n, err
}

var errClosed = errors.New("zippkg: read after Close")

func (r *reader) Close() error {
	if r.err == errClosed {
		return nil
	}
	r.err = errClosed
	_ = r.in.Close() // only repeats the read error that Read has told
	return nil
}

// meter counts what has really been unpacked, over all readers of a package.
// It believes neither the directory nor that anybody else has checked it. Bytes
// that are read again do not count again: a scanner may look at a file twice.
type meter struct {
	limits   Limits
	packed   int64 // the upload's size
	unpacked atomic.Int64
}

// reached notes that a reader has n bytes of f behind it.
func (m *meter) reached(f *File, n int64) error {
	if n > m.limits.File {
		return tooLarge(CodeFileTooLarge, f.Path, "a file", "单个文件", n, m.limits.File)
	}
	if m.limits.inflated(n, f.packed()) || f.within != nil && m.limits.inflated(n, f.within.packed()) {
		return bomb(f.Path, m.limits)
	}
	total := m.unpacked.Load()
	for {
		furthest := f.unpacked.Load()
		if n <= furthest {
			break
		}
		if f.unpacked.CompareAndSwap(furthest, n) {
			total = m.unpacked.Add(n - furthest)
			break
		}
	}
	if total > m.limits.Unpacked {
		return tooLarge(CodeUnpackedTooLarge, "", "the unpacked package", "解压后的安装包", total, m.limits.Unpacked)
	}
	if m.limits.inflated(total, m.packed) {
		return bomb("", m.limits)
	}
	return nil
}
