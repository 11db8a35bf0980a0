package zippkg

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/zippkg/hostile"
)

type entry = hostile.Entry

func zipOf(entries ...entry) []byte { return hostile.Of(entries...) }

func at[T any](v T) *T { return &v }

func open(data []byte, limits Limits) (*Package, error) {
	return Open(bytes.NewReader(data), int64(len(data)), limits)
}

func mustOpen(t *testing.T, data []byte) *Package {
	t.Helper()
	p, err := open(data, Limits{})
	require.NoError(t, err)
	return p
}

func paths(p *Package) []string {
	out := []string{}
	for _, f := range p.Files() {
		out = append(out, f.Path)
	}
	return out
}

func requireRefused(t *testing.T, err error, code Code) *Error {
	t.Helper()
	var refused *Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, code, refused.Code, "%v", err)
	require.NotEmpty(t, refused.Message)
	require.NotEmpty(t, refused.MessageZH)
	return refused
}
