package projections

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Layout numbers the tables of readmodel.sql, analytics.sql and shadows.sql. A read model of another layout is
// neither written nor dropped by this version: it folds one of its own beside it.
// checkpoint keeps its columns name, layout and position in every layout, so that
// every version can say what it found. queries knows the same number.
const Layout = 6

// Model is a read model's number.
type Model int

// Schema in Postgres that holds the read model; it is its name, too.
func (m Model) Schema() string { return fmt.Sprintf("rm_%d", int(m)) }

//go:embed registry.sql
var registry string

//go:embed readmodel.sql
var tables string

//go:embed analytics.sql
var analyticsTables string

// Begins reports how to begin a transaction; a connection and a pool do.
type Begins interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Install makes the registry, the first read model, and the views of schema live,
// where they are missing. A read model that was here before there was a registry
// is adopted as it is. It is safe to call at every start and by many processes at
// once. Which read model is in service is not decided by a start.
func Install(ctx context.Context, db Begins) error {
	if err := administer(ctx, db, func(tx pgx.Tx) error { return nil }); err != nil {
		return fmt.Errorf("install the read models: %w", err)
	}
	return nil
}

// administer runs change in a transaction that no other change of the registry
// runs beside, after what is missing has been installed.
func administer(ctx context.Context, db Begins, change func(pgx.Tx) error) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing, after a commit
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('factgate/projections/install', 0))`); err != nil {
		return err
	}
	if err := install(ctx, tx); err != nil {
		return err
	}
	if err := change(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func install(ctx context.Context, tx pgx.Tx) error {
	var have bool
	if err := tx.QueryRow(ctx, `select to_regclass('readmodels.registry') is not null`).Scan(&have); err != nil {
		return err
	}
	if !have {
		if _, err := tx.Exec(ctx, registry); err != nil {
			return err
		}
	}
	var live Model
	err := tx.QueryRow(ctx, `select number from readmodels.registry where state = 'LIVE'`).Scan(&live)
	if errors.Is(err, pgx.ErrNoRows) {
		live, err = 1, adopt(ctx, tx)
	}
	if err != nil {
		return err
	}
	// Somebody may have dropped schemas, or the views, by hand.
	if _, err := tx.Exec(ctx, `delete from readmodels.registry where state <> 'LIVE' and to_regclass('rm_' || number || '.checkpoint') is null`); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, `select to_regclass($1) is not null`, live.Schema()+".checkpoint").Scan(&have); err != nil {
		return err
	}
	if !have {
		if err := create(ctx, tx, live); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update readmodels.registry set layout = $2 where number = $1`, int(live), Layout); err != nil {
			return err
		}
	}
	if err := tx.QueryRow(ctx, `select to_regclass('live.checkpoint') is not null`).Scan(&have); err != nil {
		return err
	}
	if !have {
		return point(ctx, tx, live)
	}
	return nil
}

// adopt registers the read model of the time before the registry, or a first one.
func adopt(ctx context.Context, tx pgx.Tx) error {
	reason, found := "the first one", Layout
	var have bool
	if err := tx.QueryRow(ctx, `select to_regclass('rm_1.checkpoint') is not null`).Scan(&have); err != nil {
		return err
	}
	if have {
		reason = "it was here before the registry"
		if err := tx.QueryRow(ctx, `select layout from rm_1.checkpoint`).Scan(&found); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `insert into readmodels.registry (number, layout, state, reason, begun_by, promote, promoted_at)
		values (1, $1, 'LIVE', $2, 'factgate', false, now())`, found, reason)
	return err
}

// create makes the empty tables of a read model.
func create(ctx context.Context, tx pgx.Tx, m Model) error {
	for _, statement := range []string{
		`drop schema if exists ` + m.Schema() + ` cascade`, // what somebody left of it
		`create schema ` + m.Schema(),
		`set local search_path to ` + m.Schema(),
		tables + analyticsTables + shadowTables,
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `insert into checkpoint (name, layout, position) values ($1, $2, 0)`, m.Schema(), Layout)
	return err
}

// point makes the views of schema live show the tables of a read model, all of
// them at once. The view of the checkpoint comes first: whoever reads begins with
// it and keeps it to the end, so the views change between readers, never beneath
// one. Between read models of one layout the views stay the same objects, with
// their grants; otherwise they are made anew, and views of others on them go.
func point(ctx context.Context, tx pgx.Tx, m Model) error {
	const list = `select quote_ident(c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = $1 and c.relkind::text = $2 order by c.relname <> 'checkpoint', c.relname`
	names := func(schema, kind string) ([]string, error) {
		rows, err := tx.Query(ctx, list, schema, kind)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if _, err := tx.Exec(ctx, `create schema if not exists live`); err != nil {
		return err
	}
	shown, err := names(m.Schema(), "r")
	if err != nil {
		return err
	}
	var same bool
	err = tx.QueryRow(ctx, `with columns as (
			select table_schema as schema, array_agg((table_name, ordinal_position, column_name, data_type)::text order by table_name, ordinal_position) as list
			from information_schema.columns where table_schema in ('live', $1) group by 1)
		select count(distinct list) = 1 and count(*) = 2 from columns`, m.Schema()).Scan(&same)
	if err != nil {
		return err
	}
	if !same {
		old, err := names("live", "v")
		if err != nil {
			return err
		}
		for _, name := range old {
			if _, err := tx.Exec(ctx, `drop view if exists live.`+name+` cascade`); err != nil {
				return err
			}
		}
	}
	for _, name := range shown {
		if _, err := tx.Exec(ctx, fmt.Sprintf(`create or replace view live.%s as select * from %s.%s`, name, m.Schema(), name)); err != nil {
			return err
		}
	}
	return nil
}
