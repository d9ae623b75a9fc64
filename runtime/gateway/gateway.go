// Package gateway is HTTP in: it finds out who sends events, checks whether
// they may and whether the events fit the schemas of their types, and publishes
// them. It speaks the wire form of the Inngest event API itself; the folders
// below are other ways in, which end in Accept as this one does. An answer of
// 200 means that Redis has the events. The package must not know who reads
// them.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/store"
)

// Backend is where the events go; *store.Conn is one.
type Backend interface {
	// Accept publishes batches, each as a whole or not at all, and sets their Err.
	Accept(ctx context.Context, batches ...*store.Batch)
	// TakeEvents and ReturnEvents keep the rates of senders, over all gateways.
	TakeEvents(ctx context.Context, r store.SenderRate, n int) (got int, wait time.Duration, err error)
	ReturnEvents(ctx context.Context, r store.SenderRate, n int) error
	// Ping and Memory say how the backend is.
	Ping(ctx context.Context) error
	Memory(ctx context.Context) (store.Memory, error)
}

// Options are what a Gateway needs.
type Options struct {
	Backend Backend
	// Types are the event types that are known. Nil: none is.
	Types *intake.Types
	// Strict refuses events of types that are not known; otherwise they are
	// accepted without a check of their data.
	Strict bool
	// Authenticator knows who may send. Nil: Anyone.
	Authenticator Authenticator
	// Dev answers GET /dev, by which Inngest clients find a dev server, and says
	// nothing of settings of Redis that are no good for production.
	Dev bool
	// MaxBodyBytes bounds the body of a request: 16 MiB by default.
	MaxBodyBytes int64
	// MaxRequests bounds the requests that are worked on at the same time, of
	// which a large one counts as one for each 4 KiB of its body, and
	// MaxRequestBytes the bytes of all bodies: 1,024 and 64 MiB by default.
	MaxRequests     int
	MaxRequestBytes int64
	// PublishTimeout bounds the wait for Redis: 5 s by default.
	PublishTimeout time.Duration
	// MemoryThreshold is the part of its memory limit up to which Redis may be
	// filled by events: 0.9 by default. What is above it is for the runs.
	MemoryThreshold float64
	// Metrics may be nil.
	Metrics *Metrics
	// Logger gets what goes wrong on our side. Nil: slog.Default().
	Logger *slog.Logger
}

// Validate reports what is missing, and fills in the defaults.
func (o *Options) Validate() error {
	if o.Backend == nil {
		return errors.New("gateway: no backend")
	}
	for _, bound := range []struct {
		name     string
		value    *int64
		fallback int64
	}{
		{"largest body", &o.MaxBodyBytes, 16 << 20},
		{"bytes of all requests", &o.MaxRequestBytes, 64 << 20},
	} {
		if *bound.value < 0 {
			return fmt.Errorf("gateway: the bound for the %s is %d, want more than 0", bound.name, *bound.value)
		}
		if *bound.value == 0 {
			*bound.value = bound.fallback
		}
	}
	if o.MaxRequestBytes < o.MaxBodyBytes {
		return fmt.Errorf("gateway: the largest body is %d bytes, and all requests together may have %d: one must fit", o.MaxBodyBytes, o.MaxRequestBytes)
	}
	if o.MaxRequests < 0 || o.PublishTimeout < 0 {
		return errors.New("gateway: the number of requests and the time to publish must be more than 0")
	}
	if o.MemoryThreshold < 0 || o.MemoryThreshold > 1 {
		return fmt.Errorf("gateway: the memory threshold is %g, want a part of 1 such as 0.9", o.MemoryThreshold)
	}
	o.fill()
	return nil
}

func (o *Options) fill() {
	if o.MaxRequests == 0 {
		o.MaxRequests = 1024
	}
	if o.PublishTimeout == 0 {
		o.PublishTimeout = 5 * time.Second
	}
	if o.MemoryThreshold == 0 {
		o.MemoryThreshold = 0.9
	}
	if o.Types == nil {
		o.Types = &intake.Types{}
	}
	if o.Authenticator == nil {
		o.Authenticator = Anyone{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// Gateway takes events. Its methods may be called by many goroutines.
type Gateway struct {
	opts      Options
	limits    limits
	publisher publisher
	pressure  pressure
	requests  *semaphore.Weighted // of MaxRequests
	bytes     *semaphore.Weighted // of MaxRequestBytes
	// What may go wrong thousands of times in a second.
	unknown, failures quietly
}

// New returns a Gateway. Run watches over its backend.
func New(o Options) (*Gateway, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	g := &Gateway{
		opts:     o,
		requests: semaphore.NewWeighted(int64(o.MaxRequests)),
		bytes:    semaphore.NewWeighted(o.MaxRequestBytes),
	}
	g.limits = limits{backend: o.Backend, timeout: o.PublishTimeout}
	g.publisher = publisher{backend: o.Backend, timeout: o.PublishTimeout, metrics: o.Metrics}
	g.pressure = pressure{backend: o.Backend, threshold: o.MemoryThreshold, log: o.Logger, quiet: o.Dev}
	return g, nil
}

// Run watches how Redis is until ctx ends: while it is nearly full, or away,
// events are refused at once.
func (g *Gateway) Run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		g.pressure.look(ctx)
		g.limits.sweep(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Ready says why events would be refused now; nil: they would not.
func (g *Gateway) Ready() error {
	if r := g.pressure.refusal(); r != nil {
		return r.Err
	}
	return nil
}

// Register adds the routes of the Inngest event API to mux.
func (g *Gateway) Register(mux *http.ServeMux) {
	send := cors(g.Guard("inngest", http.HandlerFunc(g.sendInngest)))
	mux.Handle("/e/{key...}", send)
	mux.Handle("/e", send)
	mux.HandleFunc("/fn/register", refuseApp)
	if g.opts.Dev {
		mux.HandleFunc("GET /dev", g.devInfo)
	}
}
