package archtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestImportsGoTheWayTheyShould(t *testing.T) {
	found, err := check("../..", rules)
	require.NoError(t, err)
	for _, o := range found {
		t.Error(o)
	}
}

// The check itself must be able to fail.
func TestOffendersAreNamed(t *testing.T) {
	root := t.TempDir()
	write := func(file, imports string) {
		path := filepath.Join(root, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte("package x\nimport _ \""+imports+"\"\n"), 0o644))
	}
	write("domain/task/good.go", "time")
	write("domain/task/good2.go", module+"/domain/report")
	write("domain/task/pgx.go", "github.com/jackc/pgx/v5")
	write("domain/task/store.go", module+"/eventstore")
	write("scanners/sql/other.go", module+"/scanners/excel")
	write("scanners/sql/contract.go", module+"/scanners")
	write("eventstore/node/commands.go", module+"/commands")
	write("queries/cmd.go", module+"/cmd/factgate")
	write("queries/similar.go", module+"/domainx")
	write("homeless/x.go", "time")
	write("scanners/new/x.go", "time")
	write("domain/task/x_test.go", "github.com/jackc/pgx/v5")
	write("cmd/factgate/main.go", module+"/scanners/sql")
	write("bench/store/x.go", "example.com/peer")
	require.NoError(t, os.WriteFile(filepath.Join(root, "bench", "go.mod"), []byte("module "+module+"/bench\n"), 0o644))

	found, err := check(root, rules)
	require.NoError(t, err)
	var files []string
	for _, o := range found {
		files = append(files, o.file)
	}
	require.ElementsMatch(t, []string{
		"domain/task/pgx.go", "domain/task/store.go", "scanners/sql/other.go", "eventstore/node/commands.go",
		"queries/cmd.go", "queries/similar.go", "homeless/x.go", "scanners/new/x.go",
	}, files)
}
