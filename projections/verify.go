package projections

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/eventstore"
)

// Bounds of a page.
const (
	MaxVerifyPage      = 500
	verifyPatience     = 4 * time.Second // when a page ends early, so that it is an answer and not a time-out
	maxDifferences     = 500             // that a page names; it counts the rest
	maxDifferenceText  = 300             // bytes of a value
	verifyLogEvents    = 20_000          // that a page looks at for tasks that are missing
	verifyScanKeys     = 20              // for one task of a page's size
	maxVerifyCursor    = 4_096
	verifiedScanners   = 100 // types of a page: the roster is read for each page
	verifyStreams      = 8   // that are read at once
	verifyEvents       = 5_000
	noNumber           = Model(0)
	shareOfTasks       = 0.80
	shareOfLog         = 0.95
	shareOfScanners    = 0.96
	shareOfScanResults = 0.98
)

// Stage is what a page of a verification compares.
type Stage string

// The stages of a verification, in their order. The rows of one task are compared by
// its stream; what is made of many tasks comes after them, so that a repair builds on
// what is right.
const (
	StageTasks    Stage = "TASKS"    // each task that has a row in any table, with its stream
	StageLog      Stage = "LOG"      // tasks and scanners that are in the log and have no row
	StageScanners Stage = "SCANNERS" // the roster, who came and went, and skipped facts of no task
	StageFlaky    Stage = "FLAKY"    // scans whose outcomes differ
	StageRollups  Stage = "ROLLUPS"  // the counters of trends
)

var stages = []Stage{StageTasks, StageLog, StageScanners, StageFlaky, StageRollups}

// Verification asks for a page of the comparison of a read model with the fold of
// the log.
type Verification struct {
	Model Model          // 0: the one in service when the first page is asked for
	Task  *eventstore.ID // this one alone, on one page
	After string         // Next of the page before
	First int            // tasks of a page, or as much work; 0 means 200
	// Repair writes what the fold says where the tables say something else. The log
	// never changes.
	Repair bool
}

// Difference is where a read model does not say what the fold of the log says.
type Difference struct {
	Kind DifferenceKind
	Task eventstore.ID // zero: not of one task
	// Table and Key name the row, and Field what is different in it; for a whole row
	// Field is empty.
	Table, Key, Field string
	// Stored and Folded are JSON, cut; empty where there is nothing.
	Stored, Folded string
	// Repaired: the table says now what the fold says.
	Repaired bool

	of *unit
}

// DifferenceKind is what kind of difference it is.
type DifferenceKind string

// Kinds of differences.
const (
	FieldDiffers DifferenceKind = "FIELD"      // a field says something else
	RowMissing   DifferenceKind = "MISSING"    // the fold gives a row that is not stored
	RowUnknown   DifferenceKind = "UNKNOWN"    // a row is stored that the fold does not give
	Unfoldable   DifferenceKind = "UNFOLDABLE" // the stream cannot be folded by itself, so nobody can say; Folded says why
)

// VerifyPage is a part of a verification. Every task that was in the log when its
// first page was asked for is on one of its pages.
type VerifyPage struct {
	Model    Model
	Position eventstore.Position // of the read model, as this page saw it
	Stage    Stage
	Tasks    int   // compared on this page
	Rows     int64 // that the fold gave
	// Differences are the first of this page; Unnamed counts the rest, which are
	// repaired like them.
	Differences []Difference
	Unnamed     int64
	Progress    float64 // of the whole verification, from 0 to 1
	Next        string  // empty at the end
}

// verifyCursor is where a verification goes on. It is all that is kept of it.
type verifyCursor struct {
	Model Model               `json:"m"`
	Stage Stage               `json:"s"`
	After string              `json:"a,omitempty"` // in the order of the stage
	End   eventstore.Position `json:"e"`           // of the read model when the first page was asked for
	Done  int64               `json:"d,omitempty"` // tasks
	Total int64               `json:"t,omitempty"` // tasks, when the first page was asked for
}

