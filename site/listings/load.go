package listings

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

// Mailer sends a mail; *email.Mailer does.
type Mailer interface {
	Send(ctx context.Context, m email.Message) (email.Result, error)
}

// Service works on listings.
type Service struct {
	db     *schema.DB
	mailer Mailer
}

// NewService returns the service on that database and mail server.
func NewService(db *schema.DB, mailer Mailer) (*Service, error) {
	if db == nil || mailer == nil {
		return nil, errors.New("listings: a database and a mailer are needed")
	}
	return &Service{db, mailer}, nil
}

// Register adds the listing handlers.
func (s *Service) Register(reg *wildout.Registry) {
	wildout.Add(reg, "listings.load", s.Load)
	wildout.Add(reg, "listings.publish", s.Publish)
	wildout.Add(reg, "listings.notify-dashboard", s.NotifyDashboard)
	wildout.Add(reg, "listings.send-mail", s.SendMail)
	wildout.Add(reg, "listings.claim", s.Claim)
	wildout.Add(reg, "listings.confirm", s.Confirm)
	wildout.Add(reg, "listings.give-up", s.GiveUp)
}

// LoadInput is the input of listings.load.
type LoadInput struct {
	ID string `json:"id"`
}

// Listing is the output of listings.load.
type Listing struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Date is null when none is set.
	Date *time.Time `json:"date"`
	// DateText is Date for people, in UTC; empty when none is set.
	DateText string `json:"dateText"`
	// InFuture: Date is after the database's now.
	InFuture bool   `json:"inFuture"`
	Status   string `json:"status"`
	// Venue is null when none is set, or when it does not exist.
	Venue     *Venue   `json:"venue"`
	Team      []Member `json:"team"`
	CreatedBy string   `json:"createdBy"`
	// CreatorEmail is empty when the creator is not in users.
	CreatorEmail string `json:"creatorEmail"`
}

// Venue is where it takes place.
type Venue struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Location string `json:"location"`
}

// Member is one of the team.
type Member struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// Load returns the listing with its venue and team. It does not judge them. A
// listing that does not exist is an error to be retried: the event may be
// faster than the row.
func (s *Service) Load(ctx context.Context, in LoadInput) (out Listing, err error) {
	err = s.db.Do(ctx, "load listing "+in.ID, func(tx *schema.Tx) error {
		if out, err = loadRow(ctx, tx, in.ID); err != nil {
			return err
		}
		if out.Team, err = loadTeam(ctx, tx, in.ID); err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		out.InFuture = out.Date != nil && out.Date.After(now)
		return err
	})
	return out, err
}

func loadRow(ctx context.Context, tx *schema.Tx, id string) (Listing, error) {
	listing := Listing{ID: id}
	var date schema.Time
	var venueID, name, location, address sql.NullString
	err := tx.QueryRowContext(ctx, `
		SELECT e.title, e.date, e.status, e.created_by, v.id, v.name, v.location, u.email
		FROM events e LEFT JOIN venues v ON v.id = e.venue_id LEFT JOIN users u ON u.id = e.created_by
		WHERE e.id = $1`, id).
		Scan(&listing.Title, &date, &listing.Status, &listing.CreatedBy, &venueID, &name, &location, &address)
	if errors.Is(err, sql.ErrNoRows) {
		return listing, errors.New("there is no such row in events; was the event sent before the row was committed?")
	}
	if err != nil {
		return listing, err
	}
	listing.Date, listing.CreatorEmail = date.Pointer(), address.String
	if listing.Date != nil {
		listing.DateText = listing.Date.Format("Monday, 2 January 2006, 15:04 MST")
	}
	if venueID.Valid {
		listing.Venue = &Venue{venueID.String, name.String, location.String}
	}
	return listing, nil
}

func loadTeam(ctx context.Context, tx *schema.Tx, id string) ([]Member, error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT m.name, m.email FROM team_members m JOIN event_team_members t ON t.team_member_id = m.id
		WHERE t.event_id = $1 ORDER BY m.name, m.id`, id)
	if err != nil {
		return nil, fmt.Errorf("load the team: %w", err)
	}
	defer rows.Close()
	team := []Member{}
	for rows.Next() {
		var m Member
		if err := rows.Scan(&m.Name, &m.Email); err != nil {
			return nil, err
		}
		team = append(team, m)
	}
	return team, rows.Err()
}
