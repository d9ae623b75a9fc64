// Package domain puts the handlers of the nine functions together: one call
// registers them all. It lives in the folder site, which has all that belongs to
// the one site whose functions these are; import it as
//
//	import domain "github.com/wildout/wildout/site"
//
// It must not know where its dependencies come from: a runner and `wildout
// dev` hand in their own.
package domain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/handlers/email"
	"github.com/wildout/wildout/site/audit"
	"github.com/wildout/wildout/site/listings"
	"github.com/wildout/wildout/site/mail"
	"github.com/wildout/wildout/site/maintenance"
	"github.com/wildout/wildout/site/schema"
	"github.com/wildout/wildout/site/security"
	"github.com/wildout/wildout/site/users"
)

// Mailer sends mails and says whether it could; *email.Mailer does.
type Mailer interface {
	Send(ctx context.Context, m email.Message) (email.Result, error)
	Check(ctx context.Context) error
}

// Deps are what the handlers need. All but Checks and Backlog are required.
type Deps struct {
	DB     *schema.DB
	Mailer Mailer
	// Fallback keeps audit entries while the database does not answer.
	Fallback audit.Fallback
	// Checks are asked by the health check besides database and smtp: redis.
	Checks map[string]maintenance.Checker
	// Backlog returns the number of events that wait; nil: it is not checked.
	Backlog func(ctx context.Context) (int64, error)
	Logger  *slog.Logger
	// Stderr gets a JSON line for each audit entry that goes to the fallback.
	Stderr io.Writer
}

// Services are what the handlers do beside the runs.
type Services struct{ audit *audit.Service }

// Run drains the audit fallback until ctx is over. It returns nil.
func (s *Services) Run(ctx context.Context) error { return s.audit.Run(ctx) }

// Register adds the domain's handlers to reg and starts nothing: the runner
// also calls Run. The mails use the templates of mail/templates; the Mailer
// must have been given them.
func Register(reg *wildout.Registry, deps Deps) (*Services, error) {
	if deps.DB == nil || deps.Mailer == nil {
		return nil, errors.New("the handlers of the site need a database and an SMTP server: set both URLs")
	}
	auditLog, err := audit.NewService(audit.Options{DB: deps.DB, Fallback: deps.Fallback, Stderr: deps.Stderr, Logger: deps.Logger})
	if err != nil {
		return nil, fmt.Errorf("set up the handlers of the site: %w", err)
	}
	checks := map[string]maintenance.Checker{"database": deps.DB, "smtp": deps.Mailer}
	maps.Copy(checks, deps.Checks)
	alerts, err1 := security.NewService(deps.DB)
	people, err2 := users.NewService(deps.DB)
	parties, err3 := listings.NewService(deps.DB, deps.Mailer)
	mails, err4 := mail.NewService(deps.DB, deps.Mailer)
	upkeep, err5 := maintenance.NewService(maintenance.Options{DB: deps.DB, Checks: checks, Backlog: deps.Backlog})
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, fmt.Errorf("set up the handlers of the site: %w", err)
	}
	for _, service := range []interface{ Register(*wildout.Registry) }{auditLog, alerts, people, parties, mails, upkeep} {
		service.Register(reg)
	}
	return &Services{audit: auditLog}, nil
}
