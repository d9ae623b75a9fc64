package security

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/audit"
	"github.com/wildout/wildout/site/schema"
)

// Service detects and keeps alerts.
type Service struct{ db *schema.DB }

// NewService returns the service on that database.
func NewService(db *schema.DB) (*Service, error) {
	if db == nil {
		return nil, errors.New("security: no database")
	}
	return &Service{db}, nil
}

// Register adds the security handlers.
func (s *Service) Register(reg *wildout.Registry) {
	wildout.Add(reg, "security.detect", s.Detect)
	wildout.Add(reg, "security.store-alert", s.StoreAlert)
}

// DetectInput is the input of security.detect.
type DetectInput struct {
	Entry audit.Entry `json:"entry"`
	Rules []Rule      `json:"rules"`
}

// Alert is one alert to send.
type Alert struct {
	// ID is the same for everybody who finds the same thing: for a rule with a
	// window it is made of the user and the window, else of the entry.
	ID       string `json:"id"`
	Type     string `json:"type"`
	Severity string `json:"severity"`
	UserID   string `json:"userId"`
	// Attempts is how many entries were counted.
	Attempts int    `json:"attempts"`
	Action   string `json:"action"`
	// Timestamp is the time of the entry, in milliseconds since 1970.
	Timestamp int64 `json:"timestamp"`
}

// DetectOutput is the output of security.detect.
type DetectOutput struct {
	Alerts []Alert `json:"alerts"`
}

// Detect returns the alerts that the entry gives rise to. It stores the entry
// if it is not in the log yet (it may wait in the fallback), so that what is
// counted always includes it. Called again, it returns the same ids.
func (s *Service) Detect(ctx context.Context, in DetectInput) (DetectOutput, error) {
	out := DetectOutput{Alerts: []Alert{}}
	for _, rule := range in.Rules {
		if err := rule.Validate(); err != nil {
			return out, wildout.NonRetriable(err)
		}
		if !rule.matches(in.Entry) {
			continue
		}
		alert := Alert{
			ID: rule.Type + ":" + in.Entry.EventID, Type: rule.Type, Severity: rule.Severity,
			UserID: in.Entry.UserID, Attempts: 1, Action: in.Entry.Action, Timestamp: in.Entry.Time.UnixMilli(),
		}
		if rule.Threshold > 0 {
			raised, err := s.count(ctx, rule, in.Entry, &alert)
			if err != nil {
				return out, err
			}
			if !raised {
				continue
			}
		}
		out.Alerts = append(out.Alerts, alert)
	}
	return out, nil
}

// count decides on a rule with a threshold, and names the alert after its window.
func (s *Service) count(ctx context.Context, rule Rule, e audit.Entry, alert *Alert) (raised bool, err error) {
	err = s.db.Do(ctx, "look for "+rule.Type, func(tx *schema.Tx) error {
		raised = false
		if err := audit.Insert(ctx, tx, e); err != nil {
			return err
		}
		// The lock must be waited for after the insert of every entry that was
		// stored before: whoever gets it last sees the whole burst.
		if err := tx.Lock(ctx, "alert:"+rule.Type+":"+e.UserID); err != nil {
			return err
		}
		// The time as the database keeps it, to compare with the others.
		at := e.Time.UTC().Truncate(time.Microsecond)
		times, err := timesOf(ctx, tx, rule, e.UserID, at)
		if err != nil {
			return err
		}
		found, ok := findBurst(times, at, rule.Threshold, rule.Window.Std())
		if !ok {
			return nil
		}
		opened, err := openWindow(ctx, tx, rule, e.UserID, found.end)
		raised = err == nil
		alert.Attempts = found.count
		alert.ID = fmt.Sprintf("%s:%s:%s", rule.Type, e.UserID, opened.UTC().Format(time.RFC3339Nano))
		return err
	})
	return raised, err
}

// timesOf returns the times, in order, of the user's entries less than a
// window away from at.
func timesOf(ctx context.Context, tx *schema.Tx, rule Rule, userID string, at time.Time) ([]time.Time, error) {
	args := []any{userID, schema.At(at.Add(-rule.Window.Std())), schema.At(at.Add(rule.Window.Std()))}
	marks := make([]string, len(rule.Actions))
	for i, action := range rule.Actions {
		args = append(args, action)
		marks[i] = fmt.Sprintf("$%d", len(args))
	}
	rows, err := tx.QueryContext(ctx, `SELECT created_at FROM audit_log
		WHERE user_id = $1 AND created_at > $2 AND created_at < $3 AND action IN (`+strings.Join(marks, ", ")+`)
		ORDER BY created_at`, args...)
	if err != nil {
		return nil, fmt.Errorf("count the entries of user %s: %w", userID, err)
	}
	defer rows.Close()
	var times []time.Time
	for rows.Next() {
		var t schema.Time
		if err := rows.Scan(&t); err != nil {
			return nil, err
		}
		times = append(times, t.Time)
	}
	return times, rows.Err()
}

// openWindow returns when the alert window opened that a burst ending at end
// belongs to, and opens one if there is none. Windows begin with the burst
// that opens them, so none is split at the edge of a fixed bucket; a burst
// that ends before the opening but within a window of it is the same one, seen
// by a run that was late.
func openWindow(ctx context.Context, tx *schema.Tx, rule Rule, userID string, end time.Time) (time.Time, error) {
	window := rule.Window.Std()
	// The aggregate gives one row always: null when there is no window.
	row := tx.QueryRowContext(ctx, `SELECT min(opened_at) FROM alert_windows
		WHERE rule = $1 AND user_id = $2 AND opened_at > $3 AND opened_at < $4`,
		rule.Type, userID, schema.At(end.Add(-window)), schema.At(end.Add(window)))
	var opened schema.Time
	if err := row.Scan(&opened); err != nil {
		return time.Time{}, fmt.Errorf("find the alert window of user %s: %w", userID, err)
	}
	if !opened.IsZero() {
		return opened.Time, nil
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO alert_windows (rule, user_id, opened_at) VALUES ($1, $2, $3)",
		rule.Type, userID, schema.At(end))
	if err != nil {
		return time.Time{}, fmt.Errorf("open an alert window for user %s: %w", userID, err)
	}
	return end, nil
}
