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
	"github.com/wildout/wildout/controllers/health"
	"github.com/wildout/wildout/controllers/observe"
	"github.com/wildout/wildout/controllers/scaling"
	"github.com/wildout/wildout/controllers/survey"
	"github.com/wildout/wildout/runtime/plan"
)

// scale is what is remembered of the runners of a function. An operator that
// has just begun remembers nothing, and keeps what there is.
type scale struct {
	memory scaling.Memory
	// moreSince is when more runners were asked for last.
	moreSince time.Time
	contest   scaling.Contest
	// left is until when runners that somebody else has set are left alone.
	left time.Time
}

// scaleOf returns what is remembered of a function. No two reconciles of one
// function run at a time: whoever has it may change it.
func (r *functions) scaleOf(uid types.UID) *scale {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.scales[uid] == nil {
		r.scales[uid] = &scale{}
	}
	return r.scales[uid]
}

func isScaled(f *v1alpha1.WildoutFunction) bool {
	return f.Spec.Runner != nil && f.Spec.Runner.Scaling != nil
}

// schedules are the cron triggers of a function that is scaled: without
// runners it is up to the operator to see their ticks come.
func schedules(f *v1alpha1.WildoutFunction, p *plan.Plan) (all []survey.Schedule) {
	if p == nil || !isScaled(f) {
		return nil
	}
	for _, t := range p.Triggers {
		if t.Schedule != nil {
			all = append(all, survey.Schedule{Cron: t.Cron, Next: t.Schedule.Next})
		}
	}
	return all
}

// scale decides how many runners there shall be, and says after which time to
// decide anew; 0: time alone changes nothing.
func (r *functions) scale(f *v1alpha1.WildoutFunction, facts *health.Facts, snapshot *observe.Snapshot, objects *desired.Objects) (again time.Duration) {
	s := r.scaleOf(f.UID)
	var watch survey.Watch
	switch {
	case f.Spec.Suspend: // at once: a runner that ends reads nothing more, and hands back what it has
		facts.Replicas, s.memory = 0, nil
	case isScaled(f):
		facts.Replicas, watch, again = s.decide(f, facts, snapshot, objects)
	case f.Spec.Runner == nil || f.Spec.Runner.Replicas == nil:
		facts.Replicas, s.memory = 1, nil
	default:
		facts.Replicas, s.memory = *f.Spec.Runner.Replicas, nil
	}
	r.poller.Watch(client.ObjectKeyFromObject(f), watch)
	facts.MoreSince = s.moreSince
	if objects != nil {
		facts.RolledOut = f.Status.RolledOut == objects.Rollout.String()
		objects.Scale(facts.Replicas)
	}
	return again
}

// decide follows what there is to do.
func (s *scale) decide(f *v1alpha1.WildoutFunction, facts *health.Facts, snapshot *observe.Snapshot, objects *desired.Objects) (int32, survey.Watch, time.Duration) {
	var have int32
	if d := snapshot.Deployment; d != nil && d.Spec.Replicas != nil {
		have = *d.Spec.Replicas
	}
	if objects == nil { // all stays as it is
		return have, survey.Watch{}, 0
	}
	limits := scaling.LimitsOf(&f.Spec)
	if unproven(f, objects) {
		limits.Min = max(limits.Min, 1)
	}
	decision, memory := s.memory.Decide(limits, workOf(&facts.View), have, facts.Now)
	s.memory = memory
	wants := func(v *survey.View) int32 {
		work := workOf(v)
		if work == nil {
			return -1
		}
		return limits.Wants(*work, decision.Runners, time.Now())
	}
	return decision.Runners, survey.Watch{Wants: wants, Decided: wants(&facts.View), Asleep: decision.Runners == 0}, decision.Again
}

// unproven: no runner of this kind has worked yet. One is started to see, also
// where there is nothing to do: Ready is to mean that an event will be handled.
func unproven(f *v1alpha1.WildoutFunction, objects *desired.Objects) bool {
	return !objects.Rollout.SamePods(f.Status.RolledOut)
}

// workOf is what there is to do; nil: nobody knows.
func workOf(v *survey.View) *scaling.Work {
	n := v.Numbers
	if !v.Asked || v.Err != nil || n == nil || n.Err != nil || len(n.Missing) > 0 || n.Outlook.At.IsZero() {
		return nil
	}
	return &scaling.Work{Open: n.Unread + n.Pending + n.Due + v.Ticks, Queued: n.Outlook.Queued > 0, Next: v.Next}
}

// scaled tells that the number of runners was changed, and why.
func (r *functions) scaled(f *v1alpha1.WildoutFunction, facts *health.Facts, before *appsv1.Deployment, objects *desired.Objects) {
	if before == nil || before.Spec.Replicas == nil || *before.Spec.Replicas == facts.Replicas {
		return
	}
	s := r.scaleOf(f.UID)
	if facts.Replicas > *before.Spec.Replicas {
		s.moreSince, facts.MoreSince = facts.Now, facts.Now
	}
	if isScaled(f) && !f.Spec.Suspend {
		r.events.Eventf(f, nil, corev1.EventTypeNormal, "Scaled", "Scale", "from %d to %d runners: %s",
			*before.Spec.Replicas, facts.Replicas, because(f, facts, objects))
	}
}

// because is why there are so many runners.
func because(f *v1alpha1.WildoutFunction, facts *health.Facts, objects *desired.Objects) string {
	work := workOf(&facts.View)
	switch {
	case work == nil:
		return "spec.runner.scaling was changed"
	case work.Open > 0:
		return fmt.Sprintf("backlog %d", work.Open)
	case unproven(f, objects):
		return "one has to show that this version works"
	case facts.Replicas > 0 && !work.Next.IsZero():
		return "a timer or cron tick is due at " + work.Next.UTC().Format(time.RFC3339)
	case work.Queued:
		return "runs wait for a slot"
	}
	return "backlog 0"
}

// contested reports whether the Deployment is to be left as it is for now: all
// that differs is the number of runners, and somebody else sets it again and
// again.
func (r *functions) contested(f *v1alpha1.WildoutFunction, facts *health.Facts, o object, d *appsv1.Deployment) bool {
	known, ours := r.applier.known(f.UID, o.key())
	if !ours || known.content != o.content || d == nil || d.UID != known.uid || d.Generation <= known.generation ||
		d.Spec.Replicas == nil || *d.Spec.Replicas == facts.Replicas {
		return false
	}
	s := r.scaleOf(f.UID)
	if wait := s.contest.SetBack(facts.Now); wait > 0 {
		s.left = facts.Now.Add(wait)
		facts.Contested, facts.Generation = d.Spec.Replicas, known.generation
		return true
	}
	r.events.warn(f, "ReplicasSetBack", "Scale", "somebody else set the replicas of Deployment %s to %d, and they are %d again: scale the WildoutFunction"+
		" (kubectl scale wildoutfunction %s, or an HPA or KEDA that names it), not the Deployment", d.Name, *d.Spec.Replicas, facts.Replicas, f.Name)
	return false
}

// leftFor is how long a contested Deployment is left as it is.
func (r *functions) leftFor(f *v1alpha1.WildoutFunction, facts *health.Facts) time.Duration {
	if facts.Contested == nil {
		return 0
	}
	return r.scaleOf(f.UID).left.Sub(facts.Now)
}
