package schema_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/site/schema"
	"github.com/wildout/wildout/site/schema/schematest"
)

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m)) }

func TestSeveralRunnersMigrateAtOnce(t *testing.T) {
	dsn := servicetest.SharedPostgres(t).NewDatabase(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			pool, err := sql.Open("pgx", dsn)
			if err != nil {
				t.Error(err)
				return
			}
			defer pool.Close()
			if err := schema.Migrate(context.Background(), pool, schema.Postgres); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	pool, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var applied int
	if err := pool.QueryRow("SELECT count(*) FROM wildout_schema_version WHERE version_id > 0").Scan(&applied); err != nil {
		t.Fatal(err)
	}
	if applied != 2 {
		t.Errorf("%d migrations were recorded, want each of the 2 once", applied)
	}
}

func TestSeedTwiceLeavesOneOfEach(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		for range 2 {
			if err := site.Seed(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		for table, want := range map[string]int{"users": 3, "venues": 2, "team_members": 2, "events": 4, "event_team_members": 5} {
			if got := site.Count(t, "SELECT count(*) FROM "+table); got != want {
				t.Errorf("%s has %d rows, want %d", table, got, want)
			}
		}
	})
}

func TestTimesSurviveTheDatabase(t *testing.T) {
	berlin := time.FixedZone("UTC+2", 2*3600)
	for name, want := range map[string]time.Time{
		"microseconds":   time.Date(2026, 5, 1, 12, 0, 0, 123456000, time.UTC),
		"whole seconds":  time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		"another zone":   time.Date(2026, 5, 1, 12, 0, 0, 0, berlin),
		"null when zero": {},
	} {
		t.Run(name, func(t *testing.T) {
			schematest.Each(t, func(t *testing.T, site *schematest.Site) {
				site.Exec(t, "INSERT INTO events (id, date) VALUES ('e1', $1)", schema.At(want))
				var got schema.Time
				if err := site.Pool.QueryRow("SELECT date FROM events").Scan(&got); err != nil {
					t.Fatal(err)
				}
				if !got.Equal(want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		})
	}
}

func TestTransactions(t *testing.T) {
	ctx := context.Background()
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		refused := errors.New("refused")
		err := site.Do(ctx, "try", func(tx *schema.Tx) error {
			if first, err := tx.Once(ctx, "k"); err != nil || !first {
				t.Errorf("Once = %v, %v, want true", first, err)
			}
			return refused
		})
		if !errors.Is(err, refused) {
			t.Errorf("Do = %v, want the error of fn", err)
		}
		if n := site.Count(t, "SELECT count(*) FROM applied_steps"); n != 0 {
			t.Error("a transaction that failed left a row")
		}
		for i, want := range []bool{true, false} {
			err := site.Do(ctx, "try", func(tx *schema.Tx) error {
				first, err := tx.Once(ctx, "k")
				if first != want {
					t.Errorf("call %d: Once = %v, want %v", i, first, want)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func TestLockExcludesOthers(t *testing.T) {
	ctx := context.Background()
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		site.Exec(t, "INSERT INTO email_metrics (date) VALUES ('2026-05-01')")
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				err := site.Do(ctx, "count", func(tx *schema.Tx) error {
					if err := tx.Lock(ctx, "counter"); err != nil {
						return err
					}
					var n int
					if err := tx.QueryRowContext(ctx, "SELECT sent_count FROM email_metrics").Scan(&n); err != nil {
						return err
					}
					_, err := tx.ExecContext(ctx, "UPDATE email_metrics SET sent_count = $1", n+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if n := site.Count(t, "SELECT sent_count FROM email_metrics"); n != 10 {
			t.Errorf("counted to %d under the lock, want 10", n)
		}
	})
}

func TestNewDBRefusesWhatItCannotUse(t *testing.T) {
	if _, err := schema.NewDB(nil, schema.Postgres, nil); err == nil {
		t.Error("a missing pool was accepted")
	}
	if _, err := schema.NewDB(new(sql.DB), "mysql", nil); err == nil {
		t.Error("an unknown dialect was accepted")
	}
}
