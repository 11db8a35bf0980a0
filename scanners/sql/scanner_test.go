package sql

import (
	"archive/zip"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

var update = flag.Bool("update", false, "rewrite the golden files")

type list []report.Finding

func (l *list) Add(f report.Finding) { *l = append(*l, f) }

type entry struct{ path, content string }

func pack(t testing.TB, files ...entry) *zippkg.Package {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		// Stored: what is repeated a million times here would look like a bomb.
		e, err := w.CreateHeader(&zip.FileHeader{Name: f.path, Method: zip.Store})
		require.NoError(t, err)
		_, err = e.Write([]byte(f.content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	pkg, err := zippkg.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), zippkg.DefaultLimits())
	require.NoError(t, err)
	return pkg
}

func scan(t testing.TB, files ...entry) (list, task.Coverage) {
	t.Helper()
	var out list
	coverage, err := New().Scan(context.Background(), pack(t, files...), &out)
	require.NoError(t, err)
	for _, d := range coverage.Degraded {
		require.Regexp(t, chinese, d.ReasonZH, d.Reason)
	}
	return out, coverage
}

// chinese is what no reason for degraded coverage may lack.
var chinese = regexp.MustCompile(`\p{Han}`)

func TestGolden(t *testing.T) {
	cases, err := os.ReadDir("testdata")
	require.NoError(t, err)
	for _, c := range cases {
		if c.Name() == "fuzz" || ruleFolder.MatchString(c.Name()) {
			continue
		}
		t.Run(c.Name(), func(t *testing.T) {
			dir := filepath.Join("testdata", c.Name())
			const golden = "findings.golden"
			sources, err := os.ReadDir(dir)
			require.NoError(t, err)
			var files []entry
			for _, s := range sources {
				if s.Name() == golden {
					continue
				}
				b, err := os.ReadFile(filepath.Join(dir, s.Name()))
				require.NoError(t, err)
				files = append(files, entry{c.Name() + "/" + s.Name(), string(b)})
			}
			// A second folder keeps the first from being stripped as the root.
			findings, coverage := scan(t, append(files, entry{"x/readme.md", ""})...)
			got := show(findings, coverage)
			if *update {
				require.NoError(t, os.WriteFile(filepath.Join(dir, golden), []byte(got), 0o644))
			}
			want, err := os.ReadFile(filepath.Join(dir, golden))
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

var ruleFolder = regexp.MustCompile("^SQL[0-9]{3}$")

// TestGoldenRules holds each rule to its folder, in which every file is a package: one
// that is bad in a dialect breaks the rule, and one that is good breaks none at all.
func TestGoldenRules(t *testing.T) {
	for _, r := range table() {
		t.Run(r.ID, func(t *testing.T) {
			dir := filepath.Join("testdata", r.ID)
			const golden = "findings.golden"
			sources, err := os.ReadDir(dir)
			require.NoError(t, err)
			var got strings.Builder
			for _, s := range sources {
				if s.Name() == golden {
					continue
				}
				b, err := os.ReadFile(filepath.Join(dir, s.Name()))
				require.NoError(t, err)
				findings, coverage := scan(t, entry{r.ID + "/" + s.Name(), string(b)}, entry{"x/readme.md", ""})
				broken := slices.ContainsFunc(findings, func(f report.Finding) bool { return f.Rule == r.ID })
				if strings.HasPrefix(s.Name(), "good-") {
					assert.Empty(t, findings, s.Name())
				} else {
					assert.True(t, broken, s.Name())
				}
				assert.Empty(t, coverage.Degraded, s.Name())
				got.WriteString(show(findings, coverage))
			}
			if *update {
				require.NoError(t, os.WriteFile(filepath.Join(dir, golden), []byte(got.String()), 0o644))
			}
			want, err := os.ReadFile(filepath.Join(dir, golden))
			require.NoError(t, err)
			require.Equal(t, string(want), got.String())
		})
	}
}

func show(findings list, coverage task.Coverage) string {
	var b strings.Builder
	for _, f := range findings {
		suppressed := ""
		if f.Suppressed {
			suppressed = " (suppressed)"
		}
		fmt.Fprintf(&b, "%s:%d:%d-%d:%d %s %s%s %s\n  %s\n  %s\n", f.Path, f.Line, f.Column, f.EndLine, f.EndColumn, f.Rule, f.Severity, suppressed, f.Anchor, f.Message.En, f.Message.Zh)
	}
	fmt.Fprintf(&b, "seen %d of %d\n", coverage.Seen, coverage.Eligible)
	for _, d := range coverage.Degraded {
		fmt.Fprintf(&b, "degraded %s: %s\n  %s\n", d.Path, d.Reason, d.ReasonZH)
	}
	return b.String()
}

func TestDecide(t *testing.T) {
	s := New()
	for _, name := range []string{"a.sql", "d/A.SQL", "x.hql", "x.Ddl", "x.dml", "x.pls", "x.hive"} {
		d, err := s.Decide(context.Background(), pack(t, entry{name, ""}))
		require.NoError(t, err)
		require.True(t, d.TakesPart(), name)
	}
	d, err := s.Decide(context.Background(), pack(t, entry{"a.sql.txt", "SELECT 1"}, entry{"b.py", ""}))
	require.NoError(t, err)
	require.False(t, d.TakesPart())
	require.Equal(t, scanners.NoMatchingFiles, d.Code())
	require.Contains(t, d.Reason().En, ".hql")
	require.Contains(t, d.Reason().Zh, ".hql")
}

func TestFilesComeInOrderAndAreCounted(t *testing.T) {
	findings, coverage := scan(t, entry{"b.sql", "-- b\nDELETE FROM b"}, entry{"a.sql", "-- a\nDELETE FROM a"}, entry{"c.txt", "DELETE FROM c"})
	require.Equal(t, []string{"a.sql", "b.sql"}, []string{findings[0].Path, findings[1].Path})
	require.Equal(t, task.Coverage{Eligible: 2, Seen: 2}, coverage)
}

func TestWhatCannotBeReadIsCoverage(t *testing.T) {
	long := strings.Repeat("SELECT a FROM t;\n", maxText/16)
	findings, coverage := scan(t, entry{"a.sql", "-- a\nSELECT a FROM t"}, entry{"long.sql", long})
	require.Empty(t, findings)
	require.Equal(t, 2, coverage.Eligible)
	require.Equal(t, 1, coverage.Seen)
	require.Len(t, coverage.Degraded, 1)
	require.Equal(t, "long.sql", coverage.Degraded[0].Path)
	require.Contains(t, coverage.Degraded[0].ReasonZH, "超过上限 10 MiB")
}

func TestCoverageStaysSmall(t *testing.T) {
	var files []entry
	for i := range 2 * maxDegraded {
		files = append(files, entry{fmt.Sprintf("%03d.sql", i), "FROBNICATE t"})
	}
	_, coverage := scan(t, files...)
	require.Len(t, coverage.Degraded, maxDegraded+1)
	require.Equal(t, task.Degraded{Reason: "200 more reasons why files were not fully checked", ReasonZH: "另有 200 条未完整检查的说明未列出"}, coverage.Degraded[maxDegraded])
}

func TestEncodings(t *testing.T) {
	gbk, err := simplifiedchinese.GB18030.NewEncoder().String("-- 订单明细表，按天分区\nSELECT '金额', * FROM t")
	require.NoError(t, err)
	findings, coverage := scan(t,
		entry{"1.sql", gbk}, entry{"2.sql", "\ufeffSELECT * FROM t"}, entry{"3.sql", "SELECT a\r\nFROM t\n"}, entry{"4.sql", "SELECT\x00 a"})
	var got []string
	for _, f := range findings {
		got = append(got, fmt.Sprintf("%s:%d:%d %s", f.Path, f.Line, f.Column, f.Rule))
	}
	require.Equal(t, []string{
		"1.sql:1:1 ENC001", "1.sql:2:14 SQL001", "2.sql:1:1 ENC002", "2.sql:1:1 SQL036", "2.sql:1:8 SQL001",
		"3.sql:1:1 ENC003", "3.sql:1:1 SQL036", "4.sql:1:1 ENC004", "4.sql:1:1 SQL000",
	}, got)
	require.Equal(t, 3, coverage.Seen)
	require.Equal(t, "4.sql", coverage.Degraded[0].Path)
	require.Equal(t, "无法识别文本编码，未检查，请将文件另存为 UTF-8", coverage.Degraded[0].ReasonZH)
}

func TestScanEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := New().Scan(ctx, pack(t, entry{"a.sql", "SELECT 1"}), &list{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = New().Decide(ctx, pack(t, entry{"a.sql", "SELECT 1"}))
	require.ErrorIs(t, err, context.Canceled)
}

// cpu is the time that this process has worked so far, on all cores: what a core does
// is told by it also on a busy machine.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkScan scans the fixtures, over and over in one file of 4 MiB.
func BenchmarkScan(b *testing.B) {
	var unit strings.Builder
	for _, name := range []string{"hive/dwd_order.hql", "mysql/procedures.sql", "clickhouse/events.sql", "doris/load.sql", "maxcompute/ads_report.sql", "dbt/stg_orders.sql", "clean/ods_order.sql"} {
		text, err := os.ReadFile("testdata/" + name)
		require.NoError(b, err)
		unit.Write(text)
		unit.WriteString("\n;\n")
	}
	text := strings.Repeat(unit.String(), (4<<20)/unit.Len())
	pkg := pack(b, entry{"a.sql", text})
	s := New()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	before := cpu(b)
	defer func() {
		b.ReportMetric(float64(b.N)*float64(len(text))/1e6/(cpu(b)-before).Seconds(), "MB/cpu-s")
	}()
	for b.Loop() {
		var out list
		if _, err := s.Scan(context.Background(), pkg, &out); err != nil {
			b.Fatal(err)
		}
	}
}
