package unittest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// heard is what a report tells its handler.
type heard struct {
	cases  []testCase
	suites []suite
}

func (h *heard) testCase(c testCase) bool {
	h.cases = append(h.cases, c)
	return false
}

func (h *heard) measure(string, measured) {}

// newCheckOf begins a report.
func newCheckOf(t testing.TB, w scanners.Findings, is format) *check {
	t.Helper()
	c := newCheck(w, Limits{}.withDefaults(), DefaultSettings())
	c.begin(&zippkg.File{Path: "a.xml"}, is)
	return c
}

func (h *heard) suiteEnd(s suite) int {
	h.suites = append(h.suites, s)
	return 0
}

func TestEveryKindOfOutcomeIsToldApart(t *testing.T) {
	var h heard
	require.NoError(t, decode(t.Context(), strings.NewReader(`<testsuites><testsuite name="s" tests="6" failures="1" errors="1">
		<testcase name="passes"/>
		<testcase name="fails"><failure type="T">  first line
			second</failure><rerunFailure/><rerunError/></testcase>
		<testcase name="breaks"><error message="m"/></testcase>
		<testcase name="skips"><skipped/></testcase>
		<testcase name="flakes"><flakyFailure/><flakyError/></testcase>
	</testsuite></testsuites>`), true, Limits{}.withDefaults(), junit, &h, &h))
	require.Len(t, h.cases, 5)
	require.Empty(t, h.cases[0].Problems)
	require.Equal(t, []problem{{"failure", "T", "first line"}}, h.cases[1].Problems)
	require.Equal(t, []problem{{"error", "", "m"}}, h.cases[2].Problems)
	require.True(t, h.cases[3].Skipped)
	require.True(t, h.cases[4].Flaky)
	require.Empty(t, h.cases[4].Problems, "what passed in the end has not failed")
	require.Len(t, h.suites, 2)
	require.Equal(t, 2, h.suites[0].ClaimedProblems)
	require.Equal(t, 2, h.suites[0].Problems)
	require.Equal(t, 5, h.suites[1].Cases, "counted into the suite around")
}

func TestWhatATestSaysBetraysNoPassword(t *testing.T) {
	for said, told := range map[string]string{
		"login failed: password=Pw@12345, user=etl":          "login failed: password=***, user=etl",
		`{"password": "Pw@12345", "user": "etl"}`:            `{"password": "***", "user": "etl"}`,
		"jdbc:mysql://etl:Pw@12345@db:3306/x is away":        "jdbc:mysql://etl:***@db:3306/x is away",
		"http://etl:Pw12345@db:8080/x, access_key = AKx1":    "http://etl:***@db:8080/x, access_key = ***",
		"密码：Pw12345":                                         "密码：***",
		"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc": "Authorization: Bearer ***",
		"/api?token=abc123&page=1":                           "/api?token=***&page=1",
		"Unexpected token: } at http://localhost:8080/x":     "Unexpected token: } at http://localhost:8080/x",
		"expected <1> but was <2>":                           "expected <1> but was <2>",
	} {
		require.Equal(t, told, describe([]problem{{Message: said}}))
	}
	long := strings.Repeat("x", maxMessage-len("amqp://etl:Pw@1"))
	var h heard
	require.NoError(t, decode(t.Context(), strings.NewReader(`<testsuite><testcase name="a"><failure message="`+long+`amqp://etl:Pw@12345@db/x"/></testcase></testsuite>`), true, Limits{}.withDefaults(), junit, &h, &h))
	require.Equal(t, long+"amqp://etl:***@…", describe(h.cases[0].Problems), "masked before it is cut")
}

