package external

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// filesHere stands in a command for the paths of files.
const filesHere = "{files}"

// maxArguments bounds the bytes of paths in one call: systems take at least 128 KiB of
// arguments and environment together.
const maxArguments = 96 << 10

// Scanner runs a command. It is safe for concurrent use.
type Scanner struct {
	definition  *Definition
	program     string // absolute
	box         box
	description scanners.Description
}

// New finds the command and asks it for its version. Private are folders that the
// command must never see, such as Factgate's data folder; they need not exist yet. The
// error says what to install or to mend. What killed processes have left behind is
// removed.
func New(ctx context.Context, d *Definition, private ...string) (*Scanner, error) {
	program, err := find(d.Command[0])
	if err != nil {
		return nil, fmt.Errorf("scanner %s: %w", d.Type, err)
	}
	programs := []string{program}
	if len(d.Version) > 0 {
		other, err := find(d.Version[0])
		if err != nil {
			return nil, fmt.Errorf("scanner %s: its version command: %w", d.Type, err)
		}
		programs = append(programs, other)
	}
	whole := make([]string, len(private))
	for i, folder := range private {
		if whole[i], err = filepath.Abs(folder); err != nil {
			return nil, err
		}
	}
	if err := d.readable(whole); err != nil {
		return nil, fmt.Errorf("scanner %s: %w", d.Type, err)
	}
	sweepWork()
	s := &Scanner{definition: d, program: program}
	if s.box, err = newBox(ctx, d, programs, whole); err != nil {
		return nil, fmt.Errorf("scanner %s: %w", d.Type, err)
	}
	version, err := s.version(ctx)
	if err != nil {
		return nil, fmt.Errorf("scanner %s: its version command: %w", d.Type, err)
	}
	rules := sha256.Sum256([]byte(d.digest + "\n" + version))
	s.description = scanners.Description{
		Type: d.Type, Name: d.Name, Version: firstLine(version),
		RulesDigest: hex.EncodeToString(rules[:]), ConfigDigest: d.digest,
	}
	return s, nil
}

// Exposed says what the command can reach since the system does not let it be shut in,
// and what to do about that. It is empty if the command is shut in.
func (s *Scanner) Exposed() report.Text { return s.box.exposed }

// Describe is part of scanners.Scanner.
func (s *Scanner) Describe() scanners.Description { return s.description }

// Rules are those that the definition lists; the command may have more.
func (s *Scanner) Rules() []report.Rule {
	var out []report.Rule
	for _, r := range s.definition.Rules {
		out = append(out, report.Rule{ID: r.ID, Severity: r.Severity, Message: report.Text(r.Message), Rationale: report.Text(r.Rationale), Security: r.Security})
	}
	return out
}

func (s *Scanner) version(ctx context.Context) (string, error) {
	words := s.definition.Version
	if len(words) == 0 {
		return "", nil
	}
	program, err := find(words[0])
	if err != nil {
		return "", err
	}
	w, err := newWork()
	if err != nil {
		return "", err
	}
	defer func() { _ = w.remove() }() // it is empty, or nearly
	_, home := s.box.inside(w)
	var out, errs limited
	out.left, errs.left = 4<<10, 4<<10
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	e, err := s.box.run(ctx, call{
		program: program, args: words[1:], work: w, folder: home, environment: s.environment(home), stdout: &out, stderr: &errs,
		memory: int64(s.definition.Limits.Memory), space: int64(s.definition.Limits.Space),
	})
	if err != nil {
		return "", fmt.Errorf("%w%s", err, s.box.hint())
	}
	e.close()
	if e.code != 0 {
		return "", fmt.Errorf("%s ended with exit code %d%s%s", strings.Join(words, " "), e.code, said(&errs, &out), s.box.hint())
	}
	return strings.TrimSpace(string(out.kept)), nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if len(line) > 100 {
		line = strings.ToValidUTF8(line[:100], "")
	}
	if line == "" {
		return "unknown"
	}
	return line
}

