package queries

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain/scanner"
)

// ScannerState says whether a scanner can be heard.
type ScannerState string

// The states of an instance and, but for RETIRED, of a type.
const (
	// ScannerOnline: a sign of life came within scanner.Patience.
	ScannerOnline ScannerState = "ONLINE"
	// ScannerLost: it never said that it goes, and is not heard any more.
	ScannerLost ScannerState = "LOST"
	// ScannerOffline: it ended in good order.
	ScannerOffline ScannerState = "OFFLINE"
	// ScannerRetired: an operator took the type off the roster.
	ScannerRetired ScannerState = "RETIRED"
)

// Scanner is a sub-task type whose scanners were heard of.
type Scanner struct {
	Type        string
	State       ScannerState // of its live instances, else of the one heard last
	FirstSeenAt time.Time
	EnlistedAt  *time.Time // nil: never, by a version that kept no roster
	LastHeardAt *time.Time
	Retirement  *Retirement
	Instances   []ScannerInstance // the newest maxInstances, heard last first
}

// Retirement says that nobody waits for a type any more.
type Retirement struct {
	At     time.Time
	By     string
	Reason string
}

// ScannerInstance is one process's scanner of a type.
type ScannerInstance struct {
	Instance     string
	Version      string
	RulesDigest  string
	ConfigDigest string
	State        ScannerState
	OnlineAt     *time.Time
	LastHeardAt  *time.Time
	OfflineAt    *time.Time // nil while it is, or may be, there
}

// maxInstances bounds how many instances of a type are shown.
const maxInstances = 20

// Scanners lists types by name, at most MaxPage, with their state at a time. That
// is only as true as the read model is up to date: one that lags has not heard the
// newest signs of life. It takes three statements.
func (q *Queries) Scanners(ctx context.Context, now time.Time) ([]Scanner, ReadAt, error) {
	var list []Scanner
	var read ReadAt
	err := q.snapshot(ctx, "list scanners", func(tx pgx.Tx) error {
		var err error
		if read, err = at(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select type, first_seen_at, enlisted_at, retired_at, retired_by, retired_reason
			from live.scanners order by type collate "C" limit $1`, MaxPage)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Scanner, error) {
			var s Scanner
			var retired *time.Time
			var r Retirement
			err := row.Scan(&s.Type, &s.FirstSeenAt, &s.EnlistedAt, &retired, &r.By, &r.Reason)
			if retired != nil {
				r.At = *retired
				s.Retirement = &r
			}
			return s, err
		})
		if err != nil {
			return err
		}
		return instances(ctx, tx, list, now)
	})
	return list, read, err
}

// instances fills in the instances and what follows from them.
func instances(ctx context.Context, tx pgx.Tx, list []Scanner, now time.Time) error {
	types := make([]string, len(list))
	byType := make(map[string]*Scanner, len(list))
	for i := range list {
		types[i], byType[list[i].Type] = list[i].Type, &list[i]
	}
	rows, err := tx.Query(ctx, `select i.type, i.instance, i.version, i.rules_digest, i.config_digest, i.online_at, i.heard_at, i.offline_at
		from unnest($1::text[]) t (type) cross join lateral (
			select * from live.scanner_instances where type = t.type
			order by greatest(heard_at, offline_at) desc nulls last, instance collate "C" limit $2) i
		order by i.type collate "C", greatest(i.heard_at, i.offline_at) desc nulls last, i.instance collate "C"`, types, maxInstances)
	if err != nil {
		return err
	}
	var name string
	var i ScannerInstance
	_, err = pgx.ForEachRow(rows, []any{&name, &i.Instance, &i.Version, &i.RulesDigest, &i.ConfigDigest, &i.OnlineAt, &i.LastHeardAt, &i.OfflineAt}, func() error {
		one := i
		one.judge(now)
		s := byType[name]
		s.Instances = append(s.Instances, one)
		return nil
	})
	for i := range list {
		list[i].judge(now)
	}
	return err
}

// judge says what the row's times mean.
func (i *ScannerInstance) judge(now time.Time) {
	heard := i.LastHeardAt
	switch {
	case i.OfflineAt != nil && (heard == nil || !heard.After(*i.OfflineAt)):
		i.State, i.LastHeardAt = ScannerOffline, i.OfflineAt
		return
	case alive(heard, now):
		i.State = ScannerOnline
	default:
		i.State = ScannerLost
	}
	i.OfflineAt = nil // it came again since
}

// judge says what the instances mean for the type.
func (s *Scanner) judge(now time.Time) {
	s.LastHeardAt, s.State = s.EnlistedAt, ScannerLost
	if alive(s.EnlistedAt, now) {
		s.State = ScannerOnline
	}
	if len(s.Instances) > 0 { // an instance that is alive was heard later than one that is lost
		s.LastHeardAt, s.State = s.Instances[0].LastHeardAt, s.Instances[0].State
	}
	for _, i := range s.Instances {
		if i.State == ScannerOnline {
			s.State = ScannerOnline
		}
	}
	if s.Retirement != nil {
		s.State = ScannerRetired
	}
}

func alive(heard *time.Time, now time.Time) bool {
	return heard != nil && now.Sub(*heard) <= scanner.Patience
}
