package survey

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store"
)

// failuresToTell is how many looks in a row must fail before anybody is told:
// one that fails is an answer that came late.
const failuresToTell = 2

// server is one Redis. It has goroutines of its own, so that one that is slow, or
// never answers, holds up nobody who uses another: watch looks at it, sweep
// removes from it what deletions leave.
type server struct {
	id    string
	host  string // for logs
	redis Redis
	stop  context.CancelFunc // nil: not running
	kick  chan struct{}      // to look soon
	swept chan struct{}      // to remove soon

	// secrets are those that lead here, by name.
	secrets map[types.NamespacedName]*secret

	// looking has something in it while it is looked at.
	looking chan struct{}

	// What was found last: watch writes it, with the lock of the Poller held.
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
	const connections = 2 // one for each goroutine
	o.PoolSize, o.Logger = connections, p.o.Logger
	redis, err := p.o.Open(o)
	if err != nil {
		return nil, err
	}
	s := &server{id: id, host: hostOf(o.URL), redis: redis, kick: make(chan struct{}, 1), swept: make(chan struct{}, 1), looking: make(chan struct{}, 1), secrets: map[types.NamespacedName]*secret{}}
	p.servers[id] = s
	return s, nil
}

// hostOf is the part of a URL that is no secret.
func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Host
}

// connect starts the loops of new servers, wakes those with something new to
// do, and ends those that nobody uses.
func (p *Poller) connect(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	used := p.usedServers()
	for id, s := range p.servers {
		switch {
		case !used[s]:
			delete(p.servers, id)
			p.end(s)
		case s.stop == nil:
			p.begin(ctx, s)
		default:
			p.wakeLoops(s)
		}
	}
}

func (p *Poller) usedServers() map[*server]bool {
	used := map[*server]bool{}
	for _, s := range p.secrets {
		used[s.server] = true
	}
	for _, r := range p.removals {
		used[p.serverOfLeaver(p.secretOf(r.secret))] = true
	}
	return used
}

func (p *Poller) begin(ctx context.Context, s *server) {
	ctx, s.stop = context.WithCancel(ctx)
	var both sync.WaitGroup
	both.Go(func() { p.watch(ctx, s) })
	both.Go(func() { p.sweep(ctx, s) })
	p.loops.Go(func() {
		both.Wait()
		_ = s.redis.Close()
	})
}

func (p *Poller) end(s *server) {
	if s.stop != nil {
		s.stop()
		return
	}
	_ = s.redis.Close()
}

func (p *Poller) wakeLoops(s *server) {
	if p.anyFresh(s) {
		signal(s.kick)
	}
	for _, r := range p.removals {
		if !r.tried && p.serverOfLeaver(p.secretOf(r.secret)) == s {
			signal(s.swept)
		}
	}
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
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
	for _, f := range s.functionsAt() {
		if f.fresh {
			return true
		}
	}
	for _, t := range s.typesAt() {
		if t.fresh {
			return true
		}
	}
	return false
}

// watch looks at a server until ctx ends.
func (p *Poller) watch(ctx context.Context, s *server) {
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

// errPanicked is what becomes of a panic: a library that trips over what a
// server sends must not take the operator of everybody with it.
var errPanicked = errors.New("the Redis client panicked")

// safely calls a function that asks a Redis.
func (p *Poller) safely(ask func() error) (err error) {
	defer func() {
		if what := recover(); what != nil {
			p.o.Logger.Error("the Redis client panicked", "panic", short(fmt.Sprint(what)), "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	return ask()
}

// look asks a server about itself and about all, or only the new, functions
// and event types.
func (p *Poller) look(ctx context.Context, s *server, all bool) {
	ctx, cancel := context.WithTimeout(ctx, p.patience())
	defer cancel()
	s.looking <- struct{}{}
	defer func() { <-s.looking }()
	var state store.Server
	err := p.safely(func() (err error) {
		if state, err = s.redis.AskServer(ctx); err != nil {
			return err
		}
		if err := p.lookAtFunctions(ctx, s, all); err != nil {
			return err
		}
		return p.lookAtTypes(ctx, s, all)
	})
	if context.Cause(ctx) == context.Canceled { //nolint:errorlint // the very value
		return
	}
	p.note(s, stateOf(&state), err)
}

// waitForLook waits until a look that is under way has ended, or ctx has.
func (s *server) waitForLook(ctx context.Context) error {
	select {
	case s.looking <- struct{}{}:
		<-s.looking
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// note keeps what a look has found about the server itself, and tells everybody
// if that is new. A server that answers again may be cleaned.
func (p *Poller) note(s *server, state view.State, err error) {
	p.mu.Lock()
	changed := s.note(state, p.trouble(err, s.trouble, "redis", s.host))
	var functions, eventTypes []types.NamespacedName
	if changed {
		signal(s.swept)
		functions, eventTypes = namesOf(slices.Collect(maps.Values(s.secrets))...)
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
	news = !s.asked || trouble != s.trouble
	s.trouble = trouble
	s.asked = true
	return news
}