func (c verifyCursor) String() string {
	text, _ := json.Marshal(c) // numbers and texts
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseVerifyCursor(s string) (c verifyCursor, err error) {
	bad := &domain.Error{Kind: domain.Invalid, Rule: "cursor.invalid",
		Msg: "after is not the next of a page of this verification; begin without it", MsgZH: "after 不是核对分页返回的 next；请去掉后重新开始"}
	if len(s) > maxVerifyCursor {
		return c, bad
	}
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return c, bad
	}
	if err := json.Unmarshal(text, &c); err != nil || c.Model < 1 || !slices.Contains(stages, c.Stage) || c.Done < 0 || c.Total < 0 {
		return c, bad
	}
	if c.After == "" {
		return c, nil
	}
	switch c.Stage {
	case StageTasks, StageFlaky:
		_, err = eventstore.ParseID(c.After)
	case StageLog:
		_, err = ParsePosition(c.After)
	case StageRollups:
		_, err = time.Parse(time.RFC3339Nano, c.After)
	case StageScanners:
		if clean(c.After) != c.After {
			err = bad
		}
	}
	if err != nil {
		return c, bad
	}
	return c, nil
}

func (c verifyCursor) progress() float64 {
	part := func(from, to, share float64) float64 { return from + (to-from)*min(max(share, 0), 1) }
	switch c.Stage {
	case StageTasks:
		return part(0, shareOfTasks, float64(c.Done)/float64(max(c.Total, 1)))
	case StageLog:
		at, _ := ParsePosition(c.After) // 0 at the beginning
		return part(shareOfTasks, shareOfLog, float64(at)/float64(max(c.End, 1)))
	case StageScanners:
		return shareOfLog
	case StageFlaky:
		return shareOfScanners
	}
	return shareOfScanResults
}

// Verify compares a page of a read model's rows with the fold of the log, up to where
// the read model is, in one snapshot of it: it may move meanwhile, and nothing waits
// for the page. Nothing is kept between pages. The folded rows are written by what
// writes the read model, into temporary tables like its own, so no field is left out
// by a list that somebody forgot to extend. What is no difference is in
// [look.allow].
func (r *Registry) Verify(ctx context.Context, ask Verification) (VerifyPage, error) {
	var page VerifyPage
	if ask.First == 0 {
		ask.First = 200
	}
	if ask.First < 1 || ask.First > MaxVerifyPage {
		return page, &domain.Error{Kind: domain.Invalid, Rule: "page.size",
			Msg: fmt.Sprintf("first must be from 1 to %d", MaxVerifyPage), MsgZH: fmt.Sprintf("first 必须在 1 到 %d 之间", MaxVerifyPage)}
	}
	var at verifyCursor
	if ask.After != "" && ask.Task == nil {
		var err error
		if at, err = parseVerifyCursor(ask.After); err != nil {
			return page, err
		}
		if ask.Model != noNumber && ask.Model != at.Model {
			return page, &domain.Error{Kind: domain.Invalid, Rule: "cursor.invalid",
				Msg: fmt.Sprintf("after is of read model %s", at.Model.Schema()), MsgZH: fmt.Sprintf("after 属于读模型 %s", at.Model.Schema())}
		}
	} else {
		at = verifyCursor{Model: ask.Model, Stage: StageTasks}
	}
	var wrong []*unit
	var edition int64
	err := r.look(ctx, &at, func(l *look) error {
		page = VerifyPage{Model: at.Model, Position: l.position, Stage: at.Stage}
		l.page = &page
		next, err := l.stage(ctx, ask, at)
		if err != nil {
			return err
		}
		wrong, edition = l.wrong, l.edition
		switch i := slices.Index(stages, at.Stage); {
		case ask.Task != nil:
			page.Progress = 1
		case next != nil:
			next.Model, next.Stage, next.End, next.Total = at.Model, at.Stage, at.End, at.Total
			next.Done += at.Done
			page.Next, page.Progress = next.String(), next.progress()
		case i+1 < len(stages):
			next := verifyCursor{Model: at.Model, Stage: stages[i+1], End: at.End}
			page.Next, page.Progress = next.String(), next.progress()
		default:
			page.Progress = 1
		}
		return nil
	})
	if err != nil {
		return VerifyPage{}, err
	}
	if ask.Repair && len(wrong) > 0 {
		if err := r.repair(ctx, at.Model, edition, wrong, &page); err != nil {
			return VerifyPage{}, err
		}
	}
	return page, nil
}

