package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/rules"
	"github.com/factgate/factgate/domain/task"
)

func TestWhatIsWrongIsSaidWithItsPlace(t *testing.T) {
	const head = "name: x\nwindow: 1m\nquiet: 1s\n"
	const last = "  - {id: z, when: 'true', status: FAILED}\n"
	for name, c := range map[string]struct {
		text         string
		line, column int
		rule         string
		en, zh       string
	}{
		"unknown name":        {head + "rules:\n  - {id: a, when: 'observed > 0 && nonsense > 1', status: FAILED}\n" + last, 5, 36, "a", "rule a: when: unknown name nonsense", "规则 a：when：未知名称 nonsense"},
		"plain":               {head + "rules:\n  - id: a\n    when: observed > 0 && nonsense > 1\n    status: FAILED\n" + last, 6, 27, "a", "rule a: when: unknown name nonsense", "规则 a：when：未知名称 nonsense"},
		"double quotes":       {head + "rules:\n  - id: a\n    when: \"\\\"SQL\\\" in nonsense\"\n    status: FAILED\n" + last, 6, 23, "a", "rule a: when: unknown name nonsense", "规则 a：when：未知名称 nonsense"},
		"single quotes":       {head + "rules:\n  - id: a\n    when: '''SQL'' in nonsense'\n    status: FAILED\n" + last, 6, 23, "a", "rule a: when: unknown name nonsense", "规则 a：when：未知名称 nonsense"},
		"a literal block":     {head + "rules:\n  - id: a\n    when: |\n      observed > 0\n      && 数量 > 1\n    status: FAILED\n" + last, 8, 10, "a", "rule a: when: unknown name 数量", "规则 a：when：未知名称 数量"},
		"a folded block":      {head + "rules:\n  - id: a\n    when: >-\n      observed > 0\n      && nonsense > 1\n    status: FAILED\n" + last, 8, 10, "a", "rule a: when: unknown name nonsense", "规则 a：when：未知名称 nonsense"},
		"over two lines":      {head + "rules:\n  - id: a\n    when: observed > 0\n      && nonsense > 1\n    status: FAILED\n" + last, 7, 10, "a", "rule a: when: unknown name nonsense", "规则 a：when：未知名称 nonsense"},
		"lines of Windows":    {strings.ReplaceAll(head+"rules:\n  - id: a\n    when: >-\n      observed > 0\n      && nonsense > 1\n    status: FAILED\n"+last, "\n", "\r\n"), 8, 10, "a", "rule a: when: unknown name nonsense", "规则 a：when：未知名称 nonsense"},
		"not a boolean":       {head + "rules:\n  - {id: a, when: observed + 1, status: FAILED}\n" + last, 5, 19, "a", "rule a: when: expected bool, but got int", "规则 a：when：结果应为布尔值，实际为 int"},
		"types do not match":  {head + "rules:\n  - {id: a, when: observed == project, status: FAILED}\n" + last, 5, 28, "a", "rule a: when: invalid operation: == (mismatched types int and string)", "规则 a：when：运算符 == 两侧类型不匹配：int 与 string"},
		"an end too early":    {head + "rules:\n  - {id: a, when: observed ==, status: FAILED}\n" + last, 5, 29, "a", "rule a: when: unexpected token EOF", "规则 a：when：意外的符号 EOF"},
		"no when":             {head + "rules:\n  - {id: a, status: FAILED}\n" + last, 5, 5, "a", "rule a: when: unexpected end of expression", "规则 a：when：表达式不完整"},
		"a status":            {head + "rules:\n  - {id: a, when: 'true', status: MAYBE}\n" + last, 5, 35, "a", `rule a: status "MAYBE" is not one of SUCCESS, PARTIAL_SUCCESS, FAILED`, `规则 a：status "MAYBE" 不是 SUCCESS、PARTIAL_SUCCESS、FAILED 之一`},
		"a rule's field":      {head + "rules:\n  - {id: a, wenn: 'true', status: FAILED}\n" + last, 5, 13, "", `field "wenn" is not known; there are because, id, status, when`, `未知字段 "wenn"；可用的有 because, id, status, when`},
		"a field twice":       {head + "quiet: 2s\nrules:\n" + last, 4, 1, "", `"quiet" stands here twice`, `"quiet" 重复出现`},
		"a duration":          {"name: x\nwindow: 10\nrules:\n" + last, 2, 9, "", `window: "10" is not a duration such as 10m or 1h30m`, `window："10" 不是合法时长，例如 10m 或 1h30m`},
		"minimum over window": {head + "minimum: 2m\nrules:\n" + last, 4, 10, "", "minimum (2m0s) is longer than window (1m0s)", "minimum（2m0s）大于 window（1m0s）"},
		"late":                {head + "late: never\nrules:\n" + last, 4, 7, "", `late: "never" is not known; use record or revise`, `late：未知的值 "never"；请使用 record 或 revise`},
		"required how":        {head + "required: {SQL: maybe}\nrules:\n" + last, 4, 17, "", `required: SQL: "maybe" is not known; use closed or open`, `required：SQL：未知的值 "maybe"；请使用 closed 或 open`},
		"required, unused":    {head + "required: {SQL: closed}\nrules:\n" + last, 4, 11, "", "types are required (closed), and no rule's when speaks of missing or missing_types: it would have no effect; add a rule such as when: missing > 0", "声明了必需类型（closed），但没有任何规则的 when 使用 missing 或 missing_types，不会生效；请添加规则，例如 when: missing > 0"},
		"required, advisory":  {head + "advisory: [SQL]\nrequired: {SQL: open}\nrules:\n" + last, 5, 12, "", "SQL is advisory: what does not count cannot be required", "SQL 已声明为 advisory，不计入结论的类型不能同时为必需"},
		"no type":             {head + "advisory: [SQL, 'a b']\nrules:\n" + last, 4, 17, "", `"a b" is not a sub-task type; use 1 to 64 letters, digits, '_' or '-'`, `"a b" 不是合法的子任务类型；请使用 1 至 64 个字母、数字、_ 或 -`},
		"an unset threshold":  {head + "thresholds: {max: 3}\nrules:\n  - {id: a, when: warnings > thresholds.min, status: FAILED}\n" + last, 6, 41, "a", "rule a: when: threshold min is not set", "规则 a：when：没有设置阈值 min"},
		"thresholds at large": {head + "rules:\n  - {id: a, when: len(thresholds) > 1, status: FAILED}\n" + last, 5, 23, "a", "rule a: when: thresholds are spoken of as thresholds.NAME only", "规则 a：when：阈值只能以 thresholds.NAME 的形式使用"},
		"no number":           {head + "thresholds: {max: many}\nrules:\n" + last, 4, 19, "", `threshold max: "many" is not a number`, `阈值 max："many" 不是数字`},
		"the clock":           {head + "rules:\n  - {id: a, when: now().Year() > 1, status: FAILED}\n" + last, 5, 19, "a", "rule a: when: unknown name now", "规则 a：when：未知名称 now"},
		"a case left out":     {head + "rules:\n  - {id: a, when: observed == 0, status: FAILED}\n", 5, 19, "a", `rule a: the last rule must hold always (when: "true"), so that every case has a status`, `规则 a：最后一条规则必须恒成立（when: "true"），否则有的情形没有结论`},
		"a because":           {head + "rules:\n  - id: z\n    when: 'true'\n    status: FAILED\n    because:\n      en: '{{.Nope}}'\n", 9, 11, "z", "", ""},
		"no YAML":             {"name: x\n\tquiet: 1s\n", 2, 1, "", "", ""},
		"two documents":       {head + "rules:\n" + last + "---\nname: y\n", 6, 1, "", "there is more than one YAML document", "包含多个 YAML 文档"},
		"nothing":             {"", 1, 1, "", "the text is empty", "文本为空"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rules.Parse([]byte(c.text), 1)
			var at *rules.SourceError
			require.ErrorAs(t, err, &at)
			require.Equal(t, [2]int{c.line, c.column}, [2]int{at.Line, at.Column}, at.Reason.En)
			require.Equal(t, c.rule, at.RuleID)
			if c.en != "" {
				require.Equal(t, report.Text{En: c.en, Zh: c.zh}, at.Reason)
			}
			var e *domain.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, domain.Invalid, e.Kind)
			require.Equal(t, fmt.Sprintf("line %d, column %d: %s", c.line, c.column, at.Reason.En), e.Msg)
			require.Equal(t, fmt.Sprintf("第 %d 行第 %d 列：%s", c.line, c.column, at.Reason.Zh), e.MsgZH)
		})
	}
}

