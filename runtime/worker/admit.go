package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/store"
)

// admit takes what a run needs before its first step: the idempotency key, the
// rate limit, a slot for each keyed concurrency limit. False means that the
// run was ended or parked here.
func (s *session) admit(l *load, d delivery) (bool, error) {
	p := l.plan
	if p.Idempotency == nil && p.RateLimit == nil && len(p.Concurrency) == 0 {
		return true, nil
	}
	scope := &plan.Scope{Event: &l.meta.Event, Env: s.Env}
	// A replay is wanted by a person: it is no duplicate, and its key is left to others.
	if p.Idempotency != nil && l.meta.ReplayOf == "" && (l.meta.Once == "" || l.meta.Follows != "") {
		if goOn, err := s.admitOnce(l, scope); err != nil || !goOn {
			return false, err
		}
	}
	if p.RateLimit != nil && !l.meta.Admitted && !l.stepped() {
		if goOn, err := s.admitRate(l, d, scope); err != nil || !goOn {
			return false, err
		}
		l.meta.Admitted = true
	}
	return s.admitKeyed(l, scope)
}

// admitKeyed takes a slot of each keyed concurrency limit, or queues the run.
func (s *session) admitKeyed(l *load, scope *plan.Scope) (bool, error) {
	for i, c := range l.plan.Concurrency {
		if c.Key == nil {
			continue
		}
		value, err := c.Key.Text(scope)
		if err != nil {
			s.keyed.release(l.keyed)
			return false, s.finishUnstarted(l, fmt.Errorf("spec.concurrency[%d].key: %w", i, err))
		}
		slot := keyedSlot{limit: i + 1, value: value, max: c.Limit}
		ok, err := s.keyed.acquire(background, slot, !l.resumed)
		if err == nil && ok {
			l.keyed = append(l.keyed, slot)
			continue
		}
		s.keyed.release(l.keyed)
		l.keyed = nil
		if err != nil {
			return false, err
		}
		l.meta.Admitted = true
		if l.meta.Queued.IsZero() { // else it goes on waiting
			l.meta.Queued = s.now()
		}
		_, err = s.parkAs(l, store.Park{Ref: &l.ref, Queue: slot.limit, QueueValue: value, Front: l.resumed, Restate: true})
		if err == nil {
			s.keyed.wake(slot) // the slot may have become free before the run was in the queue
		}
		return false, err
	}
	return true, nil
}

// admitOnce takes the idempotency key. A run that meets the key of another one
// is a duplicate; an invoked one waits for the other and takes its outcome.
func (s *session) admitOnce(l *load, scope *plan.Scope) (bool, error) {
	p := l.plan
	key, err := p.Idempotency.Key.Text(scope)
	if err != nil {
		return false, s.finishUnstarted(l, fmt.Errorf("spec.idempotency.key: %w", err))
	}
	holder, outcome, err := s.committer.Once(background, key, l.ref.RunID, p.Idempotency.TTL, l.ref.Parent != nil)
	if err != nil {
		return false, err
	}
	if holder != "" && l.stepped() {
		return true, nil // its key ran out and another has it: a run that has begun goes on
	}
	l.meta.Once = key
	if holder == "" {
		l.meta.Follows = ""
		return true, nil
	}
	if l.ref.Parent == nil {
		s.metrics.ended[duplicate].Inc()
		s.log.Info("run not started: another one has its idempotency key", append(l.about(), "key", key, "other", holder)...)
		_, err := s.committer.Finish(background, store.Finish{Ref: &l.ref, Count: "duplicate"})
		return false, err
	}
	l.meta.Follows = holder
	if outcome == nil {
		// The other run wakes this one when it ends. It may end before this one is
		// parked, and look for nobody: look again, ever less often.
		age := s.now().Sub(l.meta.StartedAt)
		_, err := s.parkAs(l, store.Park{Ref: &l.ref, Due: s.now().Add(min(30*time.Second, max(200*time.Millisecond, age/2))), Restate: true})
		return false, err
	}
	var o onceOutcome
	if err := json.Unmarshal(outcome, &o); err != nil {
		return false, s.finishUnstarted(l, fmt.Errorf("the outcome of run %s, which has the same idempotency key, is damaged: %w", holder, err))
	}
	out := engine.Outcome{Kind: engine.Finished, Output: o.Output, Failure: o.Failure}
	if o.Failure != nil {
		out.Kind = engine.Failed
	}
	return false, s.finish(l, out)
}

