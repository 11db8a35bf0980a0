package excel

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestHeadersThatMeanTheSameAreTheSame(t *testing.T) {
	want := normaliseHeader("执行周期")
	for _, s := range []string{
		"*执行周期", "执行周期\n(D/M/Q)", "执行周期（D/M/Q）", "执行\r\n周期 ", "　执行周期\u200b", "执行周期：", "【必填】执行周期", "执行周期[日/月]", "\ufeff执行周期*",
	} {
		require.Equal(t, want, normaliseHeader(s), "%q", s)
	}
	require.Equal(t, normaliseHeader("job_name"), normaliseHeader("ＪＯＢ＿Ｎａｍｅ "))
	require.NotEqual(t, normaliseHeader("作业名称"), normaliseHeader("依赖的作业名称"))
}

func TestNoTwoFieldsOfTheTemplateShareAHeader(t *testing.T) {
	seen := map[string]string{}
	for _, c := range defaultTemplate().columns {
		for _, alias := range c.aliases {
			header := normaliseHeader(alias)
			require.NotEmpty(t, header)
			if other, ok := seen[header]; ok {
				require.Equal(t, other, c.name, "%s belongs to two fields", alias)
			}
			seen[header] = c.name
		}
	}
}

func TestRecognise(t *testing.T) {
	for _, c := range []struct {
		sheet, row string
		kind       kind
	}{
		{"any", "job_name|type|owner", jobTable},
		{"any", "任务名称|备注|负责人", noTable},               // two aliases
		{"any", "job_type|command|owner", noTable},    // no job name
		{"作业列表", "job_type|command|owner", jobTable},  // but a job sheet's name: a column is missing
		{" Jobs ", "job_name|owner|remarks", noTable}, // a name alone is not enough
		{"any", "作业名|作业名称|任务名", noTable},              // one field three times
		{"依赖", "作业名称|前置作业", dependencyTable},          // two columns are a dependency table
		{"依赖", "作业名称|版本", noTable},                    // some other dependencies
		{"any", "姓名|任务名称|负责人|描述", noTable},            // people's tasks
		{"any", "作业名称|负责人|描述|优先级", noTable},           // nothing says what runs, or when
		{"任务列表", "任务名称|负责人|描述", jobTable},             // but a job sheet's name
		{"any", "作业名称|负责人|触发时间", jobTable},
		{"any", "作业名称|负责人|前置作业", jobTable},
		{"any", "job_name|owner|pro_dic", jobTable},
		{"any", "job_name|pre_job|pre_project", dependencyTable},
		{"any", "job_name|pre_job|pre_project|cycle", jobTable},
		{"any", "", noTable},
	} {
		h, ok := defaultTemplate().recognise(c.sheet, 1, strings.Split(c.row, "|"))
		require.Equal(t, c.kind != noTable, ok, "%s: %s", c.sheet, c.row)
		require.Equal(t, c.kind, h.kind, "%s: %s", c.sheet, c.row)
	}
}

func TestWhatStandsBelowATableIsNoJob(t *testing.T) {
	template := defaultTemplate()
	const columns = "序号|job_name|type|command|cycle|owner|desc"
	h, ok := template.recognise("any", 1, strings.Split(columns, "|"))
	require.True(t, ok)
	for line, want := range map[string]bool{
		"|a|SHELL|x|D|ann|":       true,
		"|a|||||":                 true, // a job, of which much is missing
		"||SHELL|x|||":            true, // a job without a name
		"|a||||ann|合计":            true, // the word says something of the job
		"|total|SHELL|x|D|ann|":   true, // a whole job may be called so
		"|total_amount|SHELL||||": true,
		"|合计项||||ann|":            true,
		"||||||备注：x":              false,
		"|备注：每日凌晨运行|||||":         false,
		"|Note: x|||||":           false,
		"|备注：x|SHELL||||":         true,
		"合 计||2||2||":             false,
		"||总计：|3|||":              false,
		"|小计 12 个||12|||":         false,
		"|Total:|12|||ann|":       false,
		"|Grand Total|12||||":     false,
	} {
		cells := strings.Split(line, "|")
		var r row
		for f, column := range h.columns {
			if column > 0 {
				r.cells[f] = clean(cells[column-1])
			}
		}
		require.Equal(t, want, template.describesJob(&h, &r, cells), line)
	}
}

func TestSplitList(t *testing.T) {
	require.Equal(t, []string{"a", "b", "c", "d e", "f", "g", "h"}, splitList("a,b； c|d e、f\ng，\r\n ｜h;;"))
	require.Empty(t, splitList("无"))
	require.Empty(t, splitList(" - ; N/A "))
}

