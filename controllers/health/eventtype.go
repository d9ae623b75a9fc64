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
	// Catalog is what is known of it in the ConfigMap that gateways mount.
	Catalog Catalog
}

// Catalog is what is known of an event type in the ConfigMap that gateways mount.
type Catalog struct {
	// Known: this operator has looked.
	Known bool
	// There: it is in it; Current: with the spec that it has now.
	There, Current bool
	// Fault is why the ConfigMap is not what it shall be; nil: it is.
	Fault *CatalogFault
}

// CatalogFault is why a ConfigMap is not what it shall be.
type CatalogFault struct {
	Reason string // one of Published
	Err    error
}

// Same reports whether two say the same.
func (f *CatalogFault) Same(other *CatalogFault) bool {
	if f == nil || other == nil {
		return f == other
	}
	return f.Reason == other.Reason && f.Err.Error() == other.Err.Error()
}

// JudgeEventType judges an event type.
func JudgeEventType(t *EventType) []metav1.Condition {
	before := earlier{t.Object.Status.Conditions, t.Object.Generation}
	accepted := t.accepted()
	redis := &redis{Redis: t.Redis.Redis, secret: t.Secret, namespace: t.Object.Namespace, volatile: mayForget(t.Object.Spec.Redis),
		trouble: t.Redis.StreamTrouble, there: t.Redis.Stream != nil, what: "the stream"}
	streams := before.until(v1alpha1.ConditionStreamsReady, judge(redis, streamRules, streamsFine))
	published := before.until(v1alpha1.ConditionPublished, t.published())
	ready := yes(v1alpha1.ReasonReady, "events of this type are taken")
	for _, o := range []*opinion{published, streams, accepted} {
		if o.status != metav1.ConditionTrue {
			ready = o
		}
	}
	return finish([]metav1.Condition{
		condition(v1alpha1.ConditionReady, ready),
		condition(v1alpha1.ConditionAccepted, accepted),
		condition(v1alpha1.ConditionPublished, published),
		condition(v1alpha1.ConditionStreamsReady, streams),
	}, t.Object.Generation, ready)
}

// published: gateways know it. How long a node takes to bring a ConfigMap that
// has changed into a pod, about a minute at most, nobody tells.
func (t *EventType) published() *opinion {
	c := &t.Catalog
	switch {
	case t.DeclaredBy != "":
		return no(v1alpha1.ReasonDuplicateType, "gateways have what "+t.DeclaredBy+" declares")
	case t.SchemaFault != nil && c.There:
		return no(v1alpha1.ReasonInvalidSchema, "gateways go on with the schema that they had before")
	case t.SchemaFault != nil && c.Known:
		return no(v1alpha1.ReasonInvalidSchema, "gateways do not have it: its events are not checked")
	case !c.Known:
		return unasked(v1alpha1.ReasonConnecting, "the operator is about to hand it to gateways")
	case c.There && c.Current:
		return yes(v1alpha1.ReasonPublished, "gateways have it within a minute")
	case c.Fault != nil:
		return no(c.Fault.Reason, c.Fault.Err.Error())
	}
	return notYet(v1alpha1.ReasonProgressing, "the operator is handing it to gateways")
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