// Decide takes part if a file matches.
func (s *Scanner) Decide(ctx context.Context, pkg *zippkg.Package) (scanners.Decision, error) {
	if err := ctx.Err(); err != nil {
		return scanners.Decision{}, err
	}
	globs := strings.Join(s.definition.Files, " ")
	if slices.ContainsFunc(pkg.Files(), s.wants) {
		return scanners.TakePartBecause(report.Text{
			En: "the package holds files for " + s.definition.Name + " (" + globs + ")",
			Zh: "安装包中有 " + s.definition.Name + " 可检查的文件（" + globs + "）",
		}), nil
	}
	return scanners.Decline(scanners.NoMatchingFiles, report.Text{
		En: "the package holds no files for " + s.definition.Name + " (" + globs + ")",
		Zh: "安装包中没有 " + s.definition.Name + " 可检查的文件（" + globs + "）",
	}), nil
}

func (s *Scanner) wants(f *zippkg.File) bool { return s.definition.matches(f.Path) }

// Scan copies the matched files, runs the command on them, and reads what it printed.
func (s *Scanner) Scan(ctx context.Context, pkg *zippkg.Package, out scanners.Findings) (coverage task.Coverage, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.definition.Limits.Time,
		fmt.Errorf("%s took longer than its %v; raise limits.time", s.definition.Name, s.definition.Limits.Time))
	defer cancel()
	w, err := newWork()
	if err != nil {
		return coverage, err
	}
	defer func() {
		if gone := w.remove(); err == nil {
			err = gone
		}
	}()
	files, err := s.unpack(ctx, pkg, w.files(), &coverage)
	if err != nil {
		return coverage, err
	}
	known := map[string]bool{}
	for _, f := range files {
		known[f] = true
	}
	folder, _ := s.box.inside(w)
	found := &collector{definition: s.definition, folder: folder, known: known}
	for bunch := range bunches(files, s.definition.Command) {
		if err := s.call(ctx, bunch, w, found); err != nil {
			return coverage, err
		}
		coverage.Seen += len(bunch)
	}
	slices.SortStableFunc(found.list, byPlace)
	for _, f := range found.list {
		out.Add(f)
	}
	return coverage, nil
}

func byPlace(a, b report.Finding) int {
	if c := strings.Compare(a.Path, b.Path); c != 0 {
		return c
	}
	if a.Line != b.Line {
		return a.Line - b.Line
	}
	return a.Column - b.Column
}

// unpack copies the matched files into a folder and returns their paths.
func (s *Scanner) unpack(ctx context.Context, pkg *zippkg.Package, folder string, coverage *task.Coverage) (files []string, err error) {
	limits := s.definition.Limits
	left := int64(limits.Bytes)
	for _, f := range pkg.Files() {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if !s.wants(f) {
			continue
		}
		coverage.Eligible++
		degrade := func(reason report.Text) {
			if len(coverage.Degraded) < maxDegraded {
				coverage.Degraded = append(coverage.Degraded, task.Degraded{Path: f.Path, Reason: reason.En, ReasonZH: reason.Zh})
			}
		}
		if len(files) == limits.Files || f.Size > left {
			degrade(report.Text{
				En: "not scanned: it is over the limits of " + s.definition.Name,
				Zh: "未扫描：超出 " + s.definition.Name + " 的限制",
			})
			continue
		}
		if why := s.definition.unfit(f.Path); why != (report.Text{}) {
			degrade(report.Text{En: "not scanned: " + why.En, Zh: "未扫描：" + why.Zh})
			continue
		}
		n, err := s.copyOut(f, filepath.Join(folder, filepath.FromSlash(f.Path)))
		var refused *zippkg.Error
		if errors.As(err, &refused) {
			degrade(report.Text{En: refused.Message, Zh: refused.MessageZH})
			continue
		}
		if unwritable(err) {
			degrade(report.Text{
				En: "not scanned: no folder here takes its name beside the others; rename it",
				Zh: "未扫描：文件名过长或与其他文件冲突，无法落盘，请重命名",
			})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("copy %s: %w", f.Path, err)
		}
		left -= n
		files = append(files, f.Path)
	}
	return files, nil
}

// unwritable reports whether a name is at fault, and not the disk: a zip holds longer
// ones than a folder, and may have a file where another's folder is.
func unwritable(err error) bool {
	for _, why := range []error{syscall.ENAMETOOLONG, syscall.ENOTDIR, syscall.EISDIR, fs.ErrExist} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}

// maxDegraded keeps the coverage small: it travels in a fact.
const maxDegraded = 200

func (s *Scanner) copyOut(f *zippkg.File, to string) (n int64, err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return 0, err
	}
	in, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }() // only read
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(file, in)
	return n, errors.Join(err, file.Close())
}

