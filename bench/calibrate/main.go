// Command calibrate runs the SQL scanner over SQL that others have published with
// their own tests, and over Hive and Spark statements written for it, and prints how
// much of each dialect was not understood and what errors were found in it.
//
// Statements from test suites are mostly right and often strange, so a rule that
// accuses many of them accuses wrongly, and a high rate of statements that are not
// understood is a gap. The texts are fetched when they are needed, from the Go module
// proxy and from Debian's sources, and are not kept:
//
//	clickhouse   github.com/kyleconroy/doubleclick, parser/testdata (ClickHouse's stateless tests)
//	mysql        github.com/pingcap/tidb/pkg/parser, the statements that its tests call valid
//	postgresql   Debian's source package postgresql-15, src/test/regress/sql
//	hive, spark  written by us, see written.go
package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners/sql"
	"github.com/factgate/factgate/scanners/sql/lex"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dialects := flag.String("dialects", "clickhouse,mysql,postgresql,hive,spark", "which, separated by commas")
	examples := flag.Int("examples", 0, "print so many places of each error rule, and of files that were not understood")
	flag.Parse()
	if err := run(ctx, strings.Split(*dialects, ","), *examples, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "calibrate:", err)
		os.Exit(1)
	}
}

// file is a text of a corpus.
type file struct{ name, text string }

var corpora = map[string]func(context.Context) ([]file, error){
	"clickhouse": clickhouse, "mysql": mysql, "postgresql": postgresql, "hive": hive, "spark": spark,
}

func run(ctx context.Context, dialects []string, examples int, w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "dialect\tfiles\tstatements\tnot understood\t%\twith errors found\terrors by rule")
	var more bytes.Buffer
	for _, dialect := range dialects {
		read, known := corpora[dialect]
		if !known {
			return fmt.Errorf("there is no corpus of %q", dialect)
		}
		files, err := read(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", dialect, err)
		}
		sum, err := scan(ctx, dialect, files, examples)
		if err != nil {
			return fmt.Errorf("%s: %w", dialect, err)
		}
		sum.print(table, &more, dialect)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := more.WriteTo(w)
	return err
}

// sum is what a corpus came to.
type sum struct {
	files, statements, missed int
	errors                    map[string]int
	places                    map[string][]string // by rule, and "" for what was not understood
}

// together is how many files are one package: reasons of degraded coverage are bounded
// by package.
const together = 150

func scan(ctx context.Context, dialect string, files []file, examples int) (*sum, error) {
	s := &sum{files: len(files), errors: map[string]int{}, places: map[string][]string{}}
	scanner := sql.New()
	for some := range slices.Chunk(files, together) {
		var packed bytes.Buffer
		w := zip.NewWriter(&packed)
		for _, f := range some {
			s.statements += statements(f.text)
			out, err := w.CreateHeader(&zip.FileHeader{Name: path.Join("sql", dialect, f.name)})
			if err != nil {
				return nil, err
			}
			if _, err := io.WriteString(out, f.text); err != nil {
				return nil, err
			}
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		pkg, err := zippkg.Open(bytes.NewReader(packed.Bytes()), int64(packed.Len()), zippkg.Limits{})
		if err != nil {
			return nil, err
		}
		taker := &taker{sum: s, examples: examples, texts: some}
		coverage, err := scanner.Scan(ctx, pkg, taker)
		if err != nil {
			return nil, err
		}
		for _, d := range coverage.Degraded {
			if n := missed.FindStringSubmatch(d.Reason); n != nil {
				count, _ := strconv.Atoi(n[1]) // digits
				s.missed += count
				line, _ := strconv.Atoi(n[2]) // digits
				s.example("", examples, fmt.Sprintf("%s:%d: %s", d.Path, line, taker.line(d.Path, line)))
			}
		}
	}
	return s, nil
}

var missed = regexp.MustCompile(`^(\d+) statement\(s\) not understood, the first in line (\d+)`)

func (s *sum) example(rule string, most int, place string) {
	if len(s.places[rule]) < most {
		s.places[rule] = append(s.places[rule], place)
	}
}

type taker struct {
	*sum
	examples int
	texts    []file
}

func (t *taker) Add(f report.Finding) {
	if f.Severity != report.Error || f.Suppressed {
		return
	}
	t.errors[f.Rule]++
	t.example(f.Rule, t.examples, fmt.Sprintf("%s:%d: %s", f.Path, f.Line, t.line(f.Path, f.Line)))
}

// line of a text, its beginning.
func (t *taker) line(path string, number int) string {
	for _, file := range t.texts {
		if lines := strings.Split(file.text, "\n"); strings.HasSuffix(path, file.name) && number-1 < len(lines) {
			line := strings.TrimSpace(lines[number-1])
			if len(line) > 160 {
				line = line[:160] + "…"
			}
			return line
		}
	}
	return ""
}

// statements counts what stands between terminators, by the scanner's own lexer.
func statements(text string) (n int) {
	l := lex.New(text, lex.Options{})
	any := false
	for t, ok := l.Next(); ok; t, ok = l.Next() {
		switch {
		case t.Kind == lex.Terminator || t.Kind == lex.Command:
			if any {
				n++
			}
			any = false
		case !t.Kind.Trivia() && t.Kind != lex.Data:
			any = true
		}
	}
	if any {
		n++
	}
	return n
}

func (s *sum) print(table io.Writer, more io.Writer, dialect string) {
	rules := slices.SortedFunc(maps.Keys(s.errors), func(a, b string) int {
		return cmp.Or(s.errors[b]-s.errors[a], strings.Compare(a, b))
	})
	var parts []string
	total := 0
	for _, r := range rules {
		total += s.errors[r]
		parts = append(parts, fmt.Sprintf("%s %d", r, s.errors[r]))
	}
	fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%.2f\t%d (%.2f %%)\t%s\n", dialect, s.files, s.statements, s.missed,
		100*float64(s.missed)/float64(max(1, s.statements)), total, 100*float64(total)/float64(max(1, s.statements)), strings.Join(parts, ", "))
	for _, r := range append([]string{""}, rules...) {
		if len(s.places[r]) > 0 {
			fmt.Fprintf(more, "\n%s %s\n", dialect, cmp.Or(r, "not understood"))
			for _, p := range s.places[r] {
				fmt.Fprintln(more, "  "+p)
			}
		}
	}
}
