package external

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/domain/report"
)

// Definition is what a file says about a command; see docs/scanners.md.
type Definition struct {
	Type    string   `yaml:"type"`
	Name    string   `yaml:"name"`    // of the program; the type in lower case if empty
	Command []string `yaml:"command"` // {files} stands for paths of files, "." for their folder
	// Version is a command whose output names the version. It is part of the rules'
	// digest, as another version may find something else.
	Version     []string          `yaml:"version"`
	Files       []string          `yaml:"files"`
	Exclude     []string          `yaml:"exclude"`
	Environment map[string]string `yaml:"environment"`
	Network     Network           `yaml:"network"`
	// Readable are folders and files of the machine that the command sees beside the
	// system's, such as /opt/tools.
	Readable []string `yaml:"readable"`
	Exit     Exit     `yaml:"exit"`
	Output   Output   `yaml:"output"`
	// Severities are those of the command, in its own words, as ours; what is not
	// listed is what Output.Severity says.
	Severities map[string]report.Severity `yaml:"severities"`
	Limits     Limits                     `yaml:"limits"`
	Rules      []Rule                     `yaml:"rules"`

	pattern *regexp.Regexp
	path    *regexp.Regexp // what of pattern stands for a path
	digest  string
	folder  string // that {here} stands for; empty if nothing says {here}
}

// Network says whether the command may use one.
type Network string

const (
	// None keeps the command off every network, as far as the system allows.
	None Network = "none"
	// Host gives it the network of the machine.
	Host Network = "host"
)

// Exit says what exit codes mean. Any other is an error of the attempt.
type Exit struct {
	Clean    []int `yaml:"clean"`    // nothing was found; [0] if empty
	Findings []int `yaml:"findings"` // something was
}

// Output says where findings are and how they are written.
type Output struct {
	// From is stdout, stderr, or the path of a file that the command writes, below the
	// folder it runs in.
	From   string `yaml:"from"`
	Format Format `yaml:"format"`
	// Pattern of a line, for the format lines: a regular expression (RE2) with the
	// groups path and message, and if there are any line, column, endLine, endColumn,
	// severity and rule.
	Pattern string `yaml:"pattern"`
	// Rule is the id of findings that name none; the type if empty.
	Rule string `yaml:"rule"`
	// Severity is that of findings that name none, or one that is not among Severities;
	// warning if empty.
	Severity report.Severity `yaml:"severity"`
}

// Format is how findings are written.
type Format string

// The formats.
const (
	SARIF Format = "sarif" // 2.1.0
	JUnit Format = "junit"
	Lines Format = "lines"
)

// Limits bound what one scan may cost. A field that is zero takes its default.
type Limits struct {
	Time   time.Duration `yaml:"time"`   // of the whole scan: 2m
	Memory Size          `yaml:"memory"` // of all its processes together: 1GiB
	Space  Size          `yaml:"space"`  // that it may write, beside its copy of the files: 256MiB
	Output Size          `yaml:"output"` // that is read: 64MiB
	Files  int           `yaml:"files"`  // that match: 10000
	Bytes  Size          `yaml:"bytes"`  // of those, unpacked: 512MiB
}

// Rule is an entry of the catalogue that the command has; it need not be complete.
type Rule struct {
	ID        string          `yaml:"id"`
	Severity  report.Severity `yaml:"severity"`
	Message   text            `yaml:"message"`
	Rationale text            `yaml:"rationale"`
	Security  bool            `yaml:"security"`
}

type text struct {
	En string `yaml:"en"`
	Zh string `yaml:"zh"`
}

// Size is a number of bytes, written as 512MiB, 64KiB, 1GiB or a plain number.
type Size int64

// UnmarshalYAML reads a size.
func (s *Size) UnmarshalYAML(n *yaml.Node) error {
	units := []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}
	for _, u := range units {
		number, ok := strings.CutSuffix(n.Value, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || v <= 0 || v > (1<<40)/u.bytes {
			break
		}
		*s = Size(v * u.bytes)
		return nil
	}
	return fmt.Errorf("line %d, column %d: %q is not a size; write it as 512MiB", n.Line, n.Column, n.Value)
}

