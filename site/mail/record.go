package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/audit"
	"github.com/wildout/wildout/site/schema"
)

// Record writes the mail into the mail log, unless mail.send had done so, and
// EMAIL_SENT into the audit log: each once per mail.
func (s *Service) Record(ctx context.Context, in RecordInput) (out RecordOutput, err error) {
	details, err := json.Marshal(map[string]string{"subject": in.Subject, "messageId": in.MessageID})
	if err != nil {
		return out, wildout.NonRetriable(fmt.Errorf("encode the audit details: %w", err))
	}
	err = s.db.Do(ctx, "log the mail to "+in.Recipient, func(tx *schema.Tx) error {
		if out.Logged, err = logSent(ctx, tx, in); err != nil {
			return err
		}
		return audit.Insert(ctx, tx, audit.Entry{
			EventID: "email:" + in.Reservation, UserID: mailbox(in.Recipient), Action: "EMAIL_SENT",
			RecordType: "email", RecordID: in.MessageID, Details: details, Time: in.SentAt,
		})
	})
	return out, err
}

// logSent writes the mail log and ends the claim: from the time of sending on
// the mail counts for one period. Whoever had logged it did both.
func logSent(ctx context.Context, tx *schema.Tx, in RecordInput) (bool, error) {
	id, err := schema.NewID()
	if err != nil {
		return false, err
	}
	n, err := tx.Affected(ctx, `
		INSERT INTO email_log (id, idempotency_key, recipient, subject, message_id, sent_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (idempotency_key) DO NOTHING`,
		id, in.Reservation, mailbox(in.Recipient), in.Subject, in.MessageID, schema.At(in.SentAt))
	if err != nil || n == 0 {
		return false, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE email_reservations SET send_at = $1, paced_at = $1, occupied_at = $1 WHERE idempotency_key = $2",
		schema.At(in.SentAt), in.Reservation)
	return true, err
}

// MetricsInput is the input of mail.collect-metrics.
type MetricsInput struct {
	Sent   int64 `json:"sent"`
	Failed int64 `json:"failed"`
	// Time is when: it says for which day (UTC) it counts. Left out: now.
	Time time.Time `json:"time"`
}

// MetricsOutput is the output of mail.collect-metrics.
type MetricsOutput struct {
	// Counted is false when an earlier attempt had counted it.
	Counted bool `json:"counted"`
}

// CollectMetrics adds to the day's counters, once per step.
func (s *Service) CollectMetrics(ctx context.Context, in MetricsInput) (out MetricsOutput, err error) {
	if in.Sent < 0 || in.Failed < 0 || in.Sent+in.Failed == 0 {
		return out, wildout.NonRetriable(errors.New("nothing to count: set sent or failed above 0"))
	}
	err = s.db.Do(ctx, "count mails", func(tx *schema.Tx) error {
		first, err := tx.Once(ctx, "metrics:"+wildout.Info(ctx).IdempotencyKey)
		out.Counted = first
		if err != nil || !first {
			return err
		}
		if in.Time.IsZero() {
			if in.Time, err = tx.Now(ctx); err != nil {
				return err
			}
		}
		var lastSent schema.Time // null unless something was sent
		if in.Sent > 0 {
			lastSent = schema.At(in.Time)
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO email_metrics (date, sent_count, failed_count, last_sent_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (date) DO UPDATE SET
				sent_count = email_metrics.sent_count + excluded.sent_count,
				failed_count = email_metrics.failed_count + excluded.failed_count,
				last_sent_at = CASE
					WHEN email_metrics.last_sent_at IS NULL OR excluded.last_sent_at > email_metrics.last_sent_at
					THEN excluded.last_sent_at ELSE email_metrics.last_sent_at END`,
			in.Time.UTC().Format(time.DateOnly), in.Sent, in.Failed, lastSent)
		return err
	})
	return out, err
}
