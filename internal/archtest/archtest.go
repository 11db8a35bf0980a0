// Package archtest keeps the direction of imports: its test reads every source
// file of the module and names each import that the table below does not allow.
//
// The table is design: change it together with docs/architecture.md.
package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/factgate/factgate"

// rule says what the packages at or below a folder may import besides the
// standard library. The rule with the longest matching folder applies.
type rule struct {
	folder string
	only   bool     // this folder alone: what lies below needs a rule of its own
	own    []string // folders of this module; a folder stands for itself and all below
	others []string // other modules, by path prefix
}

var rules = []rule{
	{folder: "", only: true}, // schema.go embeds a text
	{folder: "domain", own: []string{"domain"}, others: []string{"github.com/expr-lang/expr", "github.com/bmatcuk/doublestar/v4", "go.yaml.in/yaml/v3"}},
	{folder: "eventstore"},
	{folder: "eventstore/esdb", own: []string{"eventstore"}, others: []string{
		"github.com/EventStore/EventStore-Client-Go/v4", "github.com/cenkalti/backoff/v5", "github.com/google/uuid", "google.golang.org/grpc", "golang.org/x/sync"}},
	{folder: "eventstore/node", others: []string{
		"google.golang.org/grpc", "google.golang.org/protobuf", "github.com/cockroachdb/pebble/v2", "github.com/google/uuid", "golang.org/x/sys", "golang.org/x/sync",
		"github.com/EventStore/EventStore-Client-Go/v4/protos"}},
	{folder: "eventstore/export", own: []string{"eventstore"}},
	{folder: "eventstore/storetest", own: []string{"eventstore"}, others: []string{"github.com/stretchr/testify", "github.com/anishathalye/porcupine"}},
	{folder: "commands", own: []string{"domain", "eventstore"}, others: []string{"github.com/cenkalti/backoff/v5", "github.com/google/uuid"}},
	{folder: "coordinator", own: []string{"domain", "commands", "eventstore"}, others: []string{"github.com/jackc/pgx/v5", "golang.org/x/sync"}},
	{folder: "scanners", only: true, own: []string{"domain", "commands", "eventstore", "internal/blob", "internal/zippkg"}, others: []string{"go.yaml.in/yaml/v3", "github.com/google/uuid"}},
	{folder: "scanners/scannertest", own: []string{"domain", "scanners", "internal/zippkg"}, others: []string{"github.com/stretchr/testify", "golang.org/x/text"}},
	{folder: "scanners/sql", own: []string{"domain", "scanners", "internal/secrets", "internal/xlsx", "internal/zippkg"}, others: []string{"go.yaml.in/yaml/v3"}},
	{folder: "scanners/excel", own: []string{"domain", "scanners", "internal/cron", "internal/digraph", "internal/secrets", "internal/xlsx", "internal/zippkg"}, others: []string{
		"go.yaml.in/yaml/v3", "golang.org/x/text"}},
	{folder: "scanners/external", own: []string{"domain", "scanners", "internal/zippkg"}, others: []string{"github.com/bmatcuk/doublestar/v4", "go.yaml.in/yaml/v3"}},
	{folder: "scanners/unittest", own: []string{"domain", "scanners", "internal/secrets", "internal/zippkg"}, others: []string{"golang.org/x/text"}},
	{folder: "scanners/openapi", own: []string{"domain", "scanners", "internal/secrets", "internal/zippkg"}, others: []string{"go.yaml.in/yaml/v3", "golang.org/x/text"}},
	{folder: "scanners/wedata", own: []string{"domain", "scanners", "internal/cron", "internal/digraph", "internal/secrets", "internal/zippkg"}, others: []string{"go.yaml.in/yaml/v3"}},
	{folder: "projections", own: []string{"domain", "eventstore"}, others: []string{"github.com/jackc/pgx/v5", "golang.org/x/sync", "github.com/go-json-experiment/json/v1"}},
	{folder: "queries", own: []string{"domain", "eventstore"}, others: []string{"github.com/jackc/pgx/v5"}},
	{folder: "console"},
	{folder: "examples", others: []string{"github.com/xuri/excelize/v2", "golang.org/x/text"}},
	{folder: "examples/pack", own: []string{"examples"}},
	{folder: "internal/archtest"},
	{folder: "internal/cron", own: []string{"domain"}, others: []string{"github.com/robfig/cron/v3", "github.com/reugn/go-quartz"}},
	{folder: "internal/digraph"},
	{folder: "internal/blob", others: []string{"github.com/minio/minio-go/v7", "github.com/stretchr/testify", "golang.org/x/sys"}},
	{folder: "internal/conform", own: []string{"commands", "domain"}},
	{folder: "internal/retention", own: []string{"domain", "eventstore", "internal/blob"}},
	{folder: "internal/sarif", own: []string{"domain"}, others: []string{"github.com/owenrumney/go-sarif/v3"}},
	{folder: "internal/secrets"},
	{folder: "internal/zippkg", others: []string{"golang.org/x/text"}},
	{folder: "internal/xlsx", own: []string{"internal/zippkg"}, others: []string{"golang.org/x/text"}},
	{folder: "internal/testbench", own: []string{"commands", "domain", "eventstore", "internal/blob", "internal/pgdev"}, others: []string{
		"github.com/jackc/pgx/v5", "github.com/stretchr/testify"}},
	{folder: "internal/testbench/given", own: []string{"commands", "domain", "eventstore", "internal/testbench", "projections"}, others: []string{
		"github.com/google/uuid", "github.com/jackc/pgx/v5", "github.com/stretchr/testify"}},
	{folder: "internal/pgdev", others: []string{"github.com/jackc/pgx/v5", "golang.org/x/sys"}},
	{folder: "internal/graphqlapi", own: []string{"commands", "queries", "projections", "domain", ""}, others: []string{"github.com/graph-gophers/graphql-go"}},
	{folder: "internal/metrics", own: []string{"coordinator", "domain", "internal/graphqlapi", "projections", "queries", "scanners"}, others: []string{"github.com/prometheus/client_golang"}},
	{folder: "internal/httpapi", own: []string{"commands", "queries", "projections", "scanners", "domain", "internal/blob", "internal/zippkg"}, others: []string{"github.com/go-chi/chi/v5"}},
	{folder: "cmd", own: everything, others: []string{"github.com", "golang.org", "google.golang.org", "go.yaml.in"}},
}

