package retention_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/retention"
	"github.com/factgate/factgate/internal/testbench"
)

// All facts and blobs are made now, and sweeps look at them from later on.
type bench struct {
	*testing.T
	log   *testbench.Store
	blobs *blob.Dir
}

func newBench(t *testing.T) *bench {
	return &bench{t, testbench.NewStore(t), testbench.NewBlobs(t)}
}

func (b *bench) put(content string) blob.Key {
	info, err := b.blobs.Put(b.Context(), strings.NewReader(content), 1<<20)
	require.NoError(b, err)
	return info.Key
}

func (b *bench) has(key blob.Key) bool {
	file, err := b.blobs.Open(b.Context(), key)
	if err == nil {
		require.NoError(b, file.Close())
		return true
	}
	require.ErrorIs(b, err, blob.ErrNotFound)
	return false
}

func (b *bench) tell(id string, facts ...task.Fact) {
	for i, f := range facts {
		name, data, err := task.Encode(f)
		require.NoError(b, err)
		b.event(id, name, data, i)
	}
}

func (b *bench) event(id, name string, data []byte, n int) {
	_, err := b.log.Append(b.Context(), eventstore.StreamID{Category: task.Category, Key: id}, eventstore.Any(),
		eventstore.Event{ID: eventstore.DeriveID(eventstore.ID{}, fmt.Sprint(id, name, n, uuid.NewString())), Type: name, Data: data, Metadata: []byte("{}")})
	require.NoError(b, err)
}

func (b *bench) sweep(later time.Duration, p retention.Policy, dry bool) retention.Report {
	report, err := retention.Sweep(b.Context(), b.log, b.blobs, p, retention.Options{Now: time.Now().Add(later), DryRun: dry})
	require.NoError(b, err)
	return report
}

func uploaded(key blob.Key) task.Fact { return task.ZipUploaded{FilePath: string(key), Project: "p"} }

func completed(name string, key blob.Key) task.Fact {
	return task.SubTaskCompleted{Type: name, Attempt: 1, Result: task.Pass, Report: &task.Blob{Key: string(key)}}
}

func started(name string) task.Fact { return task.SubTaskStarted{Type: name, Attempt: 1} }

const day = 24 * time.Hour

func TestBlobsGoWhenTheirLastTaskIsOldAndOver(t *testing.T) {
	b := newBench(t)
	over := task.MainTaskConverged{Revision: 1}
	type blobs struct{ pkg, report blob.Key }
	made := map[string]blobs{}
	for name, more := range map[string][]task.Fact{
		"converged":            {over},
		"cancelled":            {task.MainTaskCancelled{}},
		"without a verdict":    {},
		"a retry is wanted":    {over, task.SubTaskRetryRequested{Type: "SQL", After: 1}},
		"an attempt runs":      {over, started("SQL")},
		"a retry has ended":    {over, task.SubTaskRetryRequested{Type: "SQL", After: 1}, started("SQL"), task.SubTaskFailed{Type: "SQL", Attempt: 2, Kind: task.Error}},
		"another type runs":    {over, started("EXCEL")},
		"a newer kind of fact": {over},
	} {
		keys := blobs{b.put("package of " + name), b.put("report of " + name)}
		made[name] = keys
		b.tell(name, append([]task.Fact{uploaded(keys.pkg), started("SQL"), completed("SQL", keys.report)}, more...)...)
	}
	b.event("a newer kind of fact", "SubTaskPaused", []byte("{}"), 1)
	orphan := b.put("refused")
	size := func(s string) int64 { return int64(len(s)) }

	require.Equal(t, retention.Count{}, b.sweep(0, retention.Policy{Packages: 90 * day, Reports: 180 * day}, false).Removed(), "all is new")
	require.Equal(t, retention.Count{}, b.sweep(89*day, retention.Policy{Packages: 90 * day, Grace: 100 * day}, false).Removed())

	policy := retention.Policy{Packages: 90 * day, Reports: 180 * day}
	gone := []string{"converged", "cancelled", "a retry has ended"}
	want := retention.Count{Blobs: int64(len(gone))}
	for _, name := range gone {
		want.Bytes += size("package of " + name)
	}
	dry := b.sweep(91*day, policy, true)
	require.Equal(t, want, dry.Packages)
	require.Equal(t, retention.Count{}, dry.Reports)
	require.Equal(t, retention.Count{Blobs: 1, Bytes: size("refused")}, dry.Orphans)
	require.True(t, b.has(orphan), "a dry run removes nothing")

	require.Equal(t, dry, b.sweep(91*day, policy, false))
	again := b.sweep(91*day, policy, false)
	require.Equal(t, retention.Count{}, again.Removed())
	require.Equal(t, dry.Kept, again.Kept)
	require.False(t, b.has(orphan))
	expired := func(kind func(blobs) blob.Key) (names []string) {
		for name, keys := range made {
			if !b.has(kind(keys)) {
				names = append(names, name)
			}
		}
		return names
	}
	pkg, report := func(k blobs) blob.Key { return k.pkg }, func(k blobs) blob.Key { return k.report }
	require.ElementsMatch(t, gone, expired(pkg))
	require.Empty(t, expired(report))
	require.EqualValues(t, len(gone), b.sweep(181*day, policy, false).Reports.Blobs)
	require.ElementsMatch(t, gone, expired(report))
	require.ElementsMatch(t, gone, expired(pkg))
}

