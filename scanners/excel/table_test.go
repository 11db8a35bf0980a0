package excel

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/xlsx"
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

func TestTheDefaultProfileMakesSense(t *testing.T) {
	p := newProfile()
	require.Empty(t, p.check())
	for _, name := range fieldNames() {
		require.NotEmpty(t, p.Columns[name], name)
	}
	for _, name := range cycleNames {
		require.NotEmpty(t, p.Cycles[name], name)
	}
	for _, name := range rangeNames {
		require.Len(t, p.Ranges[name], 2, name)
	}
	taken := map[string]string{}
	for _, list := range []map[string][]string{p.Cycles, p.Booleans} {
		clear(taken)
		for name, words := range list {
			for _, word := range words {
				require.Empty(t, taken[normaliseWord(word)], word)
				taken[normaliseWord(word)] = name
			}
		}
	}
	clear(taken)
	for name, kind := range p.JobTypes {
		for _, word := range append(kind.Also, name) {
			require.Contains(t, []string{"", name}, taken[normaliseWord(word)], word)
			taken[normaliseWord(word)] = name
		}
	}
}

// cellsOf reads a row as the tests write it: a|b||d.
func cellsOf(row string) []xlsx.Cell {
	var out []xlsx.Cell
	for i, value := range strings.Split(row, "|") {
		if value != "" {
			out = append(out, xlsx.Cell{Column: i + 1, Kind: xlsx.Text, Value: value})
		}
	}
	return out
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
		h, ok := newTemplate(newProfile()).recognise(c.sheet, 1, cellsOf(c.row))
		require.Equal(t, c.kind != noTable, ok, "%s: %s", c.sheet, c.row)
		require.Equal(t, c.kind, h.kind, "%s: %s", c.sheet, c.row)
	}
}

func TestWhatStandsBelowATableIsNoJob(t *testing.T) {
	template := newTemplate(newProfile())
	const columns = "序号|job_name|type|command|cycle|owner|desc"
	h, ok := template.recognise("any", 1, cellsOf(columns))
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
		cells := cellsOf(line)
		var r row
		for f, column := range h.columns {
			if c := cellAt(cells, column); c != nil {
				r.cells[f] = clean(c.Value)
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

func FuzzHeader(f *testing.F) {
	for _, seed := range []string{"*执行周期\n(D/M/Q)", "（（", "))", "ＪＯＢ", "\xff", "ß İ"} {
		f.Add(seed)
	}
	t := newTemplate(newProfile())
	f.Fuzz(func(tt *testing.T, s string) {
		once := normaliseHeader(s)
		require.LessOrEqual(tt, len(once), 20*longestHeader)
		require.False(tt, strings.ContainsFunc(once, invisible), "%q", once)
		t.recognise(s, 1, []xlsx.Cell{{Column: 1, Value: s}, {Column: 2, Value: once}})
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
