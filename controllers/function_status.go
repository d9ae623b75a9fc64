package controllers

import (
	"context"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/controllers/health"
)

// report writes the status, and says when there is more to write.
func (r *functions) report(ctx context.Context, f *v1alpha1.WildoutFunction, facts *health.Facts, objects *desired.Objects) (wait time.Duration, err error) {
	status := r.newStatus(f, facts)
	if objects != nil {
		p, _ := r.compile(f) // it was compiled, or there were no objects
		status.Version, status.Image = p.Hash, objects.Image
		status.RolledOut = rolledOut(f.Status.RolledOut, status.Conditions, facts, objects.Rollout)
	}
	words := !sameWords(&f.Status, status)
	wait, err = r.status.write(ctx, f, "WildoutFunction", &f.Status, status, words)
	if err == nil && words {
		r.events.transitions(f, f.Status.Conditions, status.Conditions)
	}
	if status.RolledOut != f.Status.RolledOut { // what follows is decided once the cache has it
		wait = soonest(wait, time.Second)
	}
	return wait, err
}

// rolledOut is the rollout that runners have shown to work.
func rolledOut(was string, conditions []metav1.Condition, facts *health.Facts, rollout desired.Rollout) string {
	runners := find(conditions, v1alpha1.ConditionRunnersAvailable)
	switch {
	case facts.Replicas > 0 && runners.Status == metav1.ConditionTrue && runners.Reason == v1alpha1.ReasonRunnersAvailable,
		facts.Replicas == 0 && rollout.SamePods(was): // there is none to be replaced for another Secret
		return rollout.String()
	case was != rollout.String():
		return "" // under way
	}
	return was
}

// newStatus is the status that the facts make. What is not known stays as it was.
func (r *functions) newStatus(f *v1alpha1.WildoutFunction, facts *health.Facts) *v1alpha1.WildoutFunctionStatus {
	s := f.Status.DeepCopy()
	s.ObservedGeneration = f.Generation
	s.Conditions = health.Merge(f.Status.Conditions, health.Conditions(facts), metav1.NewTime(facts.Now))
	s.Triggers = triggers(&f.Spec)
	s.Selector = labels.SelectorFromSet(desired.Selector(f.Name)).String()
	s.Replicas = 0
	if facts.Deployment != nil {
		s.Replicas = facts.Deployment.Status.Replicas
	}
	n := facts.View.Numbers
	if n == nil {
		return s
	}
	s.Backlog = n.Backlog()
	s.Runs = &v1alpha1.RunCounts{InFlight: n.Pending, Waiting: n.Waiting, Succeeded: n.Succeeded, Failed: n.Failed}
	if len(n.ByVersion) > 0 {
		s.Runs.ByVersion = n.ByVersion
	}
	s.LastRunTime, s.LastFailure = nil, nil
	if ends := facts.View.Ends; len(ends.Runs) > 0 {
		s.LastRunTime = seconds(*ends.Runs[0].EndedAt)
	}
	if last := facts.View.Ends.LastFailure; last != nil {
		s.LastFailure = &v1alpha1.Failure{RunID: last.ID, Step: last.ErrorStep, Message: cut(last.Error, 1024), Time: *seconds(*last.EndedAt)}
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
	if a.ObservedGeneration != b.ObservedGeneration || a.Triggers != b.Triggers || a.Version != b.Version || a.Image != b.Image || a.Replicas != b.Replicas ||
		a.Selector != b.Selector || a.RolledOut != b.RolledOut {
		return false
	}
	return sameConditions(a.Conditions, b.Conditions)
}

// sameConditions compares conditions. Messages that only say how far a question
// is, or how many runs failed, may wait as numbers do.
func sameConditions(a, b []metav1.Condition) bool {
	if len(a) != len(b) {
		return false
	}
	byType := map[string]metav1.Condition{}
	for _, c := range a {
		byType[c.Type] = c
	}
	for _, c := range b {
		was := byType[c.Type]
		if was.Status != c.Status || was.Reason != c.Reason || was.ObservedGeneration != c.ObservedGeneration ||
			was.Message != c.Message && c.Type != v1alpha1.ConditionHealthy && c.Reason != v1alpha1.ReasonHighFailureRate && c.Reason != v1alpha1.ReasonConnecting {
			return false
		}
	}
	return true
}
