package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTrendsOnTheCommandLine(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--quiet", "1s")
	defer s.kill()
	require.Equal(t, 1, run(t, "check", packed(t)["retail-1.5.0-rc1"], "--server", s.url, "--project", "retail").code)
	require.Equal(t, 0, run(t, "check", packed(t)["retail-1.4.0"], "--server", s.url, "--project", "retail").code)

	got := run(t, "trends", "--server", s.url, "--tz", "Asia/Shanghai", "--project", "retail")
	require.Zero(t, got.code, got.errors)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Contains(t, lines[0], "Asia/Shanghai")
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	// The newest day is the last line but the total; the test may run over midnight.
	require.Contains(t, got.out, time.Now().In(zone).Format(time.DateOnly))
	require.Regexp(t, `(?m)^total +2 +1 +1 +0 +0 +50% `, got.out)
	require.Regexp(t, `(?m)█+▓+$|▓+$`, got.out)
	require.Regexp(t, `(?m)^SQL +1 +1 +0 +0 +0 +0% `, got.out)

	got = run(t, "trends", "--server", s.url, "--by", "week", "--lang", "zh", "--from", "48h")
	require.Zero(t, got.code, got.errors)
	require.Regexp(t, `(?m)^合计 +2 +1 +1 `, got.out)

	var answer struct {
		Buckets []struct{ Label string }
		Total   struct{ Tasks int }
	}
	got = run(t, "trends", "--server", s.url, "--json", "--by", "hour", "--from", "3h", "--rules", "default")
	require.Zero(t, got.code, got.errors)
	require.NoError(t, json.Unmarshal([]byte(got.out), &answer))
	require.Equal(t, 2, answer.Total.Tasks)
	require.GreaterOrEqual(t, len(answer.Buckets), 3)

	for what, args := range map[string][]string{
		"is no time zone": {"--tz", "Asia/Atlantis"}, "use hour, day, week or month": {"--by", "eon"}, "nor an age": {"--from", "yesterday"},
		"trends.too_many_buckets": {"--by", "hour", "--from", "2020-01-01"}, "trends.range": {"--from", "1h", "--to", "2h"}, "ruleset.unknown": {"--rules", "nobodys"},
	} {
		got := run(t, append([]string{"trends", "--server", s.url}, args...)...)
		require.Equal(t, exitError, got.code)
		require.Contains(t, got.errors, what)
	}
	s.stop(t)
}
