package trend_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/domain/trend"
)

func TestBinsAreWhatTheyArePromisedToBe(t *testing.T) {
	require.Equal(t, trend.NoBin, trend.Bin(-5))
	require.Equal(t, 0, trend.Bin(0))
	for i, ms := range []int64{1, 2, 3, 4, 6, 8, 12, 16, 23} {
		require.Equal(t, []int{1, 3, 4, 5, 6, 7, 8, 9, 10}[i], trend.Bin(ms), "%d ms", ms)
	}
	require.Equal(t, 126, trend.Bin(math.MaxInt64))
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		ms := rnd.Int64() >> rnd.IntN(63)
		if ms == 0 {
			continue
		}
		ratio := trend.Middle(trend.Bin(ms)) / float64(ms)
		require.InDelta(t, 0, math.Log2(ratio), 0.25+1e-9, "%d ms", ms)
		require.LessOrEqual(t, trend.Bin(ms-1), trend.Bin(ms))
	}
}

func TestAQuantileIsWithinItsBound(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	for range 200 {
		h := trend.Histogram{}
		var all []int64
		for range 1 + rnd.IntN(300) {
			ms := 1 + rnd.Int64N(1<<rnd.IntN(40))
			all = append(all, ms)
			h[trend.Bin(ms)]++
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.95} {
			got, ok := h.Quantile(q)
			require.True(t, ok)
			exact := float64(all[int(math.Ceil(q*float64(len(all))))-1])
			require.InDelta(t, 0, math.Log2(got/exact), 0.25+1e-9)
		}
	}
	_, ok := trend.Histogram{}.Quantile(0.5)
	require.False(t, ok)
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	require.NoError(t, err)
	return loc
}

func labels(t *testing.T, unit trend.Unit, name, from, to string) (out []string, lengths []time.Duration) {
	t.Helper()
	loc := zone(t, name)
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		require.NoError(t, err)
		return v
	}
	starts, err := trend.Series(unit, loc, at(from), at(to))
	require.NoError(t, err)
	require.False(t, starts[0].After(at(from)))
	require.False(t, starts[len(starts)-1].Before(at(to)))
	for i := range len(starts) - 1 {
		out = append(out, trend.Label(unit, loc, starts[i]))
		lengths = append(lengths, starts[i+1].Sub(starts[i]))
	}
	return out, lengths
}

func TestDaysFollowTheClocksOfTheirZone(t *testing.T) {
	h := time.Hour
	for _, c := range []struct {
		zone, from, to string
		labels         []string
		lengths        []time.Duration
	}{
		{"Asia/Shanghai", "2026-11-24T15:59:59Z", "2026-11-24T16:00:01Z", []string{"2026-11-24", "2026-11-25"}, []time.Duration{24 * h, 24 * h}},
		{"Asia/Kolkata", "2026-11-24T18:30:00Z", "2026-11-25T18:30:00Z", []string{"2026-11-25"}, []time.Duration{24 * h}},
		{"Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", []string{"2026-03-28", "2026-03-29", "2026-03-30"}, []time.Duration{24 * h, 23 * h, 24 * h}},
		{"Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", []string{"2026-10-25"}, []time.Duration{25 * h}},
		{"America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z", []string{"2018-11-03", "2018-11-04", "2018-11-05"}, []time.Duration{24 * h, 23 * h, 24 * h}},
		{"America/Havana", "2026-10-31T12:00:00Z", "2026-11-01T12:00:00Z", []string{"2026-10-31", "2026-11-01"}, []time.Duration{24 * h, 25 * h}},
		{"Australia/Lord_Howe", "2026-04-04T20:00:00Z", "2026-04-05T01:00:00Z", []string{"2026-04-05"}, []time.Duration{24*h + 30*time.Minute}},
		{"Pacific/Apia", "2011-12-29T12:00:00Z", "2011-12-31T00:00:00Z", []string{"2011-12-29", "2011-12-31"}, []time.Duration{24 * h, 24 * h}},
	} {
		got, lengths := labels(t, trend.Day, c.zone, c.from, c.to)
		require.Equal(t, c.labels, got, "%s %s", c.zone, c.from)
		require.Equal(t, c.lengths, lengths, "%s %s", c.zone, c.from)
	}
}

func TestHoursWeeksAndMonths(t *testing.T) {
	got, lengths := labels(t, trend.Hour, "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z")
	require.Equal(t, []string{"2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"}, got)
	require.Equal(t, []time.Duration{time.Hour, time.Hour, time.Hour}, lengths)
	got, _ = labels(t, trend.Hour, "Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-01T00:31:00Z")
	require.Equal(t, []string{"2026-01-01T05:00+05:30", "2026-01-01T06:00+05:30"}, got)
	got, lengths = labels(t, trend.Hour, "Australia/Lord_Howe", "2026-04-04T14:30:00Z", "2026-04-04T15:45:00Z")
	require.Equal(t, []string{"2026-04-05T01:00+11:00", "2026-04-05T01:30+10:30", "2026-04-05T02:00+10:30"}, got)
	require.Equal(t, []time.Duration{time.Hour, 30 * time.Minute, time.Hour}, lengths)
	got, _ = labels(t, trend.Week, "Asia/Shanghai", "2026-12-25T00:00:00Z", "2027-01-05T00:00:00Z")
	require.Equal(t, []string{"2026-W52", "2026-W53", "2027-W01"}, got)
	got, lengths = labels(t, trend.Week, "Europe/Berlin", "2026-03-25T00:00:00Z", "2026-03-26T00:00:00Z")
	require.Equal(t, []string{"2026-W13"}, got)
	require.Equal(t, []time.Duration{167 * time.Hour}, lengths)
	got, _ = labels(t, trend.Month, "UTC", "2026-11-30T23:00:00Z", "2027-02-01T00:00:00Z")
	require.Equal(t, []string{"2026-11", "2026-12", "2027-01"}, got)
}