// look opens a snapshot of a read model; what it writes goes to temporary tables and
// is gone when do returns.
func (r *Registry) look(ctx context.Context, at *verifyCursor, do func(*look) error) error {
	err := pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		l := &look{r: r, tx: tx}
		var err error
		if l.model, err = r.modelToVerify(ctx, tx, at.Model); err != nil {
			return err
		}
		var position int64
		if err := tx.QueryRow(ctx, `select position, edition from `+l.model.Schema()+`.checkpoint`).Scan(&position, &l.edition); err != nil {
			return err
		}
		l.position = eventstore.Position(position)
		if at.Model == noNumber || at.End == 0 {
			at.Model, at.End = l.model, l.position
			if err := tx.QueryRow(ctx, `select count(*) from `+l.model.Schema()+`.tasks`).Scan(&at.Total); err != nil {
				return err
			}
		}
		if err := l.prepare(ctx); err != nil {
			return err
		}
		if err := do(l); err != nil {
			return err
		}
		return errLooked
	})
	if errors.Is(err, errLooked) {
		return nil
	}
	return inWords(ctx, "verify a read model", err)
}

// errLooked ends a transaction that was only for looking.
var errLooked = errors.New("looked")

func (r *Registry) modelToVerify(ctx context.Context, tx pgx.Tx, m Model) (Model, error) {
	var layout int
	var err error
	if m == noNumber {
		err = tx.QueryRow(ctx, `select number, layout from readmodels.registry where state = 'LIVE'`).Scan(&m, &layout)
	} else if _, err = stateOf(ctx, tx, m); err == nil {
		err = tx.QueryRow(ctx, `select layout from readmodels.registry where number = $1`, int(m)).Scan(&layout)
	}
	if err != nil {
		return 0, err
	}
	if layout != Layout {
		return 0, &domain.Error{Kind: domain.Refused, Rule: "readmodel.layout",
			Msg:   fmt.Sprintf("read model %s is of another version of Factgate, which must do this", m.Schema()),
			MsgZH: fmt.Sprintf("读模型 %s 属于其他版本的 Factgate，须由该版本执行", m.Schema())}
	}
	return m, nil
}

// stage compares a page and says where the next of the same stage begins; nil when
// the stage is over.
func (l *look) stage(ctx context.Context, ask Verification, at verifyCursor) (*verifyCursor, error) {
	switch {
	case ask.Task != nil:
		return nil, l.oneTask(ctx, *ask.Task)
	case at.Stage == StageTasks:
		return l.someTasks(ctx, at.After, ask.First)
	case at.Stage == StageLog:
		return l.someOfTheLog(ctx, at)
	case at.Stage == StageScanners:
		return l.someScanners(ctx, at.After, min(ask.First, verifiedScanners))
	case at.Stage == StageFlaky:
		return l.someScanKeys(ctx, at.After, ask.First*verifyScanKeys)
	}
	return l.someQuarters(ctx, at.After, ask.First)
}

func (l *look) oneTask(ctx context.Context, id eventstore.ID) error {
	if _, err := l.compareTasks(ctx, []eventstore.ID{id}); err != nil {
		return err
	}
	if l.page.Rows == 0 && len(l.page.Differences) == 0 {
		return &domain.Error{Kind: domain.NotFound, Rule: "task.unknown",
			Msg: "there is no such task, or the read model has not heard of it yet", MsgZH: "任务不存在，或读模型尚未读到它"}
	}
	return nil
}

// someTasks walks the tasks that have a row anywhere, by id. One that comes meanwhile
// and sorts before it is not met.
func (l *look) someTasks(ctx context.Context, after string, first int) (*verifyCursor, error) {
	from := eventstore.ID{}
	if after != "" {
		from, _ = eventstore.ParseID(after) // parsed with the cursor
	}
	ids, err := l.keys(ctx, "task_id", l.ofTasks(), from, first)
	if err != nil {
		return nil, err
	}
	done, err := l.compareTasks(ctx, ids)
	if err != nil || done == len(ids) && len(ids) < first {
		return nil, err
	}
	return &verifyCursor{After: ids[done-1].String(), Done: int64(done)}, nil
}

