package mail

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/handlers/email"
	"github.com/wildout/wildout/runtime/handlers/wildout/schema"
)

const (
	// shortWait is how long Send waits for room by itself. Plans are a little
	// early, by the time that SMTP takes and by the difference of two clocks;
	// an attempt would be a high price for that.
	shortWait = 3 * time.Second
	// afterlife is how long a delivery may go on after its attempt was ended.
	afterlife = 2 * time.Second
	// longestAttempt stands in for the end of an attempt that has none.
	longestAttempt = 5 * time.Minute
	// clockGrain is how much a database's clock may round down: SentAt must
	// not be earlier than the delivery, or the next mail would be.
	clockGrain = time.Millisecond
	// afterwards is what the notes about a delivery may take. They are made
	// even when the attempt's time is up.
	afterwards = 5 * time.Second
)

// SendInput is the input of mail.send.
type SendInput struct {
	// Reservation is the output of mail.reserve.
	Reservation string `json:"reservation"`
	Recipient   string `json:"recipient"`
	Subject     string `json:"subject"`
	Text        string `json:"text"`
	HTML        string `json:"html"`
	Limit
}

// SendOutput is the output of mail.send.
type SendOutput struct {
	MessageID string `json:"messageId"`
	// SentAt is when the server had confirmed it, by the database's clock.
	SentAt time.Time `json:"sentAt"`
}

// claim is what Send knows when it may send, or may not.
type claim struct {
	now   time.Time   // by the database's clock
	asked time.Time   // by this machine's clock, just before now was
	free  time.Time   // when there is room; not after now: the mail is claimed
	sent  *SendOutput // an earlier attempt had sent it
}

// Send sends a reserved mail if the recipient's window has room now, else it
// asks to be tried again when it has. A mail that an earlier attempt sent and
// logged is not sent again.
func (s *Service) Send(ctx context.Context, in SendInput) (SendOutput, error) {
	if err := in.validate(); err != nil {
		return SendOutput{}, err
	}
	c, err := s.claim(ctx, in)
	for err == nil && c.sent == nil && c.free.After(c.now) {
		wait := c.free.Sub(c.now)
		if deadline, ok := ctx.Deadline(); wait > shortWait || ok && wait > time.Until(deadline)/2 {
			return SendOutput{}, wildout.RetryAfter(wait, fmt.Errorf("%s has had %d mails within %s; the next may be sent at %s",
				in.Recipient, in.Limit.Limit, in.Period.Std(), c.free.Format(time.RFC3339)))
		}
		if err := sleep(ctx, wait); err != nil {
			return SendOutput{}, err
		}
		c, err = s.claim(ctx, in)
	}
	switch {
	case err != nil:
		return SendOutput{}, err
	case c.sent != nil:
		return *c.sent, nil
	}
	return s.deliver(ctx, in, c)
}

// claim counts the recipient's mails and, if there is room, this one among them.
func (s *Service) claim(ctx context.Context, in SendInput) (c claim, err error) {
	err = s.db.Do(ctx, "claim the reserved mail to "+in.Recipient, func(tx *schema.Tx) error {
		c = claim{}
		if err := lockRecipient(ctx, tx, in.Recipient); err != nil {
			return err
		}
		if c.sent, err = findSent(ctx, tx, in.Reservation); err != nil || c.sent != nil {
			return err
		}
		c.asked = time.Now()
		if c.now, err = tx.Now(ctx); err != nil {
			return err
		}
		if c.free, err = free(ctx, tx, in.Recipient, in.Reservation, in.Limit, c.now); err != nil {
			return err
		}
		n, err := int64(1), error(nil)
		switch wait := c.free.Sub(c.now); {
		case wait <= 0:
			n, err = tx.Affected(ctx, "UPDATE email_reservations SET send_at = $1, occupied_at = $2 WHERE idempotency_key = $3",
				schema.At(c.now), schema.At(c.now.Add(attemptTime(ctx)+afterlife)), in.Reservation)
		case wait > shortWait:
			// Planned anew, behind the others' plans, or they would meet again.
			if c.free, err = plan(ctx, tx, in.Recipient, in.Reservation, in.Limit, c.now); err != nil {
				return err
			}
			n, err = tx.Affected(ctx, "UPDATE email_reservations SET send_at = $1 WHERE idempotency_key = $2", schema.At(c.free), in.Reservation)
		}
		if err == nil && n == 0 {
			err = wildout.NonRetriable(fmt.Errorf("there is no reservation %q: pass the output of mail.reserve", in.Reservation))
		}
		return err
	})
	return c, err
}

func attemptTime(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return max(0, time.Until(deadline))
	}
	return longestAttempt
}

func findSent(ctx context.Context, tx *schema.Tx, reservation string) (*SendOutput, error) {
	var out SendOutput
	var at schema.Time
	err := tx.QueryRowContext(ctx, "SELECT message_id, sent_at FROM email_log WHERE idempotency_key = $1", reservation).
		Scan(&out.MessageID, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	out.SentAt = at.Time
	return &out, err
}

// deliver sends a claimed mail and notes what came of it.
func (s *Service) deliver(ctx context.Context, in SendInput, c claim) (SendOutput, error) {
	result, err := s.mailer.Send(ctx, email.Message{
		To: email.Addresses{in.Recipient}, Subject: in.Subject, Text: in.Text, HTML: in.HTML,
	})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	if err != nil {
		s.noteFailure(ctx, in, err)
		return SendOutput{}, err
	}
	// The mail is out: from here on nothing may fail the attempt, or it would
	// be sent again. What is not noted now is noted by mail.record.
	out := SendOutput{MessageID: result.MessageID, SentAt: c.now.Add(time.Since(c.asked) + clockGrain)}
	_ = s.db.Do(ctx, "log the mail", func(tx *schema.Tx) error {
		_, err := logSent(ctx, tx, RecordInput{in.Reservation, in.Recipient, in.Subject, out.MessageID, out.SentAt})
		return err
	})
	return out, nil
}

// noteFailure frees the place of a mail that was refused for good. Of any
// other failure it is not certain that nothing was delivered: it keeps its
// place, from now on. If the note fails, the claim holds, which is later.
func (s *Service) noteFailure(ctx context.Context, in SendInput, cause error) {
	_ = s.db.Do(ctx, "note that the mail failed", func(tx *schema.Tx) error {
		if wildout.IsNonRetriable(cause) {
			_, err := tx.ExecContext(ctx, "DELETE FROM email_reservations WHERE idempotency_key = $1", in.Reservation)
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		return occupy(ctx, tx, in.Reservation, now)
	})
}

func occupy(ctx context.Context, tx *schema.Tx, reservation string, at time.Time) error {
	_, err := tx.ExecContext(ctx, "UPDATE email_reservations SET occupied_at = $1 WHERE idempotency_key = $2", schema.At(at), reservation)
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
