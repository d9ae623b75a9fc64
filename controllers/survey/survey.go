// Package survey keeps an eye on every Redis that functions and event types
// use: is it safe, does it have the streams and groups, how much is there to
// do. Each Redis is asked once for all that use it, in a fixed number of round
// trips, whoever and however many they are; reconcilers read what it said last
// and are told when that changes. The package must not know Deployments,
// conditions or the words that they are in.
package survey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/survey/guard"
	"github.com/wildout/wildout/runtime/store"
)

// Options say how a Poller works.
type Options struct {
	// Secrets reads Secrets from the API server.
	Secrets SecretReader
	// Open opens a Redis. Default: with the store, and with Guard between.
	Open func(store.Options) (Redis, error)
	// Guard says to which addresses the operator connects, and how large an
	// answer it reads.
	Guard guard.Options
	// Interval is the time between two looks at a Redis. Default: 5s.
	Interval time.Duration
	// WakeInterval is the time between two looks whether something has come for
	// functions without runners. Default: 250ms.
	WakeInterval time.Duration
	// SecretInterval is the time between two looks at a Secret. Default: 10s.
	SecretInterval time.Duration
	// NumbersInterval is how often at most a change of the numbers alone is
	// told. Default: 15s.
	NumbersInterval time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets what goes wrong. Default: slog.Default().
	Logger *slog.Logger
}

// Validate reports what is missing, and fills in the defaults.
func (o *Options) Validate() error {
	if o.Secrets == nil {
		return errors.New("survey: Secrets is needed")
	}
	for _, interval := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&o.Interval, 5 * time.Second}, {&o.WakeInterval, 250 * time.Millisecond},
		{&o.SecretInterval, 10 * time.Second}, {&o.NumbersInterval, 15 * time.Second},
	} {
		if *interval.value == 0 {
			*interval.value = interval.fallback
		}
		if *interval.value < 0 {
			return fmt.Errorf("survey: an interval is %s, and must be more than 0", *interval.value)
		}
	}
	if o.Open == nil {
		o.Open = openWith(guard.New(o.Guard))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// Poller asks every Redis that is in use.
type Poller struct {
	o Options

	mu        sync.Mutex
	functions map[types.NamespacedName]*function
	types     map[types.NamespacedName]*eventType
	secrets   map[types.NamespacedName]*secret
	servers   map[string]*server
	removals  map[leaver]*removal
	onFn      func(types.NamespacedName)
	onType    func(types.NamespacedName)

	kicked chan struct{}
	loops  sync.WaitGroup
}

// New returns a Poller. Run starts it.
func New(o Options) (*Poller, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Poller{
		o: o, kicked: make(chan struct{}, 1),
		functions: map[types.NamespacedName]*function{}, types: map[types.NamespacedName]*eventType{},
		secrets: map[types.NamespacedName]*secret{}, servers: map[string]*server{}, removals: map[leaver]*removal{},
		onFn: func(types.NamespacedName) {}, onType: func(types.NamespacedName) {},
	}, nil
}

// OnFunction sets what is called when something about a function has changed.
// It must not block.
func (p *Poller) OnFunction(fn func(types.NamespacedName)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onFn = fn
}

// OnEventType is OnFunction for event types.
func (p *Poller) OnEventType(fn func(types.NamespacedName)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onType = fn
}

// tell tells of functions and event types. It is called without the lock.
func (p *Poller) tell(functions, eventTypes []types.NamespacedName) {
	p.mu.Lock()
	onFn, onType := p.onFn, p.onType
	p.mu.Unlock()
	for _, name := range functions {
		onFn(name)
	}
	for _, name := range eventTypes {
		onType(name)
	}
}

func (p *Poller) kick() { signal(p.kicked) }

// NeedLeaderElection says that one process looks: the one that acts.
func (p *Poller) NeedLeaderElection() bool { return true }

// together is how long whoever was just made known waits for others, to be
// looked at together with them.
const together = 50 * time.Millisecond

// Run looks until ctx ends.
func (p *Poller) Run(ctx context.Context) error {
	defer p.closeAll()
	defer p.loops.Wait()
	tick := time.NewTicker(min(p.o.SecretInterval, time.Second))
	defer tick.Stop()
	for {
		p.readSecrets(ctx)
		p.connect(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-p.kicked:
			select {
			case <-time.After(together):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// Start implements manager.Runnable.
func (p *Poller) Start(ctx context.Context) error { return p.Run(ctx) }
