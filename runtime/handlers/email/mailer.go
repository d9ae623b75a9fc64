package email

import (
	"context"
	"fmt"

	wildout "github.com/wildout/wildout/runtime"
)

// Mailer sends mails to one server over a few connections that it keeps. Its
// methods may be called from several goroutines.
type Mailer struct {
	opts      Options
	server    server
	templates templates
	pool      *pool
}

// New reads the templates and connects to nothing: the server may be down
// when a runner starts.
func New(opts Options) (*Mailer, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("mailer: %w", err)
	}
	opts = opts.withDefaults()
	server, err := parseURL(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("mailer: %w", err)
	}
	set, err := loadTemplates(opts.Templates)
	if err != nil {
		return nil, fmt.Errorf("mailer: %w", err)
	}
	return &Mailer{opts: opts, server: server, templates: set, pool: newPool(opts)}, nil
}

// Send sends one mail and returns when the server has taken it. The
// idempotency key in ctx makes its Message-ID. Errors of the message itself
// and permanent refusals are marked NonRetriable.
func (m *Mailer) Send(ctx context.Context, msg Message) (Result, error) {
	c, err := m.templates.render(msg)
	if err != nil {
		return Result{}, wildout.NonRetriable(err)
	}
	e, err := build(msg, c, m.opts.From, wildout.Info(ctx).IdempotencyKey, m.opts.Now())
	if err != nil {
		return Result{}, wildout.NonRetriable(err)
	}
	connection, err := m.pool.acquire(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("wait for a connection to the SMTP server %s: %w", m.server.addr(), err)
	}
	connection, err = m.deliver(ctx, connection, e)
	m.pool.release(connection)
	if err != nil {
		return Result{}, err
	}
	return Result{MessageID: e.id, Accepted: e.recipients}, nil
}

// Check proves that an idle connection works, or logs in to the server and
// keeps the connection. It is a health check: its error says what to look at.
func (m *Mailer) Check(ctx context.Context) error {
	c, err := m.pool.acquire(ctx)
	if err != nil {
		return fmt.Errorf("wait for a connection to the SMTP server %s: %w", m.server.addr(), err)
	}
	if c != nil && c.noop(ctx) != nil {
		c.quit()
		c = nil
	}
	if c == nil {
		c, err = m.dial(ctx)
	}
	m.pool.release(c)
	return err
}

// Close ends the idle connections now and the others after their mail. Sending
// fails from then on.
func (m *Mailer) Close() { m.pool.close() }

// deliver sends e over c, or over a new connection when c is nil or turns out
// to be stale. It returns the connection when it is fit for the next mail.
func (m *Mailer) deliver(ctx context.Context, c *conn, e *envelope) (*conn, error) {
	if c != nil {
		next, failure := m.try(ctx, c, e)
		if failure == nil {
			return next, nil
		}
		if !failure.stale() || ctx.Err() != nil {
			return next, failure.classify()
		}
	}
	c, err := m.dial(ctx)
	if err != nil {
		return nil, err
	}
	next, failure := m.try(ctx, c, e)
	if failure == nil {
		return next, nil
	}
	return next, failure.classify()
}

// try sends e over c. It returns c while it may send more, else closes it.
func (m *Mailer) try(ctx context.Context, c *conn, e *envelope) (*conn, *deliveryError) {
	at, recipient, err := c.send(ctx, e)
	var failure *deliveryError
	usable := c.sent < m.opts.MaxMessagesPerConn
	if err != nil {
		failure = &deliveryError{stage: at, server: m.server, sender: e.from, recipient: recipient, err: err}
		code := failure.reply()
		// An answer to one part of the mail leaves the connection as it was;
		// after its content the server waits for another mail anyway.
		usable = usable && code != 0 && code != 421 && (at == stageContent || c.reset(ctx) == nil)
	}
	if !usable {
		c.quit()
		return nil, failure
	}
	return c, failure
}
