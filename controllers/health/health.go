// Package health judges: from what the steps of a reconcile have found and done
// it makes the conditions that people wait for. It is pure. Each condition is an
// ordered list of rules; the first one that objects has the word, so that the
// cause is told and not what follows from it. Messages say what to do. The
// package must not know how anything was observed, nor change anything.
package health

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/view"
)

// Function is what a function is judged by.
type Function struct {
	// Object is the function itself, with the conditions of before.
	Object *v1alpha1.WildoutFunction
	// Spec is what the condition Accepted is about.
	Spec Spec
	// Refusal is why what the operator made of the spec could not be applied;
	// nil: it was.
	Refusal *Refusal
	// Secret is the name of the Secret with the URL of its Redis, Redis what is
	// known of that, and of the function in it: StreamsReady and Healthy.
	Secret string
	Redis  view.Function
	// Runners are what RunnersAvailable is about.
	Runners Runners
	Now     time.Time
}

// Verdict is what comes of judging.
type Verdict struct {
	Conditions []metav1.Condition
	// Again is after which time to judge anew though nothing has changed; 0:
	// time alone changes nothing.
	Again time.Duration
}

// Judge judges a function.
func Judge(f *Function) Verdict {
	before := earlier{f.Object.Status.Conditions, f.Object.Generation}
	accepted := judge(&acceptance{f.Spec, f.Refusal}, specRules, acceptedFine)
	redis := newRedis(f)
	streams := before.until(v1alpha1.ConditionStreamsReady, judge(redis, streamRules, streamsFine))
	trial := &trial{Runners: f.Runners, function: f.Object, refusal: f.Refusal, faulty: f.Spec.Fault != nil || f.Spec.RunnerFault != nil, now: f.Now}
	runners := judge(trial, runnerRules, runnersFine)
	healthy := before.until(v1alpha1.ConditionHealthy, judge(&runs{f.Redis, f.Object.Spec.History, f.Object.Name, f.Object.Status.Image}, runRules, healthyFine))
	ready := f.ready(accepted, streams, runners, healthy)
	all := []metav1.Condition{
		condition(v1alpha1.ConditionReady, ready),
		condition(v1alpha1.ConditionAccepted, accepted),
		condition(v1alpha1.ConditionStreamsReady, streams),
		condition(v1alpha1.ConditionRunnersAvailable, runners),
		condition(v1alpha1.ConditionHealthy, healthy),
	}
	return Verdict{Conditions: finish(all, f.Object.Generation, ready), Again: trial.startWithin()}
}

// ready sums up: the first condition that is not true has the word.
func (f *Function) ready(accepted, streams, runners, healthy *opinion) *opinion {
	if !f.Object.DeletionTimestamp.IsZero() {
		return notYet(v1alpha1.ReasonDeleting, "the function is being deleted")
	}
	for _, o := range []*opinion{accepted, streams, runners} {
		if o.status != metav1.ConditionTrue {
			return o
		}
	}
	switch {
	case f.Object.Spec.Suspend:
		return yes(v1alpha1.ReasonSuspended, "spec.suspend is true: nothing is read, events wait in their streams")
	case healthy.status == metav1.ConditionFalse: // ready all the same, but a table of functions should show it
		return yes(healthy.reason, healthy.message)
	}
	return yes(v1alpha1.ReasonReady, runners.message)
}

// Deleting returns the conditions of an object that is being deleted: those that
// it had, and that it goes.
func Deleting(conditions []metav1.Condition, generation int64, now metav1.Time) (all []metav1.Condition) {
	o := notYet(v1alpha1.ReasonDeleting, "it is being deleted: its part in Redis goes first")
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionReconciling} {
		c := condition(kind, o)
		if kind == v1alpha1.ConditionReconciling {
			c.Status = metav1.ConditionTrue
		}
		c.ObservedGeneration = generation
		all = append(all, c)
	}
	for _, c := range conditions {
		switch c.Type {
		case v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled:
		default:
			all = append(all, c)
		}
	}
	return Merge(conditions, all, now)
}

// earlier are the conditions of before.
type earlier struct {
	conditions []metav1.Condition
	generation int64
}

// until returns what was known of a condition where nothing is known yet. An
// operator that has just begun has asked nobody: what the one before it found
// holds until then, as a new operator is no news.
func (e earlier) until(kind string, now *opinion) *opinion {
	was := meta.FindStatusCondition(e.conditions, kind)
	if !now.unasked || was == nil || was.Reason == v1alpha1.ReasonConnecting || was.ObservedGeneration != e.generation {
		return now
	}
	stalled := meta.FindStatusCondition(e.conditions, v1alpha1.ConditionStalled)
	return &opinion{status: was.Status, reason: was.Reason, message: was.Message, stalled: stalled != nil && stalled.Reason == was.Reason}
}

func condition(kind string, o *opinion) metav1.Condition {
	return metav1.Condition{Type: kind, Status: o.status, Reason: o.reason, Message: clip(o.message)}
}

// finish adds what kstatus looks for, and the generation.
func finish(all []metav1.Condition, generation int64, ready *opinion) []metav1.Condition {
	if ready.status != metav1.ConditionTrue {
		kind := v1alpha1.ConditionReconciling
		if ready.stalled {
			kind = v1alpha1.ConditionStalled
		}
		all = append(all, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: ready.reason, Message: clip(ready.message)})
	}
	for i := range all {
		all[i].ObservedGeneration = generation
	}
	return all
}

// maxMessage keeps a message readable, in bytes; the API server takes more.
const maxMessage = 2048

func clip(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	cut := maxMessage
	for cut > 0 && text[cut]&0xC0 == 0x80 { // not inside a character
		cut--
	}
	return text[:cut] + "…"
}

// Merge gives new conditions the transition times of the old ones whose status
// they share.
func Merge(old, fresh []metav1.Condition, now metav1.Time) []metav1.Condition {
	for i := range fresh {
		fresh[i].LastTransitionTime = now
		for _, was := range old {
			if was.Type == fresh[i].Type && was.Status == fresh[i].Status {
				fresh[i].LastTransitionTime = was.LastTransitionTime
			}
		}
	}
	return fresh
}
