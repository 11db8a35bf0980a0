package zippkg

// Only is a view of the package: the files whose paths keep wants, and no others. It
// shares everything with the package, its limits among it, and copies no content.
func (p *Package) Only(keep func(path string) bool) *Package {
	view := &Package{src: p.src, root: p.root, byPath: make(map[string]*File), meter: meter{limits: p.meter.limits, packed: p.meter.packed}}
	for _, f := range p.files {
		if keep(f.Path) {
			view.files = append(view.files, f)
			view.byPath[f.Path] = f
		}
	}
	for _, path := range p.skipped {
		if keep(path) {
			view.skipped = append(view.skipped, path)
		}
	}
	for _, w := range p.warnings {
		if keep(w.Path) {
			view.warnings = append(view.warnings, w)
		}
	}
	return view
}
