package main

import (
	"archive/tar"
	"compress/bzip2"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Pinned, so that figures can be compared.
const (
	clickhouseModule = "github.com/kyleconroy/doubleclick@v1.0.0"
	mysqlModule      = "github.com/pingcap/tidb/pkg/parser@v0.0.0-20260418072757-ce92298d1124"
	postgresSource   = "postgresql-15"
)

// module downloads a Go module and returns its folder.
func module(ctx context.Context, name string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", name)
	cmd.Dir = os.TempDir() // not this module's
	out, err := cmd.Output()
	var got struct{ Dir, Error string }
	if wrong := json.Unmarshal(out, &got); wrong != nil || got.Dir == "" {
		return "", fmt.Errorf("download %s: %s", name, errors.Join(err, errors.New(got.Error)))
	}
	return got.Dir, nil
}

func clickhouse(ctx context.Context) ([]file, error) {
	dir, err := module(ctx, clickhouseModule)
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "parser", "testdata", "*", "query.sql"))
	if err != nil {
		return nil, err
	}
	var files []file
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{filepath.Base(filepath.Dir(name)) + ".sql", string(text)})
	}
	return files, nil
}

// mysql takes the statements that the parser's tests call valid: {"SELECT 1", true, …}.
func mysql(ctx context.Context) ([]file, error) {
	dir, err := module(ctx, mysqlModule)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, filepath.Join(dir, "parser_test.go"), nil, 0)
	if err != nil {
		return nil, err
	}
	var texts []string
	ast.Inspect(tree, func(n ast.Node) bool {
		c, ok := n.(*ast.CompositeLit)
		if !ok || len(c.Elts) < 2 {
			return true
		}
		literal, isText := c.Elts[0].(*ast.BasicLit)
		valid, isName := c.Elts[1].(*ast.Ident)
		if isText && isName && literal.Kind == token.STRING && valid.Name == "true" {
			if text, err := strconv.Unquote(literal.Value); err == nil && strings.TrimSpace(text) != "" {
				texts = append(texts, strings.TrimRight(strings.TrimSpace(strings.ReplaceAll(text, "\r", " ")), ";")+";\n")
			}
		}
		return true
	})
	var files []file
	for i, some := range slices.Collect(slices.Chunk(texts, 50)) {
		files = append(files, file{fmt.Sprintf("parser-%03d.sql", i), strings.Join(some, "")})
	}
	return files, nil
}

func postgresql(ctx context.Context) ([]file, error) {
	dir, err := os.MkdirTemp("", "factgate-calibrate-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // temporary
	get := exec.CommandContext(ctx, "apt-get", "source", "--download-only", "-qq", postgresSource)
	get.Dir = dir
	if said, err := get.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("apt-get source %s: %w: %.300s (it needs a deb-src line in /etc/apt/sources.list.d)", postgresSource, err, said)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.orig.tar.bz2"))
	if err != nil || len(found) != 1 {
		return nil, errors.Join(err, fmt.Errorf("the source package holds %d archives", len(found)))
	}
	archive, err := os.Open(found[0])
	if err != nil {
		return nil, err
	}
	defer func() { _ = archive.Close() }() // only read
	var files []file
	for r := tar.NewReader(bzip2.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if path.Ext(h.Name) == ".sql" && strings.Contains(h.Name, "/src/test/regress/sql/") {
			text, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			files = append(files, file{path.Base(h.Name), string(text)})
		}
	}
}
