package survey

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/view"
)

// Removal is how far it is with what a deletion leaves to be removed from a
// Redis.
type Removal struct {
	// Done: nothing is left there.
	Done bool
	// Err is why the last attempt failed; nil: there was none yet, or it is done.
	Err error
}

// NoRedisError says that there is no usable Secret for a Redis.
type NoRedisError struct {
	Name   types.NamespacedName
	Secret view.Secret
}

func (e *NoRedisError) Error() string {
	what := ""
	switch e.Secret.Problem {
	case view.NotFound:
		what = "does not exist"
	case view.Forbidden:
		what = "may not be read by the operator"
	case view.NotRead:
		what = "could not be read"
	case view.Invalid, view.Fine:
		what = "cannot be used: " + e.Secret.Detail
	}
	return fmt.Sprintf("the Secret %s with the URL of Redis %s", e.Name, what)
}

// leaver is a function, or an event type, that goes.
type leaver struct {
	name        types.NamespacedName
	isEventType bool
}

// removal is what a leaver has in a Redis.
type removal struct {
	leaver
	secret types.NamespacedName
	// streams are event types whose streams go unless a function reads them.
	streams []string
	tried   bool
	done    bool
	trouble *view.Trouble // of the last attempt
}

// RemoveFunction asks for what a function has in Redis to be removed, with the
// streams of the given event types that no other function reads, and says how
// far that is. It does not wait: whoever asks is told when there is an answer.
// The Poller follows the function no more. Once it is done it is forgotten.
func (p *Poller) RemoveFunction(name types.NamespacedName, secretName string, streams []string) Removal {
	p.Forget(name)
	return p.remove(leaver{name: name}, secretName, streams)
}

// RemoveStream is RemoveFunction for the stream of an event type, which goes
// unless a function reads it.
func (p *Poller) RemoveStream(name types.NamespacedName, secretName, eventType string) Removal {
	p.ForgetType(name)
	return p.remove(leaver{name: name, isEventType: true}, secretName, []string{eventType})
}

func (p *Poller) remove(who leaver, secretName string, streams []string) Removal {
	p.mu.Lock()
	defer p.mu.Unlock()
	secret := types.NamespacedName{Namespace: who.name.Namespace, Name: secretName}
	r := p.removals[who]
	if r == nil || r.secret != secret {
		r = &removal{leaver: who, secret: secret}
		p.removals[who] = r
		p.kick()
	}
	r.streams = streams
	if r.done {
		delete(p.removals, who)
		return Removal{Done: true}
	}
	return Removal{Err: p.obstacle(r)}
}

// obstacle is why a removal is not done; nil: it is under way. The lock is held.
func (p *Poller) obstacle(r *removal) error {
	known := p.secretOf(r.secret)
	s := p.serverOfLeaver(known)
	switch {
	case s == nil && known.Problem == view.NotRead:
		return nil
	case s == nil:
		return &NoRedisError{r.secret, known.Secret}
	case s.trouble != nil:
		return s.trouble
	case r.trouble != nil:
		return r.trouble
	}
	return nil
}

// GiveUp forgets what is still to be removed of a function, or, with
// isEventType, of an event type.
func (p *Poller) GiveUp(name types.NamespacedName, isEventType bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.removals, leaver{name, isEventType})
}

// serverOfLeaver is the server of a Secret, also of one that has gone: its
// functions go after it when a namespace does. The lock is held.
func (p *Poller) serverOfLeaver(s *secret) *server {
	if s.Problem == view.NotFound && s.last != nil {
		last, err := p.serverFor(*s.last)
		if err != nil {
			return nil
		}
		return last
	}
	return s.server
}

// removeFor is how long an attempt may take, for one leaver.
const removeFor = 10 * time.Second

// sweep removes from a server until ctx ends. It has a goroutine of its own: to
// look through all keys of a large Redis takes a while.
func (p *Poller) sweep(ctx context.Context, s *server) {
	tick := time.NewTicker(p.o.Interval)
	defer tick.Stop()
	for {
		for _, r := range p.removalsOf(s) {
			if !p.attempt(ctx, s, r) {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.swept:
		}
	}
}

// removalsOf returns what is to be removed from a server that answers.
func (p *Poller) removalsOf(s *server) (all []removal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.asked || s.trouble != nil {
		return nil
	}
	for _, r := range p.removals {
		if !r.done && p.serverOfLeaver(p.secretOf(r.secret)) == s {
			all = append(all, *r)
		}
	}
	return all
}

// attempt removes what one leaver has, and tells when it is done. It reports
// whether to go on with the next one: not where no answer comes.
func (p *Poller) attempt(ctx context.Context, s *server, r removal) (goOn bool) {
	ctx, cancel := context.WithTimeout(ctx, removeFor)
	defer cancel()
	err := p.safely(func() error {
		if err := s.waitForLook(ctx); err != nil { // one that began before may make its groups anew
			return err
		}
		return removeFrom(ctx, s.redis.In(r.name.Namespace), r)
	})
	if p.noteRemoval(r, err) {
		functions, eventTypes := r.names()
		p.tell(functions, eventTypes)
	}
	return err == nil || ctx.Err() == nil && kindOf(err) != view.Unreachable
}

func (l leaver) names() (functions, eventTypes []types.NamespacedName) {
	if l.isEventType {
		return nil, []types.NamespacedName{l.name}
	}
	return []types.NamespacedName{l.name}, nil
}

// noteRemoval keeps what an attempt has come to, and reports whether it is done.
func (p *Poller) noteRemoval(attempted removal, err error) (done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.removals[attempted.leaver]
	if r == nil || r.secret != attempted.secret {
		return false // it is wanted no more
	}
	r.tried = true
	r.done = err == nil
	r.trouble = p.trouble(err, r.trouble, "removing", r.name)
	return r.done
}

func removeFrom(ctx context.Context, here Namespace, r removal) error {
	if !r.isEventType {
		if err := here.Uninstall(ctx, r.name.Name); err != nil {
			return err
		}
	}
	for _, t := range r.streams {
		if err := here.DropStream(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
