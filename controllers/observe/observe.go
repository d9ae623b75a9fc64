// Package observe reads what there is of a function in the cluster, and changes
// nothing. What it returns is a snapshot: whoever decides looks at that alone.
package observe

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
)

// Names of the indexes of the cache.
const (
	// IndexType finds the event types of a type.
	IndexType = "spec.type"
	// IndexReads finds the functions that read an event type.
	IndexReads = "reads"
	// IndexInvokes finds the functions that invoke a function.
	IndexInvokes = "invokes"
)

// ChildKinds are the kinds of a function's children of which only the metadata
// is looked at.
var ChildKinds = []schema.GroupVersionKind{
	{Version: "v1", Kind: "ServiceAccount"},
	{Version: "v1", Kind: "ConfigMap"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
	{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
}

// Snapshot is what there is of a function.
type Snapshot struct {
	// Deployment is nil when the function has none.
	Deployment *appsv1.Deployment
	// Children are the other objects with the function's label.
	Children []metav1.PartialObjectMetadata
	// Pods are its runners, those that end included.
	Pods []corev1.Pod
	// Undeclared are the event types that it names and nobody declares.
	Undeclared []string
	// Absent are the functions that it invokes and the namespace does not have.
	Absent []string
}

// Function reads what there is of a function.
func Function(ctx context.Context, c client.Reader, f *v1alpha1.WildoutFunction) (*Snapshot, error) {
	s := &Snapshot{}
	var deployment appsv1.Deployment
	err := c.Get(ctx, client.ObjectKey{Namespace: f.Namespace, Name: desired.Name(f.Name)}, &deployment)
	switch {
	case err == nil && metav1.IsControlledBy(&deployment, f):
		s.Deployment = &deployment
	case err == nil: // somebody else's: to apply ours will say so
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("read the Deployment of %s: %w", f.Name, err)
	}
	here := []client.ListOption{client.InNamespace(f.Namespace), client.MatchingLabels(desired.Selector(f.Name))}
	for _, kind := range ChildKinds {
		var list metav1.PartialObjectMetadataList
		list.SetGroupVersionKind(kind)
		if err := c.List(ctx, &list, here...); err != nil {
			return nil, fmt.Errorf("list the %ss of %s: %w", kind.Kind, f.Name, err)
		}
		for i := range list.Items {
			list.Items[i].SetGroupVersionKind(kind)
			s.Children = append(s.Children, list.Items[i])
		}
	}
	var pods corev1.PodList
	if err := c.List(ctx, &pods, here...); err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", f.Name, err)
	}
	s.Pods = pods.Items
	// The newest first: they are those of the current spec.
	slices.SortFunc(s.Pods, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	if s.Undeclared, err = undeclared(ctx, c, f); err != nil {
		return nil, err
	}
	s.Absent, err = absent(ctx, c, f)
	return s, err
}

func absent(ctx context.Context, c client.Reader, f *v1alpha1.WildoutFunction) (names []string, err error) {
	for _, name := range f.Spec.Invokes() {
		var other v1alpha1.WildoutFunction
		err := c.Get(ctx, client.ObjectKey{Namespace: f.Namespace, Name: name}, &other)
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("look for the function %s: %w", name, err)
		}
		if err != nil || !other.DeletionTimestamp.IsZero() {
			names = append(names, name)
		}
	}
	return names, nil
}

func undeclared(ctx context.Context, c client.Reader, f *v1alpha1.WildoutFunction) (names []string, err error) {
	for _, t := range f.Spec.Reads() {
		var types v1alpha1.WildoutEventTypeList
		if err := c.List(ctx, &types, client.InNamespace(f.Namespace), client.MatchingFields{IndexType: t}); err != nil {
			return nil, fmt.Errorf("look for the event type %s: %w", t, err)
		}
		// One that is being deleted may have left the stream to its last reader.
		if !slices.ContainsFunc(types.Items, func(t v1alpha1.WildoutEventType) bool { return t.DeletionTimestamp.IsZero() }) {
			names = append(names, t)
		}
	}
	return names, nil
}
