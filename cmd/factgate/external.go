package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners"
	"github.com/factgate/factgate/scanners/external"
)

// externals are the files that make scanners of other programs.
type externals struct{ paths []string }

// flag adds --external.
func (e *externals) flag(cmd *cobra.Command) {
	var usual []string
	if list := os.Getenv("FACTGATE_EXTERNAL"); list != "" {
		usual = filepath.SplitList(list)
	}
	cmd.Flags().StringArrayVar(&e.paths, "external", usual,
		"YAML file that makes a scanner of another program, or a folder of such files; again for more (default: FACTGATE_EXTERNAL). See docs/scanners.md")
}

// scanners are the built-in ones and those of the files. tell hears of what cannot be
// shut in; private are the folders that no program is to see.
func (e *externals) scanners(ctx context.Context, tell func(subTaskType string, exposed report.Text), private ...string) ([]scanners.Scanner, error) {
	list := scannerList()
	for _, path := range e.paths {
		files := []string{path}
		if info, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("--external: %w", err)
		} else if info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(path, "*.y*ml")); err != nil {
				return nil, err
			}
			if len(files) == 0 {
				return nil, fmt.Errorf("--external: there is no .yaml file in %s", path)
			}
		}
		for _, file := range files {
			d, err := external.ParseFile(file)
			if err != nil {
				return nil, fmt.Errorf("--external: %w", err)
			}
			if slices.Contains(typesOf(list), d.Type) {
				return nil, fmt.Errorf("--external: %s: there is a scanner of type %s already; give this one another type", file, d.Type)
			}
			s, err := external.New(ctx, d, private...)
			if err != nil {
				return nil, fmt.Errorf("--external: %s: %w", file, err)
			}
			if exposed := s.Exposed(); exposed != (report.Text{}) {
				tell(d.Type, exposed)
			}
			list = append(list, s)
		}
	}
	return list, nil
}

// choose finds scanners by type, each once.
func choose(list []scanners.Scanner, types []string) (chosen []scanners.Scanner, err error) {
	for _, name := range types {
		i := slices.IndexFunc(list, func(s scanners.Scanner) bool { return s.Describe().Type == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scanner %.60q here; there are %s", name, strings.Join(typesOf(list), ", "))
		}
		if !slices.Contains(typesOf(chosen), name) {
			chosen = append(chosen, list[i])
		}
	}
	return chosen, nil
}
