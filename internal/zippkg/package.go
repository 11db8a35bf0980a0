package zippkg

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/cases"
)

// Package is an opened zip. It is safe for concurrent use, holds nothing that
// needs closing, and reads from the source it was opened with: whoever opened
// that closes it, after the last reader.
type Package struct {
	src      *source
	files    []*File
	byPath   map[string]*File
	root     string
	skipped  []string
	warnings []Warning
	declared int64 // unpacked bytes that the directories of all levels admit
	meter    meter
}

// Open reads the directory of a zip of size bytes and checks all that the
// directory tells: names, kinds, encryption, declared sizes, ratios, and that
// no two entries overlap. Of file contents it reads the zips among them, for their
// directories; what only contents can tell is checked by [File.Open] and while
// reading.
//
// The error is an [*Error] if the package is refused, and something else if r
// failed.
func Open(r io.ReaderAt, size int64, limits Limits) (*Package, error) {
	limits = limits.withDefaults()
	if size > limits.Upload {
		return nil, tooLarge(CodeTooLarge, "", "the upload", "上传文件", size, limits.Upload)
	}
	src := &source{r: r, size: max(size, 0)}
	p := &Package{src: src, meter: meter{limits: limits, packed: src.size}}
	dir, entries, err := p.readEntries(src, nil, limits)
	if err != nil {
		return nil, err
	}
	if p.declared, err = declaredSizes(entries, limits); err != nil {
		return nil, err
	}
	if limits.inflated(p.declared, src.size) {
		return nil, bomb("", limits)
	}
	if err := p.keep(entries); err != nil {
		return nil, err
	}
	p.stripRoot()
	err = p.openNested(budget{
		entries: limits.Entries - len(entries), directory: limits.Directory - (dir.end - dir.start), memory: limits.Nested,
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(p.files, byPath)
	slices.Sort(p.skipped)
	p.warnAboutCase()
	p.warnAboutEncoding()
	slices.SortStableFunc(p.warnings, func(a, b Warning) int { return strings.Compare(a.Path, b.Path) })
	return p, nil
}

// readEntries reads the directory of a zip, the upload's own or that of the file that
// it is, and checks what it tells of each entry and of where they lie.
func (p *Package) readEntries(src *source, within *File, limits Limits) (directory, []*File, error) {
	dir, err := readDirectory(src, limits)
	if err != nil {
		return directory{}, nil, err
	}
	zr, err := zip.NewReader(src, src.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are checked here, and more strictly
		return directory{}, nil, directoryBroken(err)
	}
	if len(zr.File) != len(dir.offsets) {
		return directory{}, nil, directoryBroken(nil)
	}
	entries := make([]*File, len(zr.File))
	for i, ze := range zr.File {
		f := &File{pkg: p, src: src, within: within, entry: ze, header: dir.offsets[i]}
		if err := f.examine(limits); err != nil {
			return directory{}, nil, err
		}
		entries[i] = f
	}
	if err := lieApart(entries, dir.start); err != nil {
		return directory{}, nil, err
	}
	for _, f := range entries {
		if f.room() > ordinaryExtra {
			if err := f.checkHeader(); err != nil {
				return directory{}, nil, err
			}
		}
	}
	return dir, entries, nil
}

// Files returns the package's files sorted by path: no folders, no junk that
// desktop systems leave behind (see [Package.Skipped]), and without the one
// folder that encloses everything, if there is one (see [Package.Root]). A zip among
// them is followed by its files.
func (p *Package) Files() []*File { return slices.Clone(p.files) }

// Lookup returns the file with this path. The path is read as kindly as names
// in the zip are (backslashes, "./", NFD), but case counts.
func (p *Package) Lookup(path string) (*File, bool) {
	clean, folder, err := cleanPath(path, p.meter.limits)
	if err != nil || folder {
		return nil, false
	}
	f, ok := p.byPath[clean]
	return f, ok
}

// Root returns the name of the enclosing folder that was stripped from all
// paths, or "".
func (p *Package) Root() string { return p.root }

// Skipped returns the paths of the files that were left out as junk, as they
// are in the zip.
func (p *Package) Skipped() []string { return slices.Clone(p.skipped) }

// Warnings returns what is odd about the package without being a reason to
// refuse it, in the order of paths.
func (p *Package) Warnings() []Warning { return slices.Clone(p.warnings) }

// examine settles what an entry is and what it is called.
func (f *File) examine(limits Limits) error {
	name, enc := decodeName(f.entry.Name, f.entry.Flags, f.entry.Extra)
	f.NameEncoding, f.Modified = enc, f.entry.Modified
	clean, folder, bad := cleanPath(name, limits)
	if bad != nil {
		return bad
	}
	f.Path = clean
	if err := f.regular(); err != nil {
		return err
	}
	if encrypted(f.entry.Flags, f.entry.Method) {
		return refuse(CodeEncrypted, clean,
			"the zip is encrypted; pack it without a password",
			"zip 已加密，请不设密码重新打包")
	}
	if f.entry.UncompressedSize64 > math.MaxInt64 || f.entry.CompressedSize64 > math.MaxInt64 {
		return damaged(clean, "an entry's size makes no sense", "条目大小无效")
	}
	f.Size = int64(f.entry.UncompressedSize64)
	const dosFolder = 0x10
	f.folder = folder || f.Size == 0 && (f.entry.ExternalAttrs&dosFolder != 0 || f.entry.Mode().IsDir())
	switch {
	case folder && f.Size > 0:
		return refuse(CodeBadName, clean, "a folder holds data; its name must not end with a slash", "文件夹条目中含有数据，其名称不应以斜杠结尾")
	case f.folder:
		return nil
	case f.entry.Method != zip.Store && f.entry.Method != zip.Deflate:
		return refuse(CodeUnsupported, clean,
			fmt.Sprintf("compression method %d is not supported; pack with deflate (the usual method)", f.entry.Method),
			fmt.Sprintf("不支持压缩方法 %d，请使用常规的 deflate 方法打包", f.entry.Method))
	case f.entry.Method == zip.Store && f.packed() != f.Size:
		return damaged(clean, "an uncompressed file has two different sizes", "未压缩的文件有两个不同的大小")
	}
	return nil
}

// regular refuses everything that is neither a file nor a folder. It looks at
// the Unix mode whatever system the zip claims to come from, because unpackers
// do too.
func (f *File) regular() error {
	const (
		unixType, unixFile, unixFolder, unixLink = 0xf000, 0x8000, 0x4000, 0xa000
		dosReparsePoint                          = 0x400
	)
	attrs := f.entry.ExternalAttrs
	switch kind := attrs >> 16 & unixType; {
	case kind == unixLink, attrs&dosReparsePoint != 0:
		return refuse(CodeSymlink, f.Path,
			"the zip contains a symbolic link; pack the file it points to",
			"zip 中含有符号链接，请打包其指向的文件")
	case kind != 0 && kind != unixFile && kind != unixFolder:
		return refuse(CodeSpecialFile, f.Path,
			"the zip contains a device, a pipe or a socket; leave it out",
			"zip 中含有设备、管道或套接字文件，请移除")
	}
	return nil
}

func encrypted(flags, method uint16) bool {
	const (
		entry, strong, maskedHeaders = 1 << 0, 1 << 6, 1 << 13
		aes                          = 99
	)
	return flags&(entry|strong|maskedHeaders) != 0 || method == aes
}

// lieApart checks that no two entries claim the same bytes, and remembers for
// each where the next one begins. An entry's local header may carry extra
// fields whose length the directory does not tell, so this is a lower bound;
// it leaves no bytes to be unpacked twice, and [File.Open] is exact.
func lieApart(entries []*File, directory int64) error {
	byOffset := slices.Clone(entries)
	slices.SortFunc(byOffset, func(a, b *File) int {
		switch {
		case a.header < b.header:
			return -1
		case a.header > b.header:
			return 1
		}
		return 0
	})
	begins := directory
	if len(byOffset) > 0 {
		begins = byOffset[0].header
	}
	if begins > 0 {
		return bytesBetween("")
	}
	for i, f := range byOffset {
		f.end = directory
		if i+1 < len(byOffset) {
			f.end = byOffset[i+1].header
		}
		switch {
		case f.room() >= 0:
		case f.end == directory:
			return damaged(f.Path, "a file runs into the directory", "文件数据与目录区重叠")
		default:
			return overlap(f.Path)
		}
	}
	return nil
}

// room is how many bytes an entry has beyond its name and its data: for the extra
// fields of its local header, and for a data descriptor.
func (f *File) room() int64 {
	return f.end - f.header - localSize - int64(len(f.entry.Name)) - f.packed()
}

// ordinaryExtra is more than a local header's extra fields and a descriptor usually
// take, and hardly enough for another file. Where there is more, Open reads the header
// to see whether something hides there.
const ordinaryExtra = 64

func bytesBetween(path string) *Error {
	return damaged(path,
		"it holds bytes that belong to no entry, before or between them (a hidden file, or a self-extracting archive?)",
		"条目之前或之间有不属于任何条目的字节（是否含有隐藏文件，或为自解压文件？）")
}

func overlap(path string) *Error {
	return refuse(CodeOverlap, path,
		"two entries of the zip share the same bytes; pack it again with an ordinary tool",
		"zip 中有两个条目共用同一段数据，请用常规工具重新打包")
}

// declaredSizes holds a zip to its own word, and returns what it admits. While
// reading, archive/zip holds each file to its declared size, and the meter to the
// limits.
func declaredSizes(entries []*File, limits Limits) (total int64, err error) {
	for _, f := range entries {
		if limits.inflated(f.Size, f.packed()) {
			return 0, bomb(f.Path, limits)
		}
		if f.Size > limits.File {
			return 0, tooLarge(CodeFileTooLarge, f.Path, "a file", "单个文件", f.Size, limits.File)
		}
		if total += f.Size; total < 0 {
			total = math.MaxInt64
		}
	}
	return total, nil
}

// keep takes the entries that are files somebody meant to deliver.
func (p *Package) keep(entries []*File) error {
	if p.declared > p.meter.limits.Unpacked {
		return tooLarge(CodeUnpackedTooLarge, "", "the unpacked package", "解压后的安装包", p.declared, p.meter.limits.Unpacked)
	}
	files, err := inOrder(entries)
	if err != nil {
		return err
	}
	for _, f := range files {
		if isJunk(f.Path) {
			p.skipped = append(p.skipped, f.Path)
			continue
		}
		p.files = append(p.files, f)
	}
	return nil
}

// inOrder returns the files among the entries of a zip by their paths, each of which
// names one file and no folder. Junk may be there as often as it likes.
func inOrder(entries []*File) (files []*File, err error) {
	taken, parents := make(map[string]bool, len(entries)), make(map[string]bool)
	for _, f := range entries {
		if f.folder {
			continue
		}
		files = append(files, f)
		if isJunk(f.Path) {
			continue
		}
		if taken[f.Path] {
			return nil, refuse(CodeDuplicateName, f.Path,
				"the zip contains this file twice; pack it again",
				"zip 中存在重复的文件路径，请重新打包")
		}
		taken[f.Path] = true
		for dir := path.Dir(f.Path); dir != "." && !parents[dir]; dir = path.Dir(dir) {
			parents[dir] = true
		}
	}
	slices.SortFunc(files, byPath)
	for _, f := range files {
		if parents[f.Path] && !isJunk(f.Path) {
			return nil, refuse(CodeDuplicateName, f.Path,
				"this path is both a file and a folder; pack it again",
				"该路径既是文件又是文件夹，请重新打包")
		}
	}
	return files, nil
}

func byPath(a, b *File) int { return strings.Compare(a.Path, b.Path) }

func (p *Package) stripRoot() {
	if len(p.files) == 0 {
		return
	}
	// The files are sorted: what the first and the last share, all share.
	first, _, nested := strings.Cut(p.files[0].Path, "/")
	if !nested || !strings.HasPrefix(p.files[len(p.files)-1].Path, first+"/") {
		return
	}
	p.root = first
	for _, f := range p.files {
		f.Path = strings.TrimPrefix(f.Path, first+"/")
	}
}

func (p *Package) warnAboutCase() {
	fold := cases.Fold()
	seen := make(map[string]string, len(p.files))
	for _, f := range p.files {
		folded := fold.String(f.Path)
		other, taken := seen[folded]
		if !taken {
			seen[folded] = f.Path
			continue
		}
		p.warnings = append(p.warnings, Warning{
			Code: WarningCaseDuplicate, Path: f.Path, Other: other,
			Message:   fmt.Sprintf("%q and %q differ by case only; on Windows and macOS one overwrites the other", other, f.Path),
			MessageZH: fmt.Sprintf("“%s”与“%s”仅大小写不同，在 Windows 和 macOS 上会互相覆盖", other, f.Path),
		})
	}
}

func (p *Package) warnAboutEncoding() {
	guessed, count := (*File)(nil), 0
	for _, f := range p.files {
		if f.NameEncoding != UTF8 {
			if count++; guessed == nil {
				guessed = f
			}
		}
	}
	if guessed == nil {
		return
	}
	p.warnings = append(p.warnings, Warning{
		Code: WarningNameEncoding, Path: guessed.Path,
		Message:   fmt.Sprintf("the names of %d files are not UTF-8; they were read as %s", count, guessed.NameEncoding),
		MessageZH: fmt.Sprintf("有 %d 个文件名不是 UTF-8 编码，已按 %s 解读", count, guessed.NameEncoding),
	})
}

func tooLarge(code Code, path, en, zh string, got, limit int64) *Error {
	return refuse(code, path,
		fmt.Sprintf("%s takes %s, more than the limit of %s", en, inBytes(got), inBytes(limit)),
		fmt.Sprintf("%s大小为 %s，超过上限 %s", zh, inBytes(got), inBytes(limit)))
}

func bomb(path string, limits Limits) *Error {
	return refuse(CodeBomb, path,
		fmt.Sprintf("it unpacks to more than %d times its packed size, like a zip bomb", limits.Ratio),
		fmt.Sprintf("解压后大小超过压缩大小的 %d 倍，疑似压缩炸弹", limits.Ratio))
}
