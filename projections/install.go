package projections

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const (
	// Name of the read model that this version writes; its schema in Postgres.
	Name = "rm_1"
	// layout numbers the tables of rm_1.sql. A read model of an older layout is
	// dropped and folded anew.
	layout = 3
)

//go:embed rm_1.sql
var tables string

//go:embed live.sql
var views string

// LayoutError says that the read model was made by a newer version. It is not
// touched: stop this process, or drop the schema to go back.
type LayoutError struct{ Found, Known int }

func (e *LayoutError) Error() string {
	return fmt.Sprintf("read model %s has layout %d and this version of Factgate knows %d; run the newer version, or drop schema %s to fold it anew with this one",
		Name, e.Found, e.Known, Name)
}

// Begins reports how to begin a transaction; a connection and a pool do.
type Begins interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Install makes the read model's tables and the views of schema live where they
// are missing. It is safe to call at every start and by many processes at once.
// Existing views stay as they are: which read model is in service is not decided
// by a start. The error is a *LayoutError when a newer version was here.
func Install(ctx context.Context, db Begins) error {
	if err := install(ctx, db); err != nil {
		return fmt.Errorf("install read model %s: %w", Name, err)
	}
	return nil
}

func install(ctx context.Context, db Begins) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing, after a commit
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('factgate/projections/install', 0))`); err != nil {
		return err
	}
	var haveTables, haveViews bool
	if err := tx.QueryRow(ctx, `select to_regclass('rm_1.checkpoint') is not null`).Scan(&haveTables); err != nil {
		return err
	}
	if haveTables {
		var found int
		if err := tx.QueryRow(ctx, `select layout from rm_1.checkpoint where name = $1`, Name).Scan(&found); err != nil {
			return err
		}
		switch {
		case found > layout:
			return &LayoutError{Found: found, Known: layout}
		case found < layout:
			if _, err := tx.Exec(ctx, `drop schema rm_1 cascade`); err != nil {
				return err
			}
			haveTables = false
		}
	}
	if !haveTables {
		if _, err := tx.Exec(ctx, tables); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into rm_1.checkpoint (name, layout, position) values ($1, $2, 0)`, Name, layout); err != nil {
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
