package cron

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/reugn/go-quartz/quartz"
	unix "github.com/robfig/cron/v3"

	"github.com/factgate/factgate/domain/report"
)

// longest is far over any expression that a person can read.
const longest = 256

// Problem says what is wrong with an expression of either dialect, and false if
// nothing is: 5 fields are Unix cron, 6 or 7 are Quartz.
func Problem(expr string) (report.Text, bool) {
	f, problem, bad := fields(expr)
	switch {
	case bad:
		return problem, true
	case len(f) == 5:
		return unixProblem(f)
	case len(f) == 6 || len(f) == 7:
		return quartzProblem(f)
	}
	return report.Text{
		En: fmt.Sprintf("has %d fields; 5 (Unix) or 6 to 7 (Quartz) are needed", len(f)),
		Zh: fmt.Sprintf("共 %d 个字段，应为 5 个（Unix）或 6～7 个（Quartz）", len(f)),
	}, true
}

// QuartzProblem is [Problem] for those who know only Quartz: 5 fields are too few.
func QuartzProblem(expr string) (report.Text, bool) {
	f, problem, bad := fields(expr)
	switch {
	case bad:
		return problem, true
	case len(f) == 6 || len(f) == 7:
		return quartzProblem(f)
	}
	return report.Text{
		En: fmt.Sprintf("has %d fields; Quartz needs 6 or 7, the first for the seconds", len(f)),
		Zh: fmt.Sprintf("共 %d 个字段，Quartz 表达式应为 6～7 个，第一个为秒", len(f)),
	}, true
}

// fields cuts an expression in upper case.
func fields(expr string) ([]string, report.Text, bool) {
	if len(expr) > longest {
		return nil, report.Text{
			En: fmt.Sprintf("longer than %d bytes", longest),
			Zh: fmt.Sprintf("长度超过 %d 字节", longest),
		}, true
	}
	for _, r := range expr {
		if r > 0x7e {
			return nil, report.Text{
				En: fmt.Sprintf("%q is no character of a cron expression (full-width input?)", r),
				Zh: fmt.Sprintf("含有 cron 不允许的字符 %q（是否误用全角输入？）", r),
			}, true
		}
	}
	return strings.Fields(strings.ToUpper(expr)), report.Text{}, false
}

// field is one field's name, range and words; words[i] means low+i.
type field struct {
	name      report.Text
	low, high int
	words     []string
}

var (
	monthWords = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	dayWords   = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}

	secondField = field{report.Text{En: "second", Zh: "秒"}, 0, 59, nil}
	minuteField = field{report.Text{En: "minute", Zh: "分"}, 0, 59, nil}
	hourField   = field{report.Text{En: "hour", Zh: "时"}, 0, 23, nil}
	domField    = field{report.Text{En: "day-of-month", Zh: "日"}, 1, 31, nil}
	monthField  = field{report.Text{En: "month", Zh: "月"}, 1, 12, monthWords}
	unixDay     = field{report.Text{En: "day-of-week", Zh: "星期"}, 0, 7, dayWords}
	quartzDay   = field{report.Text{En: "day-of-week", Zh: "星期"}, 1, 7, dayWords}
	yearField   = field{report.Text{En: "year", Zh: "年"}, 1970, 2299, nil}
)

func (c field) bad(value string) report.Text {
	return report.Text{
		En: fmt.Sprintf("%q is no %s (%d to %d)", value, c.name.En, c.low, c.high),
		Zh: fmt.Sprintf("%q 不是合法的“%s”（%d～%d）", value, c.name.Zh, c.low, c.high),
	}
}

func (c field) number(s string) (int, bool) {
	for i, word := range c.words {
		if s == word {
			return c.low + i, true
		}
	}
	n, ok := digits(s)
	return n, ok && n >= c.low && n <= c.high
}

