package admission

import (
	"context"
	"errors"
	"sync"
)

// slots counts what this runner holds of keyed concurrency limits. Whoever
// changes a count holds its lock while the store is told: it is told counts, and
// the last one must be right.
type slots struct {
	mu     sync.Mutex
	counts map[slotKey]*slotCount
}

type slotKey struct {
	limit int
	value string
}

// slotCount is what is held of one limit for one value.
type slotCount struct {
	key  slotKey
	refs int // who uses it; guarded by slots.mu

	mu   sync.Mutex // held while the store is told; guards the rest
	max  int        // the limit
	n    int
	owed bool // the store could not be told
}

// lockedSlots are counts that nobody else changes.
type lockedSlots struct {
	of     *slots
	counts []*slotCount
}

// lock locks the counts of slots, which come in the order of their limits, so
// that nobody waits in a circle. It tells the slots what the runner would hold with
// them.
func (s *slots) lock(all []Slot) lockedSlots {
	held := lockedSlots{of: s}
	for i := range all {
		c := s.get(slotKey{all[i].Limit, all[i].Value})
		c.mu.Lock()
		c.max = all[i].Max
		all[i].Held = c.n + 1
		held.counts = append(held.counts, c)
	}
	return held
}

func (l lockedSlots) count(n int) {
	for _, c := range l.counts {
		c.n += n
	}
}

func (l lockedSlots) unlock() {
	for _, c := range l.counts {
		c.mu.Unlock()
		l.of.put(c)
	}
}

func (s *slots) get(key slotKey) *slotCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[slotKey]*slotCount{}
	}
	c := s.counts[key]
	if c == nil {
		c = &slotCount{key: key}
		s.counts[key] = c
	}
	c.refs++
	return c
}

// put forgets a count that nobody uses and that holds nothing.
func (s *slots) put(c *slotCount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.refs--; c.refs == 0 && c.n == 0 && !c.owed {
		delete(s.counts, c.key)
	}
}

// all returns the counts there are; each is to be put back.
func (s *slots) all() []*slotCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*slotCount, 0, len(s.counts))
	for _, c := range s.counts {
		c.refs++
		list = append(list, c)
	}
	return list
}

// tell states the count. The lock is held.
func (c *slotCount) tell(ctx context.Context, p Port) error {
	err := p.Release(ctx, Slot{Limit: c.key.limit, Value: c.key.value, Max: c.max, Held: c.n})
	c.owed = err != nil
	return err
}

// Leave gives back the slots of a run that was let in, and wakes those that wait
// for them. What fails is made up for by Restate: the count that is told then
// is right all the same.
func (a *Admission) Leave(ctx context.Context, r *Run) error {
	var failed error
	for _, s := range r.slots {
		c := a.slots.get(slotKey{s.Limit, s.Value})
		c.mu.Lock()
		c.n--
		failed = errors.Join(failed, c.tell(ctx, a.Port))
		c.mu.Unlock()
		a.slots.put(c)
	}
	r.slots = nil
	return failed
}

// Restate gives back what could not be given back before.
func (a *Admission) Restate(ctx context.Context) error {
	return a.restate(ctx, func(c *slotCount) bool { return c.owed })
}

// LeaveAll gives back all slots: the runner leaves.
func (a *Admission) LeaveAll(ctx context.Context) error {
	return a.restate(ctx, func(c *slotCount) bool {
		c.n = 0
		return true
	})
}

func (a *Admission) restate(ctx context.Context, which func(*slotCount) bool) error {
	var failed error
	for _, c := range a.slots.all() {
		c.mu.Lock()
		if failed == nil && which(c) {
			failed = c.tell(ctx, a.Port)
		}
		c.mu.Unlock()
		a.slots.put(c)
	}
	return failed
}
