package controllers

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// takeover spreads what an operator that takes over would do at once: apply all
// children of all functions, as it cannot know what was changed while there was
// none. A thousand functions take it most of a minute, in which it would look
// at none of the others for work.
type takeover struct {
	window time.Duration
	began  sync.Once
	since  time.Time
}

// turn is the time until the children of a function are to be applied.
func (t *takeover) turn(uid types.UID, now time.Time) time.Duration {
	t.began.Do(func() { t.since = now }) // not when it was started: it may have waited to be the leader
	sum := sha256.Sum256([]byte(uid))
	share := float64(binary.BigEndian.Uint16(sum[:])) + 1
	return max(0, t.since.Add(time.Duration(float64(t.window)*share/(1<<16))).Sub(now))
}

// mayStay is how long the children of a function may stay as an operator before
// this one has left them. It is 0 where anything that is known here differs: the
// spec, the pods, the number of runners, a child that is missing.
func (r *functions) mayStay(c change, children []object) time.Duration {
	f, d := c.function, c.snapshot.Deployment
	missing := func(o object) bool { return observed(c.snapshot, o) == nil }
	if r.applier.begun(f.UID) || d == nil || d.Spec.Replicas == nil || *d.Spec.Replicas != c.target.runners ||
		f.Status.ObservedGeneration != f.Generation || !c.target.rolledOut || slices.ContainsFunc(children, missing) {
		return 0
	}
	return r.takeover.turn(f.UID, c.now)
}
