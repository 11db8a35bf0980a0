package queries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/readmodel"
	"github.com/factgate/factgate/eventstore"
)

const (
	// headPatience bounds how long the log is asked; its answer is not vital.
	headPatience = 2 * time.Second
	// maxCounted bounds how many events are counted to say how many are missing.
	maxCounted = 200
	// maxSkips bounds the skipped facts that are shown of a read model.
	maxSkips = 1_000
	// paceLasts is how long what was measured of a read model's pace says anything.
	paceLasts = 10 * time.Second
)

// ReadModelState says what a read model is there for.
type ReadModelState string

// The states of a read model; projections.State explains them.
const (
	ReadModelBuilding ReadModelState = "BUILDING"
	ReadModelLive     ReadModelState = "LIVE"
	ReadModelOld      ReadModelState = "OLD"
)

// ReadModel says what a read model is, and how up to date.
type ReadModel struct {
	ReadAt
	Number     int
	Layout     int
	Readable   bool // by this version: its layout is the one that the questions are written for
	State      ReadModelState
	Reason     string // why it was begun
	By         string
	BegunAt    time.Time
	PromotedAt *time.Time
	RetiredAt  *time.Time
	Promote    bool // it comes into service by itself

	// Head of the log; nil when the log does not answer.
	Head *eventstore.Position
	// Lag is how long the oldest event that is not applied has been waiting; nil
	// when the log does not answer.
	Lag *time.Duration
	// LagEvents is how many events of the log are not applied: counted while they
	// are few, else estimated from what lies behind; nil when nobody can say.
	LagEvents      *int64
	PerSecond      float64    // events of the log, in the newest batches; 0 when nothing moves
	EventAt        *time.Time // when the newest applied event was recorded
	HaltedAt       *time.Time // nil while it runs
	HaltedPosition *eventstore.Position
	HaltedReason   *string

	Skipped []SkippedFact // of ReadModels only

	events int64 // that lie behind Position
}

// ETA is when it will have caught up, if it goes on as it does; nil when it has,
// or when nobody can say.
func (m ReadModel) ETA() *time.Duration {
	if m.LagEvents == nil || *m.LagEvents == 0 || m.PerSecond <= 0 || m.HaltedAt != nil {
		return nil
	}
	left := time.Duration(float64(*m.LagEvents) / m.PerSecond * float64(time.Second))
	return &left
}

// SkippedFact is a fact that a read model was folded without.
type SkippedFact struct {
	Position eventstore.Position
	Stream   string
	Revision int64
	Type     string
	Reason   string
	By       string
}

// ReadModel reads the state of the read model in service.
func (q *Queries) ReadModel(ctx context.Context) (ReadModel, error) {
	list, err := q.readModels(ctx, `where state = 'LIVE'`, false)
	if err != nil {
		return ReadModel{}, err
	}
	if len(list) == 0 {
		return ReadModel{}, failed(ctx, "read the registry", pgx.ErrNoRows)
	}
	q.lag(ctx, list)
	return list[0], nil
}

// ReadModels reads all of them, by number.
func (q *Queries) ReadModels(ctx context.Context) ([]ReadModel, error) {
	list, err := q.readModels(ctx, "", true)
	if err == nil {
		q.lag(ctx, list)
	}
	return list, err
}

// readModels takes two statements, and a third for what was skipped. It reads the
// tables of each read model, not the views: those show one.
func (q *Queries) readModels(ctx context.Context, which string, withSkips bool) (list []ReadModel, err error) {
	for range 2 {
		err = q.snapshot(ctx, "read the state of the read models", func(tx pgx.Tx) error {
			list, err = registered(ctx, tx, which)
			if err == nil && withSkips {
				err = skippedIn(ctx, tx, list)
			}
			return err
		})
		var server *pgconn.PgError
		if !errors.As(err, &server) || server.Code != "42P01" { // else one was dropped meanwhile
			break
		}
	}
	return list, err
}

func registered(ctx context.Context, tx pgx.Tx, which string) ([]ReadModel, error) {
	rows, err := tx.Query(ctx, `select number, layout, state, reason, begun_by, begun_at, promoted_at, retired_at, promote from readmodels.registry `+which+` order by number`)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m ReadModel, err error) {
		err = row.Scan(&m.Number, &m.Layout, &m.State, &m.Reason, &m.By, &m.BegunAt, &m.PromotedAt, &m.RetiredAt, &m.Promote)
		m.Model, m.Readable = fmt.Sprintf("rm_%d", m.Number), m.Layout == layout
		return m, err
	})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	// As JSON: a read model of another layout may have other columns.
	var union []string
	byName := map[string]*ReadModel{}
	for i := range list {
		m := &list[i]
		union = append(union, `select to_json(c) from `+m.Model+`.checkpoint c`)
		byName[m.Model] = m
	}
	if rows, err = tx.Query(ctx, strings.Join(union, " union all ")); err != nil {
		return nil, err
	}
	var text []byte
	_, err = pgx.ForEachRow(rows, []any{&text}, func() error {
		var c struct {
			Name           string
			Position       int64
			EventAt        *time.Time           `json:"event_at"`
			MovedAt        time.Time            `json:"moved_at"`
			HaltedAt       *time.Time           `json:"halted_at"`
			HaltedPosition *eventstore.Position `json:"halted_position"`
			HaltedReason   *string              `json:"halted_reason"`
			Events         int64
			PerSecond      float64 `json:"per_second"`
		}
		if err := json.Unmarshal(text, &c); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		m := byName[c.Name]
		if m == nil {
			return fmt.Errorf("checkpoint of %.40q is not where it belongs", c.Name)
		}
		m.Position, m.EventAt = eventstore.Position(c.Position), c.EventAt
		m.HaltedAt, m.HaltedPosition, m.HaltedReason = c.HaltedAt, c.HaltedPosition, c.HaltedReason
		if time.Since(c.MovedAt) < paceLasts && c.HaltedAt == nil {
			m.PerSecond = c.PerSecond
		}
		m.events = c.Events
		return nil
	})
	return list, err
}

