package zippkg

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/zippkg/hostile"
)

// countingSource counts what is fetched of a package.
type countingSource struct {
	data           []byte
	bytes, fetches atomic.Int64
}

func (s *countingSource) ReadAt(p []byte, off int64) (int, error) {
	n, err := bytes.NewReader(s.data).ReadAt(p, off)
	s.bytes.Add(int64(n))
	s.fetches.Add(1)
	return n, err
}

// readEverything does what a scanner with a taste for everything does, and returns
// the first refusal.
func readEverything(p *Package) (first *Error) {
	for _, f := range p.Files() {
		rc, err := f.Open()
		if err == nil {
			_, err = io.Copy(io.Discard, rc)
			_ = rc.Close()
		}
		var refused *Error
		if errors.As(err, &refused) && first == nil {
			first = refused
		}
	}
	return first
}

// Each hostile package is refused or told of, in both languages, and costs little
// whatever it claims to be.
func TestHostilePackages(t *testing.T) {
	names := map[string]bool{}
	for _, h := range hostile.Packages() {
		require.False(t, names[h.Name], "twice: %s", h.Name)
		names[h.Name] = true
		t.Run(h.Name, func(t *testing.T) {
			data := h.Bytes()
			src := &countingSource{data: data}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			p, err := Open(src, int64(len(data)), Limits{})
			var read *Error
			if err == nil {
				read = readEverything(p)
			}
			runtime.ReadMemStats(&after)

			switch {
			case h.Refused != "":
				refused := requireRefused(t, err, Code(h.Refused))
				en, zh := refused.Text()
				require.True(t, strings.ContainsFunc(zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }), zh)
				require.False(t, strings.ContainsFunc(en+zh, unicode.IsControl), en)
			case h.Read != "":
				require.NoError(t, err)
				require.NotNil(t, read)
				require.Equal(t, Code(h.Read), read.Code, "%v", read)
			default:
				require.NoError(t, err)
				var codes []string
				for _, w := range p.Warnings() {
					codes = append(codes, string(w.Code))
					require.NotEmpty(t, w.MessageZH)
				}
				require.Contains(t, codes, h.Warned)
			}
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), "memory")
			require.Less(t, src.bytes.Load(), int64(5*len(data)+(256<<10)), "bytes fetched of %d", len(data))
		})
	}
	require.Greater(t, len(names), 60)
}

func TestAnOddPackageThatIsFine(t *testing.T) {
	p := mustOpen(t, hostile.Harmless())
	require.Equal(t, []string{"packed.zip", "packed.zip!/etl/a.sql", "stored.zip", "stored.zip!/etl/a.sql", "调度.sql"}, paths(p))
	require.Nil(t, readEverything(p))
	require.Len(t, p.Warnings(), 1)
	require.Equal(t, WarningNameEncoding, p.Warnings()[0].Code)
}

// A package that is cut off anywhere is none, and neither is a zip in a package.
func TestCutOffAnywhere(t *testing.T) {
	whole := hostile.Zip{Comment: "release 1", Zip64: true, Entries: []entry{
		{Name: "a.sql", Content: "select 1", Zip64: true}, {Name: "d/"}, {Name: "d/b.sql", Content: "select 2", Stored: true, Extra: make([]byte, 4)},
	}}.Bytes()
	mustOpen(t, whole)
	for cut := range whole {
		_, err := open(whole[:cut], Limits{})
		var refused *Error
		require.ErrorAs(t, err, &refused, "%d", cut)
		p := mustOpen(t, zipOf(entry{Name: "in.zip", Content: string(whole[:cut]), Stored: cut%2 == 0}))
		require.Len(t, p.Files(), 1)
		require.Equal(t, WarningNestedUnread, p.Warnings()[0].Code)
		require.Equal(t, refused.Code, p.Warnings()[0].Cause)
	}
}
