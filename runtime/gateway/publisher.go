package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

const (
	// maxFlights bounds the round trips to Redis at one time. Two keep Redis
	// busy; a third one hides a slow answer.
	maxFlights = 3
	// maxFlightEvents and maxFlightBytes bound what one round trip carries, so
	// that a large request does not hold up the small ones for long.
	maxFlightEvents = 1000
	maxFlightBytes  = 4 << 20
)

// publisher joins the batches of requests that come at the same time into one
// round trip. Nobody waits for others to come: what gathers while Redis is
// busy goes next.
type publisher struct {
	backend Backend
	timeout time.Duration
	metrics *Metrics

	mu      sync.Mutex
	waiting []*publication
	flights int
}

// publication is a batch that waits for Redis.
type publication struct {
	batch *store.Batch
	bytes int
	done  chan struct{}
}

// publish returns when Redis has the batch, or has not; or when ctx ends, and
// the batch may be published or not.
func (p *publisher) publish(ctx context.Context, batch *store.Batch) error {
	next := &publication{batch: batch, done: make(chan struct{})}
	for _, e := range batch.Events {
		next.bytes += len(e.Data)
	}
	began := time.Now()
	p.mu.Lock()
	p.waiting = append(p.waiting, next)
	start := p.flights < maxFlights
	if start {
		p.flights++
	}
	p.mu.Unlock()
	if start {
		go p.fly(context.WithoutCancel(ctx))
	}
	select {
	case <-next.done:
		p.metrics.Published(time.Since(began), batch.Err)
		return batch.Err
	case <-ctx.Done():
		p.metrics.Published(time.Since(began), ctx.Err())
		return ctx.Err()
	}
}

// fly carries batches until none is left. A request that has gone does not stop
// the others, so that ctx must not be one's own.
func (p *publisher) fly(ctx context.Context) {
	for {
		load := p.take()
		if len(load) == 0 {
			return
		}
		batches := make([]*store.Batch, len(load))
		for i, next := range load {
			batches[i] = next.batch
		}
		limited, cancel := context.WithTimeout(ctx, p.timeout)
		p.backend.Accept(limited, batches...)
		cancel()
		for _, next := range load {
			close(next.done)
		}
	}
}

// take returns what the next round trip carries; with nothing left the flight
// is over.
func (p *publisher) take() []*publication {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, events, bytes := 0, 0, 0
	for _, next := range p.waiting {
		events += len(next.batch.Events)
		bytes += next.bytes
		if n > 0 && (events > maxFlightEvents || bytes > maxFlightBytes) {
			break
		}
		n++
	}
	load := p.waiting[:n:n]
	p.waiting = p.waiting[n:]
	if len(p.waiting) == 0 {
		p.waiting = nil // let go of the array
	}
	if n == 0 {
		p.flights--
	}
	return load
}
