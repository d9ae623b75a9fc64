package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

const (
	// watchEvery is how often Redis is asked how it is: often enough that it is
	// not filled from the threshold to the limit in between.
	watchEvery = 500 * time.Millisecond
	// watchTimeout is how late the answer may be.
	watchTimeout = 2 * time.Second
	// hysteresis is how far the memory must fall below the threshold, as a part
	// of the limit, before events are taken again.
	hysteresis = 0.03
)

// pressure knows whether Redis can take events.
type pressure struct {
	backend   Backend
	threshold float64
	log       *slog.Logger
	quiet     bool // says nothing of the settings of Redis

	state  atomic.Pointer[Refusal] // nil: all is well
	full   atomic.Bool
	warned string // by look alone: what was said of the settings
}

// refusal is what a request gets while Redis is away or nearly full; nil when
// it is neither.
func (p *pressure) refusal() *Refusal { return p.state.Load() }

// look asks Redis how it is. One goroutine calls it.
func (p *pressure) look(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	err := p.backend.Ping(limited)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.set(&Refusal{Status: http.StatusServiceUnavailable, RetryAfter: 2 * time.Second, Err: err,
			Message: "the events cannot be stored now, send them again"})
		return
	}
	memory, err := p.backend.Memory(limited)
	if err != nil || memory.Max <= 0 {
		p.full.Store(false)
		p.warn("Redis does not say how much memory it may use: events are taken until it refuses them; set maxmemory, and allow INFO", "error", err)
		p.set(nil)
		return
	}
	if memory.Policy != "" && memory.Policy != "noeviction" {
		p.warn("Redis throws keys away when its memory is full, events and runs among them: set maxmemory-policy to noeviction", "policy", memory.Policy)
	}
	bound := p.threshold
	if p.full.Load() {
		bound -= hysteresis
	}
	part := float64(memory.Used) / float64(memory.Max)
	p.full.Store(part >= bound)
	if part < bound {
		p.set(nil)
		return
	}
	p.set(fullRefusal(fmt.Errorf("Redis uses %d of %d bytes, %.0f%%: raise maxmemory, or shorten the retention of event types and the history of functions", memory.Used, memory.Max, 100*part))) //nolint:staticcheck // Redis is a name
}

func fullRefusal(err error) *Refusal {
	return &Refusal{Status: http.StatusServiceUnavailable, RetryAfter: 5 * time.Second, Err: err,
		Message: "there is no room for more events now, send them again later"}
}

// failed makes a refusal of an error of publishing, and remembers at once that
// Redis is full.
func (p *pressure) failed(err error) *Refusal {
	if store.FaultOf(err) == store.Full {
		r := fullRefusal(err)
		p.full.Store(true)
		p.set(r)
		return r
	}
	r := &Refusal{Status: http.StatusServiceUnavailable, RetryAfter: time.Second, Err: err,
		Message: "the events could not be stored, send them again"}
	if errors.Is(err, context.DeadlineExceeded) {
		r.Message = "the events were not stored in time, or it is not known; send them again"
	}
	return r
}

// set changes the state, and says so once.
func (p *pressure) set(next *Refusal) {
	last := p.state.Swap(next)
	switch {
	case last == nil && next != nil:
		p.log.Error("events are refused", "error", next.Err)
	case last != nil && next == nil:
		p.log.Info("events are taken again")
	}
}

// warn says something about the settings of Redis once.
func (p *pressure) warn(text string, args ...any) {
	if !p.quiet && p.warned != text {
		p.warned = text
		p.log.Warn(text, args...)
	}
}
