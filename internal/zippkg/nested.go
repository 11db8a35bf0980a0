package zippkg

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
)

// A zip in the package is opened with it, one level deep:
//
//	tools.zip             stays a file of the package
//	tools.zip!/etl/a.sql  a file of that zip, which is a file of the package too
//
// An uncompressed one is read where it lies. A compressed one can only be read from
// its beginning, and a zip's directory is at its end; so it is unpacked once, when the
// package is opened, and held in memory: all of them together take Limits.Nested.
// A file would take a cleaning-up that packages do not need.
//
// All limits count across the levels: entries, directories, unpacked bytes, and the
// ratio of what comes out in the end to what lies in the upload.
const inside = "!/"

// isZip goes by the name. A workbook or a jar is a zip too, but for people it is one
// file.
func isZip(name string) bool { return strings.EqualFold(path.Ext(name), ".zip") }

// budget is what the zips of the package may still cost.
type budget struct {
	entries   int
	directory int64
	memory    int64
}

// openNested adds the files of the zips in the package to its files. One that cannot
// be opened is a warning and stays the file that it is; one that is built to harm
// whoever unpacks it is refused, and the package with it: what lies in a package is
// meant to be unpacked one day.
func (p *Package) openNested(left budget) error {
	nested := make(map[string]*File)
	for _, f := range p.files {
		nested[f.Path] = f
	}
	for _, outer := range p.files[:len(p.files):len(p.files)] {
		if !isZip(outer.Path) {
			continue
		}
		files, err := p.open(outer, &left)
		var bad *Error
		switch {
		case err == nil:
		case !errors.As(err, &bad):
			return err // the source failed
		case bad.harmful():
			return bad
		default:
			p.warnings = append(p.warnings, unread(outer, bad))
			continue
		}
		var deeper []string
		for _, f := range files {
			if isJunk(f.Path) {
				p.skipped = append(p.skipped, f.Path)
				continue
			}
			if nested[f.Path] != nil {
				return refuse(CodeDuplicateName, f.Path,
					"a folder of the package is called like a zip inside it; rename one of them",
					"安装包中有文件夹与其中 zip 的路径重名，请重命名其中之一")
			}
			nested[f.Path] = f
			p.files = append(p.files, f)
			if isZip(f.Path) {
				deeper = append(deeper, f.Path)
			}
		}
		if len(deeper) > 0 {
			p.warnings = append(p.warnings, tooDeep(outer, deeper))
		}
	}
	p.byPath = nested
	return nil
}

// open returns the files of a zip in the package.
func (p *Package) open(outer *File, left *budget) ([]*File, error) {
	limits := p.meter.limits
	src, err := outer.source(left)
	if err != nil {
		return nil, err
	}
	within := limits
	within.Entries, within.Directory = left.entries, left.directory
	dir, entries, err := p.readEntries(src, outer, within)
	if err != nil {
		return nil, inZip(outer, err)
	}
	total, err := declaredSizes(entries, limits)
	switch {
	case err != nil:
		return nil, inZip(outer, err)
	case limits.inflated(total, outer.packed()):
		return nil, bomb(outer.Path, limits)
	case limits.inflated(p.declared+total, p.src.size):
		return nil, bomb("", limits)
	case total > limits.Unpacked-p.declared:
		return nil, tooLarge(CodeUnpackedTooLarge, outer.Path, "with it the unpacked package", "计入该 zip 后，解压后的安装包", p.declared+total, limits.Unpacked)
	}
	files, err := inOrder(entries)
	if err != nil {
		return nil, inZip(outer, err)
	}
	for _, f := range files {
		f.Path = outer.Path + inside + f.Path
		if bad := fits(f.Path, strings.Count(f.Path, "/")+1, limits); bad != nil {
			return nil, bad
		}
	}
	p.declared += total
	left.entries -= len(entries)
	left.directory -= dir.end - dir.start
	return files, nil
}

