package excel

import (
	"path"
	"strings"

	"github.com/factgate/factgate/internal/zippkg"
)

// packageFiles are the scripts of the package, for what the jobs name to be
// looked up in.
type packageFiles struct {
	scripts []string            // in order
	byBase  map[string][]string // by lower-case name without folders
	endings map[string]bool
}

func newPackageFiles(files []*zippkg.File, t *template) *packageFiles {
	p := &packageFiles{byBase: map[string][]string{}, endings: map[string]bool{}}
	for _, f := range files {
		if ext := strings.ToLower(path.Ext(f.Path)); t.scriptTypes[ext] {
			p.endings[ext] = true
			p.scripts = append(p.scripts, f.Path)
			base := strings.ToLower(path.Base(f.Path))
			p.byBase[base] = append(p.byBase[base], f.Path)
		}
	}
	return p
}

// lookup finds a script by the path that a job names. One of the two may have
// folders in front that the other has not. caseOnly: it is there, but spelled
// otherwise.
func (p *packageFiles) lookup(wanted string) (found string, caseOnly bool) {
	const most = 100 // that share a name: no more are compared
	same := p.byBase[strings.ToLower(path.Base(wanted))]
	if len(same) > most {
		return same[0], false
	}
	for _, file := range same {
		if suffixes(file, wanted) {
			return file, false
		}
	}
	for _, file := range same {
		if suffixes(strings.ToLower(file), strings.ToLower(wanted)) {
			return file, true
		}
	}
	return "", false
}

// suffixes reports whether one path is the end of the other.
func suffixes(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	return strings.HasSuffix(a, b) && (len(a) == len(b) || a[len(a)-len(b)-1] == '/')
}

// scriptRef is a script that a job names.
type scriptRef struct {
	field  field
	path   string // as it is to be looked up
	ext    string
	inside bool // it should be in the package: neither absolute nor with variables
}

// scriptOf reads the script that a row names, if it is one by its ending: a bare
// name may be a procedure or a class.
func (t *template) scriptOf(r *row) (scriptRef, bool) {
	ref := scriptRef{field: fieldScript, path: r.cells[fieldScript]}
	dir := r.cells[fieldScriptDir]
	switch {
	case ref.path == "":
		ref.field, ref.path = fieldScriptDir, dir
	case dir != "" && !strings.ContainsAny(ref.path, `/\`):
		ref.path = strings.TrimRight(dir, `/\`) + "/" + ref.path
	}
	ref.path = strings.ReplaceAll(ref.path, `\`, "/")
	if ref.ext = strings.ToLower(path.Ext(ref.path)); !t.scriptTypes[ref.ext] {
		// Arguments may follow: run.sh 2024.
		first, _, more := strings.Cut(ref.path, " ")
		if ref.ext = strings.ToLower(path.Ext(first)); !more || !t.scriptTypes[ref.ext] {
			return ref, false
		}
		ref.path = first
	}
	ref.path, ref.inside = t.inPackage(ref.path)
	return ref, true
}

// inPackage takes the root off a path, and says whether what remains is one
// within the package.
func (t *template) inPackage(p string) (string, bool) {
	for _, root := range t.Scripts.Roots {
		if rest, ok := strings.CutPrefix(p, root); ok && root != "" {
			return path.Clean(strings.TrimLeft(rest, "/")), true
		}
	}
	outside := strings.HasPrefix(p, "/") || strings.HasPrefix(p, "~") || strings.Contains(p, ":") || strings.ContainsAny(p, "${}%*?")
	p = path.Clean(p)
	return p, !outside && !strings.HasPrefix(p, "..")
}

// scriptsIn finds what may be scripts within a command.
func (t *template) scriptsIn(command string) []string {
	var out []string
	for _, word := range strings.FieldsFunc(command, func(r rune) bool { return strings.ContainsRune(" \t\r\n;|&()=,\"'`<>", r) }) {
		word = strings.ReplaceAll(word, `\`, "/")
		if t.scriptTypes[strings.ToLower(path.Ext(word))] {
			out = append(out, word)
		}
	}
	return out
}
