package scanners_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/configuration"
	"github.com/factgate/factgate/domain/project"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/suppression"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/zippkg"
	"github.com/factgate/factgate/scanners"
)

// lister finds something in each file that ends in .sql: rule R1 (error), R2 (warning)
// and R9 (error, a security rule, which the source tries to suppress).
type lister struct {
	scripted
	limit int
}

func newLister() *lister {
	l := &lister{scripted: scripted{name: "SQL"}, limit: 7}
	l.scan = l.find
	return l
}

func (l *lister) Rules() []report.Rule {
	return []report.Rule{{ID: "R1", Severity: report.Error}, {ID: "R2", Severity: report.Warning}, {ID: "R9", Severity: report.Error, Security: true}}
}

func (l *lister) Configure(s scanners.Settings) (scanners.Scanner, error) {
	v := struct {
		Limit int `yaml:"limit"`
	}{l.limit}
	if err := s.Decode(&v); err != nil {
		return nil, err
	}
	if v.Limit < 1 {
		return nil, s.Refuse(report.Text{En: "limit must be 1 or more", Zh: "limit 应不小于 1"}, "limit")
	}
	with := newLister()
	with.limit = v.Limit
	return with, nil
}

func (l *lister) Decide(_ context.Context, p *zippkg.Package) (scanners.Decision, error) {
	n := 0
	for _, f := range p.Files() {
		if strings.HasSuffix(f.Path, ".sql") {
			n++
		}
	}
	if n == 0 {
		return scanners.Decline(scanners.NoMatchingFiles, report.Text{En: "no .sql", Zh: "没有 .sql"}), nil
	}
	return scanners.TakePartBecause(report.Text{En: fmt.Sprintf("%d files match *.sql", n), Zh: fmt.Sprintf("%d 个文件匹配 *.sql", n)}), nil
}

func (l *lister) find(_ context.Context, p *zippkg.Package, out scanners.Findings) (task.Coverage, error) {
	var c task.Coverage
	for _, f := range p.Files() {
		if !strings.HasSuffix(f.Path, ".sql") {
			continue
		}
		c.Eligible++
		c.Seen++
		text := report.Text{En: fmt.Sprintf("limit %d", l.limit), Zh: "z"}
		out.Add(report.Finding{Rule: "R1", Severity: report.Error, Path: f.Path, Message: text, Anchor: "a"})
		out.Add(report.Finding{Rule: "R2", Severity: report.Warning, Path: f.Path, Message: text, Suppressed: f.Path == "x/noqa.sql", Anchor: "b"})
		out.Add(report.Finding{Rule: "R9", Severity: report.Error, Path: f.Path, Message: text, Suppressed: true, Anchor: "c"})
	}
	return c, nil
}

// upload makes a task of a package with these files, by content.
func (b *bench) upload(files map[string]string) string {
	var content bytes.Buffer
	w := zip.NewWriter(&content)
	for name, text := range files {
		f, err := w.Create(name)
		require.NoError(b.t, err)
		_, err = f.Write([]byte(text))
		require.NoError(b.t, err)
	}
	require.NoError(b.t, w.Close())
	return b.openRaw(content.Bytes())
}

// ends waits for the sub-task's end and reads its report, "RULE severity path how".
func (b *bench) ends(id string) (task.SubTask, []string) {
	got := b.await(id, "ends", ended("SQL")).SubTasks["SQL"]
	if got.Report == nil {
		return got, nil
	}
	return got, b.reported(got)
}

func (b *bench) reported(got task.SubTask) (lines []string) {
	for _, f := range b.findings(got) {
		line := fmt.Sprintf("%s %s %s", f.Rule, f.Severity, f.Path)
		if f.Line > 0 {
			line += fmt.Sprintf(":%d", f.Line)
		}
		if f.Suppressed {
			line += " suppressed"
		}
		if s := f.Suppression; s != nil {
			line += fmt.Sprintf(" %s %s %s", s.Kind, s.By, s.Reason)
		}
		lines = append(lines, line)
	}
	return lines
}

func (b *bench) findings(got task.SubTask) (all []report.Finding) {
	file, err := b.blobs.Open(b.t.Context(), blob.Key(got.Report.Key))
	require.NoError(b.t, err)
	defer file.Close()
	_, err = report.Read(&sectionReader{file, 0}, func(f report.Finding) error { all = append(all, f); return nil })
	require.NoError(b.t, err)
	return all
}

func (b *bench) configure(of, text string) {
	_, err := b.commands.ConfigureScanner(b.t.Context(), of, project.ConfigureScanner{Type: "SQL", Text: text, By: "li"})
	require.NoError(b.t, err)
}

