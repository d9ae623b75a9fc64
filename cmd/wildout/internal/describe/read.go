// Package describe tells in one picture what is with a function in a cluster:
// what it is to do, what the operator says of it, and what there is of it, from
// its event types to its pods. All of it comes from the API server, so whoever
// may look at the namespace may describe. The package must not know Redis, nor
// change anything.
package describe

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/cmd/wildout/internal/cluster"
)

// Function is a function with what belongs to it.
type Function struct {
	Function v1alpha1.WildoutFunction `json:"function"`
	// EventTypes are those of the namespace that it reads or sends.
	EventTypes  []v1alpha1.WildoutEventType `json:"eventTypes"`
	Deployments []appsv1.Deployment         `json:"deployments"`
	ReplicaSets []appsv1.ReplicaSet         `json:"replicaSets"`
	Pods        []corev1.Pod                `json:"pods"`
	// ConfigMaps hold its manifests, one for each version that is needed.
	ConfigMaps []corev1.ConfigMap `json:"configMaps"`
	// Events are what Kubernetes has noted of it and of its pods, the newest
	// first.
	Events []eventsv1.Event `json:"events"`
	// Hidden says what could not be read, by resource, and why.
	Hidden map[string]string `json:"hidden,omitempty"`
}

var (
	functions   = v1alpha1.GroupVersion.WithResource("wildoutfunctions")
	eventTypes  = v1alpha1.GroupVersion.WithResource("wildouteventtypes")
	deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
	replicaSets = appsv1.SchemeGroupVersion.WithResource("replicasets")
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
	configMaps  = corev1.SchemeGroupVersion.WithResource("configmaps")
	events      = eventsv1.SchemeGroupVersion.WithResource("events")
)

// Names returns the functions of the namespace.
func Names(ctx context.Context, c *cluster.Cluster) (names []string, err error) {
	all, err := cluster.List[metav1.PartialObjectMetadata](ctx, c, functions, metav1.ListOptions{})
	for i := range all {
		names = append(names, all[i].Name)
	}
	slices.Sort(names)
	return names, err
}

// Read reads a function and what belongs to it. What the user may not read is
// left out, and noted.
func Read(ctx context.Context, c *cluster.Cluster, name string) (*Function, error) {
	found, err := cluster.Get[v1alpha1.WildoutFunction](ctx, c, functions, name)
	if err != nil {
		return nil, err
	}
	f := &Function{Function: *found, Hidden: map[string]string{}}
	mine := metav1.ListOptions{LabelSelector: labels.Set{v1alpha1.LabelFunction: name}.String()}
	types, err := list[v1alpha1.WildoutEventType](ctx, c, f, eventTypes, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	f.EventTypes = slices.DeleteFunc(types, func(t v1alpha1.WildoutEventType) bool { return !f.names(string(t.Spec.Type)) })
	if f.Deployments, err = list[appsv1.Deployment](ctx, c, f, deployments, mine); err != nil {
		return nil, err
	}
	if f.ReplicaSets, err = list[appsv1.ReplicaSet](ctx, c, f, replicaSets, mine); err != nil {
		return nil, err
	}
	if f.Pods, err = list[corev1.Pod](ctx, c, f, pods, mine); err != nil {
		return nil, err
	}
	if f.ConfigMaps, err = list[corev1.ConfigMap](ctx, c, f, configMaps, mine); err != nil {
		return nil, err
	}
	if err := f.readEvents(ctx, c); err != nil {
		return nil, err
	}
	f.sort()
	return f, nil
}

// list reads what there is; what may not be read is noted.
func list[T any](ctx context.Context, c *cluster.Cluster, f *Function, resource schema.GroupVersionResource, o metav1.ListOptions) ([]T, error) {
	all, err := cluster.List[T](ctx, c, resource, o)
	if err != nil && cluster.KindOf(err) == cluster.Forbidden {
		f.Hidden[resource.Resource] = err.Error()
		return nil, nil
	}
	return all, err
}

// maxAsked is of how many pods the Events are asked for: one request each.
const maxAsked = 10

// readEvents reads the Events of the function, its Deployment and its pods.
func (f *Function) readEvents(ctx context.Context, c *cluster.Cluster) error {
	names := []string{f.Function.Name}
	for i := range f.Deployments {
		names = append(names, f.Deployments[i].Name)
	}
	for i := range f.ReplicaSets {
		names = append(names, f.ReplicaSets[i].Name)
	}
	for i := range f.Pods[:min(len(f.Pods), maxAsked)] {
		names = append(names, f.Pods[i].Name)
	}
	for _, name := range names {
		selector := fields.Set{"regarding.name": name}.String()
		found, err := list[eventsv1.Event](ctx, c, f, events, metav1.ListOptions{FieldSelector: selector})
		if err != nil {
			return err
		}
		for i := range found {
			if !f.isStranger(&found[i]) {
				f.Events = append(f.Events, found[i])
			}
		}
	}
	return nil
}

// isStranger: another object has the function's name, or had it before.
func (f *Function) isStranger(e *eventsv1.Event) bool {
	return e.Regarding.Name == f.Function.Name && e.Regarding.UID != f.Function.UID
}

// names reports whether the function reads or sends events of a type.
func (f *Function) names(eventType string) bool {
	return slices.ContainsFunc(f.uses(), func(u use) bool { return u.eventType == eventType })
}

func (f *Function) sort() {
	slices.SortFunc(f.ReplicaSets, func(a, b appsv1.ReplicaSet) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	slices.SortFunc(f.Pods, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	slices.SortFunc(f.ConfigMaps, func(a, b corev1.ConfigMap) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	slices.SortStableFunc(f.Events, func(a, b eventsv1.Event) int { return lastSeen(&b).Compare(lastSeen(&a)) })
}