func TestCron(t *testing.T) {
	for expr, want := range map[string]string{
		// Unix
		"0 2 * * *":                    "",
		"*/5 0-6,22-23 1,15 JAN-MAR 7": "",
		"0 2 31 2 1":                   "", // either day: every Monday
		"0 2 29 2 *":                   "",
		"0 2 31 4,6,9,11 *":            "impossible date",
		"0 2 30 2 *":                   "impossible date",
		"0 24 * * *":                   "no hour",
		"0 2 0 * *":                    "no day-of-month",
		"0 2 * 13 *":                   "no month",
		"0 2 * * 8":                    "no day-of-week",
		"0 5-2 * * *":                  "no hour",
		"*/0 * * * *":                  "no minute",
		"1,,2 * * * *":                 "no minute",
		"+1 * * * *":                   "no minute",
		"TZ=UTC 0 2 * *":               "no minute",
		"0 2 L * *":                    "no day-of-month",
		"0 2 ? * *":                    "only in Quartz",
		// Quartz
		"0 0 2 * * ?":       "",
		"0 0 2 ? * *":       "",
		"0 0 2 ? * MON-FRI": "",
		"0 0 2 ? * FRI-MON": "",
		"0 0 22-2 * * ?":    "",
		"0 /5 * * * ?":      "",
		"0 0 2 L * ?":       "",
		"0 0 2 LW * ?":      "",
		"0 0 2 L-3 * ?":     "",
		"0 0 2 L-3W * ?":    "",
		"0 0 2 15W * ?":     "",
		"0 0 2 ? * L":       "",
		"0 0 2 ? * 6L":      "",
		"0 0 2 ? * FRIL":    "",
		"0 0 2 ? * 6#3":     "",
		"0 0 2 29 2 ? 2028": "",
		"0 0 2 1 1 ? 2019":  "", // past, not impossible
		"0 0 2 * * *":       "Quartz wants ?",
		"0 0 2 1 * 2":       "Quartz wants ?",
		"0 0 2 ? * ?":       "only one",
		"? 0 2 * * ?":       "no second",
		"0 0 2 31 2 ?":      "impossible date",
		"0 0 2 31W 4 ?":     "impossible date",
		"0 0 2 L-30 2,4 ?":  "impossible date",
		"0 0 2 29 2 ? 2025": "impossible date",
		"0 0 2 29 2 ? 2100": "impossible date",
		"0 0 2 ? * 0":       "no day-of-week",
		"0 0 2 ? * 6#6":     "no day-of-week",
		"0 0 2 L-31 * ?":    "no day-of-month",
		"0 0 2 1,45 * ?":    "no day-of-month",
		"0 0 2 1W,15W * ?":  "no day-of-month",
		"0 0 2 * * ? 1969":  "no year",
		"0 60 2 * * ?":      "no minute",
		// neither
		"@daily":                   "has 1 fields",
		"0 0 2 * * ? 2026 2027":    "has 8 fields",
		"":                         "has 0 fields",
		"0 0 2 * * ？":              "full-width",
		strings.Repeat("0 ", 1000): "longer than",
	} {
		problem, bad := cronProblem(expr)
		require.Equal(t, want != "", bad, "%q: %s", expr, problem.En)
		require.Contains(t, problem.En, want, expr)
		require.Equal(t, bad, problem.Zh != "", expr)
	}
}

func TestComponentsAreThoseOfReachability(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 9).Draw(t, "nodes")
		next := make([][]int, n)
		reach := make([][]bool, n)
		for i := range next {
			reach[i] = make([]bool, n)
			if next[i] = rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, min(n, 3), rapid.ID).Draw(t, "edges"); true {
				for _, to := range next[i] {
					reach[i][to] = true
				}
			}
		}
		for k := range n {
			for i := range n {
				for j := range n {
					reach[i][j] = reach[i][j] || reach[i][k] && reach[k][j]
				}
			}
		}
		var want [][]int
		done := make([]bool, n)
		for i := range n {
			component := []int{i}
			for j := i + 1; j < n; j++ {
				if reach[i][j] && reach[j][i] {
					component = append(component, j)
				}
			}
			if len(component) > 1 && !done[i] {
				want = append(want, component)
			}
			for _, j := range component {
				done[j] = true
			}
		}
		got := components(next)
		if !slices.EqualFunc(want, got, slices.Equal) {
			t.Fatalf("want %v, got %v in %v", want, got, next)
		}
		for _, component := range got {
			cycle := shortestCycle(next, component)
			for i, node := range cycle {
				if to := cycle[(i+1)%len(cycle)]; !slices.Contains(next[node], to) {
					t.Fatalf("%v is no cycle of %v", cycle, next)
				}
			}
		}
	})
}

func TestALongChainNeedsNoDeepStack(t *testing.T) {
	next := make([][]int, 50_000)
	for i := range next {
		next[i] = []int{(i + 1) % len(next)}
	}
	got := components(next)
	require.Len(t, got, 1)
	require.Len(t, shortestCycle(next, got[0]), len(next))
}

func FuzzHeader(f *testing.F) {
	for _, seed := range []string{"*执行周期\n(D/M/Q)", "（（", "))", "ＪＯＢ", "\xff", "ß İ"} {
		f.Add(seed)
	}
	t := defaultTemplate()
	f.Fuzz(func(tt *testing.T, s string) {
		once := normaliseHeader(s)
		require.LessOrEqual(tt, len(once), 20*longestHeader)
		require.False(tt, strings.ContainsFunc(once, invisible), "%q", once)
		t.recognise(s, 1, []string{s, once})
	})
}

func FuzzCron(f *testing.F) {
	for _, seed := range []string{"0 2 * * *", "0 0 2 L-3W * ? 2026/2", "0 0/5 22-2 ? * FRI-MON", "TZ= * * * *", "*/59 1-2/3 ,,, 7-7 *", "0 0 0 ? * 7#5"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		problem, bad := cronProblem(s)
		require.Equal(t, bad, problem.En != "")
		require.Equal(t, bad, problem.Zh != "")
	})
}

func FuzzSplitList(f *testing.F) {
	f.Add("a,b；c|d、e\r\nf")
	f.Add("无 ; \u200b,\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, name := range splitList(s) {
			require.NotEmpty(t, name)
			require.Equal(t, name, clean(name))
			require.False(t, strings.ContainsAny(name, ",;|\n"))
		}
	})
}
