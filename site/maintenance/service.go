package maintenance

import (
	"context"
	"errors"
	"fmt"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/input"
	"github.com/wildout/wildout/site/schema"
)

// Checker says what is wrong with something, or nil.
type Checker interface {
	Check(ctx context.Context) error
}

// CheckFunc is a function as a Checker.
type CheckFunc func(ctx context.Context) error

// Check calls f.
func (f CheckFunc) Check(ctx context.Context) error { return f(ctx) }

// Options are what a Service needs.
type Options struct {
	DB *schema.DB
	// Checks are what the health check asks, by name: database, redis, smtp.
	Checks map[string]Checker
	// Backlog returns the number of events that wait, over all functions.
	// Nil: the health check leaves it out.
	Backlog func(ctx context.Context) (int64, error)
}

// Service does the maintenance.
type Service struct{ Options }

// NewService returns the service.
func NewService(options Options) (*Service, error) {
	if options.DB == nil {
		return nil, errors.New("maintenance: no database")
	}
	return &Service{options}, nil
}

// Register adds the maintenance handlers.
func (s *Service) Register(reg *wildout.Registry) {
	wildout.Add(reg, "maintenance.cleanup-audit-logs", s.CleanupAuditLogs)
	wildout.Add(reg, "maintenance.generate-stats", s.GenerateStats)
	wildout.Add(reg, "maintenance.health-check", s.HealthCheck)
}

// CleanupInput is the input of maintenance.cleanup-audit-logs.
type CleanupInput struct {
	// OlderThan is how long audit rows are kept.
	OlderThan input.Duration `json:"olderThan"`
	// ComplianceOlderThan is how long rows marked for compliance are kept.
	ComplianceOlderThan input.Duration `json:"complianceOlderThan"`
	// MarkersOlderThan is how long the rows are kept that only make effects
	// happen once. They must outlive every event that may be delivered again.
	MarkersOlderThan input.Duration `json:"markersOlderThan"`
	// BatchSize is how many rows one transaction removes.
	BatchSize int `json:"batchSize"`
}

// CleanupOutput is the output of maintenance.cleanup-audit-logs: rows removed.
type CleanupOutput struct {
	AuditRows      int64 `json:"auditRows"`
	ComplianceRows int64 `json:"complianceRows"`
	Markers        int64 `json:"markers"`
}

// The deletions. $1 is the time before which rows go, $2 the size of a batch.
const (
	deleteAudit      = "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE created_at < $1 AND NOT compliance LIMIT $2)"
	deleteCompliance = "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE created_at < $1 AND compliance LIMIT $2)"
	deleteMarkers    = `DELETE FROM applied_steps WHERE idempotency_key IN
		(SELECT idempotency_key FROM applied_steps WHERE applied_at < $1 LIMIT $2)`
	deleteReservations = `DELETE FROM email_reservations WHERE idempotency_key IN (SELECT idempotency_key FROM email_reservations
		WHERE send_at < $1 AND (occupied_at IS NULL OR occupied_at < $1) LIMIT $2)`
	deleteWindows = `DELETE FROM alert_windows WHERE (rule, user_id, opened_at) IN
		(SELECT rule, user_id, opened_at FROM alert_windows WHERE opened_at < $1 LIMIT $2)`
)

// CleanupAuditLogs removes rows in batches, each a transaction of its own:
// writers are never held up for long, and what was done stays done.
func (s *Service) CleanupAuditLogs(ctx context.Context, in CleanupInput) (out CleanupOutput, err error) {
	if in.OlderThan <= 0 || in.ComplianceOlderThan < in.OlderThan || in.MarkersOlderThan <= 0 || in.BatchSize <= 0 {
		return out, wildout.NonRetriable(errors.New("olderThan, markersOlderThan and batchSize must be above 0, complianceOlderThan not below olderThan"))
	}
	for _, part := range []struct {
		statement string
		age       input.Duration
		removed   *int64
	}{
		{deleteAudit, in.OlderThan, &out.AuditRows},
		{deleteCompliance, in.ComplianceOlderThan, &out.ComplianceRows},
		{deleteMarkers, in.MarkersOlderThan, &out.Markers},
		{deleteReservations, in.MarkersOlderThan, &out.Markers},
		{deleteWindows, in.MarkersOlderThan, &out.Markers},
	} {
		n, err := s.deleteInBatches(ctx, part.statement, part.age.Std(), in.BatchSize)
		*part.removed += n
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func (s *Service) deleteInBatches(ctx context.Context, statement string, age time.Duration, size int) (total int64, err error) {
	for {
		var n int64
		err := s.DB.Do(ctx, "remove old rows", func(tx *schema.Tx) error {
			now, err := tx.Now(ctx)
			if err != nil {
				return err
			}
			n, err = tx.Affected(ctx, statement, schema.At(now.Add(-age)), size)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
		if n < int64(size) {
			return total, nil
		}
	}
}

// StatsOutput is the output of maintenance.generate-stats: rows of each kind.
type StatsOutput struct {
	Users     int64     `json:"users"`
	Events    int64     `json:"events"`
	AuditLogs int64     `json:"auditLogs"`
	Emails    int64     `json:"emails"`
	TakenAt   time.Time `json:"takenAt"`
}

// GenerateStats counts the site's rows and keeps the numbers: one row per step.
func (s *Service) GenerateStats(ctx context.Context, _ struct{}) (out StatsOutput, err error) {
	id := wildout.Info(ctx).IdempotencyKey
	err = s.DB.Do(ctx, "take the statistics", func(tx *schema.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO usage_stats (id, users, events, audit_logs, emails, taken_at)
			VALUES ($1, (SELECT count(*) FROM users), (SELECT count(*) FROM events),
				(SELECT count(*) FROM audit_log), (SELECT count(*) FROM email_log), $2)
			ON CONFLICT (id) DO NOTHING`, id, schema.At(now)); err != nil {
			return err
		}
		var taken schema.Time
		err = tx.QueryRowContext(ctx, "SELECT users, events, audit_logs, emails, taken_at FROM usage_stats WHERE id = $1", id).
			Scan(&out.Users, &out.Events, &out.AuditLogs, &out.Emails, &taken)
		if err != nil {
			return fmt.Errorf("read the statistics: %w", err)
		}
		out.TakenAt = taken.Time
		return nil
	})
	return out, err
}
