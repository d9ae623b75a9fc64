package mailsink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// idleLimit ends a connection that says nothing; the servers on the internet
// wait five minutes too.
const idleLimit = 5 * time.Minute

// Sink is the server. Its methods may be called from several goroutines.
type Sink struct {
	opts     Options
	listener net.Listener
	server   *smtp.Server

	mu       sync.Mutex
	messages []Message
	conns    int
}

// New takes the address, so that Addr is known and senders wait, and serves
// nobody before Run. A Sink that is never run wants Close.
func New(opts Options) (*Sink, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("mail sink: %w", err)
	}
	opts = opts.withDefaults()
	listener, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("mail sink: %w", err)
	}
	s := &Sink{opts: opts, listener: listener}
	s.server = s.newServer()
	if opts.ImplicitTLS {
		s.listener = tls.NewListener(listener, opts.TLS)
	}
	return s, nil
}

func (s *Sink) newServer() *smtp.Server {
	server := smtp.NewServer(smtp.BackendFunc(s.newSession))
	server.Domain = "mailsink.localhost"
	server.MaxMessageBytes = s.opts.MaxBytes
	server.MaxRecipients = 1000
	server.ReadTimeout = idleLimit
	server.WriteTimeout = idleLimit
	server.EnableSMTPUTF8 = true
	// Loopback: AUTH without TLS shows the password to nobody else.
	server.AllowInsecureAuth = true
	server.ErrorLog = slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug)
	if !s.opts.ImplicitTLS {
		server.TLSConfig = s.opts.TLS
	}
	return server
}

// Run serves until ctx ends, then closes every connection and returns nil. A
// Sink runs once.
func (s *Sink) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	err := s.server.Serve(s.listener)
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mail sink on %s: %w", s.Addr(), err)
	}
	return nil
}

// Close stops the server and frees the address. What it was sent can still be
// read. Closing twice does nothing.
func (s *Sink) Close() error {
	// The server knows the listener only once Run began.
	err := errors.Join(s.server.Close(), s.listener.Close())
	if errors.Is(err, smtp.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Addr is the host:port that the sink listens on.
func (s *Sink) Addr() string { return s.listener.Addr().String() }

// Messages returns what was accepted, oldest first.
func (s *Sink) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Reset forgets all messages.
func (s *Sink) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = nil
}

// Connections is how many connections were opened since New: it shows whether
// a sender reuses its own.
func (s *Sink) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

func (s *Sink) keep(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	if extra := len(s.messages) - s.opts.MaxMessages; extra > 0 {
		// A copy, or the array would keep the dropped messages alive.
		s.messages = append([]Message(nil), s.messages[extra:]...)
	}
}