// someOfTheLog looks for tasks and types of scanners that have no row at all: those
// with one are met by it. Each stream is met once, where it begins.
func (l *look) someOfTheLog(ctx context.Context, at verifyCursor) (*verifyCursor, error) {
	from, _ := ParsePosition(at.After) // parsed with the cursor
	begins, types := map[eventstore.ID]eventstore.Position{}, map[string]eventstore.Position{}
	begun, n, reached := time.Now(), 0, from
	var next *verifyCursor
	until := func(p eventstore.Position) *verifyCursor { return &verifyCursor{After: fmt.Sprint(uint64(p))} }
	for r, err := range l.r.log.ReadAll(ctx, from, eventstore.Filter{}) {
		if err != nil {
			return nil, storeAway(err)
		}
		if r.Position > at.End {
			break
		}
		if n == verifyLogEvents || n > 0 && time.Since(begun) > verifyPatience {
			next = until(reached)
			break
		}
		n, reached = n+1, r.Position
		if r.Revision > 0 {
			continue
		}
		if id, ok := taskOf(r); ok {
			begins[id] = r.Position
		}
		if r.Stream.Category == scanner.Category {
			types[clean(r.Stream.Key)] = r.Position
		}
	}
	ids, err := l.absent(ctx, slices.Collect(maps.Keys(begins)))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(ids, func(a, b eventstore.ID) int { return cmp.Compare(begins[a], begins[b]) })
	if len(ids) > 0 {
		done, err := l.compareTasks(ctx, ids)
		if err != nil {
			return nil, err
		}
		if done < len(ids) {
			begin := begins[ids[done]]
			next = until(begin - 1)
			maps.DeleteFunc(types, func(_ string, at eventstore.Position) bool { return at > begin })
		}
	}
	names, err := l.absentTypes(ctx, types)
	if err != nil {
		return nil, err
	}
	return next, l.compareScanners(ctx, names)
}

// someScanners compares scanners by type, and at last the skipped facts of no task.
func (l *look) someScanners(ctx context.Context, after string, first int) (*verifyCursor, error) {
	listed, err := l.rosterTypes(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := l.tx.Query(ctx, l.of(`select type from (
			(select type from stored.scanners where type > $1 order by type limit $2) union
			(select distinct type from stored.scanner_instances where type > $1 order by type limit $2) union
			select type from unnest($3::text[]) u (type) where type > $1) u order by type limit $2`), after, first, listed)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	if err := l.compareScanners(ctx, names); err != nil {
		return nil, err
	}
	if len(names) == first {
		return &verifyCursor{After: names[first-1]}, nil
	}
	return nil, l.compareSkips(ctx)
}

// rosterTypes are the types that the roster ever named.
func (l *look) rosterTypes(ctx context.Context) ([]string, error) {
	b := &batch{}
	for r, err := range l.r.log.ReadStream(ctx, eventstore.StreamID{Category: scanner.RosterCategory, Key: scanner.RosterKey}, 0) {
		if eventstore.IsNotFound(err) || eventstore.IsDeleted(err) {
			break
		}
		if err != nil {
			return nil, storeAway(err)
		}
		if r.Position > l.position {
			break
		}
		b.addRoster(r)
	}
	var names []string
	for name := range b.roster.types {
		names = append(names, clean(name))
	}
	return names, nil
}

func (l *look) someScanKeys(ctx context.Context, after string, first int) (*verifyCursor, error) {
	from := eventstore.ID{}
	if after != "" {
		from, _ = eventstore.ParseID(after) // parsed with the cursor
	}
	keys, err := l.keys(ctx, "scan_key", []string{"outcomes", "flaky"}, from, first)
	if err != nil {
		return nil, err
	}
	if err := l.compareFlaky(ctx, keys); err != nil || len(keys) < first {
		return nil, err
	}
	return &verifyCursor{After: keys[first-1].String()}, nil
}

func (l *look) someQuarters(ctx context.Context, after string, first int) (*verifyCursor, error) {
	var last *time.Time
	if after != "" {
		at, _ := time.Parse(time.RFC3339Nano, after) // parsed with the cursor
		last = &at
	}
	for begun, n := time.Now(), 0; ; n++ {
		if n == first || n > 0 && time.Since(begun) > verifyPatience {
			return &verifyCursor{After: last.Format(time.RFC3339Nano)}, nil
		}
		quarter, err := l.nextQuarter(ctx, last)
		if err != nil || quarter == nil {
			return nil, err
		}
		if err := l.compareRollups(ctx, *quarter); err != nil {
			return nil, err
		}
		last = quarter
	}
}
