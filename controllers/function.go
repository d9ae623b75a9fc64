package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/controllers/health"
	"github.com/wildout/wildout/controllers/observe"
	"github.com/wildout/wildout/controllers/survey"
	"github.com/wildout/wildout/runtime/plan"
)

// functions reconciles WildoutFunctions.
type functions struct {
	options Options
	client  client.Client
	poller  *survey.Poller
	applier *applier
	status  *statusWriter
	events  recorder
	taken   handover

	mu     sync.Mutex
	plans  map[types.UID]compiled
	scales map[types.UID]*scale
}

// compiled is the plan of one generation of a function: compiling is the most
// work there is in a reconcile.
type compiled struct {
	generation int64
	plan       *plan.Plan
	err        error
}

// Reconcile makes the children of a function what its spec says, and its
// status what they are.
func (r *functions) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var f v1alpha1.WildoutFunction
	if err := r.client.Get(ctx, request.NamespacedName, &f); err != nil {
		if apierrors.IsNotFound(err) {
			r.poller.Forget(request.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !f.DeletionTimestamp.IsZero() {
		return r.delete(ctx, &f)
	}
	if err := r.status.keep(ctx, &f, "WildoutFunction"); err != nil {
		return ctrl.Result{}, err
	}
	snapshot, err := observe.Function(ctx, r.client, &f)
	if err != nil {
		return ctrl.Result{}, err
	}
	facts := r.facts(&f, snapshot)
	objects, err := r.build(&f, facts, snapshot)
	if err != nil {
		return ctrl.Result{}, err
	}
	again := r.scale(&f, facts, snapshot, objects)
	var trouble error
	var later time.Duration
	if objects != nil {
		later, trouble = r.bring(ctx, &f, objects, snapshot, facts)
	}
	wait, err := r.report(ctx, &f, facts, objects)
	if err != nil {
		return ctrl.Result{}, err
	}
	if retriable(trouble) {
		return ctrl.Result{}, trouble
	}
	if !facts.View.Asked { // it is told of the answer; to look again costs nothing
		wait = r.options.SecretInterval
	}
	return ctrl.Result{RequeueAfter: soonest(wait, again, later, health.Again(facts), r.leftFor(&f, facts))}, nil
}

// soonest is the shortest wait of those that there are.
func soonest(waits ...time.Duration) (first time.Duration) {
	for _, wait := range waits {
		if wait > 0 && (first == 0 || wait < first) {
			first = wait
		}
	}
	return first
}

// retriable reports whether to try again helps: what the API server finds
// invalid stays so until somebody changes it, and that starts another
// reconcile. What it forbids may be allowed meanwhile.
func retriable(err error) bool {
	_, taken := err.(*health.NameTakenError) //nolint:errorlint // it is never wrapped
	return err != nil && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) && !taken
}

// facts are what is known before anything is applied.
func (r *functions) facts(f *v1alpha1.WildoutFunction, snapshot *observe.Snapshot) *health.Facts {
	facts := &health.Facts{Function: f, Undeclared: snapshot.Undeclared, Secret: r.secretName(f.Spec.Redis),
		Deployment: snapshot.Deployment, Pods: snapshot.Pods, Now: time.Now()}
	if d := facts.Deployment; d != nil && !metav1.IsControlledBy(d, f) {
		facts.Deployment = nil
	}
	p, err := r.compile(f)
	facts.SpecErr = err
	facts.View = r.poller.Follow(survey.Function{Name: client.ObjectKeyFromObject(f), Secret: facts.Secret, Types: f.Spec.Reads(),
		Settled: err == nil && r.settled(f, snapshot), Scaled: isScaled(f), Schedules: schedules(f, p)})
	return facts
}

func (r *functions) secretName(redis *v1alpha1.Redis) string {
	if redis != nil && redis.SecretName != "" {
		return redis.SecretName
	}
	return r.options.RedisSecret
}

func (r *functions) compile(f *v1alpha1.WildoutFunction) (*plan.Plan, error) {
	r.mu.Lock()
	known, ok := r.plans[f.UID]
	r.mu.Unlock()
	if ok && known.generation == f.Generation {
		return known.plan, known.err
	}
	p, err := plan.Compile(f.Name, &f.Spec, plan.Options{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plans[f.UID] = compiled{f.Generation, p, err}
	return p, err
}

// settled reports whether no runner of an earlier version is left.
func (r *functions) settled(f *v1alpha1.WildoutFunction, snapshot *observe.Snapshot) bool {
	d := snapshot.Deployment
	name, err := desired.ConfigMap(f)
	if err != nil || d == nil || d.Spec.Template.Annotations[desired.AnnotationManifest] != name || d.Status.ObservedGeneration < d.Generation {
		return false
	}
	for i := range snapshot.Pods {
		if snapshot.Pods[i].Annotations[desired.AnnotationManifest] != name {
			return false
		}
	}
	return d.Status.Replicas == d.Status.UpdatedReplicas
}

// build says what the children shall be; nil while that cannot be said: the
// spec does not compile, or nobody knows the Secret yet. Then they stay as
// they are.
func (r *functions) build(f *v1alpha1.WildoutFunction, facts *health.Facts, snapshot *observe.Snapshot) (*desired.Objects, error) {
	p, err := r.compile(f)
	if err != nil {
		return nil, nil //nolint:nilerr // it is among the facts
	}
	hash := facts.View.Secret.Hash
	if hash == "" && snapshot.Deployment != nil {
		hash = snapshot.Deployment.Spec.Template.Annotations[desired.AnnotationRedis]
	}
	if hash == "" {
		return nil, nil
	}
	objects, err := desired.Children(desired.Input{Function: f, Plan: p,
		Secret: facts.Secret, SecretHash: hash, Image: r.options.RunnerImage})
	if fault, ok := err.(*desired.FieldError); ok { //nolint:errorlint // Children returns the value itself
		facts.SpecErr = fault
		return nil, nil
	}
	return objects, err
}

// bring makes the children what they shall be, or says after which time that is
// to be done.
func (r *functions) bring(ctx context.Context, f *v1alpha1.WildoutFunction, objects *desired.Objects, snapshot *observe.Snapshot, facts *health.Facts) (later time.Duration, err error) {
	children, err := newObjects(objects.All)
	if err == nil {
		if later = r.handover(f, children, snapshot, facts); later > 0 {
			return later, nil
		}
		err = r.apply(ctx, f, objects, children, snapshot, facts)
	}
	if facts.ApplyErr = err; err != nil {
		return 0, err
	}
	return 0, r.prune(ctx, f, children, snapshot, facts)
}

// apply applies the children, in their order, until one is refused.
func (r *functions) apply(ctx context.Context, f *v1alpha1.WildoutFunction, objects *desired.Objects, children []object, snapshot *observe.Snapshot, facts *health.Facts) error {
	for _, o := range children {
		if o.GetKind() == "Deployment" && r.contested(f, facts, o, snapshot.Deployment) {
			continue
		}
		now, generation, err := r.applier.apply(ctx, f.UID, o, observed(snapshot, o))
		if err != nil {
			return err
		}
		if o.GetKind() != "Deployment" {
			continue
		}
		facts.Generation = generation
		if now != nil { // the cache does not have it yet
			if facts.Deployment, err = asDeployment(now); err != nil {
				return err
			}
			r.scaled(f, facts, snapshot.Deployment, objects)
		}
	}
	return nil
}

func asDeployment(u *unstructured.Unstructured) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, d); err != nil {
		return nil, fmt.Errorf("read the answer to an apply: %w", err)
	}
	return d, nil
}

// observed returns the child that the cache has, nil when it has none.
func observed(snapshot *observe.Snapshot, o object) metav1.Object {
	if o.GetKind() == "Deployment" {
		if snapshot.Deployment == nil {
			return nil
		}
		return snapshot.Deployment
	}
	for i := range snapshot.Children {
		if child := &snapshot.Children[i]; child.Kind == o.GetKind() && child.Name == o.GetName() {
			return child
		}
	}
	return nil
}

// prune deletes the children that are not wanted any more. A ConfigMap with an
// earlier manifest is kept while a pod may start from it, or a run began with
// its version.
func (r *functions) prune(ctx context.Context, f *v1alpha1.WildoutFunction, children []object, snapshot *observe.Snapshot, facts *health.Facts) error {
	wanted := map[string]bool{}
	for _, o := range children {
		wanted[o.key()] = true
	}
	for i := range snapshot.Children {
		child := &snapshot.Children[i]
		if wanted[child.Kind+"/"+child.Name] || !metav1.IsControlledBy(child, f) {
			continue
		}
		if child.Kind == "ConfigMap" && r.mayBeNeeded(child, f, snapshot, facts) {
			continue
		}
		if err := r.applier.remove(ctx, f.UID, child); err != nil {
			return err
		}
	}
	return nil
}

func (r *functions) mayBeNeeded(configMap *metav1.PartialObjectMetadata, f *v1alpha1.WildoutFunction, snapshot *observe.Snapshot, facts *health.Facts) bool {
	if !r.settled(f, snapshot) || facts.View.Numbers == nil {
		return true
	}
	return facts.View.Numbers.ByVersion[configMap.Labels[v1alpha1.LabelVersion]] > 0
}

// delete removes what the function has outside Kubernetes, and lets it go. It
// takes a bounded time, whatever has become of Redis.
func (r *functions) delete(ctx context.Context, f *v1alpha1.WildoutFunction) (ctrl.Result, error) {
	name := client.ObjectKeyFromObject(f)
	if !slices.Contains(f.Finalizers, v1alpha1.Finalizer) {
		r.poller.Forget(name)
		r.forget(f.UID)
		return ctrl.Result{}, nil
	}
	snapshot, err := observe.Function(ctx, r.client, f)
	if err != nil {
		return ctrl.Result{}, err
	}
	r.poller.Forget(name)
	if d := snapshot.Deployment; d != nil && metav1.IsControlledBy(d, f) && d.DeletionTimestamp.IsZero() {
		d.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
		if err := r.applier.remove(ctx, f.UID, d); err != nil {
			return ctrl.Result{}, err
		}
	}
	if f.Spec.DeletionPolicy == v1alpha1.DeletionRetain {
		return ctrl.Result{}, r.letGo(ctx, f)
	}
	late := time.Since(f.DeletionTimestamp.Time) > r.options.DeletionTimeout
	if (len(snapshot.Pods) > 0 || snapshot.Deployment != nil) && !late {
		return ctrl.Result{RequeueAfter: time.Second}, nil // its runners would make anew what is removed
	}
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// A stream that nobody declares goes with its last reader.
	err = r.poller.Uninstall(bounded, name, r.secretName(f.Spec.Redis), snapshot.Undeclared)
	if err != nil && !late {
		ctrl.LoggerFrom(ctx).Info("Redis is not cleaned yet; trying again", "error", err.Error())
		return ctrl.Result{RequeueAfter: 2 * time.Second}, nil
	}
	if err != nil {
		r.events.warn(f, "RedisNotCleaned", "Delete", "its keys (wo:{%s.*}:fn:%s:*) and consumer groups are still in Redis: %v", f.Namespace, f.Name, err)
	}
	return ctrl.Result{}, r.letGo(ctx, f)
}

func (r *functions) letGo(ctx context.Context, f *v1alpha1.WildoutFunction) error {
	before := f.DeepCopy()
	controllerutil.RemoveFinalizer(f, v1alpha1.Finalizer)
	if err := r.client.Patch(ctx, f, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.forget(f.UID)
	return nil
}

func (r *functions) forget(uid types.UID) {
	r.applier.forget(uid)
	r.status.forget(uid)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.plans, uid)
	delete(r.scales, uid)
}
