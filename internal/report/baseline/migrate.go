package baseline

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock under which one process at a time changes
// the schema: an arbitrary number, the same in every version.
const migrationLock = 0x63692d6469736167

// undefinedTable is PostgreSQL's SQLSTATE for a table that is not there.
const undefinedTable = "42P01"

// migrate brings the schema up to the newest embedded migration; made says that
// there was none. A schema that is newer than this binary is refused: it may mean
// something else by now.
func migrate(ctx context.Context, conn *pgx.Conn, create bool) (made bool, err error) {
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	have, err := schemaVersion(ctx, conn)
	switch {
	case err != nil:
		return false, err
	case have > len(steps):
		return false, fmt.Errorf("its schema is version %d, newer than this ci-disagg understands (%d)", have, len(steps))
	case have == len(steps):
		return false, nil
	case !create:
		return false, fmt.Errorf("its schema is version %d of %d; a run that saves brings it up to date", have, len(steps))
	}
	return have == 0, pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return migrateIn(ctx, tx, steps) })
}

func migrateIn(ctx context.Context, tx pgx.Tx, steps []string) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS ci_disagg_schema (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())`); err != nil {
		return err
	}
	var have int // again, under the lock: another process may have been first
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM ci_disagg_schema`).Scan(&have); err != nil {
		return err
	}
	for _, name := range steps {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
		if version <= have {
			continue
		}
		sql, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, string(sql)); err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO ci_disagg_schema (version) VALUES ($1)`, version); err != nil {
			return err
		}
	}
	return nil
}

// schemaVersion is 0 for a database without our tables.
func schemaVersion(ctx context.Context, conn *pgx.Conn) (int, error) {
	var have int
	err := conn.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM ci_disagg_schema`).Scan(&have)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == undefinedTable {
		return 0, nil
	}
	return have, err
}
