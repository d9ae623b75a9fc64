package survey

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/runtime/store/inspect"
)

// trimEvery is how often a stream is shortened to its retention. Runners do it
// too; a stream that nobody reads has none.
const trimEvery = time.Minute

// lookAtTypes makes the streams of event types, keeps them within their
// retention and reads how large they are.
func (p *Poller) lookAtTypes(ctx context.Context, s *server, all bool) error {
	looked := p.typesOf(s, all)
	refs := make([]inspect.StreamRef, len(looked))
	for i := range looked {
		t := &looked[i]
		refs[i] = inspect.StreamRef{Namespace: t.Name.Namespace, Type: t.Type, Before: p.o.Now().Add(-t.Period)}
		p.mendStream(ctx, s, t)
	}
	err := inParts(len(refs), streamsAtATime, func(from, to int) error {
		states, err := s.redis.SurveyStreams(ctx, refs[from:to])
		for i := range states {
			t := &looked[from+i]
			t.view.Stream = streamOf(&states[i])
			t.made = t.made && states[i].Bytes > 0 // a Redis that was emptied: make it again
		}
		return err
	}, func(i int, err error) {
		looked[i].view.Stream = streamOf(&inspect.StreamState{})
		looked[i].view.StreamTrouble = p.trouble(err, looked[i].view.StreamTrouble, "event type", looked[i].Name)
	})
	if err != nil {
		return err
	}
	p.keepTypes(looked)
	return nil
}

// typesOf returns the event types of a server, with what is known of them: all,
// or those that were not looked at yet.
func (p *Poller) typesOf(s *server, all bool) []eventType {
	p.mu.Lock()
	defer p.mu.Unlock()
	var looked []eventType
	for name, t := range p.types {
		if (all || t.fresh) && p.uses(name.Namespace, t.Secret, s) {
			looked = append(looked, *t)
		}
	}
	return looked
}

// mendStream makes a stream that is not there, and shortens it from time to
// time.
func (p *Poller) mendStream(ctx context.Context, s *server, t *eventType) {
	here := s.redis.In(t.Name.Namespace)
	if !t.made {
		err := p.makeStream(ctx, here, t)
		t.view.StreamTrouble = p.trouble(err, t.view.StreamTrouble, "event type", t.Name)
		t.made = err == nil
	}
	if now := p.o.Now(); t.made && now.Sub(t.trimmed) >= trimEvery {
		err := here.Trim(ctx, t.Type, t.Period, t.MaxBytes)
		t.view.StreamTrouble = p.trouble(err, t.view.StreamTrouble, "event type", t.Name)
		t.trimmed = now
	}
}

func (p *Poller) makeStream(ctx context.Context, here Namespace, t *eventType) error {
	if !p.followsType(t.Name) {
		return nil
	}
	return here.MakeStream(ctx, t.Type, t.Period, t.MaxBytes)
}

// keepTypes stores what was found and tells what has changed, as keep does.
func (p *Poller) keepTypes(looked []eventType) { p.tell(nil, p.keepAllTypes(looked)) }

func (p *Poller) keepAllTypes(looked []eventType) (tell []types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.o.Now()
	for i := range looked {
		l := &looked[i]
		t := p.types[l.Name]
		if t == nil || t.EventType != l.EventType {
			continue
		}
		if t.keep(l, now, p.o.NumbersInterval) {
			tell = append(tell, l.Name)
		}
	}
	return tell
}

// keep stores what was found, and reports whether to tell it.
func (t *eventType) keep(l *eventType, now time.Time, interval time.Duration) (news bool) {
	news = t.fresh || l.view.StreamTrouble != t.view.StreamTrouble || !l.view.Stream.Same(&t.told) && now.Sub(t.toldAt) >= interval
	t.view.Stream = l.view.Stream
	t.view.StreamTrouble = l.view.StreamTrouble
	t.made = l.made
	t.trimmed = l.trimmed
	t.fresh = false
	if news {
		t.told = *l.view.Stream
		t.toldAt = now
	}
	return news
}
