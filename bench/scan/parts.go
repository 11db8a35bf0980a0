package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/factgate/factgate/bench/internal/lab"
)

// The sides.
const (
	sqlOurs    = "factgate"
	sqlPgQuery = "pg_query"
	sqlNode    = "node-sql-parser"
	sqlFluff   = "sqlfluff lint"

	openapiOurs     = "factgate"
	openapiSpectral = "spectral lint"

	xlsxOurs          = "factgate"
	xlsxExcelize      = "excelize"
	xlsxOursTenth     = "factgate, a tenth"
	xlsxExcelizeTenth = "excelize, a tenth"

	zipOurs  = "factgate"
	zipPlain = "archive/zip"
)

// The packages of npm are those of the lock.
var (
	//go:embed npm/package.json
	npmPackage []byte
	//go:embed npm/package-lock.json
	npmLock []byte
	//go:embed npm/sql.mjs
	npmSQL []byte
	//go:embed npm/ruleset.yaml
	npmRules []byte
)

func (b *bench) npm(ctx context.Context) (string, error) {
	dir := filepath.Join(b.dir, "npm")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
		return dir, nil
	}
	b.say("npm ci")
	return dir, lab.NPM(ctx, dir, map[string][]byte{"package.json": npmPackage, "package-lock.json": npmLock, "sql.mjs": npmSQL, "ruleset.yaml": npmRules})
}

func (b *bench) sql(ctx context.Context) ([]contender, error) {
	large, small, tiny, times := 8<<20, 256<<10, 16<<10, 3
	if b.quick {
		large, small, tiny, times = 256<<10, 16<<10, 2<<10, 1
	}
	files := map[string]int{"large.sql": large, "small.sql": small, "tiny.sql": tiny}
	path := map[string]string{}
	for name, size := range files {
		var err error
		if path[name], err = b.write(name, statements(size)); err != nil {
			return nil, err
		}
	}
	npm, err := b.npm(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := ourselves(sqlOurs, "MB/s", "sql", path["large.sql"], strconv.Itoa(times))
	if err != nil {
		return nil, err
	}
	pgQuery := ours
	pgQuery.name, pgQuery.command = sqlPgQuery, []string{ours.command[0], "side", sqlPgQuery, "sql", path["small.sql"], strconv.Itoa(times)}
	node := contender{name: sqlNode, unit: "MB/s", command: []string{"node", "sql.mjs", path["small.sql"], strconv.Itoa(times)}, folder: npm}
	sides := []contender{ours, pgQuery, node}
	sqlfluff, err := exec.LookPath("sqlfluff")
	if err != nil {
		return nil, errors.New("sqlfluff is missing: type  apt-get install sqlfluff")
	}
	return append(sides, contender{name: sqlFluff, unit: "MB/s", units: float64(tiny) / 1e6, fine: []int{1},
		command: []string{sqlfluff, "lint", "--dialect", "ansi", "--format", "json", path["tiny.sql"]}}), nil
}

func (b *bench) openapi(ctx context.Context) ([]contender, error) {
	paths := 1_500
	if b.quick {
		paths = 50
	}
	text := specification(paths)
	file, err := b.write("api/openapi.yaml", text)
	if err != nil {
		return nil, err
	}
	npm, err := b.npm(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := ourselves(openapiOurs, "MB/s", "openapi", file, "3")
	return []contender{ours, {
		name: openapiSpectral, unit: "MB/s", units: float64(len(text)) / 1e6, fine: []int{1}, folder: npm,
		command: []string{filepath.Join(npm, "node_modules/.bin/spectral"), "lint", "--ruleset", "ruleset.yaml", "--format", "json", file},
	}}, err
}

func (b *bench) xlsx(ctx context.Context) ([]contender, error) {
	rows := 100_000
	if b.quick {
		rows = 5_000
	}
	var sides []contender
	for _, one := range []struct {
		rows  int
		names []string
	}{{rows, []string{xlsxOurs, xlsxExcelize}}, {rows / 10, []string{xlsxOursTenth, xlsxExcelizeTenth}}} {
		file := filepath.Join(b.dir, fmt.Sprintf("jobs-%d.xlsx", one.rows))
		if err := makes(ctx, "workbook", file, one.rows); err != nil {
			return nil, err
		}
		for _, name := range one.names {
			c, err := ourselves(name, "rows/s", "xlsx", file, "2")
			if err != nil {
				return nil, err
			}
			sides = append(sides, c)
		}
	}
	return sides, nil
}

func (b *bench) zip(ctx context.Context) ([]contender, error) {
	files := 2_000
	if b.quick {
		files = 50
	}
	file := filepath.Join(b.dir, "package.zip")
	if err := makes(ctx, "archive", file, files); err != nil {
		return nil, err
	}
	var sides []contender
	for _, name := range []string{zipOurs, zipPlain} {
		c, err := ourselves(name, "MB/s", "zip", file, "3")
		if err != nil {
			return nil, err
		}
		sides = append(sides, c)
	}
	return sides, nil
}