func TestLimitsAreNotTheReportsFault(t *testing.T) {
	small := Limits{FileBytes: 1 << 20, TextBytes: 100 << 10, Depth: 10}.withDefaults()
	for name, content := range map[string]string{
		"size":           `<testsuite>` + strings.Repeat(`<testcase name="a"/>`, 100_000) + `</testsuite>`,
		"text":           `<testsuite><system-out>` + strings.Repeat("x", 500<<10) + `</system-out></testsuite>`,
		"attribute":      `<testsuite name="` + strings.Repeat("x", 500<<10) + `"/>`,
		"depth":          strings.Repeat(`<testsuite>`, 100),
		"skipped depth":  `<testsuite>` + strings.Repeat(`<properties>`, 100),
		"depth in cases": `<testsuite><testcase><failure>` + strings.Repeat(`<a>`, 100),
	} {
		t.Run(name, func(t *testing.T) {
			var limit *overLimitError
			require.ErrorAs(t, decode(t.Context(), strings.NewReader(content), true, small, junit, &heard{}, &heard{}), &limit)
			require.Regexp(t, `^第 \d+ 行：.*超过 \d+`, describeFault(limit).Zh)
		})
	}
	exact := `<testsuite></testsuite>`
	require.NoError(t, decode(t.Context(), strings.NewReader(exact), true, Limits{FileBytes: int64(len(exact))}.withDefaults(), junit, &heard{}, &heard{}),
		"a file of just the limit is whole")
}

