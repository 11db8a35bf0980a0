package trend

import (
	"fmt"
	"time"

	"github.com/factgate/factgate/domain"
)

// Unit is what time is cut into.
type Unit string

// The units.
const (
	Hour  Unit = "HOUR"
	Day   Unit = "DAY"
	Week  Unit = "WEEK" // of ISO 8601: from Monday
	Month Unit = "MONTH"
)

// MaxBuckets is how many buckets a series has at most.
const MaxBuckets = 1000

// Series cuts the time between two moments into units of a time zone and returns where
// they begin, and at last where the last one ends. Both ends are moved outwards to
// whole units. A day begins with its first moment, be it midnight or not, and has
// 23, 24 or 25 hours; so has an hour that a change of the clocks cuts.
//
// It refuses what cannot be exact: a unit that does not begin at a quarter hour of
// UTC, as in some zones of the past.
func Series(unit Unit, zone *time.Location, from, to time.Time) ([]time.Time, error) {
	if !from.Before(to) || from.Year() < 1970 || to.Year() > 9000 {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "trends.range",
			Msg:   "give a range of time whose end is after its begin, from 1970 on",
			MsgZH: "请给出有效的时间范围：结束时间须晚于开始时间，且不早于 1970 年"}
	}
	var begin func(time.Time) time.Time     // of the unit that holds a time
	var next func(time.Time, int) time.Time // a time in the nth unit after the one that begins there
	switch unit {
	case Hour:
		begin = func(t time.Time) time.Time { return first(t, zone, sameHour) }
		next = func(t time.Time, _ int) time.Time {
			for u := t.Add(Quarter); ; u = u.Add(Quarter) {
				if !sameHour(t.In(zone), u.In(zone)) {
					return u
				}
			}
		}
	case Day, Week, Month:
		begin = func(t time.Time) time.Time {
			y, m, d := dateOf(unit, t.In(zone))
			return dayBegins(y, m, d, zone)
		}
		next = func(t time.Time, n int) time.Time {
			// Noon: no change of the clocks moves it into another day.
			y, m, d := dateOf(unit, t.In(zone))
			switch unit {
			case Day:
				d += n
			case Week:
				d += 7 * n
			default:
				m += time.Month(n)
			}
			return time.Date(y, m, d, 12, 0, 0, 0, zone)
		}
	default:
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "trends.unit",
			Msg: fmt.Sprintf("%.20q is no unit of time; use HOUR, DAY, WEEK or MONTH", string(unit)), MsgZH: "时间单位须为 HOUR、DAY、WEEK 或 MONTH"}
	}
	starts := []time.Time{begin(from)}
	for last := starts[0]; last.Before(to); {
		if len(starts) > MaxBuckets {
			return nil, &domain.Error{Kind: domain.Refused, Rule: "trends.too_many_buckets",
				Msg:   fmt.Sprintf("a series has %d buckets at most; ask for a shorter range or a longer unit", MaxBuckets),
				MsgZH: fmt.Sprintf("一个序列最多 %d 个时间段；请缩短时间范围或使用更大的单位", MaxBuckets)}
		}
		following := begin(next(last, 1))
		if !following.After(last) { // a day that a zone left out, such as 30 December 2011 in Samoa
			following = begin(next(last, 2))
		}
		last = following
		starts = append(starts, last)
	}
	for _, t := range starts {
		if t.Unix()%int64(Quarter/time.Second) != 0 {
			return nil, &domain.Error{Kind: domain.Refused, Rule: "trends.zone_inexact",
				Msg: fmt.Sprintf("in the time zone %s a unit of this range begins at %s, which is no quarter of an hour; counts are kept by the quarter: use UTC",
					zone, t.Format(time.RFC3339)),
				MsgZH: fmt.Sprintf("时区 %s 在该范围内有时间段始于 %s，不是整刻钟；统计按刻钟保存，请改用 UTC", zone, t.Format(time.RFC3339))}
		}
	}
	return starts, nil
}

// Label names the unit that begins at t: 2026-11-25T08:00+08:00, 2026-11-25,
// 2026-W48 or 2026-11.
func Label(unit Unit, zone *time.Location, t time.Time) string {
	t = t.In(zone)
	switch unit {
	case Hour:
		return t.Format("2006-01-02T15:04Z07:00")
	case Week:
		year, week := t.ISOWeek()
		return fmt.Sprintf("%d-W%02d", year, week)
	case Month:
		return t.Format("2006-01")
	}
	return t.Format(time.DateOnly)
}

// dateOf is the first day of the unit that holds a local time.
func dateOf(unit Unit, t time.Time) (int, time.Month, int) {
	y, m, d := t.Date()
	switch unit {
	case Week:
		d -= (int(t.Weekday()) + 6) % 7
	case Month:
		d = 1
	}
	return y, m, d
}

// dayBegins is the first moment of a day. Where clocks go forward at midnight, no
// midnight is; where they go back then, there are two.
func dayBegins(y int, m time.Month, d int, zone *time.Location) time.Time {
	noon := time.Date(y, m, d, 12, 0, 0, 0, zone)
	return first(noon, zone, func(a, b time.Time) bool {
		ay, am, ad := a.Date()
		by, bm, bd := b.Date()
		return ay == by && am == bm && ad == bd
	})
}

func sameHour(a, b time.Time) bool {
	_, x := a.Zone()
	_, y := b.Zone()
	return x == y && a.YearDay() == b.YearDay() && a.Hour() == b.Hour() && a.Year() == b.Year()
}

// first walks back from t for as long as the local time is alike, to the moment.
func first(t time.Time, zone *time.Location, alike func(a, b time.Time) bool) time.Time {
	at := t.In(zone)
	for {
		earlier := at.Add(-Quarter)
		if alike(t.In(zone), earlier) {
			at = earlier
			continue
		}
		// The moment lies in (earlier, at]; to the second, as offsets of the past are.
		low, high := earlier.Unix(), at.Unix()
		for high-low > 1 {
			if middle := (low + high) / 2; alike(t.In(zone), time.Unix(middle, 0).In(zone)) {
				high = middle
			} else {
				low = middle
			}
		}
		return time.Unix(high, 0).In(zone)
	}
}
