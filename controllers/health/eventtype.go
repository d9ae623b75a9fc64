package health

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/view"
)

// EventType is what an event type is judged by.
type EventType struct {
	// Object is the event type itself, with the conditions of before.
	Object *v1alpha1.WildoutEventType
	// SchemaFault is why the schema cannot be used; nil: it can.
	SchemaFault error
	// DeclaredBy is another object that declares the same type, and did first.
	DeclaredBy string
	// Secret is the name of the Secret with the URL of its Redis, Redis what is
	// known of that, and of the stream in it.
	Secret string
	Redis  view.EventType
}

// JudgeEventType judges an event type.
func JudgeEventType(t *EventType) []metav1.Condition {
	before := earlier{t.Object.Status.Conditions, t.Object.Generation}
	accepted := t.accepted()
	redis := &redis{Redis: t.Redis.Redis, secret: t.Secret, namespace: t.Object.Namespace, volatile: mayForget(t.Object.Spec.Redis),
		trouble: t.Redis.StreamTrouble, there: t.Redis.Stream != nil, what: "the stream"}
	streams := before.until(v1alpha1.ConditionStreamsReady, judge(redis, streamRules, streamsFine))
	ready := yes(v1alpha1.ReasonReady, "events of this type are taken")
	for _, o := range []*opinion{streams, accepted} {
		if o.status != metav1.ConditionTrue {
			ready = o
		}
	}
	return finish([]metav1.Condition{
		condition(v1alpha1.ConditionReady, ready),
		condition(v1alpha1.ConditionAccepted, accepted),
		condition(v1alpha1.ConditionStreamsReady, streams),
	}, t.Object.Generation, ready)
}

func (t *EventType) accepted() *opinion {
	switch {
	case t.SchemaFault != nil:
		return no(v1alpha1.ReasonInvalidSchema, "spec.schema: "+t.SchemaFault.Error())
	case t.DeclaredBy != "":
		return no(v1alpha1.ReasonDuplicateType, fmt.Sprintf("spec.type: %s is declared by the WildoutEventType %s already: delete one of the two", t.Object.Spec.Type, t.DeclaredBy))
	}
	return yes(v1alpha1.ReasonAccepted, "the schema can be used")
}
