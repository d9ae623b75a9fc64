package controllers

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/controllers/observe"
	"github.com/wildout/wildout/controllers/survey"
	"github.com/wildout/wildout/controllers/survey/guard"
)

// What the operator may do. It reads Secrets one by one, by name, and lists none.
//
// +kubebuilder:rbac:groups=wildout.dev,resources=wildoutfunctions;wildouteventtypes,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=wildout.dev,resources=wildoutfunctions/status;wildouteventtypes/status,verbs=patch
// +kubebuilder:rbac:groups=wildout.dev,resources=wildoutfunctions/finalizers;wildouteventtypes/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=configmaps;serviceaccounts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,resourceNames=wildout-redis,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// NewScheme returns the kinds that the operator knows.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("set up the kinds of objects: %w", err)
		}
	}
	return scheme, nil
}

// CacheOptions bounds what the operator keeps in memory: of the given
// namespaces, or of all; of foreign kinds only what is its own; and of pods
// only what is judged.
func CacheOptions(namespaces []string) cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{"app.kubernetes.io/managed-by": desired.ManagedBy})}
	pods := ours
	pods.Transform = slimPod
	o := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&appsv1.Deployment{}: ours, &corev1.ConfigMap{}: ours, &corev1.ServiceAccount{}: ours,
			&networkingv1.NetworkPolicy{}: ours, &policyv1.PodDisruptionBudget{}: ours, &corev1.Pod{}: pods,
		},
	}
	if len(namespaces) > 0 {
		o.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range namespaces {
			o.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	return o
}

// slimPod drops what nobody looks at.
func slimPod(object any) (any, error) {
	if tombstone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	if pod, ok := object.(*corev1.Pod); ok {
		pod.ManagedFields, pod.Spec = nil, corev1.PodSpec{}
	}
	return object, nil
}

// Setup adds the controllers, and what looks at Redis, to a manager.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options, logger *slog.Logger) error {
	if err := o.Validate(); err != nil {
		return err
	}
	poller, err := survey.New(survey.Options{Secrets: secretReader{mgr.GetAPIReader()}, Interval: o.PollInterval, WakeInterval: o.WakeInterval,
		SecretInterval: o.SecretInterval, NumbersInterval: o.StatusInterval, Guard: guard.Options{Addresses: o.RedisAddresses}, Now: o.Now, Logger: logger})
	if err != nil {
		return err
	}
	if err := mgr.Add(poller); err != nil {
		return fmt.Errorf("add the survey of Redis: %w", err)
	}
	if err := addIndexes(ctx, mgr); err != nil {
		return err
	}
	status := newStatusWriter(mgr.GetClient(), o.StatusInterval, o.Now)
	tombs := newTombstones(mgr.GetClient(), mgr.GetAPIReader(), poller, o.Now)
	handed := newCatalog(mgr.GetClient(), mgr.GetAPIReader())
	replaced := newRollouts(o.MaxRollouts, mgr.GetClient())
	if o.Metrics != nil {
		if err := o.Metrics.Register(&collector{client: mgr.GetClient(), rollouts: replaced, elected: mgr.Elected()}); err != nil {
			return fmt.Errorf("register the metrics of the operator: %w", err)
		}
	}
	record := recorder{mgr.GetEventRecorder("wildout.dev/operator")}
	for _, add := range []func() error{
		func() error {
			return (&functions{options: o, client: mgr.GetClient(), poller: poller, status: status, events: record,
				applier: newApplier(mgr.GetClient(), mgr.GetAPIReader()), takeover: takeover{window: o.TakeoverWindow}, rollouts: replaced, tombs: tombs,
				compiled: map[types.UID]compiled{}, memories: map[types.UID]*memory{}}).setup(mgr)
		},
		func() error {
			return (&eventTypes{options: o, client: mgr.GetClient(), poller: poller, status: status, events: record, tombs: tombs, catalog: handed}).setup(mgr)
		},
		func() error { return tombs.setup(mgr) },
		func() error { return handed.setup(mgr) },
	} {
		if err := add(); err != nil {
			return fmt.Errorf("set up a controller: %w", err)
		}
	}
	return nil
}

// secretReader reads Secrets from the API server.
type secretReader struct{ live client.Reader }

// Secret implements survey.SecretReader.
func (r secretReader) Secret(ctx context.Context, name types.NamespacedName) (*corev1.Secret, error) {
	var secret corev1.Secret
	if err := r.live.Get(ctx, name, &secret); err != nil {
		return nil, err
	}
	return &secret, nil
}

func addIndexes(ctx context.Context, mgr ctrl.Manager) error {
	indexer := mgr.GetFieldIndexer()
	err := indexer.IndexField(ctx, &v1alpha1.WildoutEventType{}, observe.IndexType, func(o client.Object) []string {
		return []string{string(o.(*v1alpha1.WildoutEventType).Spec.Type)}
	})
	if err == nil {
		err = indexer.IndexField(ctx, &v1alpha1.WildoutFunction{}, observe.IndexReads, func(o client.Object) []string {
			return o.(*v1alpha1.WildoutFunction).Spec.Reads()
		})
	}
	if err == nil {
		err = indexer.IndexField(ctx, &v1alpha1.WildoutFunction{}, observe.IndexInvokes, func(o client.Object) []string {
			return o.(*v1alpha1.WildoutFunction).Spec.Invokes()
		})
	}
	if err != nil {
		return fmt.Errorf("index the cache: %w", err)
	}
	return nil
}