// digits is Atoi without signs.
func digits(s string) (int, bool) {
	if s == "" || len(s) > 4 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// values expands a field of lists, ranges and steps. Where the dialect allows
// it (wrap), a range may run over the end, as in 22-2 or FRI-MON.
func (c field) values(s string, wrap bool) (set map[int]bool, problem report.Text, ok bool) {
	set = map[int]bool{}
	for _, element := range strings.Split(s, ",") {
		span, stepText, stepped := strings.Cut(element, "/")
		step := 1
		if stepped {
			n, ok := digits(stepText)
			if !ok || n < 1 || n > c.high {
				return nil, c.bad(element), false
			}
			step = n
		}
		from, to := c.low, c.high
		if span != "*" && !(span == "" && stepped && wrap) {
			a, b, ranged := strings.Cut(span, "-")
			n, ok := c.number(a)
			if !ok {
				return nil, c.bad(element), false
			}
			from = n
			switch {
			case ranged:
				if n, ok = c.number(b); !ok {
					return nil, c.bad(element), false
				}
				to = n
			case !stepped:
				to = from
			}
		}
		if to < from {
			if !wrap {
				return nil, c.bad(element), false
			}
			to += c.high - c.low + 1
		}
		for v := from; v <= to; v += step {
			set[c.low+(v-c.low)%(c.high-c.low+1)] = true
		}
	}
	return set, report.Text{}, true
}

// unixProblem checks the five fields: minute hour day-of-month month day-of-week.
func unixProblem(f []string) (report.Text, bool) {
	if strings.Contains(strings.Join(f, ""), "?") {
		return report.Text{
			En: "? exists only in Quartz expressions of 6 or 7 fields; the field of the seconds may be missing",
			Zh: "“?” 只能用于 6～7 个字段的 Quartz 表达式，可能缺少秒字段",
		}, true
	}
	for i, c := range []field{minuteField, hourField, domField, monthField, unixDay} {
		if _, problem, ok := c.values(f[i], false); !ok {
			return problem, true
		}
	}
	// Sunday is 0 and 7 in Unix, only 0 in the parser.
	if days, _, _ := unixDay.values(f[4], false); days[7] && !strings.HasPrefix(f[4], "*") {
		f = append(f[:4:4], sundayIsZero(days))
	}
	schedule, err := unix.NewParser(unix.Minute | unix.Hour | unix.Dom | unix.Month | unix.Dow).Parse(strings.Join(f, " "))
	if err != nil {
		return unparsable(err), true
	}
	spec, ok := schedule.(*unix.SpecSchedule)
	// With both days given, Unix runs on either: no date is needed.
	if !ok || !strings.HasPrefix(f[4], "*") {
		return report.Text{}, false
	}
	for month := 1; month <= 12; month++ {
		if spec.Month&(1<<month) != 0 && bits.TrailingZeros64(spec.Dom&^1) <= longestMonth[month] {
			return report.Text{}, false
		}
	}
	return impossible(f[2], f[3], ""), true
}

// sundayIsZero writes a set of Unix week days as a list, with 7 as 0.
func sundayIsZero(days map[int]bool) string {
	var out []string
	for d := range 7 {
		if days[d] || d == 0 && days[7] {
			out = append(out, strconv.Itoa(d))
		}
	}
	return strings.Join(out, ",")
}

// quartzProblem checks second minute hour day-of-month month day-of-week [year].
func quartzProblem(f []string) (report.Text, bool) {
	plain := map[int]field{0: secondField, 1: minuteField, 2: hourField, 4: monthField}
	if len(f) == 7 {
		plain[6] = yearField
	}
	sets := map[int]map[int]bool{}
	checked := append([]string(nil), f...)
	for i := range f {
		c, ok := plain[i]
		if !ok {
			continue
		}
		set, problem, ok := c.values(f[i], i != 6)
		if !ok {
			return problem, true
		}
		sets[i] = set
		checked[i] = unwrapped(c, f[i])
	}
	switch dom, dow := f[3] == "?", f[5] == "?"; {
	case dom && dow:
		return report.Text{
			En: "only one of day-of-month and day-of-week may be ?",
			Zh: "“日”与“星期”只能有一个为 “?”",
		}, true
	case !dom && !dow:
		return report.Text{
			En: "day-of-month and day-of-week are both given; Quartz wants ? for one of them",
			Zh: "“日”与“星期”同时指定，Quartz 要求其中之一为 “?”",
		}, true
	case dom:
		if problem, bad := weekDayProblem(f[5]); bad {
			return problem, true
		}
		checked[5] = unwrapped(quartzDay, f[5])
	default:
		days, problem, bad := monthDays(f[3])
		if bad {
			return problem, true
		}
		checked[3] = unwrapped(domField, f[3])
		if strings.HasPrefix(f[3], "L-") { // L-3W is unknown to the parser
			checked[3] = strings.TrimSuffix(f[3], "W")
		}
		if !days.fallsIn(sets[4], sets[6]) {
			year := ""
			if len(f) == 7 {
				year = f[6]
			}
			return impossible(f[3], f[4], year), true
		}
	}
	if err := quartz.ValidateCronExpression(strings.Join(checked, " ")); err != nil {
		return unparsable(err), true
	}
	return report.Text{}, false
}

// unwrapped writes ranges that run over the end (22-2) and bare steps (/5) as
// lists, which the Quartz parser used here does not know otherwise.
func unwrapped(c field, s string) string {
	if !strings.ContainsAny(s, "-/") {
		return s
	}
	set, _, ok := c.values(s, true)
	if !ok {
		return s
	}
	var out []string
	for v := c.low; v <= c.high; v++ {
		if set[v] {
			out = append(out, strconv.Itoa(v))
		}
	}
	return strings.Join(out, ",")
}

// weekDayProblem knows L, 6L, FRIL, 6#3 and FRI#3 besides plain values.
func weekDayProblem(s string) (report.Text, bool) {
	if s == "L" {
		return report.Text{}, false
	}
	day, nth, hashed := strings.Cut(s, "#")
	if hashed {
		n, ok := digits(nth)
		if _, known := quartzDay.number(day); !known || !ok || n < 1 || n > 5 {
			return quartzDay.bad(s), true
		}
		return report.Text{}, false
	}
	if _, known := quartzDay.number(strings.TrimSuffix(s, "L")); known {
		return report.Text{}, false
	}
	_, problem, ok := quartzDay.values(s, true)
	return problem, !ok
}

// days are the days of a month on which an expression may fire: fixed ones, or
// one counted from the month's end.
type days struct {
	fixed   map[int]bool
	fromEnd int // L-n; -1 is none
}

// monthDays knows L, LW, L-3, L-3W and 15W besides plain values.
func monthDays(s string) (days, report.Text, bool) {
	if s == "L" || s == "LW" {
		return days{fromEnd: 0}, report.Text{}, false
	}
	if rest, ok := strings.CutPrefix(s, "L-"); ok {
		n, ok := digits(strings.TrimSuffix(rest, "W"))
		if !ok || n < 1 || n > 30 {
			return days{}, domField.bad(s), true
		}
		return days{fromEnd: n}, report.Text{}, false
	}
	if day, ok := strings.CutSuffix(s, "W"); ok {
		n, ok := domField.number(day)
		if !ok {
			return days{}, domField.bad(s), true
		}
		return days{fixed: map[int]bool{n: true}, fromEnd: -1}, report.Text{}, false
	}
	set, problem, ok := domField.values(s, true)
	return days{fixed: set, fromEnd: -1}, problem, !ok
}

// longestMonth counts February with its leap day.
var longestMonth = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// fallsIn reports whether one of the days exists in one of the months, in one
// of the years; no years are all years.
func (d days) fallsIn(months, years map[int]bool) bool {
	for month := range months {
		length := longestMonth[month]
		if month == 2 && len(years) > 0 && !anyLeap(years) {
			length = 28
		}
		if d.fromEnd >= 0 && d.fromEnd < length {
			return true
		}
		for day := range d.fixed {
			if day <= length {
				return true
			}
		}
	}
	return false
}

func anyLeap(years map[int]bool) bool {
	for y := range years {
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return true
		}
	}
	return false
}

func impossible(day, month, year string) report.Text {
	if year != "" {
		year = " " + year
	}
	return report.Text{
		En: fmt.Sprintf("impossible date: day %s of month %s%s does not exist", day, month, year),
		Zh: fmt.Sprintf("日期不存在：日 %s，月 %s%s", day, month, year),
	}
}

func unparsable(err error) report.Text {
	return report.Text{En: err.Error(), Zh: "无法解析：" + err.Error()}
}
