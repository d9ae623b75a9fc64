package survey

import (
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/runtime/store"
)

// counted are the numbers that people see change.
type counted struct {
	unread, due, pending, waiting, succeeded, failed int64
}

func count(n *store.Numbers) counted {
	return counted{n.Unread, n.Due, n.Pending, n.Waiting, n.Succeeded, n.Failed}
}

// found is what a look has found about one function.
type found struct {
	function Function
	reads    []string
	numbers  *store.Numbers
	ends     store.Ends
	err      error
}

// lookAtFunctions reads the numbers of the functions of a server, makes the
// groups that are missing, drops those that are not needed any more, and tells
// what has changed.
func (p *Poller) lookAtFunctions(ctx context.Context, s *server, all bool) error {
	looked := p.subjects(s, all)
	subjects := make([]store.Subject, len(looked))
	for i, l := range looked {
		subjects[i] = store.Subject{Namespace: l.function.Name.Namespace, Function: l.function.Name.Name, Types: l.reads, Scaled: l.function.Scaled}
	}
	numbers, err := s.store.Survey(ctx, subjects)
	if err != nil {
		return err
	}
	var ran []int // whose counters have moved
	for i := range looked {
		if before := looked[i].numbers; before == nil || before.Succeeded != numbers[i].Succeeded || before.Failed != numbers[i].Failed {
			ran = append(ran, i)
		}
		looked[i].numbers = &numbers[i]
		looked[i].err = p.mendGroups(ctx, s, looked[i].function, subjects[i], &numbers[i])
	}
	moved := make([]store.Subject, len(ran))
	for i, at := range ran {
		moved[i] = subjects[at]
	}
	ends, err := s.store.LastEnds(ctx, moved, lastRuns)
	if err != nil {
		return err
	}
	for i, at := range ran {
		looked[at].ends = ends[i]
	}
	p.keep(looked)
	return nil
}

// subjects returns the functions of a server, with what is known of them.
func (p *Poller) subjects(s *server, all bool) []found {
	p.mu.Lock()
	defer p.mu.Unlock()
	var looked []found
	for name, f := range p.functions {
		if (all || f.fresh) && p.uses(name.Namespace, f.Secret, s) {
			looked = append(looked, found{function: f.Function, reads: f.reads(), numbers: f.view.Numbers, ends: f.view.Ends})
		}
	}
	return looked
}

// mendGroups makes what is missing, and drops what only earlier versions read.
func (p *Poller) mendGroups(ctx context.Context, s *server, f Function, subject store.Subject, n *store.Numbers) error {
	if len(n.Missing) == 0 && (!f.Settled || len(n.Gone) == 0) {
		return nil
	}
	p.mend.RLock()
	defer p.mend.RUnlock()
	p.mu.Lock()
	followed := p.functions[f.Name] != nil
	p.mu.Unlock()
	if !followed {
		return nil
	}
	if len(n.Missing) > 0 {
		if err := s.store.Make(ctx, subject, n.Missing); err != nil {
			return err
		}
		n.Missing = nil
	}
	if !f.Settled {
		return nil
	}
	here := s.store.In(f.Name.Namespace)
	for _, t := range n.Gone {
		dropped, err := here.DropGroup(ctx, f.Name.Name, t)
		if err != nil {
			return err
		}
		if dropped {
			p.o.Logger.Info("the function does not read this event type any more: its consumer group is gone", "function", f.Name, "type", t)
		}
	}
	return nil
}

