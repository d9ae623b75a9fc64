package controllers

import (
	"context"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/controllers/health"
	"github.com/wildout/wildout/controllers/view"
)

// report writes the status, and says when there is more to write.
func (r *functions) report(ctx context.Context, f *v1alpha1.WildoutFunction, status *v1alpha1.WildoutFunctionStatus) (wait time.Duration, err error) {
	words := !sameWords(&f.Status, status)
	wait, err = r.status.write(ctx, f, functionKind, &f.Status, status, words)
	if err == nil && words {
		r.events.transitions(f, f.Status.Conditions, status.Conditions)
	}
	if status.RolledOut != f.Status.RolledOut { // what follows is decided once the cache has it
		wait = soonest(wait, time.Second)
	}
	return wait, err
}

// rolledOut is the rollout that runners have shown to work.
func rolledOut(was string, conditions []metav1.Condition, target target, rollout desired.Rollout) string {
	runners := find(conditions, v1alpha1.ConditionRunnersAvailable)
	switch {
	case target.runners > 0 && runners.Status == metav1.ConditionTrue && runners.Reason == v1alpha1.ReasonRunnersAvailable,
		target.runners == 0 && rollout.SamePods(was): // there is none to be replaced for another Secret
		return rollout.String()
	case was != rollout.String():
		return "" // under way
	}
	return was
}

// newStatus is the status that follows. What is not known stays as it was.
func newStatus(f *v1alpha1.WildoutFunction, conditions []metav1.Condition, redis view.Function, d *appsv1.Deployment, now time.Time) *v1alpha1.WildoutFunctionStatus {
	s := f.Status.DeepCopy()
	s.ObservedGeneration = f.Generation
	s.Conditions = health.Merge(f.Status.Conditions, conditions, metav1.NewTime(now))
	s.Triggers = triggers(&f.Spec)
	s.Selector = labels.SelectorFromSet(desired.Selector(f.Name)).String()
	s.Replicas = 0
	if d != nil {
		s.Replicas = d.Status.Replicas
	}
	n := redis.Numbers
	if n == nil {
		return s
	}
	s.Backlog = n.Backlog()
	s.Runs = &v1alpha1.RunCounts{InFlight: n.Pending, Waiting: n.Waiting, Succeeded: n.Succeeded, Failed: n.Failed}
	if len(n.ByVersion) > 0 {
		s.Runs.ByVersion = n.ByVersion
	}
	s.LastRunTime = nil
	if redis.Runs.Ended > 0 {
		s.LastRunTime = seconds(redis.Runs.LastEnd)
	}
	s.LastFailure = nil
	if last := redis.Runs.LastFailure; last != nil {
		s.LastFailure = &v1alpha1.Failure{RunID: last.RunID, Step: last.Step, Message: cut(last.Message, 1024), Time: *seconds(last.At)}
	}
	return s
}

// seconds is a time as the API has it.
func seconds(t time.Time) *metav1.Time {
	at := metav1.NewTime(t).Rfc3339Copy()
	return &at
}

func cut(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most-len("…")], "") + "…"
	}
	return text
}

// triggers is what starts a run, in one line.
func triggers(spec *v1alpha1.WildoutFunctionSpec) string {
	var all []string
	for _, t := range spec.Triggers {
		switch {
		case t.Event != "":
			all = append(all, string(t.Event))
		case t.TimeZone != "":
			all = append(all, "cron "+t.Cron+" "+t.TimeZone)
		default:
			all = append(all, "cron "+t.Cron)
		}
	}
	return cut(strings.Join(all, ","), 2048)
}

// sameWords reports whether two statuses differ in numbers alone.
func sameWords(a, b *v1alpha1.WildoutFunctionStatus) bool {
	return a.ObservedGeneration == b.ObservedGeneration && a.Triggers == b.Triggers && a.Version == b.Version && a.Image == b.Image &&
		a.Replicas == b.Replicas && a.Selector == b.Selector && a.RolledOut == b.RolledOut && sameReads(a.Reads, b.Reads) && sameConditions(a.Conditions, b.Conditions)
}

func sameReads(a, b []v1alpha1.ReadSince) bool {
	return slices.EqualFunc(a, b, func(a, b v1alpha1.ReadSince) bool { return a.Event == b.Event && a.Since.Equal(&b.Since) })
}
