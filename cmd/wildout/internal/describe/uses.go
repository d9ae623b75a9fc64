package describe

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/api/v1alpha1"
)

// use is what a function does with an event type.
type use struct{ eventType, as string }

// uses returns the event types that the spec names, in its order: as a trigger,
// awaited, sent.
func (f *Function) uses() (all []use) {
	add := func(eventType, as string) {
		for i := range all {
			if all[i].eventType == eventType {
				if all[i].as != as {
					all[i].as += ", " + as
				}
				return
			}
		}
		all = append(all, use{eventType, as})
	}
	for _, t := range f.Function.Spec.Triggers {
		if t.Event != "" {
			add(string(t.Event), "trigger")
		}
	}
	for _, steps := range [][]v1alpha1.Step{f.Function.Spec.Steps, f.Function.Spec.OnFailure} {
		for i := range steps {
			for _, awaited := range steps[i].Awaited() {
				add(string(awaited.Event), "awaited by "+steps[i].Name)
			}
			for _, sent := range steps[i].SendEvent {
				add(string(sent.Name), "sent by "+steps[i].Name)
			}
		}
	}
	return all
}

// declared returns the object that declares an event type, nil if none does.
func (f *Function) declared(eventType string) *v1alpha1.WildoutEventType {
	for i := range f.EventTypes {
		if string(f.EventTypes[i].Spec.Type) == eventType {
			return &f.EventTypes[i]
		}
	}
	return nil
}

// replicaSetsOf returns those of a Deployment that have pods, or are to have.
func (f *Function) replicaSetsOf(d *appsv1.Deployment) (all []*appsv1.ReplicaSet) {
	for i := range f.ReplicaSets {
		r := &f.ReplicaSets[i]
		if ownedBy(r.OwnerReferences, d.UID) && (r.Spec.Replicas != nil && *r.Spec.Replicas > 0 || len(f.podsOf(r)) > 0) {
			all = append(all, r)
		}
	}
	return all
}

func (f *Function) podsOf(r *appsv1.ReplicaSet) (all []*corev1.Pod) {
	for i := range f.Pods {
		if ownedBy(f.Pods[i].OwnerReferences, r.UID) {
			all = append(all, &f.Pods[i])
		}
	}
	return all
}

func ownedBy(refs []metav1.OwnerReference, uid types.UID) bool {
	for _, ref := range refs {
		if ref.UID == uid {
			return true
		}
	}
	return false
}

// lastSeen is when an Event was last noted: it has several fields for that.
func lastSeen(e *eventsv1.Event) time.Time {
	last := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.EventTime.Time, e.DeprecatedLastTimestamp.Time} {
		if t.After(last) {
			last = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(last) {
		last = e.Series.LastObservedTime.Time
	}
	return last
}
