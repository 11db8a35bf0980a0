// Package examples holds packages that look like real deliveries of big-data
// products, and packs them. The demo uploads them, and tests hold the scanners
// to what they should find there.
//
// Each folder is one package, kept as text so that a change can be read:
//
//	NAME/example.json            how it is packed, and the verdict it deserves
//	NAME/…/BOOK.xlsx/1-SHEET.csv a workbook: every CSV file in it is a sheet
//	NAME/…                       everything else, packed as it is
//
// It promises that the same source gives the same bytes, whatever the clock or
// the machine says, as long as the compressor of the Go toolchain stays the
// same: so an example keeps its digest. A new example is a folder and a word in
// the embed directive.
//
// Start with [Names] and [Pack]; the command in pack/ writes the zips to a
// folder.
package examples

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

//go:embed all:docs-only all:marketing-3.1.0-gbk all:retail-1.4.0 all:retail-1.5.0-rc1 all:risk-2.0.0 all:wedata-1.2.0
var sources embed.FS

const recipeFile = "example.json"

// recipe is an example's example.json.
type recipe struct {
	// Root is the folder that encloses everything in the zip.
	Root string `json:"root"`
	// Packed is the time that everything in the zip bears.
	Packed time.Time `json:"packed"`
	// Encoding is that of names and texts: UTF-8 if empty, or GB18030, as old
	// tools on a Chinese Windows write them (their GBK is a part of it).
	Encoding string `json:"encoding"`
	// Extends names an example whose files this one has too, unless it has its own
	// file of the same path.
	Extends string `json:"extends"`

	Expect Expectation `json:"expect"`
}

const gb18030 = "GB18030"

// Expectation is the verdict that an example deserves under the default rules,
// and why.
type Expectation struct {
	Status string `json:"status"` // SUCCESS, PARTIAL_SUCCESS, FAILED
	Rule   string `json:"rule"`   // id of the rule that decides
	// Types says what becomes of the sub-task types that the example is about.
	Types map[string]Outcome `json:"types"`
}

// Outcome is what one scanner should make of an example.
type Outcome struct {
	Result string `json:"result"` // PASS, PASS_WITH_WARNINGS, FAILED, DECLINED
	// Findings are all of them, by rule.
	Findings map[string]int `json:"findings"`
}

// Names returns the names of the examples, sorted.
func Names() []string {
	entries, err := sources.ReadDir(".")
	if err != nil {
		return nil // an embedded root can be read
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Expected returns what should come of an example. An unknown name is an error.
func Expected(name string) (Expectation, error) {
	r, err := readRecipe(name)
	return r.Expect, err
}

// Pack writes an example as a zip to w. An unknown name is an error, and nothing
// is written.
func Pack(name string, w io.Writer) error {
	if err := pack(name, w); err != nil {
		return fmt.Errorf("pack example %s: %w", name, err)
	}
	return nil
}

func pack(name string, w io.Writer) error {
	r, err := readRecipe(name)
	if err != nil {
		return err
	}
	found := map[string][]byte{}
	if err := collect(name, found); err != nil {
		return err
	}
	files, err := r.files(found)
	if err != nil {
		return err
	}
	return writeZip(w, files, r.Packed, r.Encoding == gb18030)
}

func readRecipe(name string) (recipe, error) {
	var r recipe
	if !slices.Contains(Names(), name) {
		return r, fmt.Errorf("there is no example %q; there are: %s", name, strings.Join(Names(), ", "))
	}
	text, err := sources.ReadFile(path.Join(name, recipeFile))
	if err != nil {
		return r, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a misspelt field would expect nothing
	if err := decoder.Decode(&r); err != nil {
		return r, fmt.Errorf("%s of %s: %w", recipeFile, name, err)
	}
	if r.Encoding != "" && r.Encoding != gb18030 {
		return r, fmt.Errorf("%s of %s: encoding %q is not known; leave it out for UTF-8, or say %s", recipeFile, name, r.Encoding, gb18030)
	}
	return r, nil
}

// files makes of the sources, given by path, what is packed, in order.
func (r recipe) files(found map[string][]byte) ([]file, error) {
	books := map[string]map[string][]byte{}
	var files []file
	for _, at := range slices.Sorted(maps.Keys(found)) {
		if folder := path.Dir(at); path.Ext(folder) == ".xlsx" {
			if books[folder] == nil {
				books[folder] = map[string][]byte{}
			}
			books[folder][path.Base(at)] = found[at]
			continue
		}
		content := found[at]
		if r.Encoding == gb18030 {
			encoded, err := toGB18030(at, content)
			if err != nil {
				return nil, err
			}
			content = encoded
		}
		files = append(files, file{path.Join(r.Root, at), content})
	}
	for folder, sheets := range books {
		content, err := workbook(sheets, r.Packed)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
		files = append(files, file{path.Join(r.Root, folder), content})
	}
	return sorted(files), nil
}

// collect reads the sources of an example by path, over those that it extends.
func collect(name string, into map[string][]byte) error {
	r, err := readRecipe(name)
	if err != nil {
		return err
	}
	if r.Extends != "" {
		if err := collect(r.Extends, into); err != nil {
			return err
		}
	}
	within, err := fs.Sub(sources, name)
	if err != nil {
		return err
	}
	return fs.WalkDir(within, ".", func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || at == recipeFile {
			return err
		}
		into[at], err = fs.ReadFile(within, at)
		return err
	})
}

func toGB18030(at string, content []byte) ([]byte, error) {
	if !utf8.Valid(content) {
		return nil, fmt.Errorf("%s is no UTF-8 text and cannot be written in %s", at, gb18030)
	}
	return simplifiedchinese.GB18030.NewEncoder().Bytes(content)
}
