package health

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/survey"
)

// EventTypeFacts are what is known of an event type.
type EventTypeFacts struct {
	EventType *v1alpha1.WildoutEventType
	// SchemaErr is why the schema cannot be used.
	SchemaErr error
	// DeclaredBy is another object that declares the same type, and did first.
	DeclaredBy string
	Secret     string
	View       survey.StreamView
}

// EventTypeConditions judges an event type.
func EventTypeConditions(f *EventTypeFacts) []metav1.Condition {
	t := f.EventType
	accepted, streams := f.accepted(), keepKnown(t.Status.Conditions, t.Generation, v1alpha1.ConditionStreamsReady, f.streams())
	ready := yes(v1alpha1.ReasonReady, "events of this type are taken")
	for _, v := range []*verdict{accepted, streams} {
		if v.status != metav1.ConditionTrue {
			ready = v
			break
		}
	}
	return finish([]metav1.Condition{
		condition(v1alpha1.ConditionReady, ready),
		condition(v1alpha1.ConditionAccepted, accepted),
		condition(v1alpha1.ConditionStreamsReady, streams),
	}, f.EventType.Generation, ready)
}

func (f *EventTypeFacts) accepted() *verdict {
	switch {
	case f.SchemaErr != nil:
		return no(v1alpha1.ReasonInvalidSchema, "spec.schema: "+f.SchemaErr.Error())
	case f.DeclaredBy != "":
		return no(v1alpha1.ReasonDuplicateType, fmt.Sprintf("spec.type: %s is declared by the WildoutEventType %s already: delete one of the two", f.EventType.Spec.Type, f.DeclaredBy))
	}
	return yes(v1alpha1.ReasonAccepted, "the schema can be used")
}

func (f *EventTypeFacts) streams() *verdict {
	if v := secretIsThere(f.View.Secret, f.Secret, f.EventType.Namespace); v != nil {
		return v
	}
	if v := redisAnswers(&f.View.Server); v != nil {
		return v
	}
	if v := redisIsSafe(&f.View.Server, f.EventType.Spec.Redis); v != nil {
		return v
	}
	switch {
	case f.View.StreamErr != nil:
		return no(v1alpha1.ReasonRedisRefuses, f.View.StreamErr.Error())
	case f.View.Stream == nil:
		return unasked(v1alpha1.ReasonConnecting, "the stream is being made")
	}
	return yes(v1alpha1.ReasonStreamsReady, "Redis has the stream")
}