// keep stores what was found and tells what has changed: words at once,
// numbers at most every NumbersInterval.
func (p *Poller) keep(looked []found) {
	p.mu.Lock()
	var tell []types.NamespacedName
	now := time.Now()
	for _, l := range looked {
		f := p.functions[l.function.Name]
		if f == nil || f.Secret != l.function.Secret {
			continue // it is gone, or another one by now
		}
		// An error of one function, too, keeps its first words.
		if store.TroubleOf(f.view.GroupsErr) == store.TroubleOf(l.err) {
			l.err = f.view.GroupsErr
		}
		news := f.fresh || f.view.Numbers == nil || (l.err == nil) != (f.view.GroupsErr == nil) ||
			!maps.Equal(f.view.Numbers.ByVersion, l.numbers.ByVersion) && now.Sub(f.toldAt) >= p.o.NumbersInterval ||
			count(l.numbers) != f.told && now.Sub(f.toldAt) >= p.o.NumbersInterval
		f.view.Numbers, f.view.Ends, f.view.GroupsErr = l.numbers, l.ends, l.err
		f.view.Ticks, f.view.Next = l.ahead(now)
		f.older = l.olderReads()
		if slices.Equal(f.reads(), l.reads) && f.Settled == l.function.Settled && f.Scaled == l.function.Scaled {
			f.fresh = false
		} else {
			p.kick()
		}
		if f.Wants != nil && f.Wants(&f.view) != f.Decided {
			news, f.Decided = true, f.Wants(&f.view)
		}
		if news {
			f.told, f.toldAt = count(l.numbers), now
			tell = append(tell, l.function.Name)
		}
	}
	onFn := p.onFn
	p.mu.Unlock()
	for _, name := range tell {
		onFn(name)
	}
}

// lookAtTypes makes the streams of event types, keeps them within their
// retention and reads how large they are.
func (p *Poller) lookAtTypes(ctx context.Context, s *server, all bool) error {
	p.mu.Lock()
	var looked []eventType
	for name, t := range p.types {
		if (all || t.fresh) && p.uses(name.Namespace, t.Secret, s) {
			looked = append(looked, *t)
		}
	}
	p.mu.Unlock()
	refs := make([]store.StreamRef, len(looked))
	for i := range looked {
		t := &looked[i]
		refs[i] = store.StreamRef{Namespace: t.Name.Namespace, Type: t.Type}
		here := s.store.In(t.Name.Namespace)
		if !t.made {
			t.view.StreamErr = p.makeStream(ctx, here, t)
			t.made = t.view.StreamErr == nil
		}
		if t.made && time.Since(t.trimmed) >= trimEvery {
			t.view.StreamErr = here.Trim(ctx, t.Type, t.Period, t.MaxBytes)
			t.trimmed = time.Now()
		}
	}
	states, err := s.store.SurveyStreams(ctx, refs)
	if err != nil {
		return err
	}
	for i := range looked {
		looked[i].view.Stream = &states[i]
		looked[i].made = looked[i].made && states[i].Bytes > 0 // a Redis that was emptied: make it again
	}
	p.keepTypes(looked)
	return nil
}

func (p *Poller) makeStream(ctx context.Context, here *store.Store, t *eventType) error {
	p.mend.RLock()
	defer p.mend.RUnlock()
	p.mu.Lock()
	followed := p.types[t.Name] != nil
	p.mu.Unlock()
	if !followed {
		return nil
	}
	return here.MakeStream(ctx, t.Type, t.Period, t.MaxBytes)
}

func (p *Poller) keepTypes(looked []eventType) {
	p.mu.Lock()
	var tell []types.NamespacedName
	now := time.Now()
	for _, l := range looked {
		t := p.types[l.Name]
		if t == nil || t.EventType != l.EventType {
			continue
		}
		news := t.fresh || (l.view.StreamErr == nil) != (t.view.StreamErr == nil) || *l.view.Stream != t.told && now.Sub(t.toldAt) >= p.o.NumbersInterval
		t.view.Stream, t.view.StreamErr = l.view.Stream, l.view.StreamErr
		t.made, t.trimmed, t.fresh = l.made, l.trimmed, false
		if news {
			t.told, t.toldAt = *l.view.Stream, now
			tell = append(tell, l.Name)
		}
	}
	onType := p.onType
	p.mu.Unlock()
	for _, name := range tell {
		onType(name)
	}
}