func TestAConfigurationHoldsFromTheNextAttemptOn(t *testing.T) {
	b := newBench(t)
	b.run(newLister(), options)
	files := map[string]string{"x/a.sql": "", "y/b.sql": "", "README": ""}

	got, found := b.ends(b.upload(files))
	require.Equal(t, []string{"R1 error x/a.sql", "R2 warning x/a.sql", "R9 error x/a.sql", "R1 error y/b.sql", "R2 warning y/b.sql", "R9 error y/b.sql"}, found)
	require.Equal(t, "4 errors: R1 ×2, R9 ×2", got.Reason)
	require.Equal(t, report.Text{En: "2 files match *.sql", Zh: "2 个文件匹配 *.sql"}, got.Because)
	require.Equal(t, "c", got.Scanner.ConfigDigest)
	require.Nil(t, got.Configuration)

	// That of all projects: no restart, and the digest of the text is in the fact.
	text := "include: ['x/**']\nrules: {R1: off, R2: error, R9: note}\nfail: {error: 1}\nsettings: {limit: 3}\n"
	b.configure(project.All, text)
	got, found = b.ends(b.upload(files))
	require.Equal(t, []string{"R2 error x/a.sql", "R9 note x/a.sql"}, found)
	require.Equal(t, task.StateCompleted, got.State)
	require.Equal(t, task.PassWithWarnings, got.Result, "an error that is allowed is no clean pass")
	require.Equal(t, configuration.Digest(text), got.Scanner.ConfigDigest)
	require.Equal(t, &task.Configuration{Project: "*", Digest: configuration.Digest(text), By: "li"}, got.Configuration)
	require.Equal(t, "1 files match *.sql; its configuration shows it 1 of 3 files", got.Because.En)
	require.Equal(t, "1 个文件匹配 *.sql；按配置它只看到 1 个文件（共 3 个）", got.Because.Zh)
	require.Equal(t, "limit 3", b.findings(got)[0].Message.En)

	// The project's own replaces it as a whole.
	b.configure("dw", "rules: {R1: note, R9: note}\nfail: {warning: 1}")
	got, found = b.ends(b.upload(files))
	require.Len(t, found, 6)
	require.Equal(t, "2 warnings, and its configuration allows 1: R2 ×2", got.Reason)
	require.Equal(t, "2 个警告，配置允许 1 个：R2 ×2", got.ReasonZH)
	require.Equal(t, task.Check, got.Kind)
	require.Equal(t, "limit 7", b.findings(got)[0].Message.En)

	// What it does not see, it does not take part in.
	b.configure("dw", "exclude: ['**/*.sql']")
	s := b.await(b.upload(files), "declined", func(s task.State) bool { return len(s.Declined) == 1 })
	require.Equal(t, "no .sql; its configuration shows it 1 of 3 files", s.Declined["SQL"].Reason)
}

func TestASwitchedOffScannerDeclinesAndSaysByWhom(t *testing.T) {
	b := newBench(t)
	b.configure("dw", "enabled: false")
	b.run(newLister(), options)
	d := b.await(b.open(), "declined", func(s task.State) bool { return len(s.Declined) == 1 }).Declined["SQL"]
	digest := configuration.Digest("enabled: false")
	require.Equal(t, scanners.Disabled, d.Code)
	require.Equal(t, "switched off by the configuration "+digest[:12]+" of project dw", d.Reason)
	require.Equal(t, "已被项目 dw 的配置 "+digest[:12]+" 停用", d.ReasonZH)
	require.Equal(t, digest, d.Scanner.ConfigDigest)
	require.Equal(t, &task.Configuration{Project: "dw", Digest: digest, By: "li"}, d.Configuration)

	// One that takes part already, and was switched off since, must still end.
	id := b.open()
	b.await(id, "declined", func(s task.State) bool { return len(s.Declined) == 1 })
	_, err := b.commands.Start(t.Context(), id, commands.Origin{}, task.Start{Type: "EXCEL", Scanner: task.Scanner{Instance: "dead"}})
	require.NoError(t, err)
	_, err = b.commands.ConfigureScanner(t.Context(), "dw", project.ConfigureScanner{Type: "EXCEL", Text: "enabled: false"})
	require.NoError(t, err)
	b.run(&scripted{name: "EXCEL"}, options)
	got := b.await(id, "ends", ended("EXCEL")).SubTasks["EXCEL"]
	require.Equal(t, task.Error, got.Kind)
	require.Contains(t, got.Reason, "took part before, and now would not: switched off by")
}

