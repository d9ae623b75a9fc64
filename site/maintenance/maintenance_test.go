package maintenance_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/input"
	"github.com/wildout/wildout/site/maintenance"
	"github.com/wildout/wildout/site/schema"
	"github.com/wildout/wildout/site/schema/schematest"
)

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m)) }

const day = 24 * time.Hour

func newService(t *testing.T, options maintenance.Options) *maintenance.Service {
	t.Helper()
	s, err := maintenance.NewService(options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCleanup(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s := newService(t, maintenance.Options{DB: site.DB})
		ago := func(days int) schema.Time { return schema.At(time.Now().Add(-time.Duration(days) * day)) }
		row := 0
		add := func(n, days int, compliance bool) {
			for range n {
				row++
				site.Exec(t, `INSERT INTO audit_log (id, event_id, user_id, action, compliance, created_at) VALUES ($1, $1, 'u', 'A', $2, $3)`,
					fmt.Sprint("row", row), compliance, ago(days))
			}
		}
		add(7, 91, false)
		add(2, 89, false)
		add(3, 91, true)
		add(1, 2600, true)
		for _, days := range []int{1, 31} {
			site.Exec(t, "INSERT INTO applied_steps (idempotency_key, applied_at) VALUES ($1, $2)", fmt.Sprint(days), ago(days))
			site.Exec(t, "INSERT INTO alert_windows (rule, user_id, opened_at) VALUES ('r', 'u', $1)", ago(days))
			site.Exec(t, "INSERT INTO email_reservations (idempotency_key, recipient, send_at, occupied_at) VALUES ($1, 'r', $2, $2)", fmt.Sprint(days), ago(days))
		}
		in := maintenance.CleanupInput{
			OlderThan: input.Duration(90 * day), ComplianceOlderThan: input.Duration(2557 * day),
			MarkersOlderThan: input.Duration(30 * day), BatchSize: 3,
		}
		want := maintenance.CleanupOutput{AuditRows: 7, ComplianceRows: 1, Markers: 3}
		if out, err := s.CleanupAuditLogs(context.Background(), in); err != nil || out != want {
			t.Errorf("removed %+v, %v, want %+v", out, err, want)
		}
		if out, err := s.CleanupAuditLogs(context.Background(), in); err != nil || out != (maintenance.CleanupOutput{}) {
			t.Errorf("the second time removed %+v, %v", out, err)
		}
		if n := site.Count(t, "SELECT count(*) FROM audit_log"); n != 5 {
			t.Errorf("%d audit rows are left, want 5", n)
		}
		in.BatchSize = 0
		if _, err := s.CleanupAuditLogs(context.Background(), in); !wildout.IsNonRetriable(err) {
			t.Errorf("a batch of no rows: %v", err)
		}
	})
}

func TestStatsOncePerStep(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s := newService(t, maintenance.Options{DB: site.DB})
		if err := site.Seed(context.Background()); err != nil {
			t.Fatal(err)
		}
		first, err := s.GenerateStats(schematest.Step("run/stats", 1), struct{}{})
		if err != nil || first.Users != 3 || first.Events != 4 {
			t.Errorf("the statistics are %+v, %v", first, err)
		}
		site.Exec(t, "DELETE FROM users")
		if again, err := s.GenerateStats(schematest.Step("run/stats", 2), struct{}{}); err != nil || again != first {
			t.Errorf("a second attempt gave %+v, %v, want the first's", again, err)
		}
		if n := site.Count(t, "SELECT count(*) FROM usage_stats"); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	})
}

func TestHealthCheck(t *testing.T) {
	site := schematest.Postgres(t)
	well := maintenance.CheckFunc(func(context.Context) error { return nil })
	ill := maintenance.CheckFunc(func(context.Context) error { return errors.New("no route to host") })
	hangs := maintenance.CheckFunc(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	backlog := func(n int64) func(context.Context) (int64, error) {
		return func(context.Context) (int64, error) { return n, nil }
	}
	for name, c := range map[string]struct {
		checks  map[string]maintenance.Checker
		backlog int64
		faults  []string
	}{
		"all well":       {checks: map[string]maintenance.Checker{"database": site.DB, "redis": well}, backlog: 5},
		"two are ill":    {checks: map[string]maintenance.Checker{"redis": ill, "smtp": ill, "database": well}, faults: []string{"2 of 4", "redis: no route", "smtp: no route"}},
		"one hangs":      {checks: map[string]maintenance.Checker{"smtp": hangs}, faults: []string{"1 of 2", "smtp: context deadline exceeded"}},
		"a long backlog": {backlog: 11, faults: []string{"backlog: 11 events wait"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, maintenance.Options{DB: site.DB, Checks: c.checks, Backlog: backlog(c.backlog)})
			out, err := s.HealthCheck(context.Background(), maintenance.HealthInput{MaxBacklog: 10, Timeout: input.Duration(100 * time.Millisecond)})
			if len(out.Checks) != len(c.checks)+1 || out.Backlog != c.backlog {
				t.Errorf("the result is %+v", out)
			}
			if (err == nil) != (len(c.faults) == 0) {
				t.Fatalf("HealthCheck = %v", err)
			}
			for _, fault := range c.faults {
				if !strings.Contains(err.Error(), fault) {
					t.Errorf("%q does not say %q", err, fault)
				}
			}
		})
	}
}
