package users

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/schema"
)

// Service reads and writes users.
type Service struct{ db *schema.DB }

// NewService returns the service on that database.
func NewService(db *schema.DB) (*Service, error) {
	if db == nil {
		return nil, errors.New("users: no database")
	}
	return &Service{db}, nil
}

// Register adds the user handlers.
func (s *Service) Register(reg *wildout.Registry) {
	wildout.Add(reg, "users.fetch", s.Fetch)
	wildout.Add(reg, "users.create-profile", s.CreateProfile)
	wildout.Add(reg, "users.mark-welcomed", s.MarkWelcomed)
	wildout.Add(reg, "users.record-activity", s.RecordActivity)
	wildout.Add(reg, "users.activity", s.Activity)
}

// FetchInput is the input of users.fetch.
type FetchInput struct {
	UserID string `json:"userId"`
	// Email is used while the site has no row of the user: the event of a
	// registration may be faster than its row. Left out, the user must exist.
	Email string `json:"email"`
}

// User is the output of users.fetch.
type User struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
	// Known: the site has a row of the user.
	Known bool `json:"known"`
}

// Fetch returns the user's present address.
func (s *Service) Fetch(ctx context.Context, in FetchInput) (User, error) {
	user := User{UserID: in.UserID, Email: in.Email}
	err := s.db.Do(ctx, "fetch user "+in.UserID, func(tx *schema.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT email FROM users WHERE id = $1", in.UserID).Scan(&user.Email)
		if errors.Is(err, sql.ErrNoRows) {
			if in.Email == "" {
				return errors.New("there is no such row in users; was the event sent before the row was committed?")
			}
			return nil
		}
		user.Known = err == nil
		return err
	})
	return user, err
}

// ProfileInput is the input of users.create-profile and users.mark-welcomed.
type ProfileInput struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
}

// ProfileOutput is the output of users.create-profile and users.mark-welcomed.
type ProfileOutput struct {
	// Changed is false when another attempt or function had done it.
	Changed bool `json:"changed"`
}

// CreateProfile makes the user's profile unless there is one.
func (s *Service) CreateProfile(ctx context.Context, in ProfileInput) (ProfileOutput, error) {
	return s.change(ctx, "create the profile of user "+in.UserID, in, func(tx *schema.Tx, now time.Time) (int64, error) {
		return tx.Affected(ctx, `INSERT INTO user_profiles (user_id, email, created_at) VALUES ($1, $2, $3)
			ON CONFLICT (user_id) DO NOTHING`, in.UserID, in.Email, schema.At(now))
	})
}

// MarkWelcomed notes in the profile that the welcome mail is out, and makes
// the profile if nothing else has yet. The first time stays.
func (s *Service) MarkWelcomed(ctx context.Context, in ProfileInput) (ProfileOutput, error) {
	return s.change(ctx, "update the profile of user "+in.UserID, in, func(tx *schema.Tx, now time.Time) (int64, error) {
		return tx.Affected(ctx, `
			INSERT INTO user_profiles (user_id, email, welcome_email_sent, welcome_email_sent_at, created_at)
			VALUES ($1, $2, true, $3, $4)
			ON CONFLICT (user_id) DO UPDATE
			SET welcome_email_sent = true, welcome_email_sent_at = excluded.welcome_email_sent_at
			WHERE NOT user_profiles.welcome_email_sent`,
			in.UserID, in.Email, schema.At(now), schema.At(now))
	})
}

func (s *Service) change(ctx context.Context, what string, in ProfileInput, fn func(*schema.Tx, time.Time) (int64, error)) (out ProfileOutput, err error) {
	if in.UserID == "" || in.Email == "" {
		return out, wildout.NonRetriable(fmt.Errorf("%s: userId and email are needed", what))
	}
	err = s.db.Do(ctx, what, func(tx *schema.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		n, err := fn(tx, now)
		out.Changed = n > 0
		return err
	})
	return out, err
}