func TestAConfigurationThatIsNotUnderstoodIsNoDefault(t *testing.T) {
	b := newBench(t)
	b.run(newLister(), options)
	for text, want := range map[string]string{
		"rules:\n  R3: off":                       `line 2, column 3: there is no rule "R3"; did you mean R1?`,
		"rules: {R3: off}\nsettings: {limits: 3}": `line 1, column 9: there is no rule "R3"; did you mean R1?; line 2, column 12: "limits" is not known here; did you mean "limit"?`,
		"settings:\n  limits: 3":                  `line 2, column 3: "limits" is not known here; did you mean "limit"?`,
		"settings:\n  limit: 0":                   `line 2, column 10: limit must be 1 or more`,
		"settings:\n  limit: plenty":              `line 2, column 10: here must be a whole number`,
	} {
		b.configure("dw", text)
		got, _ := b.ends(b.open())
		require.Equal(t, task.Error, got.Kind, text)
		require.False(t, got.Parked, "no repetition cures it")
		require.Equal(t, 1, got.Attempt)
		require.Contains(t, got.Reason, want)
		require.Contains(t, got.Reason, "of project dw cannot be used by scripted 1: ")
		require.Contains(t, got.ReasonZH, "项目 dw 的配置")
		require.Equal(t, configuration.Digest(text), got.Configuration.Digest)

		_, _, err := scanners.Apply(newLister(), text)
		require.Equal(t, "configuration.invalid", domain.RuleOf(err))
		require.ErrorContains(t, err, want)
	}
	// A retry has what holds then.
	id := b.open()
	b.ends(id)
	b.configure("dw", "rules: {R1: note, R9: note}")
	_, err := b.commands.Retry(t.Context(), id, commands.Origin{}, task.RequestRetry{Type: "SQL", Reason: "corrected"}, nil)
	require.NoError(t, err)
	got := b.await(id, "passes", func(s task.State) bool { return s.SubTasks["SQL"].State == task.StateCompleted }).SubTasks["SQL"]
	require.Equal(t, 2, got.Attempt)

	_, _, err = scanners.Apply(&scripted{name: "SQL"}, "settings: {a: 1}")
	require.ErrorContains(t, err, "line 1, column 11: type SQL has no settings of its own")
	_, _, err = scanners.Apply(&scripted{name: "SQL"}, "rules: {WHATEVER: off}")
	require.NoError(t, err, "a type without a catalogue is open")
}

func TestAPackageSuppressesByItsFile(t *testing.T) {
	b := newBench(t)
	b.run(newLister(), options)
	got, found := b.ends(b.upload(map[string]string{"x/a.sql": "", "x/noqa.sql": "", "y/b.sql": "", ".factgate.yml": `suppressions:
  - {rule: R1, path: "x/**", reason: one-off}
  - {rule: R2, path: y/b.sql, anchor: b, reason: agreed, expires: 2999-12-31}
  - {rule: R2, path: x/a.sql, reason: over, expires: 2020-01-01}
  - {rule: R2, path: x/a.sql, anchor: other, reason: nothing}
  - {rule: R9, path: "**", reason: forbidden}
  - {rule: OTHER, path: "**", reason: not this type's business}
`}))
	require.Equal(t, []string{
		"R1 error x/a.sql suppressed external .factgate.yml:2 one-off",
		"R2 warning x/a.sql",
		"R9 error x/a.sql",
		"R1 error x/noqa.sql suppressed external .factgate.yml:2 one-off",
		"R2 warning x/noqa.sql suppressed",
		"R9 error x/noqa.sql",
		"R1 error y/b.sql",
		"R2 warning y/b.sql suppressed external .factgate.yml:3 agreed",
		"R9 error y/b.sql",
		"SUP002 note .factgate.yml:4",
		"SUP001 note .factgate.yml:5",
		"SUP001 note .factgate.yml:6",
	}, found)
	require.Equal(t, "4 errors: R9 ×3, R1", got.Reason)
	all := b.findings(got)
	require.Equal(t, "2999-12-31", all[7].Suppression.Expires)
	require.Equal(t, "the suppression of R2 in x/a.sql expired on 2020-01-01 and suppresses nothing any more; correct what it hid, or renew it.", all[9].Message.En)
	require.Equal(t, "对 x/a.sql 中 R2 的抑制项没有抑制任何问题，请删除。", all[10].Message.Zh)
	require.Contains(t, all[11].Message.En, "a package cannot suppress a security rule")
}