func TestWhatCannotBeCountedExactlyIsRefused(t *testing.T) {
	rule := func(unit trend.Unit, loc *time.Location, from, to time.Time) string {
		_, err := trend.Series(unit, loc, from, to)
		return domain.RuleOf(err)
	}
	at := time.Date(1971, 3, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, "trends.zone_inexact", rule(trend.Day, zone(t, "Africa/Monrovia"), at, at.Add(time.Hour)), "44:30 behind UTC until 1972")
	require.Equal(t, "trends.zone_inexact", rule(trend.Hour, time.FixedZone("odd", 7*60), at, at.Add(time.Hour)))
	require.Equal(t, "trends.range", rule(trend.Day, time.UTC, at, at))
	require.Equal(t, "trends.range", rule(trend.Day, time.UTC, time.Time{}, at))
	require.Equal(t, "trends.unit", rule("EON", time.UTC, at, at.Add(1)))
	require.Equal(t, "trends.too_many_buckets", rule(trend.Hour, time.UTC, at, at.Add(1001*time.Hour)))
	_, err := trend.Series(trend.Hour, time.UTC, at, at.Add(1000*time.Hour))
	require.NoError(t, err)
}

func TestEveryZoneOfTodayIsExactAndWithoutGaps(t *testing.T) {
	for _, name := range []string{"Asia/Kathmandu", "Pacific/Chatham", "Australia/Eucla", "Africa/Cairo", "America/St_Johns", "Asia/Tehran", "Africa/Casablanca", "America/Santiago", "Pacific/Kiritimati"} {
		loc := zone(t, name)
		for _, unit := range []trend.Unit{trend.Day, trend.Week, trend.Month} {
			starts, err := trend.Series(unit, loc, time.Date(2024, 1, 1, 0, 0, 0, 0, loc), time.Date(2026, 6, 1, 0, 0, 0, 0, loc))
			require.NoError(t, err, "%s %s", name, unit)
			for i := 1; i < len(starts); i++ {
				require.True(t, starts[i].After(starts[i-1]))
				require.NotEqual(t, trend.Label(unit, loc, starts[i-1]), trend.Label(unit, loc, starts[i]))
				require.Equal(t, trend.Label(unit, loc, starts[i-1]), trend.Label(unit, loc, starts[i].Add(-1)), "%s %s", name, unit)
			}
		}
	}
}

func TestATaskStaysInTheQuarterOfItsUpload(t *testing.T) {
	up := time.Date(2026, 11, 25, 8, 14, 59, 0, time.UTC)
	s := task.State{Uploaded: &task.ZipUploaded{Project: "p"}, UploadedAt: up, DecidedAt: up.Add(time.Minute),
		Created: &task.MainTaskCreated{Known: []string{"SQL", "API", "API"}}, Closed: &task.WindowClosed{Cause: task.Deadline}, Silent: []string{"API"},
		Verdict: &task.MainTaskConverged{Verdict: task.Verdict{Status: task.Success}}, Late: 2,
		SubTasks: map[string]task.SubTask{"SQL": {State: task.StateFailed, Kind: task.Check, DurationMS: 3, DeadLetter: 1}},
		Declined: map[string]task.Decline{"EXCEL": {}}}
	quarter, project := up.Truncate(15*time.Minute).Unix(), trend.ProjectKey("p")
	require.Equal(t, map[trend.Key]int64{
		{quarter, project, trend.Tasks, "", "SUCCESS", trend.Bin(60_000)}:               1,
		{quarter, project, trend.Windows, "", "DEADLINE", trend.NoBin}:                  1,
		{quarter, project, trend.LateFacts, "", "", trend.NoBin}:                        2,
		{quarter, project, trend.SubTasks, "SQL", trend.SubTaskFailed, 4}:               1,
		{quarter, project, trend.SubTasks, "EXCEL", trend.SubTaskDeclined, trend.NoBin}: 1,
		{quarter, project, trend.DeadLetters, "SQL", "", trend.NoBin}:                   1,
		{quarter, project, trend.Known, "SQL", "", trend.NoBin}:                         1,
		{quarter, project, trend.Known, "API", "", trend.NoBin}:                         1,
		{quarter, project, trend.Silent, "API", "", trend.NoBin}:                        1,
	}, trend.Of(s))
	counters := trend.Of(s)
	trend.Count(counters, s, 2)
	for k, n := range trend.Of(s) {
		require.Equal(t, 3*n, counters[k])
	}
	trend.Count(counters, s, -3)
	for k, n := range counters {
		require.Zero(t, n, k)
	}
	require.Empty(t, trend.Of(task.State{}))
}