// everything in the module but cmd, which nobody imports.
var everything = []string{"", "commands", "console", "coordinator", "domain", "eventstore", "examples", "internal", "projections", "queries", "scanners"}

// offence is an import that the table does not allow.
type offence struct{ file, imports string }

func (o offence) String() string { return fmt.Sprintf("%s must not import %s", o.file, o.imports) }

// check reads all Go files below root, tests left out: tests may wire real parts.
func check(root string, table []rule) ([]offence, error) {
	var found []offence
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
				return filepath.SkipDir // another module
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		file = filepath.ToSlash(file)
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := strings.TrimSuffix(file, "/"+filepath.Base(path))
		if folder == file {
			folder = ""
		}
		r, ok := ruleOf(folder, table)
		if !ok {
			found = append(found, offence{file, "anything: its folder " + folder + " has no rule in internal/archtest"})
			return nil
		}
		for _, spec := range parsed.Imports {
			imports, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !r.allows(imports) {
				found = append(found, offence{file, imports})
			}
		}
		return nil
	})
	return found, err
}

func ruleOf(folder string, table []rule) (best rule, ok bool) {
	for _, r := range table {
		if (folder == r.folder || !r.only && within(folder, r.folder)) && (!ok || len(r.folder) > len(best.folder)) {
			best, ok = r, true
		}
	}
	return best, ok
}

func (r rule) allows(imports string) bool {
	if own, ok := strings.CutPrefix(imports, module); ok && (own == "" || own[0] == '/') {
		own = strings.TrimPrefix(own, "/")
		if !r.only && within(own, r.folder) {
			return true // its own folder
		}
		return slices.ContainsFunc(r.own, func(f string) bool {
			if f == "scanners" && r.folder != "cmd" {
				return own == "scanners" // the contract, never another scanner
			}
			return f == own || f != "" && within(own, f)
		})
	}
	if first, _, _ := strings.Cut(imports, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(r.others, func(p string) bool { return within(imports, p) })
}

// within reports whether a path is the folder or lies below it.
func within(path, folder string) bool {
	return folder == "" || path == folder || strings.HasPrefix(path, folder+"/")
}
