package controllers

import (
	"context"
	"fmt"
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/controllers/health"
)

// catalog keeps, in each namespace, the ConfigMap with the event types that
// the gateway mounts. A request names the ConfigMap.
type catalog struct {
	client client.Client
	live   client.Reader

	mu sync.Mutex
	// known is what was handed over, by namespace.
	known map[string]handedOver
	// tell has an event type looked at again.
	tell func(types.NamespacedName)
}

var configMapKind = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}

// handedOver is what is known of the event types of a namespace in the ConfigMap.
type handedOver struct {
	// generations of the event types that are in it, by name.
	generations map[string]int64
	// fault is why it is not what it shall be; nil: it is.
	fault *health.CatalogFault
}

func newCatalog(c client.Client, live client.Reader) *catalog {
	return &catalog{client: c, live: live, known: map[string]handedOver{}, tell: func(types.NamespacedName) {}}
}

// onChange sets what is called with an event type of which something is known
// anew. It must not block.
func (r *catalog) onChange(tell func(types.NamespacedName)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell = tell
}

// of is what is known of an event type in the ConfigMap of its namespace.
func (r *catalog) of(t *v1alpha1.WildoutEventType) health.Catalog {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.known[t.Namespace]
	generation, there := known.generations[t.Name]
	return health.Catalog{Known: ok, Fault: known.fault, Current: generation == t.Generation, There: there}
}

// Reconcile makes the ConfigMap what the event types of its namespace are. Of a
// type with a schema that cannot be used, what was there stays: its events are
// checked as before. One that never had another is left out, where the gateway
// would otherwise refuse the whole folder.
func (r *catalog) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var list v1alpha1.WildoutEventTypeList
	if err := r.client.List(ctx, &list, client.InNamespace(request.Namespace)); err != nil {
		return ctrl.Result{}, fmt.Errorf("list the event types of %s: %w", request.Namespace, err)
	}
	there, err := r.there(ctx, request)
	if err != nil {
		return ctrl.Result{}, err
	}
	usable, kept, err := r.usable(ctx, list.Items, there)
	if err != nil {
		return ctrl.Result{}, err
	}
	config, err := desired.EventTypes(request.Namespace, usable, kept)
	if err != nil {
		return ctrl.Result{}, err
	}
	if config == nil {
		err = r.remove(ctx, request)
		r.note(request.Namespace, handedOver{}, list.Items)
		return ctrl.Result{}, err
	}
	fault, err := r.apply(ctx, config, there)
	if err != nil {
		return ctrl.Result{}, err
	}
	now := handedOver{generations: map[string]int64{}, fault: fault}
	for i := range usable {
		t := &usable[i]
		file := desired.EventTypeFile(t)
		_, isKept := kept[t.Name]
		switch {
		case fault != nil && there != nil && there.Data[file] == "":
		case isKept, fault != nil && there != nil && there.Data[file] != config.Data[file]:
			now.generations[t.Name] = t.Generation - 1 // an earlier one
		case fault == nil || there != nil:
			now.generations[t.Name] = t.Generation
		}
	}
	r.note(request.Namespace, now, list.Items)
	if fault != nil {
		ctrl.LoggerFrom(ctx).Error(fault.Err, "the event types do not reach the gateway")
		return ctrl.Result{RequeueAfter: lookAgain}, nil // nobody tells of what is not ours
	}
	return ctrl.Result{}, nil
}

// usable are the event types that the gateway gets, and the texts of those that
// stay as they were.
func (r *catalog) usable(ctx context.Context, all []v1alpha1.WildoutEventType, there *corev1.ConfigMap) (usable []v1alpha1.WildoutEventType, kept map[string]string, err error) {
	kept = map[string]string{}
	for _, t := range all {
		first, err := declaredBy(ctx, r.client, &t)
		if err != nil {
			return nil, nil, err
		}
		if !t.DeletionTimestamp.IsZero() || first != "" {
			continue
		}
		if schemaFault(&t) != nil {
			was := ""
			if there != nil {
				was = there.Data[desired.EventTypeFile(&t)]
			}
			if was == "" {
				continue
			}
			kept[t.Name] = was
		}
		usable = append(usable, t)
	}
	return usable, kept, nil
}

// there is the ConfigMap, nil when there is none of ours.
func (r *catalog) there(ctx context.Context, request ctrl.Request) (*corev1.ConfigMap, error) {
	found := &corev1.ConfigMap{}
	if err := r.live.Get(ctx, request.NamespacedName, found); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return found, nil
}

// apply makes the ConfigMap what it shall be, or says why it cannot.
func (r *catalog) apply(ctx context.Context, config *corev1ac.ConfigMapApplyConfiguration, there *corev1.ConfigMap) (*health.CatalogFault, error) {
	if there != nil && there.Labels[v1alpha1.LabelEventTypes] == "" {
		return &health.CatalogFault{Reason: v1alpha1.ReasonNameTaken, Err: nameTaken("ConfigMap", there.Name, "wildout: rename or remove it")}, nil
	}
	size := 0
	for file, text := range config.Data {
		size += len(file) + len(text)
	}
	if size > desired.MaxEventTypes {
		return &health.CatalogFault{Reason: v1alpha1.ReasonCatalogTooLarge, Err: fmt.Errorf(
			"the event types of this namespace have %d bytes together, and the ConfigMap %s that gateways mount takes %d: shorten schemas, or move some to another namespace",
			size, desired.EventTypesName, desired.MaxEventTypes)}, nil
	}
	err := r.client.Apply(ctx, config, client.FieldOwner(v1alpha1.FieldOwner), client.ForceOwnership)
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) {
		return &health.CatalogFault{Reason: v1alpha1.ReasonCatalogRefused, Err: fmt.Errorf("the API server refuses the ConfigMap %s: %w", desired.EventTypesName, err)}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("apply ConfigMap %s/%s: %w", *config.Namespace, desired.EventTypesName, err)
	}
	return nil, nil
}

// note keeps what is known now, and tells the event types if it is new to them.
func (r *catalog) note(namespace string, now handedOver, of []v1alpha1.WildoutEventType) {
	r.mu.Lock()
	was, ok := r.known[namespace]
	same := ok && maps.Equal(was.generations, now.generations) && was.fault.Same(now.fault)
	r.known[namespace] = now
	if len(of) == 0 {
		delete(r.known, namespace)
	}
	tell := r.tell
	r.mu.Unlock()
	if same {
		return
	}
	for i := range of {
		tell(client.ObjectKeyFromObject(&of[i]))
	}
}

func (r *catalog) remove(ctx context.Context, request ctrl.Request) error {
	var found metav1.PartialObjectMetadata
	found.SetGroupVersionKind(configMapKind)
	if err := r.client.Get(ctx, request.NamespacedName, &found); err != nil { // the cache has our own alone
		return client.IgnoreNotFound(err)
	}
	return client.IgnoreNotFound(r.client.Delete(ctx, &found))
}