// reconcileTimeout bounds one reconcile.
const reconcileTimeout = time.Minute

func (r *functions) setup(mgr ctrl.Manager) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("function").
		For(&v1alpha1.WildoutFunction{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&appsv1.Deployment{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(functionOf)).
		Watches(&v1alpha1.WildoutFunction{}, handler.EnqueueRequestsFromMapFunc(r.invokersOf), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.WildoutEventType{}, handler.EnqueueRequestsFromMapFunc(r.readersOf), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			again := func(name types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: name}) }
			r.poller.OnFunction(again)
			r.rollouts.onFree(again)
			return nil
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.options.Workers, ReconciliationTimeout: reconcileTimeout})
	for _, kind := range observe.ChildKinds {
		child := &metav1.PartialObjectMetadata{}
		child.SetGroupVersionKind(kind)
		b = b.Owns(child, builder.OnlyMetadata)
	}
	return b.Complete(r)
}

// functionOf is the function that a pod runs.
func functionOf(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[v1alpha1.LabelFunction]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

// invokersOf are the functions that invoke a function: whether it is there is
// something that they say.
func (r *functions) invokersOf(ctx context.Context, o client.Object) (requests []reconcile.Request) {
	var invokers v1alpha1.WildoutFunctionList
	if err := r.client.List(ctx, &invokers, client.InNamespace(o.GetNamespace()), client.MatchingFields{observe.IndexInvokes: o.GetName()}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "could not look for the functions that invoke a function", "function", o.GetName())
		return nil
	}
	for i := range invokers.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&invokers.Items[i])})
	}
	return requests
}

// readersOf are the functions that read an event type: whether it is declared
// is something that they say.
func (r *functions) readersOf(ctx context.Context, o client.Object) (requests []reconcile.Request) {
	t, ok := o.(*v1alpha1.WildoutEventType)
	if !ok {
		return nil
	}
	var readers v1alpha1.WildoutFunctionList
	if err := r.client.List(ctx, &readers, client.InNamespace(t.Namespace), client.MatchingFields{observe.IndexReads: string(t.Spec.Type)}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "could not look for the functions that read an event type", "type", t.Spec.Type)
		return nil
	}
	for i := range readers.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&readers.Items[i])})
	}
	return requests
}

func (r *eventTypes) setup(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("eventtype").
		For(&v1alpha1.WildoutEventType{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.WildoutEventType{}, handler.EnqueueRequestsFromMapFunc(r.sameType), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.WildoutFunction{}, handler.EnqueueRequestsFromMapFunc(r.typesOf), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			again := func(name types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: name}) }
			r.poller.OnEventType(again)
			r.catalog.onChange(again)
			return nil
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 2, ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
}

// sameType are the objects that declare the same event type: one of them counts.
func (r *eventTypes) sameType(ctx context.Context, o client.Object) (requests []reconcile.Request) {
	t, ok := o.(*v1alpha1.WildoutEventType)
	if !ok {
		return nil
	}
	var list v1alpha1.WildoutEventTypeList
	if err := r.client.List(ctx, &list, client.InNamespace(t.Namespace), client.MatchingFields{observe.IndexType: string(t.Spec.Type)}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "could not look for the event type", "type", t.Spec.Type)
		return nil
	}
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

// typesOf are the event types of a function's namespace: it may have been, or
// be now, a subscriber of any of them.
func (r *eventTypes) typesOf(ctx context.Context, o client.Object) (requests []reconcile.Request) {
	var list v1alpha1.WildoutEventTypeList
	if err := r.client.List(ctx, &list, client.InNamespace(o.GetNamespace())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "could not list the event types", "namespace", o.GetNamespace())
		return nil
	}
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

func (t *tombstones) setup(mgr ctrl.Manager) error {
	configMap := &metav1.PartialObjectMetadata{}
	configMap.SetGroupVersionKind(configMapKind)
	marked := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()[v1alpha1.LabelTombstones] != "" })
	return ctrl.NewControllerManagedBy(mgr).Named("tombstones").
		WatchesMetadata(configMap, &handler.EnqueueRequestForObject{}, builder.WithPredicates(marked)).
		WatchesRawSource(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.dig = func(namespace string) {
				queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: tombstonesName}})
			}
			return nil
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1, ReconciliationTimeout: reconcileTimeout}).
		Complete(t)
}

func (r *catalog) setup(mgr ctrl.Manager) error {
	ofNamespace := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: desired.EventTypesName}}}
	})
	configMap := &metav1.PartialObjectMetadata{}
	configMap.SetGroupVersionKind(configMapKind)
	marked := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()[v1alpha1.LabelEventTypes] != "" })
	return ctrl.NewControllerManagedBy(mgr).Named("catalog").
		Watches(&v1alpha1.WildoutEventType{}, ofNamespace, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesMetadata(configMap, ofNamespace, builder.WithPredicates(marked)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1, ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
}
