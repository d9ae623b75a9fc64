package survey

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store"
)

// failuresToTell is how many looks in a row must fail before anybody is told:
// one that fails is an answer that came late.
const failuresToTell = 2

// server is one Redis. One goroutine, watch, writes its fields, with the lock
// of the Poller held.
type server struct {
	id    string
	redis Redis
	stop  context.CancelFunc // nil: not running
	kick  chan struct{}

	asked   bool
	trouble *view.Trouble
	state   view.State
	failed  int // looks in a row
}

// serverFor returns the server for a URL, and makes it known. The lock is held.
func (p *Poller) serverFor(o store.Options) (*server, error) {
	id := o.URL + "\x00" + string(o.CA)
	if have := p.servers[id]; have != nil {
		return have, nil
	}
	o.PoolSize, o.Logger = 4, p.o.Logger
	redis, err := p.o.Open(o)
	if err != nil {
		return nil, err
	}
	s := &server{id: id, redis: redis, kick: make(chan struct{}, 1)}
	p.servers[id] = s
	return s, nil
}

// connect starts the loops of new servers, wakes those with something new to
// look at, and ends those that nobody uses.
func (p *Poller) connect(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	used := map[*server]bool{}
	for _, s := range p.secrets {
		used[s.server] = true
	}
	for id, s := range p.servers {
		switch {
		case !used[s]:
			delete(p.servers, id)
			if s.stop != nil {
				s.stop()
			} else {
				_ = s.redis.Close()
			}
		case s.stop == nil:
			var loop context.Context
			loop, s.stop = context.WithCancel(ctx)
			p.loops.Go(func() { p.watch(loop, s) })
		case p.anyFresh(s):
			select {
			case s.kick <- struct{}{}:
			default:
			}
		}
	}
}

// closeAll closes the servers whose loops never began: the others close theirs.
func (p *Poller) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.servers {
		if s.stop == nil {
			_ = s.redis.Close()
		}
	}
}

func (p *Poller) anyFresh(s *server) bool {
	for name, f := range p.functions {
		if f.fresh && p.uses(name.Namespace, f.Secret, s) {
			return true
		}
	}
	for name, t := range p.types {
		if t.fresh && p.uses(name.Namespace, t.Secret, s) {
			return true
		}
	}
	return false
}

func (p *Poller) uses(namespace, secretName string, s *server) bool {
	known := p.secrets[types.NamespacedName{Namespace: namespace, Name: secretName}]
	return known != nil && known.server == s
}

// watch looks at a server until ctx ends.
func (p *Poller) watch(ctx context.Context, s *server) {
	defer s.redis.Close()
	tick := time.NewTicker(p.o.Interval)
	defer tick.Stop()
	wake := time.NewTicker(p.o.WakeInterval)
	defer wake.Stop()
	p.look(ctx, s, true)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.look(ctx, s, true)
		case <-s.kick:
			p.look(ctx, s, false)
		case <-wake.C:
			p.wake(ctx, s)
		}
	}
}

// patience is how long a look may take.
func (p *Poller) patience() time.Duration { return max(p.o.Interval, 5*time.Second) }

// look asks a server about itself and about all, or only the new, functions
// and event types.
func (p *Poller) look(ctx context.Context, s *server, all bool) {
	ctx, cancel := context.WithTimeout(ctx, p.patience())
	defer cancel()
	state, err := s.redis.AskServer(ctx)
	if err == nil {
		err = p.lookAtFunctions(ctx, s, all)
	}
	if err == nil {
		err = p.lookAtTypes(ctx, s, all)
	}
	if context.Cause(ctx) == context.Canceled { //nolint:errorlint // the very value
		return
	}
	p.note(s, stateOf(&state), troubleOf(err))
}

// note keeps what a look has found about the server itself, and tells everybody
// if that is new.
func (p *Poller) note(s *server, state view.State, trouble *view.Trouble) {
	p.mu.Lock()
	changed := s.note(state, trouble)
	var functions, eventTypes []types.NamespacedName
	if changed {
		functions, eventTypes = p.usersOf(func(name types.NamespacedName) bool { return p.uses(name.Namespace, name.Name, s) })
	}
	p.mu.Unlock()
	p.tell(functions, eventTypes)
}

// note keeps what was found, and reports whether that is news.
func (s *server) note(state view.State, trouble *view.Trouble) (news bool) {
	if trouble == nil {
		news = !s.asked || s.trouble != nil || !s.state.AsSafe(state)
		s.failed = 0
		s.trouble = nil
		s.state = state
		s.asked = true
		return news
	}
	s.failed++
	if s.asked && s.trouble == nil && s.failed < failuresToTell {
		return false
	}
	news = !s.asked || !trouble.Same(s.trouble)
	if news {
		s.trouble = trouble
	}
	s.asked = true
	return news
}
