package mail

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/input"
	"github.com/wildout/wildout/site/schema"
)

// How a recipient's limit is kept. Every mail has a row in email_reservations.
//
//   - Reserve plans: it gives each mail the first moment at which the window
//     has room, so that the run can sleep until then. Retries make plans late,
//     so a plan alone proves nothing.
//   - Send claims, right before the mail goes out: under the recipient's lock
//     it counts the mails that may have been delivered within the period. A
//     mail under way counts as delivered when its attempt will have ended
//     (a crash may hide that it was), one that was sent when the server had
//     confirmed it. So the limit holds for what the recipient gets, in every
//     window, whatever SMTP takes.
//
// All times are the database's, the one clock that all runners share. The
// limit of all mails together is in pace.go.

// Limit is how many mails there may be within a period, in every window.
type Limit struct {
	Limit  int            `json:"limit"`
	Period input.Duration `json:"period"`
}

func (l Limit) validate() error {
	if l.Limit < 1 || l.Period <= 0 {
		return wildout.NonRetriable(fmt.Errorf("limit is %d in %s, both must be above 0", l.Limit, l.Period.Std()))
	}
	return nil
}

// ReserveInput is the input of mail.reserve.
type ReserveInput struct {
	Recipient string `json:"recipient"`
	Limit
}

// ReserveOutput is the output of mail.reserve.
type ReserveOutput struct {
	// Reservation names the row for mail.send.
	Reservation string `json:"reservation"`
	// SendAt is when the recipient's window will have room: now, or later.
	SendAt time.Time `json:"sendAt"`
}

// Reserve plans a mail within the recipient's limit. Once per step: a second
// attempt gets the reservation of the first.
func (s *Service) Reserve(ctx context.Context, in ReserveInput) (ReserveOutput, error) {
	out := ReserveOutput{Reservation: wildout.Info(ctx).IdempotencyKey}
	if err := in.validate(); err != nil {
		return out, err
	}
	err := s.db.Do(ctx, "reserve a mail to "+in.Recipient, func(tx *schema.Tx) error {
		if err := lockRecipient(ctx, tx, in.Recipient); err != nil {
			return err
		}
		var planned schema.Time
		err := tx.QueryRowContext(ctx, "SELECT send_at FROM email_reservations WHERE idempotency_key = $1", out.Reservation).Scan(&planned)
		out.SendAt = planned.Time
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if out.SendAt, err = plan(ctx, tx, in.Recipient, out.Reservation, in.Limit, now); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO email_reservations (idempotency_key, recipient, send_at) VALUES ($1, $2, $3)",
			out.Reservation, mailbox(in.Recipient), schema.At(out.SendAt))
		return err
	})
	return out, err
}

func lockRecipient(ctx context.Context, tx *schema.Tx, recipient string) error {
	return tx.Lock(ctx, "recipient:"+mailbox(recipient))
}

// plan returns the first moment from now on that has fewer than limit other
// mails, planned or tried, in the period before it.
func plan(ctx context.Context, tx *schema.Tx, recipient, reservation string, l Limit, now time.Time) (time.Time, error) {
	return freeFrom(ctx, tx, "send_at", recipient, reservation, l, now)
}

// free returns the first moment from now on that has fewer than limit other
// mails that may have been delivered in the period before it.
func free(ctx context.Context, tx *schema.Tx, recipient, reservation string, l Limit, now time.Time) (time.Time, error) {
	return freeFrom(ctx, tx, "occupied_at", recipient, reservation, l, now)
}

// freeFrom: of the other mails at the times in that column, the limit-th
// latest must be a period ago.
func freeFrom(ctx context.Context, tx *schema.Tx, column, recipient, reservation string, l Limit, now time.Time) (time.Time, error) {
	row := tx.QueryRowContext(ctx, `SELECT `+column+` FROM email_reservations
		WHERE recipient = $1 AND idempotency_key <> $2 AND `+column+` IS NOT NULL
		ORDER BY `+column+` DESC LIMIT 1 OFFSET $3`, mailbox(recipient), reservation, l.Limit-1)
	var at schema.Time
	if err := row.Scan(&at); errors.Is(err, sql.ErrNoRows) {
		return now, nil
	} else if err != nil {
		return now, fmt.Errorf("look at the mails of %s: %w", recipient, err)
	}
	if free := at.Add(l.Period.Std()); free.After(now) {
		return free, nil
	}
	return now, nil
}
