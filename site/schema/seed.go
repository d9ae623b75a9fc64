package schema

import (
	"context"
	"fmt"
	"time"
)

// Seed adds the sample site of `wildout dev`: users, venues, team members and
// draft listings. Rows that exist are left as they are.
func (db *DB) Seed(ctx context.Context) error {
	return db.Do(ctx, "add the sample rows", func(tx *Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		for _, row := range sampleRows(now) {
			if _, err := tx.ExecContext(ctx, row.insert+" ON CONFLICT DO NOTHING", row.values...); err != nil {
				return fmt.Errorf("%s: %w", row.insert, err)
			}
		}
		return nil
	})
}

type sampleRow struct {
	insert string
	values []any
}

func sampleRows(now time.Time) []sampleRow {
	const (
		user    = "INSERT INTO users (id, email, created_at) VALUES ($1, $2, $3)"
		venue   = "INSERT INTO venues (id, name, location) VALUES ($1, $2, $3)"
		member  = "INSERT INTO team_members (id, name, email) VALUES ($1, $2, $3)"
		listing = "INSERT INTO events (id, title, date, venue_id, status, created_by) VALUES ($1, $2, $3, $4, 'draft', $5)"
		team    = "INSERT INTO event_team_members (event_id, team_member_id) VALUES ($1, $2)"
	)
	days := func(n int) Time { return At(now.AddDate(0, 0, n).Truncate(time.Hour)) }
	return []sampleRow{
		{user, []any{"user-ada", "ada@wildout.example", At(now)}},
		{user, []any{"user-bela", "bela@wildout.example", At(now)}},
		{user, []any{"user-chidi", "chidi@wildout.example", At(now)}},
		{venue, []any{"venue-harbour", "Harbour Hall", "Pier 4"}},
		{venue, []any{"venue-garden", "The Walled Garden", "12 Orchard Lane"}},
		{member, []any{"team-dora", "Dora", "dora@wildout.example"}},
		{member, []any{"team-emre", "Emre", "emre@wildout.example"}},
		{listing, []any{"event-lanterns", "Night of Lanterns", days(21), "venue-garden", "user-ada"}},
		{listing, []any{"event-brass", "Brass on the Pier", days(45), "venue-harbour", "user-bela"}},
		{listing, []any{"event-past", "Last Year's Ball", days(-365), "venue-harbour", "user-ada"}},
		{listing, []any{"event-homeless", "A Party without a Venue", days(30), nil, "user-chidi"}},
		{team, []any{"event-lanterns", "team-dora"}},
		{team, []any{"event-brass", "team-dora"}},
		{team, []any{"event-brass", "team-emre"}},
		{team, []any{"event-past", "team-emre"}},
		{team, []any{"event-homeless", "team-emre"}},
	}
}