// policy compiles a rule set whose first rule is the one given.
func policy(t *testing.T, head, when string) *rules.RuleSet {
	t.Helper()
	rs, err := rules.Parse([]byte("name: x\nwindow: 10m\nquiet: 10s\n"+head+"\nrules:\n  - id: a\n    when: >-\n      "+when+"\n    status: FAILED\n  - {id: missed, when: missing > 0, status: FAILED}\n  - {id: z, when: 'true', status: SUCCESS}\n"), 1)
	require.NoError(t, err)
	return rs
}

func held(rs *rules.RuleSet, facts []task.Recorded) task.Rule {
	return rules.Evaluate(rs, facts, longAfter).(rules.Closed).Verdict.Rule
}

func ended(name string, summary report.Counts, c task.Coverage) task.Fact {
	return task.SubTaskCompleted{TaskID: "t", Type: name, Attempt: 1, Result: task.PassWithWarnings, Summary: summary, Coverage: c}
}

func known(types ...string) task.Recorded {
	f := created(10*time.Minute, 10*time.Second).(task.MainTaskCreated)
	f.Known = append([]string{}, types...)
	return at(0, f)
}

func TestWhatAWhenMaySpeakOf(t *testing.T) {
	facts := stream(at(0, task.ZipUploaded{TaskID: "t", Project: "dw", Version: "1.2"}), known("SQL", "API", "UI", "LINT", "TEST"),
		at(1, start("SQL", 1)), at(2, start("SQL", 2)), at(3, task.SubTaskCompleted{Type: "SQL", Attempt: 2, Result: task.PassWithWarnings,
			Summary: report.Counts{Warning: 3}, Coverage: task.Coverage{Eligible: 4, Seen: 3, Degraded: []task.Degraded{{Path: "a"}}}}),
		at(4, decline("API")),
		at(5, start("EXCEL", 1)), at(6, ended("EXCEL", report.Counts{Warning: 1}, task.Coverage{Eligible: 9})),
		at(7, start("LINT", 1)), at(8, task.SubTaskFailed{Type: "LINT", Attempt: 1, Kind: task.Check, Summary: &report.Counts{Error: 5, Warning: 50}}))
	const head = "advisory: [LINT, TEST]\nrequired: {SQL: closed, API: closed, EXCEL: open}\nthresholds: {warnings: 4, coverage: 0.7}"
	for _, when := range []string{
		`project == "dw" && version == "1.2"`,
		`observed == 2 && succeeded == 1 && errored == 1 && failed == 0 && declined == 1`,
		`warnings == 4 && warnings <= thresholds.warnings && errors == 0`,
		`warnings_by_type.SQL == 3 && warnings_by_type["LINT"] == 50 && errors_by_type.LINT == 5 && warnings_by_type.UI == 0`,
		`coverage_by_type.SQL == 0.75 && coverage_by_type.EXCEL == 0 && coverage_by_type.SQL > thresholds.coverage`,
		`covered_nothing == 1 && covered_nothing_types == ["EXCEL"]`,
		`degraded == 1 && degraded_types == ["SQL"]`,
		`silent == 1 && silent_types == ["UI"]`,
		`missing == 1 && missing_types == ["API"] && missing_open_types == ["EXCEL"] && missing_open == 1`,
		`advisory_failed == 1 && advisory_failed_types == ["LINT"] && advisory_succeeded + advisory_errored + advisory_unfinished == 0`,
		`retries == 1 && not cancelled && not expired`,
	} {
		require.Equal(t, "a", held(policy(t, head, when), facts).ID, when)
	}
}