func skippedIn(ctx context.Context, tx pgx.Tx, list []ReadModel) error {
	var union []string
	byName := map[string]*ReadModel{}
	for i := range list {
		if m := &list[i]; m.Readable {
			union = append(union, fmt.Sprintf(`(select '%s', position, stream, revision, type, reason, skipped_by from %s.skips order by position limit %d)`, m.Model, m.Model, maxSkips))
			byName[m.Model] = m
		}
	}
	if len(union) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, "select * from ("+strings.Join(union, " union all ")+") s order by 1, 2")
	if err != nil {
		return err
	}
	var name string
	var position int64
	var s SkippedFact
	_, err = pgx.ForEachRow(rows, []any{&name, &position, &s.Stream, &s.Revision, &s.Type, &s.Reason, &s.By}, func() error {
		s.Position = eventstore.Position(position)
		byName[name].Skipped = append(byName[name].Skipped, s)
		return nil
	})
	return err
}

// lag asks the log how far it is itself.
func (q *Queries) lag(ctx context.Context, list []ReadModel) {
	ctx, cancel := context.WithTimeout(ctx, headPatience)
	defer cancel()
	head, err := q.log.Head(ctx)
	if err != nil {
		return
	}
	for i := range list {
		list[i].Head = &head
		q.lagOf(ctx, &list[i])
	}
}

func (q *Queries) lagOf(ctx context.Context, m *ReadModel) {
	var lag time.Duration
	var n int64
	if *m.Head > m.Position {
		for r, err := range q.log.ReadAll(ctx, m.Position, eventstore.Filter{Categories: readmodel.Followed()}) {
			if err != nil {
				return
			}
			if n++; n == 1 {
				lag = max(0, time.Since(r.At))
			}
			if n == maxCounted {
				break
			}
		}
	}
	m.Lag = &lag
	if n < maxCounted {
		m.LagEvents = &n
		return
	}
	if m.events > 0 && m.Position > 0 {
		n = max(n, int64(float64(*m.Head-m.Position)*float64(m.events)/float64(m.Position)))
		m.LagEvents = &n
	}
}

// otherLayoutError says that the tables in service are not those that the questions of
// this version are written for.
type otherLayoutError struct {
	model string
	found int
}

func (e *otherLayoutError) Error() string {
	return fmt.Sprintf("read model %s has layout %d and this version reads %d", e.model, e.found, layout)
}

// explainLayout says to an asker what that means, and how far the rebuild is.
func (q *Queries) explainLayout(ctx context.Context, e *otherLayoutError) error {
	if e.found > layout {
		return &domain.Error{Kind: domain.Unavailable, Rule: "readmodel.newer", Err: e,
			Msg:   fmt.Sprintf("the read model in service, %s, was made by a newer version of Factgate; run that version here too, or go back with: factgate readmodel rollback", e.model),
			MsgZH: fmt.Sprintf("在用的读模型 %s 由较新版本的 Factgate 建立；请升级本服务，或执行 factgate readmodel rollback 回退", e.model)}
	}
	list, err := q.ReadModels(ctx)
	if err != nil {
		return err
	}
	for i := len(list) - 1; i >= 0; i-- {
		m := list[i]
		if !m.Readable || m.State != ReadModelBuilding {
			continue
		}
		far, farZH := "", ""
		if m.Head != nil && *m.Head > 0 {
			far = fmt.Sprintf("; %s has read %.1f%% of the log", m.Model, 100*float64(m.Position)/float64(max(*m.Head, m.Position)))
			farZH = fmt.Sprintf("；%s 已读取日志的 %.1f%%", m.Model, 100*float64(m.Position)/float64(max(*m.Head, m.Position)))
		}
		if eta := m.ETA(); eta != nil {
			far += fmt.Sprintf(", about %s to go", eta.Round(time.Second))
			farZH += fmt.Sprintf("，预计还需 %s", eta.Round(time.Second))
		}
		return &domain.Error{Kind: domain.Unavailable, Rule: "readmodel.rebuilding", Err: e,
			Msg: "the read model is being rebuilt for this version" + far + "; ask again", MsgZH: "正在为当前版本重建读模型" + farZH + "，请稍后重试"}
	}
	return &domain.Error{Kind: domain.Unavailable, Rule: "readmodel.older", Err: e,
		Msg:   fmt.Sprintf("the read model in service, %s, was made by an older version of Factgate; begin one for this version with: factgate readmodel rebuild --promote, or promote one that there is", e.model),
		MsgZH: fmt.Sprintf("在用的读模型 %s 由较旧版本的 Factgate 建立；请执行 factgate readmodel rebuild --promote 重建", e.model)}
}
