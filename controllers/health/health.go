// Package health judges: from what was observed of a function it makes the
// conditions that people wait for. It is pure. Each condition is an ordered
// list of rules; the first one that objects has the word, so that the cause is
// told and not what follows from it. Messages say what to do. The package must
// not know how anything was observed, nor change anything.
package health

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/survey"
)

// Facts are what is known of a function.
type Facts struct {
	Function *v1alpha1.WildoutFunction
	// SpecErr is why the spec cannot be run: plan.Errors, or a fault of
	// spec.runner.
	SpecErr error
	// ApplyErr is why the API server does not take the objects; nil: it does.
	ApplyErr error
	// Undeclared are event types that the function names and nobody declares.
	Undeclared []string
	// Secret is the name of the Secret with the URL of Redis.
	Secret string
	// View is what is known of its Redis, and of the function in it.
	View survey.View
	// Deployment is the one that was applied last, or nil.
	Deployment *appsv1.Deployment
	// Generation is the generation that the Deployment got from the current
	// spec; an observed one that is older says nothing about it.
	Generation int64
	// Pods are the runners.
	Pods []corev1.Pod
	// Replicas is how many runners are wanted.
	Replicas int32
	// RolledOut: runners of this very kind have worked. Only their number may
	// have changed since.
	RolledOut bool
	// MoreSince is when more runners were wanted last; zero: not lately.
	MoreSince time.Time
	// Contested is the number of runners that somebody else sets on the
	// Deployment again and again; nil: nobody does.
	Contested *int32
	Now       time.Time
}

// verdict is what a rule says.
type verdict struct {
	status  metav1.ConditionStatus
	reason  string
	message string
	// stalled: a person has to do something.
	stalled bool
	// unasked: nobody was asked yet.
	unasked bool
}

// rule looks at the facts and objects, or does not: nil.
type rule func(*Facts) *verdict

// no is an objection that a person has to see to.
func no(reason, message string) *verdict {
	return &verdict{status: metav1.ConditionFalse, reason: reason, message: message, stalled: true}
}

// notYet is an objection that passes by itself.
func notYet(reason, message string) *verdict {
	return &verdict{status: metav1.ConditionFalse, reason: reason, message: message}
}

func unknown(reason, message string) *verdict {
	return &verdict{status: metav1.ConditionUnknown, reason: reason, message: message}
}

// unasked is unknown for now: the question is under way.
func unasked(reason, message string) *verdict {
	v := unknown(reason, message)
	v.unasked = true
	return v
}

func yes(reason, message string) *verdict {
	return &verdict{status: metav1.ConditionTrue, reason: reason, message: message}
}

// judge asks the rules in their order.
func judge(f *Facts, rules []rule, fine func(*Facts) *verdict) *verdict {
	for _, r := range rules {
		if v := r(f); v != nil {
			return v
		}
	}
	return fine(f)
}

// Conditions judges a function.
func Conditions(f *Facts) []metav1.Condition {
	accepted := judge(f, []rule{specCompiles, childrenAreValid}, acceptedFine)
	streams := f.since(v1alpha1.ConditionStreamsReady, judge(f, streamRules(f.Secret, f.Function.Namespace), streamsFine))
	runners := judge(f, runnerRules, runnersFine)
	healthy := f.since(v1alpha1.ConditionHealthy, judge(f, []rule{runsAreKnown, runsEndWell}, healthyFine))
	ready := f.ready(accepted, streams, runners, healthy)
	all := []metav1.Condition{
		condition(v1alpha1.ConditionReady, ready),
		condition(v1alpha1.ConditionAccepted, accepted),
		condition(v1alpha1.ConditionStreamsReady, streams),
		condition(v1alpha1.ConditionRunnersAvailable, runners),
		condition(v1alpha1.ConditionHealthy, healthy),
	}
	return finish(all, f.Function.Generation, ready)
}

// since returns what was known of a condition where nothing is known now.
func (f *Facts) since(kind string, v *verdict) *verdict {
	return keepKnown(f.Function.Status.Conditions, f.Function.Generation, kind, v)
}

// keepKnown: an operator that has just begun has asked nobody yet. What the one
// before it found holds until then: a new operator is no news.
func keepKnown(old []metav1.Condition, generation int64, kind string, v *verdict) *verdict {
	was := meta.FindStatusCondition(old, kind)
	if !v.unasked || was == nil || was.Reason == v1alpha1.ReasonConnecting || was.ObservedGeneration != generation {
		return v
	}
	stalled := meta.FindStatusCondition(old, v1alpha1.ConditionStalled)
	return &verdict{status: was.Status, reason: was.Reason, message: was.Message, stalled: stalled != nil && stalled.Reason == was.Reason}
}

// ready sums up: the first condition that is not true has the word.
func (f *Facts) ready(accepted, streams, runners, healthy *verdict) *verdict {
	if !f.Function.DeletionTimestamp.IsZero() {
		return notYet(v1alpha1.ReasonDeleting, "the function is being deleted")
	}
	for _, v := range []*verdict{accepted, streams, runners} {
		if v.status != metav1.ConditionTrue {
			sum := *v
			return &sum
		}
	}
	switch {
	case f.Function.Spec.Suspend:
		return yes(v1alpha1.ReasonSuspended, "spec.suspend is true: nothing is read, events wait in their streams")
	case healthy.status == metav1.ConditionFalse: // ready all the same, but a table of functions should show it
		return yes(healthy.reason, healthy.message)
	}
	return yes(v1alpha1.ReasonReady, runners.message)
}

func condition(kind string, v *verdict) metav1.Condition {
	return metav1.Condition{Type: kind, Status: v.status, Reason: v.reason, Message: clip(v.message)}
}

// finish adds what kstatus looks for, and the generation.
func finish(all []metav1.Condition, generation int64, ready *verdict) []metav1.Condition {
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