func TestOfManyTasksTheYoungestCounts(t *testing.T) {
	b := newBench(t)
	shared, own := b.put("shared"), b.put("own")
	b.tell("old", uploaded(shared), task.MainTaskCancelled{})
	b.tell("older", uploaded(own), task.MainTaskCancelled{})
	begun := time.Now()
	require.Eventually(t, func() bool { return time.Since(begun) > 50*time.Millisecond }, time.Second, time.Millisecond)
	b.tell("young", uploaded(shared), task.MainTaskCancelled{})
	report, err := retention.Sweep(t.Context(), b.log, b.blobs, retention.Policy{Packages: 90 * day}, retention.Options{Now: begun.Add(90*day + 25*time.Millisecond)})
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Packages.Blobs)
	require.False(t, b.has(own))
	require.True(t, b.has(shared))
}

func TestWhatIsClaimedStays(t *testing.T) {
	b := newBench(t)
	key := b.put("package")
	b.tell("old", uploaded(key), task.MainTaskCancelled{})
	policy := retention.Policy{Packages: day, Grace: time.Hour}
	// Seen from two days on it may go; seen from half an hour on it was just claimed.
	require.EqualValues(t, 1, b.sweep(2*day, policy, true).Packages.Blobs)
	policy.Grace = 3 * day
	require.Equal(t, retention.Count{}, b.sweep(2*day, policy, false).Removed())
	// One that is claimed between the list and the removal.
	report, err := retention.Sweep(t.Context(), b.log, claiming{b.blobs, key}, retention.Policy{Packages: day, Grace: time.Nanosecond}, retention.Options{Now: time.Now().Add(2 * day)})
	require.NoError(t, err)
	require.Equal(t, retention.Report{Kept: retention.Count{Blobs: 1, Bytes: 7}}, report)
	require.True(t, b.has(key))
}

// claiming is a store in which somebody claims a blob whenever it shall be removed.
type claiming struct {
	*blob.Dir
	key blob.Key
}

func (c claiming) Remove(ctx context.Context, key blob.Key, before time.Time) (bool, error) {
	if err := c.Claim(ctx, c.key); err != nil {
		return false, err
	}
	return c.Dir.Remove(ctx, key, before.Add(-10*365*day))
}

func TestASweepThatBrokeOffGoesOn(t *testing.T) {
	b := newBench(t)
	for i := range 20 {
		b.tell(fmt.Sprint("task", i), uploaded(b.put(fmt.Sprint("package", i))), task.MainTaskCancelled{})
	}
	policy := retention.Policy{Packages: day}
	ctx, cancel := context.WithCancel(t.Context())
	some := &counting{Dir: b.blobs, stop: cancel, after: 7}
	first, err := retention.Sweep(ctx, b.log, some, policy, retention.Options{Now: time.Now().Add(2 * day), Pause: time.Microsecond})
	require.ErrorIs(t, err, context.Canceled)
	require.EqualValues(t, 7, first.Packages.Blobs)
	require.EqualValues(t, 13, b.sweep(2*day, policy, false).Packages.Blobs)
}

type counting struct {
	*blob.Dir
	stop  func()
	after int
}

func (c *counting) Remove(ctx context.Context, key blob.Key, before time.Time) (bool, error) {
	removed, err := c.Dir.Remove(ctx, key, before)
	if c.after--; c.after == 0 {
		c.stop()
	}
	return removed, err
}

func TestWhatASweepRefuses(t *testing.T) {
	b := newBench(t)
	stranger := b.put("of another installation")
	b.tell("task", uploaded(blob.KeyOf([32]byte{})), task.MainTaskCancelled{})
	_, err := retention.Sweep(t.Context(), b.log, b.blobs, retention.Policy{Packages: day}, retention.Options{Now: time.Now().Add(2 * day)})
	require.Equal(t, "retention.strange_blobs", domain.RuleOf(err))
	require.True(t, b.has(stranger))
	for _, p := range []retention.Policy{{Packages: time.Minute}, {Reports: -1}} {
		_, err = retention.Sweep(t.Context(), b.log, b.blobs, p, retention.Options{Now: time.Now()})
		require.Equal(t, "retention.too_short", domain.RuleOf(err))
	}
	// A store that breaks off is no reason to take the rest for orphans.
	require.NoError(t, b.log.Node.Close())
	_, err = retention.Sweep(t.Context(), b.log, b.blobs, retention.Policy{Packages: day}, retention.Options{Now: time.Now().Add(2 * day)})
	require.True(t, eventstore.IsUnavailable(err), "%v", err)
	require.True(t, b.has(stranger))
}
