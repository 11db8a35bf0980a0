package trend_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/trend"
)

// Whatever is asked, the answer is whole units without a gap, or a typed refusal.
func FuzzSeries(f *testing.F) {
	f.Add("DAY", "Asia/Shanghai", int64(1_764_000_000), int64(1_000_000))
	f.Add("HOUR", "Australia/Lord_Howe", int64(1_775_300_000), int64(90_000))
	f.Add("WEEK", "Pacific/Apia", int64(1_325_000_000), int64(5_000_000))
	f.Add("MONTH", "Africa/Monrovia", int64(0), int64(100_000_000))
	f.Add("DAY", "America/St_Johns", int64(1_162_000_000), int64(1_000_000))
	f.Fuzz(func(t *testing.T, unit, name string, from, length int64) {
		zone, err := time.LoadLocation(name)
		if err != nil {
			return
		}
		a := time.Unix(from%(1<<36), 0)
		b := a.Add(time.Duration(length%(1<<33)) * time.Second)
		starts, err := trend.Series(trend.Unit(unit), zone, a, b)
		if err != nil {
			require.NotEmpty(t, domain.RuleOf(err))
			return
		}
		require.LessOrEqual(t, len(starts), trend.MaxBuckets+1)
		require.False(t, starts[0].After(a))
		require.False(t, starts[len(starts)-1].Before(b))
		for i := 1; i < len(starts); i++ {
			require.True(t, starts[i].After(starts[i-1]))
			require.Zero(t, starts[i].Unix()%900)
		}
	})
}
