package schema

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var files embed.FS

// versionTable keeps our versions apart from those of a site that uses goose too.
const versionTable = "wildout_schema_version"

// Migrate brings the tables up to date. Several runners may call it at once on
// PostgreSQL: one migrates, the others wait up to two minutes. The lock belongs
// to a session, so use the direct address of a Supabase project or its pooler
// in session mode, not in transaction mode. SQLite is for one process.
func Migrate(ctx context.Context, db *sql.DB, dialect Dialect) error {
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		return fmt.Errorf("read the embedded migrations: %w", err)
	}
	options := []goose.ProviderOption{goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true)}
	gooseDialect := goose.DialectSQLite3
	if dialect == Postgres {
		gooseDialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
		if err != nil {
			return fmt.Errorf("make the migration lock: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(gooseDialect, db, migrations, options...)
	if err != nil {
		return fmt.Errorf("read the embedded migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the %s database: %w", dialect, err)
	}
	return nil
}
