package projections

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// layout numbers the tables of readmodel.sql and analytics.sql. A read model of an older layout is
// dropped and folded anew.
const layout = 3

// Model is a read model's number.
type Model int

// Schema in Postgres that holds the read model; it is its name, too.
func (m Model) Schema() string { return fmt.Sprintf("rm_%d", int(m)) }

//go:embed readmodel.sql
var tables string

//go:embed analytics.sql
var analyticsTables string

//go:embed live.sql
var views string

// LayoutError says that the read model was made by a newer version. It is not
// touched: stop this process, or drop the schema to go back.
type LayoutError struct {
	Model        Model
	Found, Known int
}

func (e *LayoutError) Error() string {
	return fmt.Sprintf("read model %s has layout %d and this version of Factgate knows %d; run the newer version, or drop schema %s to fold it anew with this one",
		e.Model.Schema(), e.Found, e.Known, e.Model.Schema())
}

// Begins reports how to begin a transaction; a connection and a pool do.
type Begins interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Install makes the first read model's tables and the views of schema live where
// they are missing. It is safe to call at every start and by many processes at
// once. Existing views stay as they are: which read model is in service is not
// decided by a start. The error is a *LayoutError when a newer version was here.
func Install(ctx context.Context, db Begins) error { return install(ctx, db, 1) }

func install(ctx context.Context, db Begins, m Model) error {
	if err := installIn(ctx, db, m); err != nil {
		return fmt.Errorf("install read model %s: %w", m.Schema(), err)
	}
	return nil
}

func installIn(ctx context.Context, db Begins, m Model) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing, after a commit
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('factgate/projections/install', 0))`); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `set local search_path to `+m.Schema()); err != nil {
		return err
	}
	var haveTables, haveViews bool
	if err := tx.QueryRow(ctx, `select to_regclass('checkpoint') is not null`).Scan(&haveTables); err != nil {
		return err
	}
	if haveTables {
		var found int
		if err := tx.QueryRow(ctx, `select layout from checkpoint`).Scan(&found); err != nil {
			return err
		}
		switch {
		case found > layout:
			return &LayoutError{Model: m, Found: found, Known: layout}
		case found < layout:
			if _, err := tx.Exec(ctx, `drop schema `+m.Schema()+` cascade`); err != nil {
				return err
			}
			haveTables = false
		}
	}
	if !haveTables {
		if _, err := tx.Exec(ctx, `create schema `+m.Schema()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, tables+analyticsTables); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into checkpoint (name, layout, position) values ($1, $2, 0)`, m.Schema(), layout); err != nil {
			return err
		}
	}
	// Only now: dropping the tables has taken the views with it, if they were of it.
	if err := tx.QueryRow(ctx, `select to_regclass('live.checkpoint') is not null`).Scan(&haveViews); err != nil {
		return err
	}
	if !haveViews {
		if _, err := tx.Exec(ctx, views); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}