func TestAbsenceHasFourNames(t *testing.T) {
	rs, ok := rules.BuiltIn("strict")
	require.True(t, ok)
	for rule, facts := range map[string][]task.Recorded{
		"nobody":          stream(known(), at(1, decline("SQL"))),
		"silent":          stream(known("SQL", "UI"), at(1, start("SQL", 1)), at(2, pass("SQL"))),
		"covered-nothing": stream(known("SQL"), at(1, start("SQL", 1)), at(2, ended("SQL", report.Counts{}, task.Coverage{Eligible: 2}))),
		"all-passed":      stream(known("SQL", "API"), at(1, start("SQL", 1)), at(2, pass("SQL")), at(3, decline("API"))),
	} {
		require.Equal(t, rule, held(rs, facts).ID)
	}
	declined := rules.Evaluate(rs, stream(known("UI"), at(1, decline("SQL"))), longAfter).(rules.Closed).Verdict
	require.Equal(t, report.Text{En: "nobody took part; declined: SQL; silent: UI", Zh: "没有任何扫描参与；不参与：SQL；无响应：UI"}, declined.Because)
	require.Equal(t, []string{"UI"}, declined.Silent)
}

func TestARequiredTypeWithoutAResultIsMissing(t *testing.T) {
	rs := policy(t, "required: {SQL: closed}", "false")
	for name, c := range map[string]struct {
		missing bool
		facts   []task.Recorded
	}{
		"absent":     {true, stream(opened())},
		"declined":   {true, stream(opened(), at(1, decline("SQL")))},
		"errored":    {true, stream(opened(), at(1, start("SQL", 1)), at(2, fail("SQL", task.Error)))},
		"unfinished": {true, stream(opened(), at(1, start("SQL", 1)))},
		"passed":     {false, stream(opened(), at(1, start("SQL", 1)), at(2, pass("SQL")))},
		"failed":     {false, stream(opened(), at(1, start("SQL", 1)), at(2, fail("SQL", task.Check)))},
	} {
		require.Equal(t, c.missing, held(rs, c.facts).ID == "missed", name)
	}
}

