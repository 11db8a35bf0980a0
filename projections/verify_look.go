package projections

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/domain/trend"
	"github.com/factgate/factgate/eventstore"
)

// look is a transaction in which some rows of a read model are compared with the fold
// of the log up to where the read model is. The fold is written into temporary tables
// that stand before the read model's on the search path.
type look struct {
	r        *Registry
	tx       pgx.Tx
	model    Model
	position eventstore.Position
	edition  int64
	tables   []table
	skips    skips
	page     *VerifyPage
	wrong    []*unit                    // what a repair has to write
	met      map[[16]byte]endedAttempt  // by scan key, of what was folded
	cannot   map[eventstore.ID]struct{} // be folded
}

// table of a read model.
type table struct {
	name   string
	key    []string
	ofTask bool // it has a task_id
}

// unit is what is compared and repaired as a whole: a task's rows, a type of
// scanners, a scan key, a quarter's counters, or the skipped facts of no task.
type unit struct {
	task     *eventstore.ID
	scanner  *string
	scanKey  *eventstore.ID
	counters *rollupColumns // what they lack; n may be negative
	skips    bool
}

// found notes what a repair has to write.
func (l *look) found(u *unit) *unit {
	l.wrong = append(l.wrong, u)
	return u
}

// prepare makes the temporary tables, one for each of the read model, so that nothing
// that is written here can reach the read model by chance.
func (l *look) prepare(ctx context.Context) error {
	var err error
	if l.skips, err = loadSkips(ctx, l.r.log); err != nil {
		return storeAway(err)
	}
	l.met, l.cannot = map[[16]byte]endedAttempt{}, map[eventstore.ID]struct{}{}
	rows, err := l.tx.Query(ctx, `select c.relname::text,
			array(select a.attname::text from pg_index i cross join unnest(i.indkey) with ordinality k (n, o)
				join pg_attribute a on a.attrelid = c.oid and a.attnum = k.n where i.indrelid = c.oid and i.indisprimary order by o),
			exists(select from pg_attribute a where a.attrelid = c.oid and a.attname = 'task_id' and not a.attisdropped)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = $1 and c.relkind = 'r' and c.relname <> 'checkpoint' order by c.relname`, l.model.Schema())
	if err != nil {
		return err
	}
	l.tables, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t table, err error) {
		return t, row.Scan(&t.name, &t.key, &t.ofTask)
	})
	if err != nil {
		return err
	}
	var statements strings.Builder
	// Named, pg_temp makes a search path that no other statement is prepared under. One
	// that was would go on to mean the read model's table: Postgres does not notice that
	// another of the name came to stand before it.
	fmt.Fprintf(&statements, "set local search_path to pg_temp, %s;", l.model.Schema())
	for _, t := range l.tables {
		fmt.Fprintf(&statements, "create temporary table %s (like %s including all) on commit drop;", t.name, l.stored(t.name))
	}
	_, err = l.tx.Exec(ctx, statements.String())
	return err
}

// stored names a table of the read model; the bare name is the temporary one.
func (l *look) stored(name string) string { return l.model.Schema() + "." + name }

// of names the read model's tables in a statement, which speaks of them as stored.….
func (l *look) of(statement string) string {
	return strings.ReplaceAll(statement, "stored.", l.model.Schema()+".")
}

// empty forgets what was folded.
func (l *look) empty(ctx context.Context) error {
	var statements strings.Builder
	for _, t := range l.tables {
		fmt.Fprintf(&statements, "delete from pg_temp.%s;", t.name)
	}
	_, err := l.tx.Exec(ctx, statements.String())
	return err
}

func (l *look) ofTasks() (names []string) {
	for _, t := range l.tables {
		if t.ofTask {
			names = append(names, t.name)
		}
	}
	return names
}

// keys gives the next different values of a column, over some tables; each has an
// index that begins with it.
func (l *look) keys(ctx context.Context, column string, of []string, after eventstore.ID, limit int) ([]eventstore.ID, error) {
	var parts []string
	for _, name := range of {
		parts = append(parts, fmt.Sprintf("(select distinct %[1]s from %[2]s where %[1]s > $1 order by %[1]s limit $2)", column, l.stored(name)))
	}
	rows, err := l.tx.Query(ctx, fmt.Sprintf("select %[1]s from (%[2]s) u order by %[1]s limit $2", column, strings.Join(parts, " union ")), pgUUID(after), limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[eventstore.ID])
}