func TestAFailingReaderIsNoMalformedReport(t *testing.T) {
	away := errors.New("blob store away")
	for _, begun := range []string{"", "<testsuite>", "<testsuite><testcase><failure>text"} {
		in := io.MultiReader(strings.NewReader(begun), iotest.ErrReader(away))
		err := decode(t.Context(), in, true, Limits{}.withDefaults(), junit, &heard{}, &heard{})
		require.ErrorIs(t, err, away)
		require.NoError(t, faultOf(err))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := decode(ctx, strings.NewReader("<testsuite/>"), true, Limits{}.withDefaults(), junit, &heard{}, &heard{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestAReportsOwnWordsCannotMakeAFindingUnwritable(t *testing.T) {
	long := strings.Repeat("名", 5000)
	deep := strings.Repeat(`<testsuite name="`+long+`">`, 50) +
		`<testcase classname="` + long + `" name="` + long + `" file="` + long + `"><failure type="` + long + `" message="` + long + `"/></testcase>` +
		strings.Repeat(`</testsuite>`, 50)
	var blob bytes.Buffer
	w := report.NewWriter(&blob, report.Header{})
	c := newCheckOf(t, w, junit)
	require.NoError(t, decode(t.Context(), strings.NewReader(deep), true, Limits{}.withDefaults(), junit, c, c))
	c.end(nil)
	require.NoError(t, w.Close())
	require.Equal(t, 1, w.Counts().Error)
}

func TestFloodsKeepTheirCount(t *testing.T) {
	var b strings.Builder
	b.WriteString(`<testsuite name="s">`)
	for i := range 2*mostKept + 5 {
		fmt.Fprintf(&b, `<testcase name="c%d"><failure/></testcase>`, i)
	}
	b.WriteString(`</testsuite>`)
	w := report.NewWriter(io.Discard, report.Header{})
	c := newCheckOf(t, w, junit)
	require.NoError(t, decode(t.Context(), strings.NewReader(b.String()), true, Limits{}.withDefaults(), junit, c, c))
	c.end(nil)
	require.Equal(t, 2*mostKept+5, w.Counts().Error)
}

func TestLimitsOfTextsAreNotTheReportsFault(t *testing.T) {
	small := Limits{FileBytes: 1 << 20, LineBytes: 1 << 10, Open: 5}.withDefaults()
	var runs, packages strings.Builder
	for i := range 10 {
		fmt.Fprintf(&runs, `{"Action":"run","Package":"p","Test":"T%d"}`+"\n", i)
		fmt.Fprintf(&packages, `{"Action":"start","Package":"p%d"}`+"\n", i)
	}
	for name, c := range map[string]struct {
		is      format
		content string
	}{
		"line":     {lcov, "SF:" + strings.Repeat("x", 2<<10)},
		"size":     {profile, "mode: set\n" + strings.Repeat("a.go:1.1,2.2 1 1\n", 100_000)},
		"tests":    {goTest, runs.String()},
		"packages": {goTest, packages.String()},
		"dbt":      {dbt, `{"results": [` + strings.Repeat(`{"status":"pass","unique_id":"test.a"},`, 100_000)},
	} {
		err := decodeAs(t.Context(), []byte(c.content), small, c.is, newCheckOf(t, discard{}, c.is))
		var limit *overLimitError
		require.ErrorAs(t, err, &limit, name)
	}
	away := errors.New("blob store away")
	in := io.MultiReader(strings.NewReader(`{"results": [`), iotest.ErrReader(away))
	require.ErrorIs(t, decodeDBT(t.Context(), in, small, newCheckOf(t, discard{}, dbt)), away)
	in = io.MultiReader(strings.NewReader("SF:a\n"), iotest.ErrReader(away))
	require.ErrorIs(t, decodeLcov(t.Context(), in, small, newCheckOf(t, discard{}, lcov)), away)
}

// What is remembered to count nothing twice is bounded; beyond that things count as
// they come, and coverage says so.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	c := newCheck(discard{}, Limits{Remembered: 10}.withDefaults(), DefaultSettings())
	for _, path := range []string{"a.xml", "b.xml"} {
		c.begin(&zippkg.File{Path: path}, junit)
		for i := range 20 {
			c.testCase(testCase{Suite: "s", Name: fmt.Sprint(i)})
		}
		require.Equal(t, path == "b.xml", c.duplicate())
		c.end(nil)
		require.Contains(t, c.unsure().En, "more than 10 tests")
		require.Contains(t, c.unsure().Zh, "超过 10 个")
	}
	require.Equal(t, totals{tests: 30}, c.totals, "ten of the second are known")

	c.begin(&zippkg.File{Path: "c.info"}, lcov)
	for i := range 20 {
		c.measure(fmt.Sprint(i), measured{Lines: 2, LinesCovered: 3})
		c.measure(fmt.Sprint(i), measured{Lines: 2, LinesCovered: 1})
	}
	require.Equal(t, measured{Lines: 60, LinesCovered: 50}, c.covered)
	require.Contains(t, c.unsure().En, "more than 10 tests")
	require.Contains(t, c.unsure().Zh, "超过 10 个")
}

func TestPercentagesAreRoundedDown(t *testing.T) {
	require.Equal(t, "99.9", percent(99_999, 100_000))
	require.Equal(t, "100.0", percent(3, 3))
	require.Equal(t, "66.6", percent(2, 3))
	require.Equal(t, "80", threshold(80))
	require.Equal(t, "99.5", threshold(99.5))
}

func TestDigestsAndDescription(t *testing.T) {
	a, b := New(Config{}).Describe(), New(Config{}).Describe()
	require.Equal(t, a, b)
	require.Equal(t, "UNIT_TEST", a.Type)
	other := New(Config{Limits: Limits{Depth: 7}}).Describe()
	require.NotEqual(t, a.ConfigDigest, other.ConfigDigest)
	require.Equal(t, a.RulesDigest, other.RulesDigest)
}

// FuzzDecode reads a text in the format that which names.
func FuzzDecode(f *testing.F) {
	for _, seed := range []struct {
		which format
		text  string
	}{
		{junit, `<?xml version="1.0" encoding="UTF-8"?><testsuites><testsuite name="s" tests="1"><testcase name="a" classname="b"><failure message="m">t</failure></testcase></testsuite></testsuites>`},
		{junit, "<?xml version=\"1.0\" encoding=\"GBK\"?>\n<testsuite name=\"\xb6\xa9\xb5\xa5\"><testcase/></testsuite>"},
		{junit, "\xff\xfe<\x00t\x00e\x00s\x00t\x00s\x00u\x00i\x00t\x00e\x00/\x00>\x00"},
		{junit, `<!DOCTYPE testsuite [<!ENTITY a "b">]><testsuite name="&a;"/>`},
		{junit, `<testsuite errors="99999999999"><error/><testcase><error/><failure/>`},
		{junit, `<testsuite></testsuite><testsuite/>`},
		{junit, `<report/>`}, {junit, ``},
		{jacoco, `<report name="r"><group name="g"><package name="p"/><counter type="LINE" missed="1" covered="2"/></group></report>`},
		{cobertura, `<coverage line-rate="1"><class filename="a"><methods><method><line hits="1"/></method></methods><lines><line number="1" hits="1" condition-coverage="50% (1/2)"/></lines></class></coverage>`},
		{goTest, `{"Action":"run","Package":"p","Test":"T/a"}` + "\n" + `{"Action":"fail","Package":"p","Test":"T/a"}` + "\n" + `{"Action":"pass","Package":"p","Test":"T/a"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n{"},
		{dbt, `{"metadata":{},"results":[{"status":"fail","unique_id":"test.a"},` + "\n" + `{"status":"error","unique_id":"model.b","message":"m"}],"args":{}}`},
		{dbt, `{"results":{}}`}, {dbt, `[]`},
		{lcov, "TN:\nSF:a.c\nDA:1,1\nDA:2,0\nBRDA:1,0,0,-\nLF:2\nLH:1\nend_of_record\nSF:b"},
		{profile, "mode: set\na/b.go:1.2,3.4 2 1\na/b.go:1.2,3.4 2 0\nx"},
	} {
		f.Add(int(seed.which), []byte(seed.text))
	}
	f.Fuzz(func(t *testing.T, which int, content []byte) {
		is := junit + format(uint(which)%uint(profile))
		limits := Limits{FileBytes: 64 << 10, TextBytes: 16 << 10, LineBytes: 1 << 10, Remembered: 50, Open: 20}.withDefaults()
		var first, second bytes.Buffer
		for _, out := range []*bytes.Buffer{&first, &second} {
			w := report.NewWriter(out, report.Header{})
			c := newCheck(w, limits, DefaultSettings())
			c.begin(&zippkg.File{Path: "fuzz"}, is)
			err := decodeAs(t.Context(), content, limits, is, c)
			if err != nil && err != errNotReport {
				require.Error(t, faultOf(err), "every error is the report's fault: %v", err)
			}
			c.end(faultOf(err))
			c.unsure()
			require.GreaterOrEqual(t, c.totals.tests, c.totals.failed+c.totals.skipped)
			require.GreaterOrEqual(t, min(c.totals.failed, c.totals.skipped), 0)
			require.GreaterOrEqual(t, c.covered.Lines, c.covered.LinesCovered)
			require.GreaterOrEqual(t, c.covered.Branches, c.covered.BranchesCovered)
			require.NoError(t, w.Close())
		}
		require.Equal(t, first.String(), second.String())
		_, err := textFormat(t.Context(), bytes.NewReader(content), "a.json", limits)
		require.True(t, err == nil || err == errNotReport || faultOf(err) != nil, "%v", err)
		_, err = xmlFormat(t.Context(), bytes.NewReader(content), limits)
		require.True(t, err == nil || err == errNotReport || faultOf(err) != nil, "%v", err)
	})
}

func decodeAs(ctx context.Context, content []byte, limits Limits, is format, c *check) error {
	in := bytes.NewReader(content)
	switch is {
	case goTest:
		return decodeGoTest(ctx, in, limits, c)
	case dbt:
		return decodeDBT(ctx, in, limits, c)
	case lcov:
		return decodeLcov(ctx, in, limits, c)
	case profile:
		return decodeProfile(ctx, in, limits, c)
	}
	return decode(ctx, in, utf8.Valid(content), limits, is, c, c)
}

type discard struct{}

func (discard) Add(report.Finding) {}

func BenchmarkDecode(b *testing.B) {
	var in bytes.Buffer
	in.WriteString(`<testsuites>`)
	const suites, cases = 200, 100
	for s := range suites {
		fmt.Fprintf(&in, `<testsuite name="com.example.Suite%d" tests="%d" failures="1">`, s, cases)
		for c := range cases {
			fmt.Fprintf(&in, `<testcase classname="com.example.Suite%d" name="case%d" time="0.003">`, s, c)
			if c == 50 {
				in.WriteString(`<failure message="expected 1" type="AssertionError">at com.example.Suite.run(Suite.java:10)</failure>`)
			}
			in.WriteString("</testcase>\n")
		}
		in.WriteString(`<system-out><![CDATA[` + strings.Repeat("a line of the log of this suite\n", 50) + `]]></system-out></testsuite>`)
	}
	in.WriteString(`</testsuites>`)
	b.SetBytes(int64(in.Len()))
	b.ReportAllocs()
	for b.Loop() {
		c := newCheckOf(b, discard{}, junit)
		if err := decode(b.Context(), bytes.NewReader(in.Bytes()), true, Limits{}.withDefaults(), junit, c, c); err != nil {
			b.Fatal(err)
		}
		c.end(nil)
	}
	b.ReportMetric(float64(suites*cases*b.N)/b.Elapsed().Seconds(), "cases/s")
}
