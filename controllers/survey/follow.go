package survey

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// Function is what a Poller has to know of a function.
type Function struct {
	Name types.NamespacedName
	// Secret is the name of the Secret, in the function's namespace.
	Secret string
	// Types are the event types that its current version reads.
	Types []string
	// Origin is where it begins to read what it has not read before.
	Origin Origin
	// Settled means that no runner of an earlier version is left: consumer
	// groups that only those read from may go.
	Settled bool
	// Scaled: its runners are as many as there is work for. Schedules are its
	// cron triggers then.
	Scaled    bool
	Schedules []Schedule
}

// Origin is where a function begins to read what it has not read before.
type Origin = store.Origin

// EventType is what a Poller has to know of an event type.
type EventType struct {
	Name     types.NamespacedName
	Secret   string
	Type     string
	Period   time.Duration
	MaxBytes int64 // 0: no limit
}

// function is a Function with what was found. Its view has no Redis: that is
// the server's.
type function struct {
	Function
	Watch
	view view.Function
	// read is how far the streams were read, and leaving says that a runner was
	// about to end, when it was looked at last.
	read    map[string]string
	leaving bool
	// older are event types that only runs of earlier versions wait for.
	older []string
	// fresh: it was not looked at since it was made known, or changed.
	fresh bool
	// told is what the numbers were when a change was last told, and when.
	told   view.Numbers
	toldAt time.Time
}

// eventType is an EventType with what was found.
type eventType struct {
	EventType
	view    view.EventType
	fresh   bool
	made    bool
	trimmed time.Time
	told    view.Stream
	toldAt  time.Time
}

// Follow makes a function known, or what has changed of it, and returns what
// is known of it now. A new one is looked at soon.
func (p *Poller) Follow(f Function) view.Function {
	p.mu.Lock()
	defer p.mu.Unlock()
	have := p.functions[f.Name]
	if have == nil || have.Secret != f.Secret {
		have = &function{Function: f, fresh: true}
		p.putFunction(have)
	} else if !slices.Equal(have.Types, f.Types) || f.Settled && !have.Settled || f.Scaled != have.Scaled {
		have.fresh = true
	}
	have.Function = f
	delete(p.removals, leaver{name: f.Name})
	if have.fresh {
		p.kick()
	}
	return p.known(have)
}

// known is what is known of a function. The lock is held.
func (p *Poller) known(f *function) view.Function {
	known := f.view
	known.Redis = p.redisOf(f.Name.Namespace, f.Secret)
	if !known.Asked || known.Trouble != nil { // what it had to do may be long gone
		known.Work = nil
	}
	return known
}

// Forget makes the Poller look at a function no more.
func (p *Poller) Forget(name types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropFunction(name)
}

// FollowType is Follow for an event type.
func (p *Poller) FollowType(t EventType) view.EventType {
	p.mu.Lock()
	defer p.mu.Unlock()
	have := p.types[t.Name]
	if have == nil || have.EventType != t {
		have = &eventType{EventType: t, fresh: true}
		p.putType(have)
	}
	delete(p.removals, leaver{t.Name, true})
	if have.fresh {
		p.kick()
	}
	known := have.view
	known.Redis = p.redisOf(t.Name.Namespace, t.Secret)
	return known
}

// ForgetType is Forget for an event type.
func (p *Poller) ForgetType(name types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropType(name)
}

// follows reports whether a function is looked at.
func (p *Poller) follows(name types.NamespacedName) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.functions[name] != nil
}

// followsType reports whether an event type is looked at.
func (p *Poller) followsType(name types.NamespacedName) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.types[name] != nil
}

// redisOf returns what is known of the Redis of a Secret. The lock is held.
func (p *Poller) redisOf(namespace, name string) view.Redis {
	s := p.secretOf(types.NamespacedName{Namespace: namespace, Name: name})
	known := view.Redis{Secret: s.Secret}
	if s.server != nil {
		known.Asked = s.server.asked
		known.Trouble = s.server.trouble
		known.State = s.server.state
	}
	return known
}

// reads returns what a function reads: the types of its current version, and
// those that runs of earlier ones wait for.
func (f *function) reads() []string { return slices.Concat(f.Types, f.older) }

// sleeper is the function as it is asked about while it has no runners.
func (f *function) sleeper() inspect.Sleeper {
	return inspect.Sleeper{Namespace: f.Name.Namespace, Function: f.Name.Name, Read: f.read, Leaving: f.leaving}
}
