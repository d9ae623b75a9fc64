package controllers

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/controllers/observe"
	"github.com/wildout/wildout/controllers/scaling"
	"github.com/wildout/wildout/controllers/survey"
	"github.com/wildout/wildout/controllers/view"
)

// memory is what is remembered of the runners of a function. An operator that
// has just begun remembers nothing, and keeps what there is.
type memory struct {
	wanted scaling.Memory
	// moreSince is when more runners were asked for last.
	moreSince time.Time
	contest   scaling.Contest
}

// memoryOf returns what is remembered of a function. No two reconciles of one
// function run at a time: whoever has it may change it.
func (r *functions) memoryOf(uid types.UID) *memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.memories[uid] == nil {
		r.memories[uid] = &memory{}
	}
	return r.memories[uid]
}

func isScaled(f *v1alpha1.WildoutFunction) bool {
	return f.Spec.Runner != nil && f.Spec.Runner.Scaling != nil
}

// target is how many runners there shall be.
type target struct {
	runners int32
	// rolledOut: runners of this very kind have worked.
	rolledOut bool
	// waits: the runners stay of the kind that they are until it is their turn
	// to be replaced. Only their number may change.
	waits bool
	// again is after which time to decide anew; 0: time alone changes nothing.
	again time.Duration
}

// scale decides how many runners there shall be.
func (r *functions) scale(f *v1alpha1.WildoutFunction, work *view.Work, objects *desired.Objects, snapshot *observe.Snapshot, waits bool, now time.Time) target {
	m := r.memoryOf(f.UID)
	var watch survey.Watch
	var t target
	switch {
	case f.Spec.Suspend: // at once: a runner that ends reads nothing more, and hands back what it has
		m.wanted = nil
	case isScaled(f):
		t, watch = m.follow(f, work, objects, replicasOf(snapshot.Deployment), waits, now)
	case f.Spec.Runner == nil || f.Spec.Runner.Replicas == nil:
		m.wanted = nil
		t.runners = 1
	default:
		m.wanted = nil
		t.runners = *f.Spec.Runner.Replicas
	}
	r.poller.Watch(client.ObjectKeyFromObject(f), watch)
	if objects != nil {
		t.waits = waits && (replicasOf(snapshot.Deployment) > 0 || t.runners == 0) // none is replaced where the first one starts
		t.rolledOut = f.Status.RolledOut == objects.Rollout.String() || t.waits && f.Status.RolledOut != ""
		objects.Scale(t.runners)
	}
	return t
}

func replicasOf(d *appsv1.Deployment) int32 {
	if d == nil || d.Spec.Replicas == nil {
		return 0
	}
	return *d.Spec.Replicas
}

// follow decides by what there is to do, where there are so many runners now.
func (m *memory) follow(f *v1alpha1.WildoutFunction, work *view.Work, objects *desired.Objects, have int32, waits bool, now time.Time) (target, survey.Watch) {
	if objects == nil { // all stays as it is
		return target{runners: have}, survey.Watch{}
	}
	limits := scaling.LimitsOf(&f.Spec)
	if unproven(f, objects) && !waits {
		limits.Min = max(limits.Min, 1)
	}
	decision, wanted := m.wanted.Decide(limits, work, have, now)
	m.wanted = wanted
	wants := func(work *view.Work, now time.Time) int32 {
		if work == nil {
			return -1
		}
		return limits.Wants(*work, decision.Runners, now)
	}
	watch := survey.Watch{Wants: wants, Decided: wants(work, now), Asleep: decision.Runners == 0}
	return target{runners: decision.Runners, again: decision.Again}, watch
}

// unproven: no runner of this kind has worked yet. One is started to see, also
// where there is nothing to do: Ready is to mean that an event will be handled.
func unproven(f *v1alpha1.WildoutFunction, objects *desired.Objects) bool {
	return !objects.Rollout.SamePods(f.Status.RolledOut)
}

// noteScaled tells that the number of runners was changed, and why. It returns
// when more were asked for last.
func (r *functions) noteScaled(c change) (moreSince time.Time) {
	m := r.memoryOf(c.function.UID)
	if c.snapshot.Deployment == nil || c.snapshot.Deployment.Spec.Replicas == nil {
		return m.moreSince
	}
	before, now := *c.snapshot.Deployment.Spec.Replicas, c.target.runners
	if before == now {
		return m.moreSince
	}
	if now > before {
		m.moreSince = c.now
	}
	if isScaled(c.function) && !c.function.Spec.Suspend {
		r.events.Eventf(c.function, nil, corev1.EventTypeNormal, "Scaled", "Scale", "from %d to %d runners: %s", before, now, c.why())
	}
	return m.moreSince
}

// why is why there shall be so many runners.
func (c change) why() string {
	work := c.redis.Work
	switch {
	case work == nil:
		return "spec.runner.scaling was changed"
	case work.Open > 0:
		return fmt.Sprintf("backlog %d", work.Open)
	case unproven(c.function, c.objects):
		return "one has to show that this version works"
	case c.target.runners > 0 && !work.Next.IsZero():
		return "a timer or cron tick is due at " + work.Next.UTC().Format(time.RFC3339)
	case work.Queued:
		return "runs wait for a slot"
	}
	return "backlog 0"
}

// contest is a Deployment that somebody else scales, too.
type contest struct {
	// replicas are what it has, generation what ours was.
	replicas   int32
	generation int64
	// wait is how long it is left as it is.
	wait time.Duration
}

// contested says that the Deployment is to be left as it is for now: all that
// differs is the number of runners, and somebody else sets it again and again.
// nil: it is not.
func (r *functions) contested(c change, o object) *contest {
	known, ours := r.applier.known(c.function.UID, o.key())
	d := c.snapshot.Deployment
	if !ours || known.content != o.content || d == nil || d.UID != known.uid || d.Generation <= known.generation ||
		d.Spec.Replicas == nil || *d.Spec.Replicas == c.target.runners {
		return nil
	}
	wait := r.memoryOf(c.function.UID).contest.SetBack(c.now)
	if wait > 0 {
		return &contest{replicas: *d.Spec.Replicas, generation: known.generation, wait: wait}
	}
	r.events.warn(c.function, "ReplicasSetBack", "Scale", "somebody else set the replicas of Deployment %s to %d, and they are %d again: scale the WildoutFunction"+
		" (kubectl scale wildoutfunction %s, or an HPA or KEDA that names it), not the Deployment", d.Name, *d.Spec.Replicas, c.target.runners, c.function.Name)
	return nil
}
