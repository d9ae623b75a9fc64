package listings

import (
	"context"
	"errors"
	"fmt"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/handlers/email"
	"github.com/wildout/wildout/site/schema"
)

// The statuses of a notification.
const (
	statusClaimed = "claimed" // a run is about to send it
	statusSent    = "sent"
	statusUnread  = "unread" // on the dashboard
	statusFailed  = "failed" // given up by its run: another may claim it
)

// notification is a row of notifications.
type notification struct {
	// key is the listing and the purpose: one notification of a kind per listing.
	key, channel, recipient, subject, body, status string
}

func key(listingID, purpose string) string { return "listing:" + listingID + ":" + purpose }

// claim makes the notification the business of this run, and reports whether
// it is and in what status. The claim is held by the run, not by an attempt:
// after a crash the same run goes on where it was. Another run takes over only
// what was given up.
func (s *Service) claim(ctx context.Context, n notification) (mine bool, status string, err error) {
	run := wildout.Info(ctx).RunID
	if run == "" {
		return false, "", wildout.NonRetriable(errors.New("a notification is claimed by a run, and there is none"))
	}
	err = s.db.Do(ctx, "claim notification "+n.key, func(tx *schema.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		id, err := schema.NewID()
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO notifications (id, idempotency_key, channel, recipient, subject, body, status, claimed_by, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (idempotency_key) DO UPDATE SET claimed_by = excluded.claimed_by, status = excluded.status
			WHERE notifications.status = 'failed'`,
			id, n.key, n.channel, n.recipient, n.subject, n.body, n.status, run, schema.At(now))
		if err != nil {
			return err
		}
		var owner string
		err = tx.QueryRowContext(ctx, "SELECT claimed_by, status FROM notifications WHERE idempotency_key = $1", n.key).
			Scan(&owner, &status)
		mine = owner == run
		return err
	})
	return mine, status, err
}

// DashboardInput is the input of listings.notify-dashboard.
type DashboardInput struct {
	ListingID string `json:"listingId"`
	Subject   string `json:"subject"`
	Body      string `json:"body"`
}

// NotifyOutput is the output of the handlers that notify.
type NotifyOutput struct {
	// Mine: this run notified, or is to do so. False: another run does.
	Mine bool `json:"mine"`
	// MessageID is that of the mail, if one was sent now.
	MessageID string `json:"messageId,omitempty"`
}

// NotifyDashboard puts one unread notification per listing on the dashboard.
func (s *Service) NotifyDashboard(ctx context.Context, in DashboardInput) (NotifyOutput, error) {
	mine, _, err := s.claim(ctx, notification{
		key: key(in.ListingID, "dashboard"), channel: "dashboard", subject: in.Subject, body: in.Body, status: statusUnread,
	})
	return NotifyOutput{Mine: mine}, err
}

// MailInput is the input of listings.send-mail.
type MailInput struct {
	ListingID string `json:"listingId"`
	// Purpose tells the mails of a listing apart, such as admin or creator.
	Purpose  string     `json:"purpose"`
	To       string     `json:"to"`
	Template string     `json:"template"`
	Vars     email.Vars `json:"vars"`
}

// SendMail sends one mail per listing and purpose: by the run that claimed it.
func (s *Service) SendMail(ctx context.Context, in MailInput) (NotifyOutput, error) {
	n := notification{
		key: key(in.ListingID, in.Purpose), channel: "email", recipient: in.To,
		subject: in.Template, status: statusClaimed,
	}
	mine, status, err := s.claim(ctx, n)
	if err != nil || !mine || status == statusSent {
		return NotifyOutput{Mine: mine}, err
	}
	sent, err := s.mailer.Send(ctx, email.Message{To: email.Addresses{in.To}, Template: in.Template, Vars: in.Vars})
	if err != nil {
		return NotifyOutput{}, fmt.Errorf("mail %s of listing %s: %w", in.Purpose, in.ListingID, err)
	}
	// The mail is out. If this fails, failing the step would send it again.
	_ = s.markSent(ctx, n.key)
	return NotifyOutput{Mine: true, MessageID: sent.MessageID}, nil
}

// GiveUpOutput is the output of listings.give-up.
type GiveUpOutput struct {
	GivenUp int64 `json:"givenUp"`
}

// GiveUp frees what this run claimed and did not send: for a run that failed,
// so that another run for the same listing may send it.
func (s *Service) GiveUp(ctx context.Context, _ struct{}) (out GiveUpOutput, err error) {
	err = s.db.Do(ctx, "give up unsent notifications", func(tx *schema.Tx) error {
		out.GivenUp, err = tx.Affected(ctx, "UPDATE notifications SET status = $1 WHERE claimed_by = $2 AND status = $3",
			statusFailed, wildout.Info(ctx).RunID, statusClaimed)
		return err
	})
	return out, err
}

// ClaimInput is the input of listings.claim.
type ClaimInput struct {
	ListingID string `json:"listingId"`
	Purpose   string `json:"purpose"`
	Channel   string `json:"channel"`
	Recipient string `json:"recipient"`
}

// Claim makes a notification that another step sends the business of this run.
func (s *Service) Claim(ctx context.Context, in ClaimInput) (NotifyOutput, error) {
	mine, _, err := s.claim(ctx, notification{
		key: key(in.ListingID, in.Purpose), channel: in.Channel, recipient: in.Recipient, status: statusClaimed,
	})
	return NotifyOutput{Mine: mine}, err
}

// ConfirmInput is the input of listings.confirm.
type ConfirmInput struct {
	ListingID string `json:"listingId"`
	Purpose   string `json:"purpose"`
}

// Confirm notes that a notification claimed by Claim is sent.
func (s *Service) Confirm(ctx context.Context, in ConfirmInput) (NotifyOutput, error) {
	return NotifyOutput{Mine: true}, s.markSent(ctx, key(in.ListingID, in.Purpose))
}

func (s *Service) markSent(ctx context.Context, key string) error {
	return s.db.Do(ctx, "note that notification "+key+" is sent", func(tx *schema.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE notifications SET status = $1 WHERE idempotency_key = $2", statusSent, key)
		return err
	})
}