// source returns the bytes of a file that is a zip.
func (f *File) source(left *budget) (*source, error) {
	if err := f.checkHeader(); err != nil {
		return nil, err
	}
	if f.entry.Method == zip.Store {
		at, err := f.entry.DataOffset()
		if err != nil {
			return nil, f.readError(err)
		}
		return f.src.part(at, f.Size), nil
	}
	if f.Size > left.memory {
		return nil, refuse(CodeFileTooLarge, f.Path,
			fmt.Sprintf("compressed zips in a package may take %s together, and with this one they take more; add it uncompressed (zip -0), or its files by themselves", inBytes(f.pkg.meter.limits.Nested)),
			fmt.Sprintf("安装包内经过压缩的 zip 合计不得超过 %s，计入该文件后已超出；请以不压缩方式（zip -0）加入，或直接加入其中的文件", inBytes(f.pkg.meter.limits.Nested)))
	}
	left.memory -= f.Size // also if it comes to nothing: it bounds the work too
	content, err := f.ReadAll(f.Size)
	if err != nil {
		return nil, err
	}
	return &source{r: bytes.NewReader(content), size: f.Size}, nil
}

// inZip says in which zip the entry is that an error is about, and says what a limit
// or a format means for a zip that is not the upload.
func inZip(outer *File, err error) error {
	var bad *Error
	if !errors.As(err, &bad) {
		return err
	}
	in := *bad
	in.Path = outer.Path
	if bad.Path != "" {
		in.Path = printable(outer.Path + inside + bad.Path)
	}
	limits := outer.pkg.meter.limits
	switch bad.Code {
	case CodeNotAZip:
		in.Message = "it is called .zip and is none; rename it, or pack it again"
		in.MessageZH = "其扩展名为 .zip，但内容不是 zip；请更名或重新打包"
	case CodeTooManyEntries:
		in.Message = fmt.Sprintf("with it the package has more than %d entries; split the package", limits.Entries)
		in.MessageZH = fmt.Sprintf("计入该 zip 后，安装包的条目超过 %d 个，请拆分安装包", limits.Entries)
	case CodeTooLarge:
		in.Message = fmt.Sprintf("with it the directories of the package's zips take more than %s; split the package", inBytes(limits.Directory))
		in.MessageZH = fmt.Sprintf("计入该 zip 后，安装包内各 zip 的目录区合计超过 %s，请拆分安装包", inBytes(limits.Directory))
	}
	return &in
}

// harmful tells a zip that is built to harm whoever unpacks it from one that is
// damaged, locked, or just larger than what is looked into here.
func (e *Error) harmful() bool {
	switch e.Code {
	case CodeBomb, CodeOverlap, CodeSymlink, CodeSpecialFile:
		return true
	case CodeBadName:
		return !e.long
	}
	return false
}

// unread and tooDeep do not name their Path once more: whoever shows them does.
func unread(outer *File, why *Error) Warning {
	en, zh := why.Message, why.MessageZH
	if why.Path != outer.Path {
		en, zh = why.Text()
	}
	return Warning{
		Code: WarningNestedUnread, Path: outer.Path, Cause: why.Code,
		Message: "the files inside were not checked: " + en, MessageZH: "其中的文件未被检查：" + zh,
	}
}

func tooDeep(outer *File, deeper []string) Warning {
	w := Warning{
		Code: WarningNestedTooDeep, Path: deeper[0],
		Message:   "the files inside were not checked: zips are opened one level deep, and this one lies in another; put it directly into the package",
		MessageZH: "其中的文件未被检查：仅打开一层嵌套的 zip，而该文件位于另一个 zip 中，请将其直接放入安装包",
	}
	if more := len(deeper) - 1; more > 0 {
		w.Message += fmt.Sprintf("; the same holds for %d more in %q", more, outer.Path)
		w.MessageZH += fmt.Sprintf("；“%s”中另有 %d 个 zip 同样如此", outer.Path, more)
	}
	return w
}
