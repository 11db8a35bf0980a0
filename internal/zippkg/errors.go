package zippkg

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Code names a reason for refusing a package. Codes are stable: clients and
// stored facts hold them.
type Code string

const (
	// CodeNotAZip: the upload is no zip at all.
	CodeNotAZip Code = "zip.not_a_zip"
	// CodeDamaged: the upload is a zip, but cut off, corrupt, or contradicting itself.
	CodeDamaged Code = "zip.damaged"
	// CodeEncrypted: an entry, or the directory, needs a password.
	CodeEncrypted Code = "zip.encrypted"
	// CodeUnsupported: a readable zip that uses something not read here, such as
	// a compression method other than deflate, or several volumes.
	CodeUnsupported Code = "zip.unsupported"

	// CodeTooLarge: the upload itself is over Limits.Upload, or its directory over
	// Limits.Directory.
	CodeTooLarge Code = "zip.too_large"
	// CodeUnpackedTooLarge: all files together are over Limits.Unpacked.
	CodeUnpackedTooLarge Code = "zip.unpacked_too_large"
	// CodeFileTooLarge: one file is over Limits.File when opening the package, or
	// over the caller's own limit when reading it. The latter is about that read
	// only; the package stays usable.
	CodeFileTooLarge Code = "zip.file_too_large"
	// CodeTooManyEntries: more entries than Limits.Entries.
	CodeTooManyEntries Code = "zip.too_many_entries"
	// CodeBomb: a compression ratio over Limits.Ratio.
	CodeBomb Code = "zip.bomb"
	// CodeOverlap: two entries share bytes of the zip.
	CodeOverlap Code = "zip.overlap"

	// CodeBadName: a path that could leave the package's folder, or cannot be
	// used as a path.
	CodeBadName Code = "zip.bad_name"
	// CodeDuplicateName: two files of one path, or one path that is both a file
	// and a folder.
	CodeDuplicateName Code = "zip.duplicate_name"
	// CodeSymlink: an entry that is a symbolic link or a reparse point.
	CodeSymlink Code = "zip.symlink"
	// CodeSpecialFile: an entry that is a device, a pipe or a socket.
	CodeSpecialFile Code = "zip.special_file"
)

// Error says why a package, or one file of it, is refused. It always is the
// package's fault: reading it again gives the same answer.
type Error struct {
	Code      Code
	Message   string // for people: what is wrong, and what to do about it
	MessageZH string // the same in Chinese
	Path      string // the entry it is about, made safe to print; empty if it is the package

	cause error
	long  bool // CodeBadName: the path is over a limit, and harmless
}

// Text is the message with the entry that it is about, in English and Chinese.
func (e *Error) Text() (en, zh string) {
	if e.Path == "" {
		return e.Message, e.MessageZH
	}
	return fmt.Sprintf("%s: %q", e.Message, e.Path), fmt.Sprintf("%s：%q", e.MessageZH, e.Path)
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%s: %s: %q", e.Code, e.Message, e.Path)
}

func (e *Error) Unwrap() error { return e.cause }

func refuse(code Code, path, en, zh string) *Error {
	return &Error{Code: code, Path: printable(path), Message: en, MessageZH: zh}
}

func (e *Error) because(cause error) *Error {
	e.cause = cause
	return e
}

func damaged(path, en, zh string) *Error {
	return refuse(CodeDamaged, path,
		"the zip is damaged: "+en+"; pack it again",
		"zip 文件已损坏："+zh+"，请重新打包")
}

// WarningCode names something about a package that is no reason to refuse it.
type WarningCode string

const (
	// WarningCaseDuplicate: two paths differ by case only, and are one file on
	// Windows and macOS.
	WarningCaseDuplicate WarningCode = "zip.case_duplicate"
	// WarningNameEncoding: some paths are not marked as UTF-8 nor valid UTF-8, so
	// their encoding is a guess. Reported once, with the first such path.
	WarningNameEncoding WarningCode = "zip.name_encoding"
	// WarningNestedUnread: a zip in the package could not be opened, so nobody looks
	// at its files. Cause says why.
	WarningNestedUnread WarningCode = "zip.nested_unread"
	// WarningNestedTooDeep: a zip in a zip in the package is not opened. Reported once
	// for each of the latter, with the first such path.
	WarningNestedTooDeep WarningCode = "zip.nested_too_deep"
)

// Warning is something worth telling about an accepted package.
type Warning struct {
	Code      WarningCode
	Message   string
	MessageZH string
	Path      string
	Other     string // for WarningCaseDuplicate: the path it collides with
	Cause     Code   // for WarningNestedUnread: what a package would be refused with
}

// printable makes a hostile name safe to log, to store and to show.
func printable(name string) string {
	const longest = 512
	if len(name) > longest {
		cut := longest
		for cut > longest-utf8.UTFMax && !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, name)
}

// source is the upload's bytes. Its errors are told apart from the package's
// own faults however deep they surface.
type source struct {
	r    io.ReaderAt
	base int64 // where in r it begins
	size int64
}

// part is a stretch of the source, of which it holds all bytes.
func (s *source) part(at, size int64) *source {
	return &source{r: s.r, base: s.base + at, size: size}
}

type sourceError struct {
	offset int64
	err    error
}

func (e *sourceError) Error() string {
	return fmt.Sprintf("zippkg: cannot fetch the package's bytes at %d: %v", e.offset, e.err)
}

func (e *sourceError) Unwrap() error { return e.err }

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= s.size {
		return 0, io.EOF
	}
	within := p[:min(int64(len(p)), s.size-off)]
	n, err := s.r.ReadAt(within, s.base+off)
	switch {
	case n == len(within) && n < len(p):
		return n, io.EOF
	case n == len(within):
		return n, nil
	case err == nil || err == io.EOF:
		err = io.ErrUnexpectedEOF // the source holds less than was said
	}
	return n, &sourceError{offset: s.base + off, err: err}
}