// here stands in a definition for the folder of its file.
const here = "{here}"

// ParseFile is Parse for a file; {here} in its command, version, environment and
// readable is its folder.
func ParseFile(name string) (*Definition, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	d, err := Parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	folder, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	placed := func(text string) string { return strings.ReplaceAll(text, here, folder) }
	for i, path := range d.Readable {
		d.Readable[i] = filepath.Clean(placed(path))
	}
	for _, words := range [][]string{d.Command, d.Version} {
		for i, word := range words {
			if words[i] = placed(word); words[i] != word {
				d.folder = folder
			}
		}
	}
	for variable, value := range d.Environment {
		if d.Environment[variable] = placed(value); d.Environment[variable] != value {
			d.folder = folder
		}
	}
	return d, nil
}

// maxDefinition bounds a definition's text.
const maxDefinition = 256 << 10

// Parse reads a definition and checks all of it. Its error names every place that is
// wrong.
func Parse(r io.Reader) (*Definition, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxDefinition+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxDefinition {
		return nil, fmt.Errorf("the definition is larger than %d KiB", maxDefinition>>10)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	d := &Definition{}
	if err := decoder.Decode(d); errors.Is(err, io.EOF) {
		return nil, errors.New("the definition is empty")
	} else if err != nil {
		return nil, fmt.Errorf("not a definition of a scanner: %w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("a file holds one definition; put the next one into a file of its own")
	}
	sum := sha256.Sum256(raw)
	d.digest = hex.EncodeToString(sum[:])
	return d, d.complete()
}

// maxReadable keeps what a process is told small.
const maxReadable = 100

var typeName = regexp.MustCompile(`^[A-Z][A-Z0-9_-]{0,63}$`)

// complete fills in defaults and refuses what makes no sense.
func (d *Definition) complete() error {
	var wrong []error
	refuse := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if !typeName.MatchString(d.Type) {
		refuse("type: %q is none; write it as SHELLCHECK: 1 to 64 capital letters, digits, _ or -", d.Type)
	}
	if d.Name == "" {
		d.Name = strings.ToLower(d.Type)
	}
	if len(d.Command) == 0 || d.Command[0] == "" {
		refuse("command: name the program and its arguments, such as [shellcheck, --format=gcc, \"{files}\"]")
	}
	if n := slices.Index(d.Command, filesHere); n == 0 {
		refuse("command: the first word is the program, not {files}")
	}
	if len(d.Files) == 0 {
		refuse(`files: say which files the command is for, such as ["**/*.sh"]`)
	}
	for field, globs := range map[string][]string{"files": d.Files, "exclude": d.Exclude} {
		for _, glob := range globs {
			if !doublestar.ValidatePattern(glob) {
				refuse("%s: %q is not a pattern; write it as **/*.sh", field, glob)
			}
		}
	}
	for name := range d.Environment {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			refuse("environment: %q cannot be the name of a variable", name)
		}
	}
	if len(d.Readable) > maxReadable {
		refuse("readable: there are %d; name at most %d, such as a folder that holds them", len(d.Readable), maxReadable)
	}
	for i, path := range d.Readable {
		if !filepath.IsAbs(path) && path != here && !strings.HasPrefix(path, here+"/") || strings.Contains(path, "\x00") {
			refuse("readable: %q is no whole path; write it as /opt/tools, or {here}/rules", path)
			continue
		}
		d.Readable[i] = filepath.Clean(path)
	}
	switch d.Network {
	case "":
		d.Network = None
	case None, Host:
	default:
		refuse("network: %q is neither none nor host", d.Network)
	}
	if len(d.Exit.Clean) == 0 {
		d.Exit.Clean = []int{0}
	}
	for _, code := range slices.Concat(d.Exit.Clean, d.Exit.Findings) {
		if code < 0 || code > 255 {
			refuse("exit: %d is no exit code; they are 0 to 255", code)
		}
	}
	wrong = append(wrong, d.completeOutput()...)
	wrong = append(wrong, d.completeLimits()...)
	return errors.Join(wrong...)
}

func (d *Definition) completeOutput() (wrong []error) {
	refuse := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	o := &d.Output
	if o.From == "" {
		o.From = "stdout"
	}
	if o.Rule == "" {
		o.Rule = d.Type
	}
	if o.Severity == "" {
		o.Severity = report.Warning
	}
	ours := func(where string, s report.Severity) {
		if s != report.Error && s != report.Warning && s != report.Note {
			refuse("%s: %q is none of error, warning, note", where, s)
		}
	}
	ours("output.severity", o.Severity)
	for theirs, s := range d.Severities {
		ours("severities."+theirs, s)
	}
	switch o.Format {
	case SARIF, JUnit:
		if o.Pattern != "" {
			refuse("output.pattern: only the format lines has one")
		}
	case Lines:
		pattern, err := regexp.Compile(o.Pattern)
		switch {
		case err != nil:
			refuse("output.pattern: %w", err)
		case pattern.SubexpIndex("path") < 0 || pattern.SubexpIndex("message") < 0:
			refuse("output.pattern: it needs the groups (?P<path>…) and (?P<message>…)")
		}
		d.pattern, d.path = pattern, pathOf(o.Pattern)
	default:
		refuse("output.format: %q is none of sarif, junit, lines", o.Format)
	}
	seen := map[string]bool{}
	for i := range d.Rules {
		r := &d.Rules[i]
		if r.ID == "" || seen[r.ID] {
			refuse("rules: entry %d has no id, or one that another has (%q)", i+1, r.ID)
		}
		seen[r.ID] = true
		if r.Severity == "" {
			r.Severity = o.Severity
		}
		ours("rules."+r.ID, r.Severity)
	}
	return wrong
}

func (d *Definition) completeLimits() (wrong []error) {
	l := &d.Limits
	for _, one := range []struct {
		value     *Size
		otherwise Size
	}{{&l.Memory, 1 << 30}, {&l.Space, 256 << 20}, {&l.Output, 64 << 20}, {&l.Bytes, 512 << 20}} {
		if *one.value == 0 {
			*one.value = one.otherwise
		}
	}
	if l.Time == 0 {
		l.Time = 2 * time.Minute
	}
	if l.Files == 0 {
		l.Files = 10_000
	}
	if l.Time < 0 || l.Files < 0 {
		wrong = append(wrong, errors.New("limits: time and files must not be negative"))
	}
	return wrong
}

// matches reports whether the command is for a file.
func (d *Definition) matches(path string) bool {
	match := func(glob string) bool { return doublestar.MatchUnvalidated(glob, path) }
	return slices.ContainsFunc(d.Files, match) && !slices.ContainsFunc(d.Exclude, match)
}

// unfit says why nothing that the command says of a file could be believed; empty if it
// could. The silence about such a file would look as if it were clean.
func (d *Definition) unfit(name string) (why report.Text) {
	if d.Output.From == name {
		return report.Text{En: "its name is that of the command's output; rename it", Zh: "文件名与命令的输出文件同名，请重命名"}
	}
	if d.Output.Format != Lines {
		return why
	}
	odd := strings.ContainsFunc(name, func(r rune) bool { return r == ':' || unicode.IsControl(r) })
	if odd || d.path != nil && !d.path.MatchString(name) && !d.path.MatchString("./"+name) {
		return report.Text{En: "its name cannot be told from the rest of a line of output; rename it", Zh: "无法在输出行中辨认该文件名，请重命名"}
	}
	return why
}

// pathOf is what stands in the group path of a pattern, for whole names; nil if there
// is no such group.
func pathOf(pattern string) *regexp.Regexp {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	for next := []*syntax.Regexp{tree}; len(next) > 0; {
		r := next[0]
		next = append(next[1:], r.Sub...)
		if r.Op == syntax.OpCapture && r.Name == "path" {
			path, _ := regexp.Compile("^(?:" + r.Sub[0].String() + ")$") // nil: nothing is known of it
			return path
		}
	}
	return nil
}

// severity puts the command's word into ours.
func (d *Definition) severity(theirs string) report.Severity {
	if s, ok := d.Severities[theirs]; ok {
		return s
	}
	switch s := report.Severity(strings.ToLower(theirs)); s {
	case report.Error, report.Warning, report.Note:
		return s
	}
	return d.Output.Severity
}
