package cron

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCycles(t *testing.T) {
	for expr, want := range map[string][]Cycle{
		"0 2 * * *":          {Day},
		"0 0 2 * * ?":        {Day},
		"0 0 2,14 * * ?":     {Day, Hour},
		"0 0 * * * ?":        {Hour},
		"0 0/30 * * * ?":     {Minute, Hour},
		"*/5 * * * *":        {Minute},
		"* * * * * ?":        {Minute},
		"0 */5 2 * * ?":      {Day, Minute},
		"0 0 8-18 * * ?":     {Day, Hour},
		"0 0 2 ? * MON":      {Week},
		"0 2 * * 1-5":        {Week, Day},
		"0 0 2 ? * 6L":       {Month},
		"0 0 2 ? * 6#3":      {Month},
		"0 0 2 ? * L":        {Week},
		"0 0 2 1 * ?":        {Month},
		"0 0 2 L * ?":        {Month},
		"0 0 2 1,15 * ?":     {Month, Day, Week},
		"0 0 2 1 1,4,7,10 ?": {Quarter, Year, Month},
		"0 0 2 1 1 ?":        {Year},
		"0 0 2 * 1 ?":        {Year, Day},
		"0 0 2 1 1 ? 2027":   {Year, Once, Year},
		"0 0 2 31 2 ?":       nil,
		"daily":              nil,
	} {
		require.Equal(t, want, Cycles(expr), expr)
	}
}
