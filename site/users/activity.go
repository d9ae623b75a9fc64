package users

import (
	"context"
	"database/sql"
	"errors"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/schema"
)

// RecordInput is the input of users.record-activity.
type RecordInput struct {
	UserID string `json:"userId"`
	Action string `json:"action"`
	// Time is when the user did it.
	Time time.Time `json:"time"`
	// Key makes the action one: the id of its event. Several functions may
	// record it, it counts once.
	Key string `json:"key"`
}

// RecordOutput is the output of users.record-activity.
type RecordOutput struct {
	// Counted is false when the action had been counted before.
	Counted bool `json:"counted"`
}

// RecordActivity counts an action of the user, once per key, and keeps the
// latest one by the time it happened.
func (s *Service) RecordActivity(ctx context.Context, in RecordInput) (out RecordOutput, err error) {
	if in.UserID == "" || in.Action == "" || in.Key == "" || in.Time.IsZero() {
		return out, wildout.NonRetriable(errors.New("an activity needs userId, action, key and time"))
	}
	err = s.db.Do(ctx, "count an action of user "+in.UserID, func(tx *schema.Tx) error {
		first, err := tx.Once(ctx, "activity:"+in.Key)
		out.Counted = first
		if err != nil || !first {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO user_activity_metrics (user_id, last_action, last_action_at, action_count) VALUES ($1, $2, $3, 1)
			ON CONFLICT (user_id) DO UPDATE SET
				action_count = user_activity_metrics.action_count + 1,
				last_action = CASE WHEN excluded.last_action_at >= user_activity_metrics.last_action_at
					THEN excluded.last_action ELSE user_activity_metrics.last_action END,
				last_action_at = CASE WHEN excluded.last_action_at >= user_activity_metrics.last_action_at
					THEN excluded.last_action_at ELSE user_activity_metrics.last_action_at END`,
			in.UserID, in.Action, schema.At(in.Time))
		return err
	})
	return out, err
}

// ActivityInput is the input of users.activity.
type ActivityInput struct {
	UserID string    `json:"userId"`
	Since  time.Time `json:"since"`
}

// ActivityOutput is the output of users.activity.
type ActivityOutput struct {
	// Active: the user did something after Since.
	Active       bool       `json:"active"`
	LastAction   string     `json:"lastAction,omitempty"`
	LastActionAt *time.Time `json:"lastActionAt,omitempty"`
}

// Activity says whether the user did anything after a moment.
func (s *Service) Activity(ctx context.Context, in ActivityInput) (out ActivityOutput, err error) {
	err = s.db.Do(ctx, "look up the activity of user "+in.UserID, func(tx *schema.Tx) error {
		var at schema.Time
		err := tx.QueryRowContext(ctx, "SELECT last_action, last_action_at FROM user_activity_metrics WHERE user_id = $1",
			in.UserID).Scan(&out.LastAction, &at)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		out.LastActionAt = at.Pointer()
		out.Active = err == nil && at.After(in.Since)
		return err
	})
	return out, err
}
