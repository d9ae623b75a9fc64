package mail

import (
	"context"
	"fmt"
	"time"

	"github.com/wildout/wildout/site/schema"
)

// How the limit of all mails together is kept. Like a recipient's it counts,
// under a lock of its own, what may have been delivered within the period. A
// mail that finds no room gets a turn of its own and sleeps until then; one
// that comes meanwhile queues behind those turns. Only a mail that could go
// otherwise queues: one that waits an hour for its recipient holds up nobody.
//
// The lock is held from the count to the commit, by every mail: it is the last
// one taken (so that two mails cannot wait for each other), and nothing slow
// happens under it.
//
// paced_at is what turns are planned by: the turn of a mail that waits, the
// moment of the last attempt of one that had it. occupied_at is what may be
// true at worst; planning by that would wait for time-outs that nearly no mail
// needs.

// queue is what a mail sees of all the others.
type queue struct {
	own       time.Time // its turn, or its last attempt; zero: it has none
	delivered time.Time // the limit-th latest moment at which one may have been delivered; zero: there are fewer
	planned   time.Time // the limit-th latest of turns and attempts; zero: there are fewer
}

func lockAll(ctx context.Context, tx *schema.Tx) error { return tx.Lock(ctx, "all mails") }

func findQueue(ctx context.Context, tx *schema.Tx, reservation string, l Limit) (queue, error) {
	var own, delivered, planned schema.Time
	err := tx.QueryRowContext(ctx, `SELECT
		(SELECT paced_at FROM email_reservations WHERE idempotency_key = $1),
		(SELECT occupied_at FROM email_reservations WHERE idempotency_key <> $1 AND occupied_at IS NOT NULL
			ORDER BY occupied_at DESC LIMIT 1 OFFSET $2),
		(SELECT paced_at FROM email_reservations WHERE idempotency_key <> $1 AND paced_at IS NOT NULL
			ORDER BY paced_at DESC LIMIT 1 OFFSET $2)`,
		reservation, l.Limit-1).Scan(&own, &delivered, &planned)
	if err != nil {
		return queue{}, fmt.Errorf("look at the mails of the last %s: %w", l.Period.Std(), err)
	}
	return queue{own.Time, delivered.Time, planned.Time}, nil
}

// turn returns when the mail may go: now, or later.
func (q queue) turn(now time.Time, period time.Duration) time.Time {
	if q.own.After(now) {
		return q.own // it came early
	}
	room := latest(now, q.delivered.Add(period))
	if !q.own.IsZero() && room.Sub(now) <= slack(period) {
		return room // its turn has come: it does not queue again
	}
	return latest(soon(room, now, period), q.planned.Add(period))
}

// soon bounds a wait for room. At worst there is room after the time-outs of
// the mails under way, but those end sooner: look again a period later.
func soon(room, now time.Time, period time.Duration) time.Time {
	if again := now.Add(period); room.After(again) {
		return again
	}
	return room
}

// slack is how much later than planned a mail may go without planning anew.
// Plans are a little early, by the time that SMTP takes, and whoever plans anew
// is last.
func slack(period time.Duration) time.Duration { return min(period/20, 3*time.Second) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
