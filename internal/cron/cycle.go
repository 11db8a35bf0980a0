package cron

import "strings"

// Cycle is a word for how often something runs.
type Cycle string

// From the finest to the coarsest.
const (
	Minute  Cycle = "minute"
	Hour    Cycle = "hour"
	Day     Cycle = "day"
	Week    Cycle = "week"
	Month   Cycle = "month"
	Quarter Cycle = "quarter"
	Year    Cycle = "year"
	Once    Cycle = "once"
)

// Cycles are the words that fit an expression; there are several where people
// may differ: what runs at 2 and at 14 o'clock is daily to one and hourly to
// another. An expression with a problem fits none.
func Cycles(expr string) []Cycle {
	if _, bad := Problem(expr); bad {
		return nil
	}
	f, _, _ := fields(expr)
	quartz := len(f) > 5
	if !quartz {
		f = append([]string{"0"}, f...)
	}
	count := func(c field, s string) int {
		set, _, ok := c.values(s, quartz)
		if !ok {
			return 1 // L, W, #: one day of many
		}
		return len(set)
	}
	seconds, minutes, hours := count(secondField, f[0]), count(minuteField, f[1]), count(hourField, f[2])
	every := func(s string) bool { return s == "*" || s == "?" || s == "*/1" }
	dom, dow := f[3], f[5]
	var fit []Cycle
	add := func(c ...Cycle) { fit = append(fit, c...) }

	months := count(monthField, f[4])
	anyDay := every(dom) && every(dow)
	switch {
	case months == 1:
		add(Year)
	case months <= 4:
		add(Quarter, Year)
	case months < 12:
		add(Month, Quarter)
	}
	switch {
	case anyDay:
		add(Day)
	case !every(dow):
		switch n := count(unixOrQuartzDay(quartz), dow); {
		case strings.ContainsAny(dow, "#") || strings.HasSuffix(dow, "L") && len(dow) > 1:
			add(Month)
		case n == 1:
			add(Week)
		default:
			add(Week, Day)
		}
		if !every(dom) {
			add(Month, Day)
		}
	case months == 12:
		if add(Month); count(domField, dom) > 1 {
			add(Day, Week)
		}
	case months > 1 && count(domField, dom) == 1:
		add(Month)
	case count(domField, dom) > 1:
		add(Month, Day)
	}
	// Within the day.
	switch {
	case hours == 24 && anyDay && months == 12:
		fit = fit[:0]
		if minutes > 1 || seconds > 1 {
			add(Minute)
		}
		if minutes <= 2 {
			add(Hour)
		}
	case hours > 1:
		add(Hour)
	}
	if hours < 24 && minutes > 1 {
		add(Minute)
	}
	if len(f) == 7 && count(yearField, f[6]) == 1 {
		add(Once, Year)
	}
	return fit
}

func unixOrQuartzDay(quartz bool) field {
	if quartz {
		return quartzDay
	}
	return unixDay
}
