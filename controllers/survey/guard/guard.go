// Package guard stands between the operator and a Redis that somebody else has
// named. Whoever may write a Secret says where the operator connects to, and
// what answers there need be no Redis, or one that means harm: the operator
// connects only where it may, and reads no answer that would cost it more memory
// than it has for one. The package must not know what is asked.
package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Errors of connections that are guarded. Their words are fixed: nothing of what
// answers is in them.
var (
	ErrAddress  = errors.New("the address is none of those that the operator may connect to")
	ErrNotRedis = errors.New("what answers is no Redis")
	ErrTooMuch  = errors.New("the answer is larger than the operator reads")
	ErrCrowded  = errors.New("the operator reads too many large answers at the same time")
)

// Options say what is let through.
type Options struct {
	// Addresses are those that may be connected to; none: all.
	Addresses []netip.Prefix
	// Answer is what the answer to one request, or to one pipeline of them, may
	// cost in bytes of memory. Default: 8 MiB.
	Answer int64
	// Small is the part of each answer that is let through in any case, Pool
	// what all answers that are being read may cost together beyond that.
	// Defaults: 128 KiB, 128 MiB.
	Small, Pool int64
}

// Guard lets connections through.
type Guard struct {
	o Options

	mu   sync.Mutex
	left int64 // of the pool
}

// New returns a Guard.
func New(o Options) *Guard {
	if o.Answer == 0 {
		o.Answer = 8 << 20
	}
	if o.Small == 0 {
		o.Small = 128 << 10
	}
	if o.Pool == 0 {
		o.Pool = 128 << 20
	}
	return &Guard{o: o, left: o.Pool}
}

const (
	dialTimeout = 5 * time.Second
	keepAlive   = 5 * time.Minute
)

// Dial connects to a Redis, with TLS where there is a configuration of it. It is
// the address that counts that the name has at this moment, so that a name that
// changes gets around nothing.
func (g *Guard) Dial(ctx context.Context, network, address string, secure *tls.Config) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive, Control: g.control}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if secure != nil {
		if conn, err = handshake(ctx, conn, address, secure); err != nil {
			return nil, err
		}
	}
	return &guarded{Conn: conn, guard: g}, nil
}

// control is called with the address before anything is sent to it.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	if len(g.o.Addresses) == 0 {
		return nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrAddress
	}
	for _, prefix := range g.o.Addresses {
		if prefix.Contains(at.Addr().Unmap()) {
			return nil
		}
	}
	return ErrAddress
}

func handshake(ctx context.Context, conn net.Conn, address string, secure *tls.Config) (net.Conn, error) {
	secure = secure.Clone()
	if secure.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("take the host from an address: %w", err)
		}
		secure.ServerName = host
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	encrypted := tls.Client(conn, secure)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return encrypted, nil
}

// take takes from the pool, and reports whether there was so much.
func (g *Guard) take(bytes int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if bytes > g.left {
		return false
	}
	g.left -= bytes
	return true
}

func (g *Guard) giveBack(bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left += bytes
}

// guarded is a connection whose answers are counted. One goroutine uses it at a
// time, as with every connection of a pool; only Close may come from elsewhere.
type guarded struct {
	net.Conn
	guard  *Guard
	answer meter
	failed error

	mu     sync.Mutex
	taken  int64 // from the pool
	closed bool
}

// Write sends a request. What comes now is another answer.
func (c *guarded) Write(p []byte) (int, error) {
	c.answer.spent = 0
	c.settle(0)
	return c.Conn.Write(p)
}

// Read reads a part of an answer, unless that would cost too much.
func (c *guarded) Read(p []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	n, err := c.Conn.Read(p)
	fault := c.answer.read(p[:n])
	switch {
	case fault != nil:
	case c.answer.spent > c.guard.o.Answer:
		fault = ErrTooMuch
	case !c.settle(c.answer.spent - c.guard.o.Small):
		fault = ErrCrowded
	}
	if fault != nil {
		c.failed = fault
		c.settle(0)
		_ = c.Conn.Close() // whatever else comes is of no use
		return 0, fault
	}
	return n, err
}

// settle makes so many bytes taken from the pool, and reports whether there
// were so many.
func (c *guarded) settle(bytes int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	bytes = max(bytes, 0)
	if c.closed {
		bytes = 0
	}
	if more := bytes - c.taken; more > 0 && !c.guard.take(more) {
		return false
	} else if more < 0 {
		c.guard.giveBack(-more)
	}
	c.taken = bytes
	return true
}

// Close closes the connection, and gives back what its answer took.
func (c *guarded) Close() error {
	c.mu.Lock()
	c.closed = true
	c.guard.giveBack(c.taken)
	c.taken = 0
	c.mu.Unlock()
	return c.Conn.Close()
}