// absent are those of the tasks that have no row anywhere.
func (l *look) absent(ctx context.Context, tasks []eventstore.ID) ([]eventstore.ID, error) {
	var nowhere []string
	for _, name := range l.ofTasks() {
		nowhere = append(nowhere, fmt.Sprintf("not exists (select from %s t where t.task_id = u.task_id)", l.stored(name)))
	}
	rows, err := l.tx.Query(ctx, `select task_id from unnest($1::uuid[]) u (task_id) where `+strings.Join(nowhere, " and "), uuids(tasks))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[eventstore.ID])
}

// absentTypes are those that have no row and that the roster does not name, by which
// they would be met.
func (l *look) absentTypes(ctx context.Context, types map[string]eventstore.Position) ([]string, error) {
	if len(types) == 0 {
		return nil, nil
	}
	listed, err := l.rosterTypes(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := l.tx.Query(ctx, l.of(`select type from unnest($1::text[]) u (type) where not exists (select from stored.scanners s where s.type = u.type)
		and not exists (select from stored.scanner_instances i where i.type = u.type) and type <> all($2) order by type`),
		slices.Collect(maps.Keys(types)), append([]string{}, listed...))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// compareTasks compares all rows of the first of these tasks, as many as time allows,
// at least one.
func (l *look) compareTasks(ctx context.Context, ids []eventstore.ID) (done int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	if err := l.empty(ctx); err != nil {
		return 0, err
	}
	if done, err = l.foldTasks(ctx, ids, time.Now().Add(verifyPatience)); err != nil {
		return 0, err
	}
	l.page.Tasks += done
	if err := l.allow(ctx, ids[:done]); err != nil {
		return 0, err
	}
	var compared []eventstore.ID
	for _, id := range ids[:done] {
		if _, ok := l.cannot[id]; !ok {
			compared = append(compared, id)
		}
	}
	wrong := map[string]*unit{}
	for _, t := range l.tables {
		if !t.ofTask {
			continue
		}
		err := l.compare(ctx, t, "task_id = any($1)", func(row row) *unit {
			text := row.text("task_id")
			if wrong[text] == nil {
				id, _ := eventstore.ParseID(text) // a uuid
				wrong[text] = l.found(&unit{task: &id})
			}
			return wrong[text]
		}, uuids(compared))
		if err != nil {
			return 0, err
		}
	}
	return done, nil
}

// foldTasks writes the rows of tasks, the first at any rate.
func (l *look) foldTasks(ctx context.Context, ids []eventstore.ID, until time.Time) (done int, err error) {
	var group [][]arrived
	n := 0
	for done < len(ids) && (done == 0 || time.Now().Before(until)) {
		some := ids[done:min(len(ids), done+verifyStreams)]
		streams, failures := make([][]arrived, len(some)), make([]error, len(some))
		var reading sync.WaitGroup
		for i, id := range some {
			reading.Go(func() { streams[i], failures[i] = l.r.factsOf(ctx, id, l.position) })
		}
		reading.Wait()
		for i, err := range failures {
			var refused *domain.Error
			switch {
			case err == nil:
				group, n = append(group, streams[i]), n+len(streams[i])
			case errors.As(err, &refused) && refused.Kind == domain.Refused:
				l.unfoldable(some[i], refused.Msg)
			default:
				return 0, err
			}
		}
		if done += len(some); n >= verifyEvents || done == len(ids) {
			if err := l.foldGroup(ctx, group); err != nil {
				return 0, err
			}
			group, n = group[:0], 0
		}
	}
	return done, l.foldGroup(ctx, group)
}

// foldGroup writes the rows of some tasks, together if that can be.
func (l *look) foldGroup(ctx context.Context, streams [][]arrived) error {
	err := l.fold(ctx, slices.Concat(streams...))
	var stop *HaltedError
	if err == nil || !final(err) && !errors.As(err, &stop) {
		return err
	}
	for _, events := range streams {
		if len(events) == 0 {
			continue
		}
		switch err := l.fold(ctx, events); {
		case err == nil:
		case final(err) || errors.As(err, &stop):
			l.unfoldable(events[0].task, err.Error())
		default:
			return err
		}
	}
	return nil
}

func (l *look) unfoldable(id eventstore.ID, why string) {
	l.cannot[id] = struct{}{}
	l.name(Difference{Kind: Unfoldable, Task: id, Table: "tasks", Folded: why})
}

// fold writes what events come to, as if the read model had heard nothing of their
// streams before; after an error it has written nothing.
func (l *look) fold(ctx context.Context, events []arrived) error {
	if len(events) == 0 {
		return nil
	}
	var err error
	for _, refused := range []bool{false, true} { // as it was when a fact was skipped, maybe
		for _, s := range l.skips {
			s.refused = refused
		}
		b, stop := fold(events, 0, l.skips, unknown)
		if stop != nil {
			stop.Model = l.model
			return stop
		}
		err = pgx.BeginFunc(ctx, l.tx, func(tx pgx.Tx) error {
			return (&writer{model: l.model, blobs: l.r.blobs, trials: trials{l.r.log, l.r.sets}, again: true}).writeRows(ctx, tx, b)
		})
		if err == nil {
			for _, e := range b.ended {
				l.met[e.scanKey()] = e
			}
		}
		if !final(err) {
			return err
		}
	}
	return err
}

// allow takes over into the folded rows of tasks what may be different in the stored
// ones: scan reports are not kept for ever.
func (l *look) allow(ctx context.Context, ids []eventstore.ID) error {
	for _, statement := range []string{
		// Findings were pruned.
		`update pg_temp.sub_tasks f set report_state = s.report_state from stored.sub_tasks s
		where s.task_id = any($1) and (s.task_id, s.type) = (f.task_id, f.type) and s.report_state = 'EXPIRED' and f.report_state in ('READ', 'MISSING')`,
		// A report was away when it was wanted, and is here now.
		`update pg_temp.sub_tasks f set report_state = s.report_state from stored.sub_tasks s
		where s.task_id = any($1) and (s.task_id, s.type) = (f.task_id, f.type) and s.report_state = 'MISSING' and f.report_state = 'READ'`,
		`delete from pg_temp.findings f using pg_temp.sub_tasks s
		where s.task_id = any($1) and (s.task_id, s.type) = (f.task_id, f.type) and s.report_state in ('EXPIRED', 'MISSING')`,
		// A report is gone; nobody can say any more what was in it.
		`with gone as (
			update pg_temp.sub_tasks f set report_state = s.report_state from stored.sub_tasks s
			where s.task_id = any($1) and (s.task_id, s.type) = (f.task_id, f.type) and s.report_state = 'READ' and f.report_state = 'MISSING'
			returning f.task_id, f.type)
		insert into pg_temp.findings select s.* from stored.findings s join gone using (task_id, type)`,
		allowOutcomes,
	} {
		if _, err := l.tx.Exec(ctx, l.of(statement), uuids(ids)); err != nil {
			return err
		}
	}
	return nil
}

const allowOutcomes = `update pg_temp.outcomes f set findings = s.findings from stored.outcomes s
	where s.task_id = any($1) and (s.task_id, s.type, s.attempt) = (f.task_id, f.type, f.attempt) and (s.findings is null or f.findings is null)`

// compare names the differences between the stored and the folded rows of a table
// that meet a condition, in the order of its key; of says of which unit a row is.
func (l *look) compare(ctx context.Context, t table, condition string, of func(row) *unit, args ...any) error {
	key := strings.Join(t.key, ", ")
	if t.ofTask && strings.HasPrefix(condition, "task_id =") && !slices.Contains(t.key, "task_id") { // a row is of one task or of another
		key = "task_id, " + key
	}
	var n int64
	if err := l.tx.QueryRow(ctx, fmt.Sprintf(`select count(*) from pg_temp.%s where %s`, t.name, condition), args...).Scan(&n); err != nil {
		return err
	}
	l.page.Rows += n
	rows, err := l.tx.Query(ctx, fmt.Sprintf(`select to_json(s)::text, to_json(f)::text
		from (select * from %s where %[3]s) s full join (select * from pg_temp.%[2]s where %[3]s) f using (%[4]s)
		where to_json(s)::text is distinct from to_json(f)::text order by %[4]s`, l.stored(t.name), t.name, condition, key), args...)
	if err != nil {
		return err
	}
	var stored, folded *string
	_, err = pgx.ForEachRow(rows, []any{&stored, &folded}, func() error {
		return l.differ(t, stored, folded, of)
	})
	return err
}

// row of a table, as JSON.
type row map[string]json.RawMessage

// text of a column, without quotes.
func (r row) text(column string) (s string) {
	if json.Unmarshal(r[column], &s) == nil {
		return s
	}
	return string(r[column])
}

// differ names what is different in a row.
func (l *look) differ(t table, stored, folded *string, of func(row) *unit) error {
	var is, should row
	for _, side := range []struct {
		text *string
		row  *row
	}{{stored, &is}, {folded, &should}} {
		if side.text != nil {
			if err := json.Unmarshal([]byte(*side.text), side.row); err != nil {
				return fmt.Errorf("a row of %s: %w", t.name, err)
			}
		}
	}
	either := is
	if is == nil {
		either = should
	}
	d := Difference{Table: t.name, of: of(either)}
	var key []string
	for _, name := range t.key {
		if name != "task_id" {
			key = append(key, name+"="+either.text(name))
		}
	}
	d.Key = strings.Join(key, " ")
	if t.ofTask {
		d.Task, _ = eventstore.ParseID(either.text("task_id")) // null for a skipped fact of no task
	}
	switch {
	case is == nil:
		d.Kind, d.Folded = RowMissing, *folded
		l.name(d)
	case should == nil:
		d.Kind, d.Stored = RowUnknown, *stored
		l.name(d)
	default:
		for _, name := range slices.Sorted(maps.Keys(should)) {
			if !bytes.Equal(is[name], should[name]) {
				d.Kind, d.Field, d.Stored, d.Folded = FieldDiffers, name, string(is[name]), string(should[name])
				l.name(d)
			}
		}
	}
	return nil
}

// name puts a difference on the page while there is room.
func (l *look) name(d Difference) {
	if len(l.page.Differences) == maxDifferences {
		l.page.Unnamed++
		return
	}
	d.Stored, d.Folded = excerpt(d.Stored), excerpt(d.Folded)
	l.page.Differences = append(l.page.Differences, d)
}

func excerpt(s string) string {
	if len(s) <= maxDifferenceText {
		return s
	}
	cut := maxDifferenceText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func (l *look) table(name string) table {
	i := slices.IndexFunc(l.tables, func(t table) bool { return t.name == name })
	return l.tables[i] // it is of this layout
}

// ofScanners are the tables of what is known of scanners, by type.
var ofScanners = []string{"scanners", "scanner_instances"}

// compareScanners compares what is known of types of scanners.
func (l *look) compareScanners(ctx context.Context, types []string) error {
	if len(types) == 0 {
		return nil
	}
	if err := l.foldScanners(ctx, types); err != nil {
		return err
	}
	wrong := map[string]*unit{}
	for _, table := range ofScanners {
		if err := l.compare(ctx, l.table(table), "type = any($1)", func(row row) *unit {
			name := row.text("type")
			if wrong[name] == nil {
				wrong[name] = l.found(&unit{scanner: &name})
			}
			return wrong[name]
		}, types); err != nil {
			return err
		}
	}
	return nil
}

// foldScanners folds the roster and what scanners of these types said. Signs of life
// are not kept, so what only they said stands as it is stored.
func (l *look) foldScanners(ctx context.Context, types []string) error {
	if err := l.empty(ctx); err != nil {
		return err
	}
	var streams []eventstore.StreamID
	for _, name := range types {
		streams = append(streams, eventstore.StreamID{Category: scanner.Category, Key: name})
	}
	// The roster last: it takes the earlier of two beginnings, whichever was first.
	streams = append(streams, eventstore.StreamID{Category: scanner.RosterCategory, Key: scanner.RosterKey})
	for _, stream := range streams {
		var events []arrived
		for r, err := range l.r.log.ReadStream(ctx, stream, 0) {
			if eventstore.IsNotFound(err) || eventstore.IsDeleted(err) {
				break
			}
			if err != nil {
				return storeAway(err)
			}
			if r.Position > l.position {
				break
			}
			if events = append(events, read(r)); len(events) == verifyEvents {
				if err := l.fold(ctx, events); err != nil {
					return err
				}
				events = events[:0]
			}
		}
		if err := l.fold(ctx, events); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		`update pg_temp.scanner_instances f set heard_at = s.heard_at from stored.scanner_instances s where s.type = any($1) and (s.type, s.instance) = (f.type, f.instance)`,
		`update pg_temp.scanner_instances f set version = s.version, rules_digest = s.rules_digest, config_digest = s.config_digest
		from stored.scanner_instances s where s.type = any($1) and (s.type, s.instance) = (f.type, f.instance) and s.heard_at > greatest(f.online_at, f.offline_at)`,
		`insert into pg_temp.scanner_instances select * from stored.scanner_instances s where s.type = any($1) and s.online_at is null and s.offline_at is null
		and s.heard_at is not null and not exists (select from pg_temp.scanner_instances f where (s.type, s.instance) = (f.type, f.instance))`,
	} {
		if _, err := l.tx.Exec(ctx, l.of(statement), types); err != nil {
			return err
		}
	}
	return nil
}

// compareSkips compares the skipped facts of no task.
func (l *look) compareSkips(ctx context.Context) error {
	if err := l.foldSkips(ctx); err != nil {
		return err
	}
	var wrong *unit
	return l.compare(ctx, l.table("skips"), "task_id is null", func(row) *unit {
		if wrong == nil {
			wrong = l.found(&unit{skips: true})
		}
		return wrong
	})
}

// foldSkips gives of the stored ones those that the log knows. Whether one that is not
// stored was needed cannot be said: only Postgres refuses a fact of no task.
func (l *look) foldSkips(ctx context.Context) error {
	if err := l.empty(ctx); err != nil {
		return err
	}
	rows, err := l.tx.Query(ctx, `select position from `+l.stored("skips")+` where task_id is null order by position`)
	if err != nil {
		return err
	}
	positions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	var list []skipped
	for _, p := range positions {
		at := eventstore.Position(p)
		s := l.skips[at]
		if s == nil || at == 0 {
			continue
		}
		for r, err := range l.r.log.ReadAll(ctx, at-1, eventstore.Filter{}) {
			if err != nil {
				return storeAway(err)
			}
			if _, of := taskOf(r); r.Position == at && !of {
				list = append(list, skipped{s, r})
			}
			break
		}
	}
	if len(list) == 0 {
		return nil
	}
	_, err = l.tx.Exec(ctx, insertSkips, skipArgs(list)...)
	return err
}

// compareFlaky compares which scans came to different results. What follows from the
// stored outcomes is asked first; where that is not what is stored, the tasks are asked.
func (l *look) compareFlaky(ctx context.Context, keys []eventstore.ID) error {
	if len(keys) == 0 {
		return nil
	}
	if err := l.empty(ctx); err != nil {
		return err
	}
	if _, err := l.tx.Exec(ctx, `insert into pg_temp.outcomes select * from `+l.stored("outcomes")+` where scan_key = any($1)`, uuids(keys)); err != nil {
		return err
	}
	rows, err := l.tx.Query(ctx, `select scan_key, type, sha256, rules_digest, config_digest from `+l.stored("flaky")+` where scan_key = any($1)`, uuids(keys))
	if err != nil {
		return err
	}
	told := map[eventstore.ID]endedAttempt{}
	var key eventstore.ID
	var e endedAttempt
	if _, err := pgx.ForEachRow(rows, []any{&key, &e.subTask, &e.sha256, &e.rules, &e.config}, func() error {
		told[key] = e
		return nil
	}); err != nil {
		return err
	}
	if err := l.foldFlaky(ctx, keys, func(key eventstore.ID) endedAttempt { return told[key] }); err != nil {
		return err
	}
	doubt := map[eventstore.ID]bool{}
	for key, e := range told {
		if e.scanKey() != key {
			doubt[key] = true
		}
	}
	rows, err = l.tx.Query(ctx, fmt.Sprintf(`select scan_key from %s s full join pg_temp.flaky f using (scan_key)
		where scan_key = any($1) and to_json(s)::text is distinct from to_json(f)::text`, l.stored("flaky")), uuids(keys))
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[eventstore.ID])
	if err != nil {
		return err
	}
	for _, key := range found {
		doubt[key] = true
	}
	for _, key := range slices.SortedFunc(maps.Keys(doubt), func(a, b eventstore.ID) int { return bytes.Compare(a[:], b[:]) }) {
		if err := l.refoldFlaky(ctx, key); err != nil {
			return err
		}
		err := l.compare(ctx, l.table("flaky"), "scan_key = $1", func(row) *unit { return l.found(&unit{scanKey: &key}) }, pgUUID(key))
		if err != nil {
			return err
		}
	}
	return nil
}

// foldFlaky makes the rows of some keys from the outcomes at hand.
func (l *look) foldFlaky(ctx context.Context, keys []eventstore.ID, of func(eventstore.ID) endedAttempt) error {
	var types, sums, rules, configs []string
	for _, key := range keys {
		e := of(key)
		types, sums, rules, configs = append(types, clean(e.subTask)), append(sums, clean(e.sha256)), append(rules, clean(e.rules)), append(configs, clean(e.config))
	}
	_, err := l.tx.Exec(ctx, recount, uuids(keys), types, sums, rules, configs)
	return err
}

// refoldFlaky makes the row of a key from the streams of the tasks that may have to do
// with it: those with an outcome of it, and those of the same package.
func (l *look) refoldFlaky(ctx context.Context, key eventstore.ID) error {
	rows, err := l.tx.Query(ctx, l.of(`with near as (select task_id from stored.outcomes where scan_key = $1)
		select task_id from near union
		select task_id from stored.tasks where sha256 in (
			select sha256 from stored.tasks join near using (task_id) union select sha256 from stored.flaky where scan_key = $1)
		order by task_id`), pgUUID(key))
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[eventstore.ID])
	if err != nil {
		return err
	}
	if err := l.empty(ctx); err != nil {
		return err
	}
	far := time.Now().Add(time.Hour) // all of them; the caller's context ends it
	if _, err := l.foldTasks(ctx, ids, far); err != nil {
		return err
	}
	if _, err := l.tx.Exec(ctx, l.of(allowOutcomes), uuids(ids)); err != nil {
		return err
	}
	if _, err := l.tx.Exec(ctx, `delete from pg_temp.flaky`); err != nil {
		return err
	}
	return l.foldFlaky(ctx, []eventstore.ID{key}, func(eventstore.ID) endedAttempt { return l.met[key] })
}

// nextQuarter is the next one that has counters or tasks.
func (l *look) nextQuarter(ctx context.Context, last *time.Time) (*time.Time, error) {
	var next *time.Time
	err := l.tx.QueryRow(ctx, l.of(`select least(
		(select min(quarter) from stored.rollups where $1::timestamptz is null or quarter > $1),
		(select date_bin('15 minutes', min(uploaded_at), 'epoch') from stored.tasks
			where $1::timestamptz is null or uploaded_at >= date_bin('15 minutes', $1, 'epoch') + interval '15 minutes'))`), last).Scan(&next)
	return next, err
}

// compareRollups compares a quarter's counters with what its tasks count for: by their
// stored rows first, and by their streams where those say something else.
func (l *look) compareRollups(ctx context.Context, quarter time.Time) error {
	counted, err := l.countStored(ctx, quarter)
	if err != nil {
		return err
	}
	if equal, err := l.counts(ctx, quarter, counted); err != nil || equal {
		return err
	}
	if counted, err = l.countStreams(ctx, quarter); err != nil {
		return err
	}
	if equal, err := l.counts(ctx, quarter, counted); err != nil || equal {
		return err
	}
	i := slices.IndexFunc(l.wrong, func(u *unit) bool { return u.counters != nil })
	if i < 0 { // one for the page: they are written together
		i = len(l.wrong)
		l.found(&unit{counters: &rollupColumns{}})
	}
	lack := l.wrong[i].counters
	if err := l.compare(ctx, l.table("rollups"), "quarter = $1", func(row) *unit { return l.wrong[i] }, quarter); err != nil {
		return err
	}
	rows, err := l.tx.Query(ctx, fmt.Sprintf(`select quarter, project_key, measure, type, outcome, bin, coalesce(f.n, 0) - coalesce(s.n, 0)
		from (select * from %s where quarter = $1) s full join (select * from pg_temp.rollups where quarter = $1) f using (quarter, project_key, measure, type, outcome, bin)
		where s.n is distinct from f.n`, l.stored("rollups")), quarter)
	if err != nil {
		return err
	}
	var (
		at                     time.Time
		project                pgtype.UUID
		measure, name, outcome string
		bin                    int16
		n                      int64
	)
	_, err = pgx.ForEachRow(rows, []any{&at, &project, &measure, &name, &outcome, &bin, &n}, func() error {
		lack.quarter, lack.project, lack.measure = append(lack.quarter, at), append(lack.project, project), append(lack.measure, measure)
		lack.name, lack.outcome, lack.bin, lack.n = append(lack.name, name), append(lack.outcome, outcome), append(lack.bin, bin), append(lack.n, n)
		return nil
	})
	return err
}

// counts writes counters into the temporary table and reports whether they are those
// that are stored.
func (l *look) counts(ctx context.Context, quarter time.Time, counted map[trend.Key]int64) (equal bool, err error) {
	if _, err := l.tx.Exec(ctx, `delete from pg_temp.rollups`); err != nil {
		return false, err
	}
	var add rollupColumns
	for _, k := range slices.SortedFunc(maps.Keys(counted), trend.Key.Compare) {
		add.add(k, counted[k])
	}
	if len(add.n) > 0 {
		if _, err := l.tx.Exec(ctx, addRollups, append(add.keys(), add.n)...); err != nil {
			return false, err
		}
	}
	err = l.tx.QueryRow(ctx, fmt.Sprintf(`select not exists (
		select from (select * from %s where quarter = $1) s full join pg_temp.rollups f using (quarter, project_key, measure, type, outcome, bin)
		where s.n is distinct from f.n)`, l.stored("rollups")), quarter).Scan(&equal)
	return equal, err
}

// count adds what a task counts for in a quarter.
func count(counted map[trend.Key]int64, quarter time.Time, s task.State) {
	for k, n := range trend.Of(s) {
		if quarter.Equal(time.Unix(k.Quarter, 0)) {
			counted[k] += n
		}
	}
}

// countStored counts by stored rows. Postgres rounds times, so its neighbours are
// asked, too.
func (l *look) countStored(ctx context.Context, quarter time.Time) (map[trend.Key]int64, error) {
	counted := map[trend.Key]int64{}
	err := l.storedTasks(ctx, `uploaded_at between $1 and $2`, func(s task.State) { count(counted, quarter, s) },
		quarter.Add(-time.Second), quarter.Add(trend.Quarter+time.Second))
	return counted, err
}

// storedTasks gives, of each task that meets a condition, as much of its state as it
// counts by and as its rows tell.
func (l *look) storedTasks(ctx context.Context, condition string, do func(task.State), args ...any) error {
	rows, err := l.tx.Query(ctx, l.of(`select uploaded_at, project, status, decided_at, closed_position is not null, coalesce(closed_cause, ''), created_at, cancelled_at, known, heard, late,
			coalesce((select json_agg(json_build_object('type', s.type, 'state', s.state, 'result', coalesce(s.result, ''), 'kind', coalesce(s.kind, ''),
				'durationMs', s.duration_ms, 'deadLetter', (select max(d.attempt) from stored.dead_letters d where (d.task_id, d.type) = (s.task_id, s.type))))
				from stored.sub_tasks s where s.task_id = t.task_id), '[]'),
			array(select d.type from stored.declines d where d.task_id = t.task_id)
		from stored.tasks t where `+condition), args...)
	if err != nil {
		return err
	}
	var (
		uploadedAt, decidedAt, createdAt, cancelledAt *time.Time
		project                                       string
		status                                        *string
		closed                                        bool
		cause                                         task.Cause
		known, heard, declined                        []string
		late                                          int
		subTasks                                      []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&uploadedAt, &project, &status, &decidedAt, &closed, &cause, &createdAt, &cancelledAt, &known, &heard, &late, &subTasks, &declined}, func() error {
		s := task.State{Late: late, SubTasks: map[string]task.SubTask{}, Declined: map[string]task.Decline{}}
		if uploadedAt != nil {
			s.Uploaded, s.UploadedAt = &task.ZipUploaded{Project: project}, *uploadedAt
		}
		if createdAt != nil {
			s.Created = &task.MainTaskCreated{Known: known}
		}
		if cancelledAt != nil {
			s.Cancelled = &task.MainTaskCancelled{}
		}
		if status != nil {
			s.Verdict = &task.MainTaskConverged{Verdict: task.Verdict{Status: task.Status(*status)}}
		}
		if decidedAt != nil {
			s.DecidedAt = *decidedAt
		}
		if closed {
			s.Closed = &task.WindowClosed{Cause: cause}
			s.Silent = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(known))), func(name string) bool { return slices.Contains(heard, name) })
		}
		var list []task.SubTask
		if err := json.Unmarshal(subTasks, &list); err != nil {
			return fmt.Errorf("sub-tasks of the read model: %w", err)
		}
		for _, t := range list {
			s.SubTasks[t.Type] = t
		}
		for _, name := range declined {
			s.Declined[name] = task.Decline{Type: name}
		}
		do(s)
		return nil
	})
	return err
}

