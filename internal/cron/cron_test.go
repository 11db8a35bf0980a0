package cron_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/cron"
)

func TestProblem(t *testing.T) {
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
		problem, bad := cron.Problem(expr)
		require.Equal(t, want != "", bad, "%q: %s", expr, problem.En)
		require.Contains(t, problem.En, want, expr)
		require.Equal(t, bad, problem.Zh != "", expr)
	}
}

func TestQuartzProblem(t *testing.T) {
	for expr, want := range map[string]string{
		"0 0 0 * * ? *": "",
		"0 0 2 * * ?":   "",
		"0 2 * * *":     "needs 6 or 7",
		"":              "has 0 fields",
		"0 0 2 * * *":   "Quartz wants ?",
		"0 0 0 ３ * ?":   "full-width",
	} {
		problem, bad := cron.QuartzProblem(expr)
		require.Equal(t, want != "", bad, "%q: %s", expr, problem.En)
		require.Contains(t, problem.En, want, expr)
		require.Equal(t, bad, problem.Zh != "", expr)
	}
}

func FuzzProblem(f *testing.F) {
	for _, seed := range []string{"0 2 * * *", "0 0 2 L-3W * ? 2026/2", "0 0/5 22-2 ? * FRI-MON", "TZ= * * * *", "*/59 1-2/3 ,,, 7-7 *", "0 0 0 ? * 7#5"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		problem, bad := cron.Problem(s)
		require.Equal(t, bad, problem.En != "")
		require.Equal(t, bad, problem.Zh != "")
	})
}
