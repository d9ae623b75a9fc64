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

	"github.com/wildout/wildout/runtime/store"
)

// Options say how a Poller works.
type Options struct {
	// Secrets reads Secrets from the API server.
	Secrets SecretReader
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
	// Logger gets what goes wrong. Default: slog.Default().
	Logger *slog.Logger
}

// Validate reports what is missing, and fills in the defaults.
func (o *Options) Validate() error {
	if o.Secrets == nil {
		return errors.New("survey: Secrets is needed")
	}
	for field, fallback := range map[*time.Duration]time.Duration{
		&o.Interval: 5 * time.Second, &o.WakeInterval: 250 * time.Millisecond,
		&o.SecretInterval: 10 * time.Second, &o.NumbersInterval: 15 * time.Second,
	} {
		if *field == 0 {
			*field = fallback
		}
		if *field < 0 {
			return fmt.Errorf("survey: an interval is %s, and must be more than 0", *field)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// Function is what a Poller has to know of a function.
type Function struct {
	Name types.NamespacedName
	// Secret is the name of the Secret, in the function's namespace.
	Secret string
	// Types are the event types that its current version reads.
	Types []string
	// Settled means that no runner of an earlier version is left: consumer
	// groups that only those read from may go.
	Settled bool
	// Scaled: its runners are as many as there is work for. Schedules are its
	// cron triggers then.
	Scaled    bool
	Schedules []Schedule
}

// EventType is what a Poller has to know of an event type.
type EventType struct {
	Name     types.NamespacedName
	Secret   string
	Type     string
	Period   time.Duration
	MaxBytes int64 // 0: no limit
}

// Server is what is known of a Redis.
type Server struct {
	// Secret says whether there is one to be asked, and with which Secret.
	Secret Secret
	// Asked is false until the first answer, or the first that did not come.
	Asked bool
	// Err says why it does not answer, or refuses; nil when it works.
	Err error
	// State is what it said about itself last.
	State store.Server
}

// View is what is known of a function.
type View struct {
	Server
	// Numbers are nil before the first look.
	Numbers *store.Numbers
	// Ticks counts the cron ticks that are due, of a function that is Scaled.
	Ticks int64
	// Next is when its next timer or tick is due, by the local clock; zero:
	// there is none.
	Next time.Time
	// Ends are the last runs that ended.
	Ends store.Ends
	// GroupsErr is what went wrong with this function alone, such as a group
	// that could not be made.
	GroupsErr error
}

// StreamView is what is known of an event type.
type StreamView struct {
	Server
	// Stream is nil before the first look.
	Stream *store.StreamState
	// StreamErr is what went wrong with this stream alone.
	StreamErr error
}

// Poller asks every Redis that is in use.
type Poller struct {
	o Options

	mu        sync.Mutex
	functions map[types.NamespacedName]*function
	types     map[types.NamespacedName]*eventType
	secrets   map[types.NamespacedName]*secret
	servers   map[string]*server
	onFn      func(types.NamespacedName)
	onType    func(types.NamespacedName)

	// mend is held for reading while something is made in Redis, and for
	// writing while it is removed.
	mend sync.RWMutex

	kicked chan struct{}
	loops  sync.WaitGroup
}

// function is a Function with what was found.
type function struct {
	Function
	Watch
	view View
	// older are event types that only runs of earlier versions wait for.
	older []string
	// fresh: it was not looked at since it was made known, or changed.
	fresh bool
	// told is what the numbers were when a change was last told, and when.
	told   counted
	toldAt time.Time
}

type eventType struct {
	EventType
	view    StreamView
	fresh   bool
	made    bool
	trimmed time.Time
	told    store.StreamState
	toldAt  time.Time
}

// New returns a Poller. Run starts it.
func New(o Options) (*Poller, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Poller{
		o: o, kicked: make(chan struct{}, 1),
		functions: map[types.NamespacedName]*function{}, types: map[types.NamespacedName]*eventType{},
		secrets: map[types.NamespacedName]*secret{}, servers: map[string]*server{},
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

// Follow makes a function known, or what has changed of it, and returns what
// is known of it now. A new one is looked at soon.
func (p *Poller) Follow(f Function) View {
	p.mu.Lock()
	defer p.mu.Unlock()
	have := p.functions[f.Name]
	if have == nil || have.Secret != f.Secret {
		have = &function{fresh: true}
		p.functions[f.Name] = have
	} else if !sameTypes(have.Types, f.Types) || f.Settled && !have.Settled || f.Scaled != have.Scaled {
		have.fresh = true
	}
	have.Function = f
	if have.fresh {
		p.kick()
	}
	have.view.Server = p.serverOf(f.Name.Namespace, f.Secret)
	return have.view
}

// Forget makes the Poller look at a function no more.
func (p *Poller) Forget(name types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.functions, name)
}

// FollowType is Follow for an event type.
func (p *Poller) FollowType(t EventType) StreamView {
	p.mu.Lock()
	defer p.mu.Unlock()
	have := p.types[t.Name]
	if have == nil || have.EventType != t {
		have = &eventType{fresh: true}
		p.types[t.Name] = have
	}
	have.EventType = t
	if have.fresh {
		p.kick()
	}
	have.view.Server = p.serverOf(t.Name.Namespace, t.Secret)
	return have.view
}

// ForgetType is Forget for an event type.
func (p *Poller) ForgetType(name types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.types, name)
}

// serverOf returns what is known of the Redis of a Secret.
func (p *Poller) serverOf(namespace, name string) Server {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	s := p.secrets[key]
	if s == nil {
		p.secrets[key] = &secret{}
		return Server{}
	}
	known := Server{Secret: s.Secret}
	if s.server != nil {
		known.Asked, known.Err, known.State = s.server.asked, s.server.err, s.server.state
	}
	return known
}

func (p *Poller) kick() {
	select {
	case p.kicked <- struct{}{}:
	default:
	}
}

func sameTypes(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// NeedLeaderElection says that one process looks: the one that acts.
func (p *Poller) NeedLeaderElection() bool { return true }

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
			// Whoever is made known right after is looked at together with it.
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// Start implements manager.Runnable.
func (p *Poller) Start(ctx context.Context) error { return p.Run(ctx) }
