package email

import (
	"context"
	"errors"
	"sync"
	"time"
)

var errClosed = errors.New("the mailer is closed")

// pool keeps idle connections; slots bounds those in use. Who gets a slot takes
// an idle connection before it dials, so no more than MaxConns are ever open.
type pool struct {
	slots chan struct{}
	now   func() time.Time
	max   time.Duration // idle

	mu     sync.Mutex
	idle   []*conn // the last used is last
	reaper *time.Timer
	closed bool
}

func newPool(opts Options) *pool {
	return &pool{slots: make(chan struct{}, opts.MaxConns), now: opts.Now, max: opts.MaxIdle}
}

// acquire waits for a slot. It returns an idle connection, or nil when the
// caller should dial; either way the caller must release.
func (p *pool) acquire(ctx context.Context) (*conn, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		<-p.slots
		return nil, errClosed
	}
	n := len(p.idle)
	if n == 0 {
		return nil, nil
	}
	c := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return c, nil
}

// release gives the slot back and keeps c, unless it is nil, for the next.
func (p *pool) release(c *conn) {
	defer func() { <-p.slots }()
	if c == nil {
		return
	}
	if !p.keep(c) {
		c.quit()
	}
}

func (p *pool) keep(c *conn) bool {
	c.lastUsed = p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.idle = append(p.idle, c)
	if p.reaper == nil {
		p.reaper = time.AfterFunc(p.max, p.reap)
	}
	return true
}

// reap closes what was idle for too long. It runs only while something is
// idle, and finds a connection at the latest after twice its time.
func (p *pool) reap() {
	p.mu.Lock()
	old := 0
	for old < len(p.idle) && p.now().Sub(p.idle[old].lastUsed) >= p.max {
		old++
	}
	expired := p.idle[:old:old]
	p.idle = append([]*conn(nil), p.idle[old:]...)
	p.reaper = nil
	if len(p.idle) > 0 && !p.closed {
		p.reaper = time.AfterFunc(p.max, p.reap)
	}
	p.mu.Unlock()
	for _, c := range expired {
		c.quit()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	if p.reaper != nil {
		p.reaper.Stop()
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.quit()
	}
}