// bunches yields the files of each call: all of them if the command does not name them.
func bunches(files []string, command []string) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		if len(files) == 0 {
			return
		}
		if !slices.Contains(command, filesHere) {
			yield(files)
			return
		}
		begin, size := 0, 0
		for i, f := range files {
			if size += len(f) + 16; size > maxArguments && i > begin {
				if !yield(files[begin:i]) {
					return
				}
				begin, size = i, len(f)+16
			}
		}
		yield(files[begin:])
	}
}

func (s *Scanner) environment(home string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LC_ALL=C.UTF-8"}
	names := make([]string, 0, len(s.definition.Environment))
	for name := range s.definition.Environment {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		env = append(env, name+"="+s.definition.Environment[name]) // the last of a name counts
	}
	return env
}

// call runs the command on some of the files.
func (s *Scanner) call(ctx context.Context, files []string, w work, found *collector) error {
	var args []string
	for _, word := range s.definition.Command[1:] {
		if word != filesHere {
			args = append(args, word)
			continue
		}
		for _, f := range files {
			args = append(args, "./"+f) // a name that begins with - is no option
		}
	}
	d := s.definition
	out, errs := &limited{left: int64(d.Limits.Output)}, &limited{left: int64(d.Limits.Output)}
	folder, home := s.box.inside(w)
	e, err := s.box.run(ctx, call{
		program: s.program, args: args, work: w, folder: folder, environment: s.environment(home), stdout: out, stderr: errs,
		memory: int64(d.Limits.Memory), space: int64(d.Limits.Space),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", d.Name, err)
	}
	defer e.close()
	code := e.code
	clean, dirty := slices.Contains(d.Exit.Clean, code), slices.Contains(d.Exit.Findings, code)
	if !clean && !dirty {
		hint := ""
		if code == 126 || code == 127 { // shells and env say so of what is not there
			hint = s.box.hint()
		}
		return fmt.Errorf("%s ended with exit code %d, which is neither clean nor findings%s%s", d.Name, code, said(errs, out), hint)
	}
	from := out
	switch d.Output.From {
	case "stdout":
	case "stderr":
		from = errs
	default:
		if from, err = s.written(e.folder); err != nil {
			return err
		}
	}
	if from.over {
		return fmt.Errorf("%s printed more than %d bytes; raise limits.output, or give it fewer files", d.Name, d.Limits.Output)
	}
	n, err := found.read(from.kept)
	if err != nil {
		return fmt.Errorf("%s: its output cannot be read as %s: %w", d.Name, d.Output.Format, err)
	}
	if dirty && !clean && n == 0 {
		return fmt.Errorf("%s ended with exit code %d, which stands for findings, and none can be read from its output%s; look at output.from and output.pattern", d.Name, code, said(errs, out))
	}
	return nil
}

// said quotes the beginning of what a command printed. The files of a package may be
// quoted in it, so it is short and for the attempt's error only.
func said(streams ...*limited) string {
	for _, s := range streams {
		if line := firstLine(string(s.kept)); line != "unknown" {
			return fmt.Sprintf(" (it said: %.200q)", line)
		}
	}
	return ""
}

// written reads the file that the command was to write, which is then removed, so that
// the next call's is its own.
func (s *Scanner) written(folder string) (*limited, error) {
	from := s.definition.Output.From
	name := path.Join("files", from)
	if inHome, ok := strings.CutPrefix(from, "~/"); ok {
		name = path.Join("home", inHome)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()                                 // only looked into
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would be waited for
	if err != nil {
		return nil, fmt.Errorf("%s did not write %s: %w", s.definition.Name, from, err)
	}
	defer func() { _ = file.Close() }() // only read
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s did not write %s: there is something that is no file", s.definition.Name, from)
	}
	out := &limited{left: int64(s.definition.Limits.Output)}
	if _, err := io.Copy(out, file); err != nil {
		return nil, err
	}
	return out, root.Remove(name)
}

// limited keeps the first bytes that are written to it and forgets the rest.
type limited struct {
	kept []byte
	left int64
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	keep := min(int64(len(p)), l.left)
	l.kept = append(l.kept, p[:keep]...)
	l.left -= keep
	l.over = l.over || keep < int64(len(p))
	return len(p), nil
}