// countStreams counts by the streams of the tasks that the log says were uploaded then.
func (l *look) countStreams(ctx context.Context, quarter time.Time) (map[trend.Key]int64, error) {
	// The clock of the log may have been set back a little.
	const slack = time.Hour
	var from int64
	if err := l.tx.QueryRow(ctx, `select coalesce(max(first_position), 0) from `+l.stored("tasks")+` where uploaded_at < $1`, quarter.Add(-slack)).Scan(&from); err != nil {
		return nil, err
	}
	ids, ok, err := l.uploadedIn(ctx, eventstore.Position(max(0, from)), quarter.Add(-time.Second), quarter.Add(trend.Quarter+slack))
	if err == nil && !ok { // a wrong row led behind it
		ids, _, err = l.uploadedIn(ctx, 0, quarter.Add(-time.Second), quarter.Add(trend.Quarter+slack))
	}
	if err != nil {
		return nil, err
	}
	counted := map[trend.Key]int64{}
	for _, id := range ids {
		s, err := l.stateOf(ctx, id)
		if err != nil {
			return nil, err
		}
		count(counted, quarter, s)
	}
	return counted, nil
}

// uploadedIn finds the tasks that were uploaded in a time; ok is false when the log is
// that far already where the search begins.
func (l *look) uploadedIn(ctx context.Context, from eventstore.Position, begin, end time.Time) (ids []eventstore.ID, ok bool, err error) {
	known := map[eventstore.ID]bool{}
	name, _, err := task.Encode(task.ZipUploaded{})
	if err != nil {
		return nil, false, err
	}
	for r, err := range l.r.log.ReadAll(ctx, from, eventstore.Filter{Types: []string{name}}) {
		if err != nil {
			return nil, false, storeAway(err)
		}
		ok = ok || r.At.Before(begin)
		if r.Position > l.position || r.At.After(end) {
			break
		}
		if id, of := taskOf(r); of && !r.At.Before(begin) && !known[id] {
			known[id] = true
			ids = append(ids, id)
		}
	}
	return ids, ok, nil
}

// stateOf folds a task; one that cannot be folded is as it is stored.
func (l *look) stateOf(ctx context.Context, id eventstore.ID) (s task.State, err error) {
	events, err := l.r.factsOf(ctx, id, l.position)
	var refused *domain.Error
	if err != nil && !(errors.As(err, &refused) && refused.Kind == domain.Refused) {
		return s, err
	}
	if err == nil {
		rows, err := l.tx.Query(ctx, `select position from `+l.stored("skips")+` where task_id = $1`, pgUUID(id))
		if err != nil {
			return s, err
		}
		passed, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return s, err
		}
		for at, skip := range l.skips {
			skip.refused = slices.Contains(passed, int64(at))
		}
		b, stop := fold(events, 0, l.skips, unknown)
		if stop == nil && len(b.order) == 1 {
			return b.order[0].after, nil
		}
	}
	// The task's own rows are compared elsewhere.
	err = l.storedTasks(ctx, `task_id = $1`, func(stored task.State) { s = stored }, pgUUID(id))
	return s, err
}
