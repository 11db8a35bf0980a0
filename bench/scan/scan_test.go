package main

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The test binary is the command itself when it is told so: sides are processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "side" || os.Args[1] == "make") {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestEverySideHasItsTurn(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), []string{"-quick"}, &out, &bytes.Buffer{}), out.String())
	for _, side := range []string{sqlPgQuery, sqlNode, sqlFluff, openapiSpectral, xlsxExcelize, zipPlain, "reached"} {
		require.Contains(t, out.String(), side)
	}
	require.Error(t, run(context.Background(), []string{"-parts", "nothing"}, &out, &out))
}
