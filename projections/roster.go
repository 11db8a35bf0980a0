package projections

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// maxInstanceName bounds, in bytes, the name of an instance that is shown: it is part
// of a key.
const maxInstanceName = 200

// roster is what a batch says of scanners: which types are waited for, and which
// instances came, were heard and went. Of each the newest counts, so rows only take
// what is said anew.
type roster struct {
	types     map[string]*rosterRow
	instances map[instanceKey]*instanceRow
}

type rosterRow struct {
	first                 eventstore.Position
	firstAt               time.Time
	enlistedAt, retiredAt time.Time // of the newest fact one is set; a retirement keeps when the type was enlisted
	retiredBy, reason     string
}

type instanceKey struct{ subTaskType, instance string }

type instanceRow struct {
	scanner.Presence
	onlineAt, heardAt, offlineAt time.Time
}

// addRoster takes what it can read and no more: verdicts read the stream itself.
func (b *batch) addRoster(r eventstore.Recorded) {
	if r.Stream.Key != scanner.RosterKey {
		return
	}
	var name string
	fact := scanner.Read(r.Type, r.Data)
	switch f := fact.(type) {
	case scanner.ScannerEnlisted:
		name = f.Type
	case scanner.ScannerRetired:
		name = f.Type
	default:
		return
	}
	if b.roster.types == nil {
		b.roster.types = make(map[string]*rosterRow)
	}
	row := b.roster.types[name]
	if row == nil {
		row = &rosterRow{first: r.Position, firstAt: r.At}
		b.roster.types[name] = row
	}
	switch f := fact.(type) {
	case scanner.ScannerEnlisted:
		row.enlistedAt, row.retiredAt, row.retiredBy, row.reason = r.At, time.Time{}, "", ""
	case scanner.ScannerRetired:
		row.retiredAt, row.retiredBy, row.reason = r.At, f.By, f.Reason
	}
	b.eventAt = r.At
}

// addHeartbeat takes a sign of life.
func (b *batch) addHeartbeat(r eventstore.Recorded) {
	if r.Type != scanner.HeartbeatType {
		return
	}
	if presence, err := scanner.Decode(r.Data); err == nil && presence.Type == r.Stream.Key {
		b.addInstance(presence, r)
	}
}

// addInstance notes what an instance said of itself.
func (b *batch) addInstance(p scanner.Presence, r eventstore.Recorded) {
	p.Instance = clean(p.Instance)
	if !task.ValidType(p.Type) || p.Instance == "" || len(p.Instance) > maxInstanceName {
		return
	}
	if b.roster.instances == nil {
		b.roster.instances = make(map[instanceKey]*instanceRow)
	}
	key := instanceKey{p.Type, p.Instance}
	row := b.roster.instances[key]
	if row == nil {
		row = &instanceRow{}
		b.roster.instances[key] = row
	}
	row.Presence = p
	switch r.Type {
	case scanner.OnlineType:
		row.onlineAt, row.heardAt = r.At, r.At
	case scanner.OfflineType:
		row.offlineAt = r.At
	default:
		row.heardAt = r.At
	}
	b.eventAt = r.At
}

const upsertRoster = `
insert into scanners as s (type, first_position, first_seen_at, last_position, last_seen_at, online, instance, version, rules_digest, config_digest,
	enlisted_at, retired_at, retired_by, retired_reason)
select type, first_position, first_seen_at, first_position, first_seen_at, false, '', '', '', '', enlisted_at, retired_at, retired_by, retired_reason
from unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[])
as u (type, first_position, first_seen_at, enlisted_at, retired_at, retired_by, retired_reason)
on conflict (type) do update set
	first_position = least(s.first_position, excluded.first_position), first_seen_at = least(s.first_seen_at, excluded.first_seen_at),
	enlisted_at = coalesce(excluded.enlisted_at, s.enlisted_at),
	retired_at = excluded.retired_at, retired_by = excluded.retired_by, retired_reason = excluded.retired_reason`

const upsertInstances = `
insert into scanner_instances as s (type, instance, version, rules_digest, config_digest, online_at, heard_at, offline_at)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::timestamptz[])
on conflict (type, instance) do update set
	version = excluded.version, rules_digest = excluded.rules_digest, config_digest = excluded.config_digest,
	online_at = coalesce(excluded.online_at, s.online_at), heard_at = coalesce(excluded.heard_at, s.heard_at),
	offline_at = coalesce(excluded.offline_at, s.offline_at)`

// queue adds the statements, after those that write scanners.
func (r *roster) queue(statements *stage) {
	if len(r.types) > 0 {
		var (
			name, by, reason  []string
			first             []int64
			firstAt           []time.Time
			enlisted, retired []pgtype.Timestamptz
		)
		for k, t := range r.types {
			name, first, firstAt = append(name, k), append(first, int64(t.first)), append(firstAt, t.firstAt)
			enlisted, retired = append(enlisted, instant(t.enlistedAt)), append(retired, instant(t.retiredAt))
			by, reason = append(by, clean(t.retiredBy)), append(reason, clean(t.reason))
		}
		statements.Queue(upsertRoster, name, first, firstAt, enlisted, retired, by, reason)
	}
	if len(r.instances) > 0 {
		var (
			name, instance, version, rules, config []string
			online, heard, offline                 []pgtype.Timestamptz
		)
		for k, i := range r.instances {
			name, instance, version = append(name, k.subTaskType), append(instance, k.instance), append(version, clean(i.Version))
			rules, config = append(rules, clean(i.RulesDigest)), append(config, clean(i.ConfigDigest))
			online, heard, offline = append(online, instant(i.onlineAt)), append(heard, instant(i.heardAt)), append(offline, instant(i.offlineAt))
		}
		statements.Queue(upsertInstances, name, instance, version, rules, config, online, heard, offline)
	}
}
