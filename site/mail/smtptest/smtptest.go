// Package smtptest is an SMTP server that keeps what it gets, and refuses what
// a test wants refused. Only for tests.
package smtptest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/wildout/wildout/runtime/handlers/email"
	"github.com/wildout/wildout/site/mail/templates"
)

// Mail is a mail that the server took.
type Mail struct {
	To      string
	Subject string
	// Body is everything after the header, as it was on the wire.
	Body string
	At   time.Time
}

// Server is a running server.
type Server struct {
	URL string

	mu     sync.Mutex
	mails  []Mail
	refuse *smtp.SMTPError
	tries  int
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{URL: "smtp://" + listener.Addr().String() + "?starttls=off"}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	server.Domain = "localhost"
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		_ = listener.Close() // Serve may not have got to know it yet
		if err := <-done; err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("SMTP server: %v", err)
		}
	})
	return s
}

// Mailer returns a mailer of the site's templates that sends to the server.
func (s *Server) Mailer(t testing.TB) *email.Mailer {
	t.Helper()
	mailer, err := email.New(email.Options{URL: s.URL, From: "Wildout <site@wildout.example>", Templates: templates.FS})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mailer.Close)
	return mailer
}

// Refuse answers every recipient with that code, until code is 0.
func (s *Server) Refuse(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = nil
	if code != 0 {
		s.refuse = &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: "refused by the test"}
	}
}

// Mails returns what the server took.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Tries returns how many recipients were offered, refused ones included.
func (s *Server) Tries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

type session struct {
	server *Server
	to     []string
}

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Reset()                               { s.to = nil }
func (s *session) Logout() error                        { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.tries++
	if s.server.refuse != nil {
		return s.server.refuse
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	body, err := io.ReadAll(message.Body)
	if err != nil {
		return err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, Mail{
		To: strings.Join(s.to, ","), Subject: message.Header.Get("Subject"), Body: string(body), At: time.Now(),
	})
	return nil
}
