package mailsink

import (
	"crypto/subtle"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// session is one connection.
type session struct {
	sink   *Sink
	authed bool
	from   string
	to     []string
}

func (s *Sink) newSession(*smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	if s.opts.OnConnect != nil {
		if err := s.opts.OnConnect(); err != nil {
			return nil, err
		}
	}
	return &session{sink: s, authed: s.opts.Username == ""}, nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if !s.authed {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	if hook := s.sink.opts.OnMail; hook != nil {
		if err := hook(from); err != nil {
			return err
		}
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if hook := s.sink.opts.OnRcpt; hook != nil {
		if err := hook(to); err != nil {
			return err
		}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err // too large, or the connection broke: the server knows the answer
	}
	m := parse(raw)
	m.From, m.To, m.Received = s.from, s.to, time.Now()
	if hook := s.sink.opts.OnData; hook != nil {
		if err := hook(m); err != nil {
			return err
		}
	}
	s.sink.keep(m)
	return nil
}

func (s *session) Reset() { s.from, s.to = "", nil }

func (s *session) Logout() error { return nil }

// AuthMechanisms implements smtp.AuthSession.
func (s *session) AuthMechanisms() []string {
	if s.sink.opts.Username == "" {
		return nil
	}
	return s.sink.opts.Mechanisms
}

// Auth implements smtp.AuthSession.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	if !slices.Contains(s.AuthMechanisms(), mechanism) {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, username, password string) error {
			return s.check(username, password)
		}), nil
	case sasl.Login:
		return &loginServer{check: s.check}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (s *session) check(username, password string) error {
	user := subtle.ConstantTimeCompare([]byte(username), []byte(s.sink.opts.Username))
	pass := subtle.ConstantTimeCompare([]byte(password), []byte(s.sink.opts.Password))
	if user&pass != 1 {
		return smtp.ErrAuthFailed
	}
	s.authed = true
	return nil
}

// loginServer is AUTH LOGIN, which go-sasl has only as a client: the server
// asks for the name, then for the password.
type loginServer struct {
	check    func(username, password string) error
	asked    int
	username string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.asked++
	switch l.asked {
	case 1:
		if response == nil {
			return []byte("Username:"), false, nil
		}
		l.asked++ // the name came with the command
		fallthrough
	case 2:
		l.username = string(response)
		return []byte("Password:"), false, nil
	case 3:
		return nil, true, l.check(l.username, string(response))
	}
	return nil, false, errors.New("AUTH LOGIN has ended")
}