func TestAFileThatIsNotUnderstoodSuppressesNothing(t *testing.T) {
	b := newBench(t)
	b.run(newLister(), options)
	_, found := b.ends(b.upload(map[string]string{"x/a.sql": "", ".factgate.yml": "suppressions:\n  - {rule: R1, path: '**', reason: fine}\n  - {rule: R2, path: '**', reason: fine, until: tomorrow}\n"}))
	require.Equal(t, []string{"SUP003 warning .factgate.yml:3", "R1 error x/a.sql", "R2 warning x/a.sql", "R9 error x/a.sql"}, found)
	_, found = b.ends(b.upload(map[string]string{"x/a.sql": "", ".factgate.yml": "# " + strings.Repeat("x", 70<<10)}))
	require.Equal(t, "SUP003 warning .factgate.yml", found[0])
	// It has one name; the other one is said to be wrong, with or without the right one.
	const wrong = "suppressions: [{rule: R1, path: '**', reason: fine}]"
	got, found := b.ends(b.upload(map[string]string{"x/a.sql": "", ".factgate.yaml": wrong}))
	require.Equal(t, []string{"SUP003 warning .factgate.yaml:1", "R1 error x/a.sql", "R2 warning x/a.sql", "R9 error x/a.sql"}, found)
	message := b.findings(got)[0].Message
	require.Equal(t, "Nothing in this file suppresses anything, since suppressions are read from .factgate.yml only; rename the file, or add what it holds to that one.", message.En)
	require.Equal(t, "只读取 .factgate.yml，本文件中的抑制项不生效；请将文件改名，或将内容并入该文件。", message.Zh)
	_, found = b.ends(b.upload(map[string]string{"x/a.sql": "", ".factgate.yaml": wrong, ".factgate.yml": "suppressions: [{rule: R2, path: '**', reason: fine}]"}))
	require.Equal(t, []string{"SUP003 warning .factgate.yaml:1", "R1 error x/a.sql", "R2 warning x/a.sql suppressed external .factgate.yml:1 fine", "R9 error x/a.sql"}, found)
	// It is no file of another folder, and it may be switched off like any rule.
	b.configure("dw", "rules: {SUP003: off}")
	_, found = b.ends(b.upload(map[string]string{"x/a.sql": "", "README": "", ".factgate.yml": "no", "x/.factgate.yml": "suppressions: [{rule: R1, path: '**', reason: fine}]"}))
	require.Equal(t, []string{"R1 error x/a.sql", "R2 warning x/a.sql", "R9 error x/a.sql"}, found)
}

// A small package must not keep a worker for an hour by its patterns. What is not looked
// at is not suppressed, and the same for each who tries.
func TestPatternsOfAPackageHaveABound(t *testing.T) {
	costly := strings.Repeat("{*,*}", 6) + "c"
	var file strings.Builder
	file.WriteString("suppressions:\n  - {rule: R2, path: x/**, reason: cheap}\n")
	for i := range 400 {
		fmt.Fprintf(&file, "  - {rule: R1, path: '%s%d', reason: r}\n", costly, i)
	}
	file.WriteString("  - {rule: R1, path: '**/*.sql', reason: comes too late}\n")
	files := map[string]string{".factgate.yml": file.String()}
	for i := range 60 {
		files[fmt.Sprintf("x/%s%02d.sql", strings.Repeat("a", 400), i)] = ""
	}
	b := newBench(t)
	b.run(newLister(), options)
	var first []string
	for range 2 {
		_, found := b.ends(b.upload(files))
		require.Contains(t, found[0], "R1 error x/aaa")
		require.Contains(t, found[0], "suppressed external")
		suppressed := 0
		for _, f := range found {
			if strings.HasPrefix(f, "R1 error") && strings.Contains(f, "suppressed") {
				suppressed++
			}
		}
		require.Greater(t, suppressed, 10)
		require.Less(t, suppressed, 50)
		require.Equal(t, []string{"SUP003 warning .factgate.yml:1"}, found[len(found)-1:], "and none is called of no use")
		if first != nil {
			require.Equal(t, first, found)
		}
		first = found
	}
}

