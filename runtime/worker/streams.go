package worker

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/admission"
	"github.com/wildout/wildout/runtime/store/runs"
)

// streams knows what a runner reads. Runners of newer versions may add to it.
// The heartbeat writes it, any goroutine reads.
type streams struct {
	*self
	store     groups
	admission *admission.Admission
	known     atomic.Pointer[reads]
	changed   chan struct{} // gets a value when there is something new
}

// reads are streams by what they are read for. It does not change.
type reads struct {
	ever     int      // event types that any version has read
	types    []string // event types that are read
	starts   []string // the inbox, and the streams whose events start runs
	waitOnly []string // those whose events only runs wait for
	both     []string // those of starts whose events runs wait for, too
	// claims are all of them, and those that other versions of the function read:
	// entries may be pending there.
	claims []string
}

func (s *streams) now() *reads { return s.known.Load() }

// open makes the streams known, and this function's group on each.
func (s *streams) open(ctx context.Context) error {
	waits := waitPaths(s.Plan.Spec)
	return s.read(ctx, waits)
}

// learn takes in what runners of newer versions have added.
func (s *streams) learn(ctx context.Context, b runs.Beat) error {
	if b.WaitPaths == s.admission.Waits() && b.Reads == s.now().ever {
		return nil
	}
	return s.read(ctx, nil)
}

func (s *streams) read(ctx context.Context, waits []runs.WaitPath) error {
	f := s.Plan.Function
	known, err := s.store.WaitPaths(ctx, f)
	if err != nil {
		return err
	}
	r := s.sort(append(slices.Clone(known), waits...))
	if err := s.store.EnsureGroups(ctx, f, s.origin(), r.types...); err != nil {
		return err
	}
	ever, err := s.store.Reads(ctx, f)
	if err != nil {
		return err
	}
	r.ever = len(ever)
	r.claims = append(r.claims, s.Store.Keys().Adopted(f))
	for _, t := range ever {
		r.claims = appendNew(r.claims, s.store.Keys().Stream(t))
	}
	if err := s.admission.WaitFor(known); err != nil {
		return err
	}
	s.known.Store(r)
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

// sort says which streams are read, and for what.
func (s *streams) sort(waits []runs.WaitPath) *reads {
	k := s.store.Keys()
	r := &reads{types: s.Plan.Spec.Triggered(), starts: []string{k.Inbox(s.Plan.Function)}}
	triggers := len(r.types)
	for _, t := range r.types {
		r.starts = append(r.starts, k.Stream(t))
	}
	for _, w := range waits {
		if slices.Contains(r.types[:triggers], w.EventType) {
			r.both = appendNew(r.both, k.Stream(w.EventType))
			continue
		}
		r.types = appendNew(r.types, w.EventType)
		r.waitOnly = appendNew(r.waitOnly, k.Stream(w.EventType))
	}
	r.claims = slices.Concat(r.starts, r.waitOnly)
	return r
}

// waitPaths are the ways in which runs of a function wait for events.
func waitPaths(spec *v1alpha1.WildoutFunctionSpec) []runs.WaitPath {
	awaited := spec.Awaited()
	paths := make([]runs.WaitPath, len(awaited))
	for i, a := range awaited {
		paths[i] = runs.WaitPath{EventType: string(a.Event), Match: a.Match}
	}
	return paths
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// register makes the waits of this version known, and says whether any of them
// is new: then other runners may not know it yet.
func (s *streams) register(ctx context.Context) (fresh bool, err error) {
	fresh, err = s.store.RegisterWaits(ctx, s.Plan.Function, waitPaths(s.Plan.Spec))
	if err != nil {
		return false, err
	}
	known, err := s.store.WaitPaths(ctx, s.Plan.Function)
	if err != nil {
		return false, err
	}
	return fresh, s.admission.WaitFor(known)
}