func TestWhatIsAdvisoryIsShownAndDoesNotCount(t *testing.T) {
	text := strings.Replace(string(rules.Default().Source()), "late: record", "late: record\nadvisory: [LINT]", 1)
	rs, err := rules.Parse([]byte(text), 2)
	require.NoError(t, err)
	facts := stream(opened(), at(1, start("SQL", 1)), at(2, pass("SQL")), at(3, start("LINT", 1)), at(4, fail("LINT", task.Check)))
	v := rules.Evaluate(rs, facts, longAfter).(rules.Closed).Verdict
	require.Equal(t, task.Success, v.Status)
	require.Equal(t, []string{"SQL"}, v.Observed)
	require.Equal(t, &task.Advisory{Failed: []string{"LINT"}}, v.Advisory)
	require.Contains(t, v.Evidence, facts[4].ID)
	require.Equal(t, task.PartialSuccess, rules.Evaluate(rules.Default(), facts, longAfter).(rules.Closed).Verdict.Status)
}

func TestAWindowStaysOpenForItsMinimum(t *testing.T) {
	f := created(10*time.Minute, 10*time.Second).(task.MainTaskCreated)
	f.Window.Minimum = task.Duration(time.Minute)
	facts := stream(at(0, f), at(1, start("SQL", 1)), at(2, pass("SQL")), at(59, start("API", 1)), at(59.5, fail("API", task.Check)))
	require.Equal(t, rules.Open{DueAt: seconds(60)}, rules.Evaluate(rules.Default(), facts[:3], seconds(13)))
	got := rules.Evaluate(rules.Default(), facts, longAfter).(rules.Closed)
	require.Equal(t, task.Settled, got.Cause)
	require.Equal(t, seconds(69.5), got.At)
	require.Equal(t, task.PartialSuccess, got.Verdict.Status)
	f.Window.Minimum = task.Duration(time.Hour)
	got = rules.Evaluate(rules.Default(), stream(at(0, f)), longAfter).(rules.Closed)
	require.Equal(t, seconds(600), got.At, "a minimum never moves the deadline")
}

func TestABecauseSpeaksOfWhatAWhenSees(t *testing.T) {
	rs, err := rules.Parse([]byte(`name: x
window: 10m
quiet: 10s
required: {API: open}
thresholds: {max: 2}
rules:
  - id: z
    when: "true"
    status: FAILED
    because:
      en: '{{.Project}} {{.Version}}: {{.Warnings}} of {{.Thresholds.max}}, SQL {{.WarningsByType.SQL}}, UI {{.WarningsByType.UI}}; {{list .Degraded}}; {{list .MissingOpen}}; {{list .Silent}}'
`), 1)
	require.NoError(t, err)
	v := rules.Evaluate(rs, stream(at(0, task.ZipUploaded{Project: "dw", Version: "7"}), known("UI"), at(1, start("SQL", 1)),
		at(2, ended("SQL", report.Counts{Warning: 3}, task.Coverage{Eligible: 1, Seen: 1, Degraded: []task.Degraded{{Path: "a"}}}))), longAfter).(rules.Closed).Verdict
	require.Equal(t, report.Text{En: "dw 7: 3 of 2, SQL 3, UI 0; SQL; API; UI", Zh: "z"}, v.Because)
	require.Equal(t, []string{"SQL"}, v.Degraded, "what its text speaks of stands in the verdict")
	require.Equal(t, []string{"API"}, v.MissingOpen)
}

func TestARuleSetTellsWhatItIsMadeOf(t *testing.T) {
	rs := policy(t, "minimum: 5s\nlate: revise\nadvisory: [B, A]\nrequired: {SQL: closed, API: open}\nthresholds: {max: 2.5}", "false")
	require.Equal(t, 5*time.Second, rs.Minimum())
	require.Equal(t, rules.LateRevise, rs.Late())
	require.Equal(t, []string{"A", "B"}, rs.Advisory())
	require.Equal(t, map[string]rules.Requirement{"SQL": rules.FailClosed, "API": rules.FailOpen}, rs.Required())
	require.Equal(t, map[string]float64{"max": 2.5}, rs.Thresholds())
	again, err := rules.Parse(rs.Source(), 1)
	require.NoError(t, err)
	require.Equal(t, rs.Ref(), again.Ref())
	require.Equal(t, rules.LateRecord, rules.Default().Late())
	for _, name := range rules.BuiltIns() {
		built, ok := rules.BuiltIn(name)
		require.True(t, ok)
		require.Equal(t, name, built.Ref().Name)
	}
	_, ok := rules.BuiltIn("lenient")
	require.False(t, ok)
}
