package mail

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/handlers/email"
	"github.com/wildout/wildout/site/schema"
)

const (
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
	// Limit is the recipient's.
	Limit
	// Total is the limit of all mails together, whoever gets them.
	Total Limit `json:"total"`
}

func (in SendInput) validate() error {
	if err := in.Limit.validate(); err != nil {
		return err
	}
	if err := in.Total.validate(); err != nil {
		return fmt.Errorf("total: %w", err)
	}
	return nil
}

// SendOutput is the output of mail.send.
type SendOutput struct {
	MessageID string `json:"messageId"`
	// SentAt is when the server had confirmed it, by the database's clock.
	SentAt time.Time `json:"sentAt"`
}

// claim says whether Send may send: it has neither sent nor later then.
type claim struct {
	clock
	sent  *SendOutput // an earlier attempt had sent it
	later error       // it is too early, with the reason
}

// Send sends a reserved mail if the recipient's window and that of all mails
// have room now, else it asks to be called again when they have; that costs no
// attempt. A mail that an earlier attempt sent and logged is not sent again.
func (s *Service) Send(ctx context.Context, in SendInput) (SendOutput, error) {
	if err := in.validate(); err != nil {
		return SendOutput{}, err
	}
	c, err := s.claim(ctx, in)
	switch {
	case err != nil:
		return SendOutput{}, err
	case c.sent != nil:
		return *c.sent, nil
	case c.later != nil:
		return SendOutput{}, c.later
	}
	return s.deliver(ctx, in, c)
}

// claim counts the mails of the recipient, then all, and if there is room,
// this one among them.
func (s *Service) claim(ctx context.Context, in SendInput) (c claim, err error) {
	err = s.db.Do(ctx, "claim the reserved mail to "+in.Recipient, func(tx *schema.Tx) (err error) {
		c = claim{}
		if err = lockRecipient(ctx, tx, in.Recipient); err != nil {
			return err
		}
		if c.sent, err = findSent(ctx, tx, in.Reservation); err != nil || c.sent != nil {
			return err
		}
		if c.later, err = awaitRecipient(ctx, tx, in); err != nil || c.later != nil {
			return err
		}
		return c.awaitTurn(ctx, tx, in)
	})
	return c, err
}

// awaitRecipient puts the mail off if the recipient's window is full.
func awaitRecipient(ctx context.Context, tx *schema.Tx, in SendInput) (later, err error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return nil, err
	}
	at, err := free(ctx, tx, in.Recipient, in.Reservation, in.Limit, now)
	if err != nil || !at.After(now) {
		return nil, err
	}
	if at.Sub(now) > slack(in.Period.Std()) {
		// Planned anew, behind the others' plans, or they would meet again.
		planned, err := plan(ctx, tx, in.Recipient, in.Reservation, in.Limit, now)
		if err != nil {
			return nil, err
		}
		at = latest(planned, soon(at, now, in.Period.Std()))
	}
	later = wildout.Snooze(at.Sub(now), fmt.Errorf("%s has had %d mails within %s; the next may be sent at %s",
		in.Recipient, in.Limit.Limit, in.Period.Std(), at.Format(time.RFC3339)))
	// It also gives up its turn among all: it could not use it.
	return later, update(ctx, tx, in.Reservation, "send_at = $2, paced_at = NULL", schema.At(at))
}

// awaitTurn claims the mail, or puts it off if the window of all is full.
func (c *claim) awaitTurn(ctx context.Context, tx *schema.Tx, in SendInput) error {
	err := lockAll(ctx, tx)
	if err != nil {
		return err
	}
	if c.clock, err = readClock(ctx, tx); err != nil {
		return err
	}
	q, err := findQueue(ctx, tx, in.Reservation, in.Total)
	if err != nil {
		return err
	}
	if at := q.turn(c.now, in.Total.Period.Std()); at.After(c.now) {
		c.later = wildout.Snooze(at.Sub(c.now), fmt.Errorf("no more than %d mails may be sent within %s; the turn of this one is at %s",
			in.Total.Limit, in.Total.Period.Std(), at.Format(time.RFC3339)))
		return update(ctx, tx, in.Reservation, "paced_at = $2", schema.At(at))
	}
	return update(ctx, tx, in.Reservation, "send_at = $2, paced_at = $2, occupied_at = $3",
		schema.At(c.now), schema.At(c.at(attemptEnd(ctx)).Add(afterlife)))
}

// update changes a reservation; $2 and so on in set are the values.
func update(ctx context.Context, tx *schema.Tx, reservation, set string, values ...any) error {
	n, err := tx.Affected(ctx, "UPDATE email_reservations SET "+set+" WHERE idempotency_key = $1", append([]any{reservation}, values...)...)
	if err == nil && n == 0 {
		err = wildout.NonRetriable(fmt.Errorf("there is no reservation %q: pass the output of mail.reserve", reservation))
	}
	return err
}

func attemptEnd(ctx context.Context) time.Time {
	if deadline, ok := ctx.Deadline(); ok {
		return deadline
	}
	return time.Now().Add(longestAttempt)
}

// clock relates the database's clock to this machine's.
type clock struct {
	now   time.Time // by the database's clock
	asked time.Time // by this machine's clock, just before now was
}

func readClock(ctx context.Context, tx *schema.Tx) (c clock, err error) {
	c.asked = time.Now()
	c.now, err = tx.Now(ctx)
	return c, err
}

// at returns a moment of this machine's clock by the database's: not earlier
// than it was, and at most as much later as the question took.
func (c clock) at(t time.Time) time.Time { return c.now.Add(t.Sub(c.asked)) }

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
	out := SendOutput{MessageID: result.MessageID, SentAt: c.at(time.Now()).Add(clockGrain)}
	_ = s.db.Do(ctx, "log the mail", func(tx *schema.Tx) error {
		_, err := logSent(ctx, tx, RecordInput{in.Reservation, in.Recipient, in.Subject, out.MessageID, out.SentAt})
		return err
	})
	return out, nil
}

// noteFailure frees the place of a mail that was refused for good. Of any
// other failure it is not certain that nothing was delivered: it keeps its
// place, from now on (or a little later: a server may go on after an answer was
// no longer waited for). If the note fails, the claim holds, which is later.
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
		return update(ctx, tx, in.Reservation, "send_at = $2, paced_at = $2, occupied_at = $3", schema.At(now), schema.At(now.Add(afterlife)))
	})
}
