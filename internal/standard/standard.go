// Package standard is the set of handlers that the standard runner and
// `wildout dev` have: http, email, sql, log, and those of the site's nine
// functions. It wires them from settings and decides nothing else. What a
// setting is missing for is left out, and Missing says which setting that
// is: a function that only makes HTTP requests needs no database.
package standard

import (
	"cmp"
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/handlers/email"
	"github.com/wildout/wildout/runtime/handlers/http"
	"github.com/wildout/wildout/runtime/handlers/log"
	"github.com/wildout/wildout/runtime/handlers/sql"
	domain "github.com/wildout/wildout/site"
	"github.com/wildout/wildout/site/audit"
	"github.com/wildout/wildout/site/mail/templates"
	"github.com/wildout/wildout/site/maintenance"
	"github.com/wildout/wildout/site/schema"
)

// Options are what the handlers need. What is left out costs the handlers that
// need it.
type Options struct {
	// DatabaseURL is postgres:// or sqlite:.
	DatabaseURL string
	// SMTPURL is smtp:// or smtps://; From is who mails are from.
	SMTPURL, From string
	// AllowPrivate lets http.request reach private and loopback addresses;
	// AllowCIDRs lets it reach these.
	AllowPrivate bool
	AllowCIDRs   []netip.Prefix
	// SecretsDir has a file for each secret that signs requests, named as the
	// secret; each line is one key ("whsec_…").
	SecretsDir string
	// Fallback keeps audit entries while the database does not answer. It is
	// required with a DatabaseURL and an SMTPURL.
	Fallback audit.Fallback
	// CheckRedis and Backlog are asked by the health check; nil: left out.
	CheckRedis func(ctx context.Context) error
	Backlog    func(ctx context.Context) (int64, error)
	// Logger gets the lines of log.write and of the handlers themselves, and
	// Stderr the audit entries that could not be stored. The defaults are
	// slog.Default() and the standard error.
	Logger *slog.Logger
	Stderr io.Writer
}

// Set is the handlers with what they hold open.
type Set struct {
	Registry *wildout.Registry
	// DB is nil when there is no DatabaseURL.
	DB *sql.DB

	options  Options
	mailer   *email.Mailer
	client   *http.Client
	services *domain.Services
}

// New makes the handlers. A server that is down is no error: the steps that
// need it fail and are retried.
func New(ctx context.Context, o Options) (_ *Set, err error) {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	s := &Set{Registry: &wildout.Registry{}, options: o}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	for _, wire := range []func(context.Context) error{s.addBasics, s.addEmail, s.addSQL, s.addSite} {
		if err := wire(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Set) addBasics(context.Context) error {
	var err error
	if s.client, err = http.New(http.Options{AllowPrivate: s.options.AllowPrivate, AllowCIDRs: s.options.AllowCIDRs, Secrets: secretsIn(s.options.SecretsDir)}); err != nil {
		return err
	}
	http.Register(s.Registry, s.client)
	lines, err := log.New(log.Options{Logger: s.options.Logger})
	if err != nil {
		return err
	}
	log.Register(s.Registry, lines)
	return nil
}

func (s *Set) addEmail(context.Context) error {
	if s.options.SMTPURL == "" {
		return nil
	}
	var err error
	if s.mailer, err = email.New(email.Options{URL: s.options.SMTPURL, From: s.options.From, Templates: templates.FS}); err != nil {
		return err
	}
	email.Register(s.Registry, s.mailer)
	return nil
}

func (s *Set) addSQL(ctx context.Context) error {
	if s.options.DatabaseURL == "" {
		return nil
	}
	var err error
	if s.DB, err = sql.Open(ctx, s.options.DatabaseURL, sql.Options{}); err != nil {
		return err
	}
	sql.Register(s.Registry, s.DB)
	return nil
}

// addSite adds the handlers of the nine functions.
func (s *Set) addSite(context.Context) error {
	if s.DB == nil || s.mailer == nil {
		return nil
	}
	db, err := s.Site()
	if err != nil {
		return err
	}
	deps := domain.Deps{DB: db, Mailer: s.mailer, Fallback: s.options.Fallback, Backlog: s.options.Backlog, Logger: s.options.Logger, Stderr: s.options.Stderr}
	if check := s.options.CheckRedis; check != nil {
		deps.Checks = map[string]maintenance.Checker{"redis": maintenance.CheckFunc(check)}
	}
	s.services, err = domain.Register(s.Registry, deps)
	return err
}

// Site is the database as the site's tables, for migrations and sample rows.
func (s *Set) Site() (*schema.DB, error) {
	if s.DB == nil {
		return nil, errors.New("there is no database")
	}
	return schema.NewDB(s.DB.DB, schema.Dialect(s.DB.Dialect), sql.Classify)
}

// Run does what the handlers do beside the runs, until ctx ends.
func (s *Set) Run(ctx context.Context) error {
	if s.services == nil {
		<-ctx.Done()
		return nil
	}
	return s.services.Run(ctx)
}

// Close closes the connections.
func (s *Set) Close() {
	if s.client != nil {
		s.client.Close()
	}
	if s.mailer != nil {
		s.mailer.Close()
	}
	if s.DB != nil {
		_ = s.DB.Close() // nothing is under way
	}
}

// Missing says which settings the handler of that name lacks, "" when it is
// not for a setting that it is missing.
func (s *Set) Missing(handler string) string {
	group, _, _ := strings.Cut(handler, ".")
	needs := map[string][2]bool{ // database, SMTP
		"sql": {true, false}, "email": {false, true},
		"audit": {true, true}, "security": {true, true}, "users": {true, true},
		"listings": {true, true}, "mail": {true, true}, "maintenance": {true, true},
	}[group]
	var missing []string
	if needs[0] && s.DB == nil {
		missing = append(missing, "a database (WILDOUT_DATABASE_URL)")
	}
	if needs[1] && s.mailer == nil {
		missing = append(missing, "an SMTP server (WILDOUT_SMTP_URL)")
	}
	return strings.Join(missing, " and ")
}

// Migrate brings the site's tables in the database of that URL up to date.
func Migrate(ctx context.Context, databaseURL string) error {
	db, err := sql.Open(ctx, databaseURL, sql.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	return MigrateDB(ctx, db.DB, db.Dialect)
}

// MigrateDB is Migrate for a pool that is open.
func MigrateDB(ctx context.Context, db *stdsql.DB, dialect sql.Dialect) error {
	if err := schema.Migrate(ctx, db, schema.Dialect(dialect)); err != nil {
		return fmt.Errorf("bring the tables up to date: %w", sql.Classify(err))
	}
	return nil
}
