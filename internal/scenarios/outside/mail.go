// Package outside is what a site has around wildout, as tests need it: a mail
// server that can be closed and refuses some, and a receiver of webhooks. It
// must not know who uses them: tests in their own process, or a program that
// serves them in a cluster (hack/e2e/services).
package outside

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"

	"github.com/wildout/wildout/internal/mailsink"
)

// MailServer is an SMTP server that keeps what it took when it is closed and
// opened again. It is safe for use by many goroutines.
type MailServer struct {
	addr     string
	refusals refusals

	mu    sync.Mutex
	open  *mailsink.Sink // nil: closed
	taken []mailsink.Message
}

// NewMailServer makes a server for an address, host:port. It is closed.
func NewMailServer(addr string) *MailServer {
	return &MailServer{addr: addr, refusals: refusals{offers: map[string]int{}}}
}

// Open listens. A server that is open stays so.
func (m *MailServer) Open() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open != nil {
		return nil
	}
	sink, err := mailsink.New(mailsink.Options{Addr: m.addr, MaxMessages: 1, OnRcpt: m.refusals.judge, OnData: m.keep})
	if err != nil {
		return fmt.Errorf("open the mail server: %w", err)
	}
	m.open = sink
	go func() { _ = sink.Run(context.Background()) }() // until Close
	return nil
}

// Close cuts all connections and listens no more.
func (m *MailServer) Close() error {
	m.mu.Lock()
	sink := m.open
	m.open = nil
	m.mu.Unlock()
	if sink == nil {
		return nil
	}
	return sink.Close()
}

func (m *MailServer) keep(message mailsink.Message) error {
	message.Raw = nil
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken = append(m.taken, message)
	return nil
}

// Messages returns what was taken, oldest first, without the first n and
// without Raw.
func (m *MailServer) Messages(n int) []mailsink.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]mailsink.Message{}, m.taken[min(max(n, 0), len(m.taken)):]...)
}

// Offers returns how often each recipient was offered.
func (m *MailServer) Offers() map[string]int { return m.refusals.counts() }

// refusals refuse recipients by name: gone… for good, busy… the first time.
type refusals struct {
	mu     sync.Mutex
	offers map[string]int
}

func (r *refusals) judge(to string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offers[to]++
	switch {
	case strings.HasPrefix(to, "gone"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	case strings.HasPrefix(to, "busy") && r.offers[to] == 1:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again later"}
	}
	return nil
}

func (r *refusals) counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.offers)
}
