package mail

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/handlers/email"
	"github.com/wildout/wildout/site/schema"
)

// Mailer sends a mail; *email.Mailer does.
type Mailer interface {
	Send(ctx context.Context, m email.Message) (email.Result, error)
}

// Service sends mails within their recipients' limits.
type Service struct {
	db     *schema.DB
	mailer Mailer
}

// NewService returns the service on that database and mail server.
func NewService(db *schema.DB, mailer Mailer) (*Service, error) {
	if db == nil || mailer == nil {
		return nil, errors.New("mail: a database and a mailer are needed")
	}
	return &Service{db, mailer}, nil
}

// Register adds the mail handlers.
func (s *Service) Register(reg *wildout.Registry) {
	wildout.Add(reg, "mail.validate", Validate)
	wildout.Add(reg, "mail.reserve", s.Reserve)
	wildout.Add(reg, "mail.send", s.Send)
	wildout.Add(reg, "mail.record", s.Record)
	wildout.Add(reg, "mail.collect-metrics", s.CollectMetrics)
}

// ValidateInput is the input of mail.validate.
type ValidateInput struct {
	Recipients email.Addresses `json:"recipients"`
	Subject    string          `json:"subject"`
	Body       string          `json:"body"`
}

// ValidateOutput is the output of mail.validate.
type ValidateOutput struct {
	// Recipients are the addresses, each once.
	Recipients []string `json:"recipients"`
}

// Validate checks a mail before anything is done for it. All faults are in
// the error, which is not retriable.
func Validate(_ context.Context, in ValidateInput) (ValidateOutput, error) {
	var faults []error
	if strings.TrimSpace(in.Subject) == "" {
		faults = append(faults, errors.New("subject is empty"))
	}
	if strings.TrimSpace(in.Body) == "" {
		faults = append(faults, errors.New("body is empty"))
	}
	if len(in.Recipients) == 0 {
		faults = append(faults, errors.New("there is no recipient"))
	}
	out, seen := ValidateOutput{Recipients: []string{}}, map[string]bool{}
	for i, text := range in.Recipients {
		address, err := mail.ParseAddress(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("recipient %d, %q, is not a mail address: %w", i+1, text, err))
			continue
		}
		if same := mailbox(address.Address); !seen[same] {
			seen[same] = true
			out.Recipients = append(out.Recipients, address.Address)
		}
	}
	if len(faults) > 0 {
		return ValidateOutput{}, wildout.NonRetriable(fmt.Errorf("the mail is not valid: %w", errors.Join(faults...)))
	}
	return out, nil
}

// mailbox names the mailbox of an address: spelled otherwise it is the same
// one, with the same limit.
func mailbox(address string) string { return strings.ToLower(strings.TrimSpace(address)) }

// RecordInput is the input of mail.record.
type RecordInput struct {
	Reservation string    `json:"reservation"`
	Recipient   string    `json:"recipient"`
	Subject     string    `json:"subject"`
	MessageID   string    `json:"messageId"`
	SentAt      time.Time `json:"sentAt"`
}

// RecordOutput is the output of mail.record.
type RecordOutput struct {
	// Logged is false when mail.send had written the mail log itself.
	Logged bool `json:"logged"`
}
