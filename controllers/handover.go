package controllers

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/health"
	"github.com/wildout/wildout/controllers/observe"
)

// handover spreads what an operator that takes over would do at once: apply all
// children of all functions, as it cannot know what was changed while there was
// none. A thousand functions take it most of a minute, in which it would look
// at none of the others for work.
type handover struct {
	window time.Duration
	began  sync.Once
	since  time.Time
}

// turn is the time until the children of a function are to be applied.
func (h *handover) turn(uid types.UID, now time.Time) time.Duration {
	h.began.Do(func() { h.since = now }) // not when it was started: it may have waited to be the leader
	sum := sha256.Sum256([]byte(uid))
	share := float64(binary.BigEndian.Uint16(sum[:])) + 1
	return max(0, h.since.Add(time.Duration(float64(h.window)*share/(1<<16))).Sub(now))
}

// handover is how long the children of a function may stay as an operator
// before this one has left them. It is 0 where anything that is known here
// differs: the spec, the pods, the number of runners, a child that is missing.
func (r *functions) handover(f *v1alpha1.WildoutFunction, children []object, snapshot *observe.Snapshot, facts *health.Facts) time.Duration {
	d := facts.Deployment
	missing := func(o object) bool { return observed(snapshot, o) == nil }
	if r.applier.begun(f.UID) || d == nil || d.Spec.Replicas == nil || *d.Spec.Replicas != facts.Replicas ||
		f.Status.ObservedGeneration != f.Generation || !facts.RolledOut || slices.ContainsFunc(children, missing) {
		return 0
	}
	later := r.taken.turn(f.UID, facts.Now)
	if later > 0 {
		facts.Generation = d.Generation
	}
	return later
}