func TestWaiversOfOperators(t *testing.T) {
	b := newBench(t)
	b.run(newLister(), options)
	files := map[string]string{"x/a.sql": "", "y/b.sql": ""}
	id := b.upload(files)
	before, _ := b.ends(id)
	var ids report.Identities
	identity := map[string]report.Identity{}
	for _, f := range b.findings(before) {
		identity[f.Rule+f.Path] = ids.Of(f)
	}
	grant := func(of string, which suppression.Which, expires suppression.Date) string {
		done, err := b.commands.GrantWaiver(t.Context(), of, project.GrantWaiver{Type: "SQL", Which: which, Reason: "agreed", Expires: expires, By: "wang"})
		require.NoError(t, err)
		return done.Waiver.ID
	}
	one := grant("dw", suppression.Which{Rule: "R1", Path: "**", Identity: identity["R1y/b.sql"]}, "")
	security := grant(project.All, suppression.Which{Rule: "R9", Path: "**"}, "2999-01-01")
	grant("dw", suppression.Which{Rule: "R1", Path: "x/**"}, "2020-01-01")
	unused := grant("dw", suppression.Which{Rule: "R2", Path: "z/**"}, "")
	grant(project.All, suppression.Which{Rule: "R2", Path: "z/**"}, "") // of no use here, and nobody's business here
	grant("other", suppression.Which{Rule: "R1", Path: "**"}, "")

	// The same task, tried again: the waivers hold, and are named.
	_, err := b.commands.Retry(t.Context(), id, commands.Origin{}, task.RequestRetry{Type: "SQL", Reason: "waived"}, nil)
	require.NoError(t, err)
	got := b.await(id, "ends again", func(s task.State) bool {
		return s.SubTasks["SQL"].Attempt == 2 && s.SubTasks["SQL"].State != task.StateRunning
	}).SubTasks["SQL"]
	require.Equal(t, []string{
		"R1 error x/a.sql",
		"R2 warning x/a.sql",
		"R9 error x/a.sql suppressed external wang agreed",
		"R1 error y/b.sql suppressed external wang agreed",
		"R2 warning y/b.sql",
		"R9 error y/b.sql suppressed external wang agreed",
		"SUP002 note ",
		"SUP001 note ",
	}, b.reported(got))
	all := b.findings(got)
	require.Equal(t, one, all[3].Suppression.Waiver)
	require.Equal(t, security, all[2].Suppression.Waiver)
	require.Equal(t, "2999-01-01", all[2].Suppression.Expires)
	require.Contains(t, all[7].Message.En, unused)
	require.Equal(t, "1 error: R1", got.Reason)
	require.NotEqual(t, before.Scanner.ConfigDigest, got.Scanner.ConfigDigest, "a scan under other waivers is another scan")
	require.Equal(t, "2 files match *.sql", got.Because.En, "said by the first attempt")

	// Revoked, it counts again.
	_, err = b.commands.RevokeWaiver(t.Context(), "dw", project.RevokeWaiver{ID: one, By: "li"})
	require.NoError(t, err)
	got, _ = b.ends(b.upload(files))
	require.Equal(t, "2 errors: R1 ×2", got.Reason)
}

// Whether a suppression is over is a matter of when the window was opened, not of
// when the scan takes place.
func TestExpiryIsJudgedByTheTask(t *testing.T) {
	b := newBench(t)
	today := time.Now().UTC().Format(time.DateOnly)
	b.run(newLister(), options)
	_, found := b.ends(b.upload(map[string]string{"x/a.sql": "", ".factgate.yml": "suppressions: [{rule: R1, path: '**', reason: r, expires: " + today + "}]"}))
	if time.Now().UTC().Format(time.DateOnly) == today { // not over midnight
		require.Contains(t, found[0], "suppressed", "the last day holds to its end")
	}
}

// A package whose suppression ran out between two scans has another result for a reason:
// the scans are told apart, as those under other waivers are.
func TestASuppressionThatIsOverMakesAnotherScan(t *testing.T) {
	b := newBench(t)
	b.run(newLister(), options)
	digest := func(expires string) string {
		got, _ := b.ends(b.upload(map[string]string{"x/a.sql": "", ".factgate.yml": "suppressions: [{rule: R1, path: '**', reason: r, expires: " + expires + "}]"}))
		return got.Scanner.ConfigDigest
	}
	plain := newLister().Describe().ConfigDigest
	require.Equal(t, plain, digest("2999-12-31"))
	over := digest("2020-01-01")
	require.NotEqual(t, plain, over)
	require.Equal(t, over, digest("2020-01-01"))
}

func TestSettingsStandByThemselves(t *testing.T) {
	s, err := scanners.ParseSettings("limit: 3\n")
	require.NoError(t, err)
	with, err := newLister().Configure(s)
	require.NoError(t, err)
	require.Equal(t, 3, with.(*lister).limit)
	_, err = scanners.ParseSettings("limit: [")
	require.Error(t, err)
	require.NoError(t, scanners.Settings{}.Decode(&struct{}{}))
	require.ErrorContains(t, scanners.Settings{}.Refuse(report.Text{En: "e"}, "a"), "line 1, column 1: e")
}