// admitRate passes the rate limit, or parks or drops the run.
func (s *session) admitRate(l *load, d delivery, scope *plan.Scope) (bool, error) {
	limit := l.plan.RateLimit
	if limit.Key == nil && d.rated && !limit.Drop {
		return true, nil
	}
	value := ""
	if limit.Key != nil {
		var err error
		if value, err = limit.Key.Text(scope); err != nil {
			return false, s.finishUnstarted(l, fmt.Errorf("spec.rateLimit.key: %w", err))
		}
	}
	rate := *s.rateOf(limit, value)
	if limit.Drop && l.meta.ReplayOf == "" { // a replay is never dropped: it waits
		got, _, err := s.Store.TakeRate(background, rate, 1)
		if err != nil || got == 1 {
			return got == 1, err
		}
		s.metrics.ended[dropped].Inc()
		s.log.Info("run dropped by the rate limit", append(l.about(), "key", value)...)
		_, err = s.committer.Finish(background, store.Finish{Ref: &l.ref, Count: "dropped"})
		return false, err
	}
	wait, err := s.Store.ReserveRate(background, rate)
	if err != nil || wait == 0 {
		return err == nil, err
	}
	l.meta.Admitted = true
	s.metrics.waited(waitRate, wait)
	_, err = s.parkAs(l, store.Park{Ref: &l.ref, Due: s.now().Add(wait), Restate: true})
	return false, err
}

// keyedSlot is a slot of a keyed concurrency limit.
type keyedSlot struct {
	limit int
	value string
	max   int
}

// keyedSlots counts the slots that this runner holds, by limit and value.
// Redis is told the count, never a difference.
type keyedSlots struct {
	s    *session
	mu   sync.Mutex
	held map[[2]string]*keyedCount
}

type keyedCount struct {
	mu   sync.Mutex // held while Redis is asked: one question at a time for a value
	n    int
	refs int // users of the entry; guarded by keyedSlots.mu
	slot keyedSlot
}

func newKeyedSlots(s *session) *keyedSlots {
	return &keyedSlots{s: s, held: map[[2]string]*keyedCount{}}
}

func (k *keyedSlots) get(slot keyedSlot) ([2]string, *keyedCount) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := [2]string{fmt.Sprint(slot.limit), slot.value}
	c := k.held[id]
	if c == nil {
		c = &keyedCount{slot: slot}
		k.held[id] = c
	}
	c.refs++
	return id, c
}

func (k *keyedSlots) put(id [2]string, c *keyedCount) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.refs--; c.refs == 0 && c.n == 0 {
		delete(k.held, id)
	}
}

func (k *keyedSlots) question(slot keyedSlot, want int) store.Slots {
	return store.Slots{Function: k.s.Plan.Function, Limit: slot.limit, Value: slot.value, Runner: k.s.name, Want: want, Max: slot.max, Lease: k.s.Lease}
}

// acquire takes a slot if there is one. A new run does not go ahead of those
// that are queued.
func (k *keyedSlots) acquire(ctx context.Context, slot keyedSlot, isNew bool) (bool, error) {
	id, c := k.get(slot)
	defer k.put(id, c)
	c.mu.Lock()
	defer c.mu.Unlock()
	q := k.question(slot, c.n+1)
	q.New = isNew
	n, err := k.s.Store.Hold(ctx, q)
	if err != nil || n <= c.n {
		return false, err
	}
	c.n = n
	return true, nil
}

// wake puts queued runs back if there is room for them. A failure costs time
// only: each heartbeat does the same.
func (k *keyedSlots) wake(slot keyedSlot) {
	if err := k.s.Store.Release(background, k.question(slot, -1)); err != nil {
		k.s.log.Warn("could not look after queued runs", "key", slot.value, "error", err)
	}
}

// release gives slots back. While Redis is away it goes on trying: the count
// that it is told later is right all the same.
func (k *keyedSlots) release(slots []keyedSlot) {
	for _, slot := range slots {
		id, c := k.get(slot)
		c.mu.Lock()
		c.n--
		err := k.s.Store.Release(background, k.question(slot, c.n))
		c.mu.Unlock()
		k.put(id, c)
		if err != nil {
			k.s.log.Warn("slot not given back yet; trying again", "key", slot.value, "error", err)
			go k.retry(slot)
		}
	}
}

func (k *keyedSlots) retry(slot keyedSlot) {
	id, c := k.get(slot)
	defer k.put(id, c)
	for pause := time.Second; sleep(k.s.runCtx, pause); pause = min(2*pause, 10*time.Second) {
		c.mu.Lock()
		err := k.s.Store.Release(background, k.question(slot, c.n))
		c.mu.Unlock()
		if err == nil {
			return
		}
	}
}

// releaseAll gives back everything when the runner leaves.
func (k *keyedSlots) releaseAll(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.held {
		if err := k.s.Store.Release(ctx, k.question(c.slot, 0)); err != nil {
			return err
		}
	}
	for i, l := range k.s.Plan.Concurrency {
		if l.Key == nil {
			if _, err := k.s.Store.Hold(ctx, store.Slots{Function: k.s.Plan.Function, Limit: i + 1, Runner: k.s.name, Max: l.Limit, Lease: k.s.Lease}); err != nil {
				return err
			}
		}
	}
	return nil
}
