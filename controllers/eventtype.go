package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/health"
	"github.com/wildout/wildout/controllers/observe"
	"github.com/wildout/wildout/controllers/survey"
	"github.com/wildout/wildout/runtime/intake"
)

// eventTypes reconciles WildoutEventTypes: their streams exist before anything
// is published, and are kept within their retention.
type eventTypes struct {
	options Options
	client  client.Client
	poller  *survey.Poller
	status  *statusWriter
	events  recorder
}

// Reconcile makes an event type known to Redis, and its status what is found.
func (r *eventTypes) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var t v1alpha1.WildoutEventType
	if err := r.client.Get(ctx, request.NamespacedName, &t); err != nil {
		if apierrors.IsNotFound(err) {
			r.poller.ForgetType(request.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !t.DeletionTimestamp.IsZero() {
		return r.delete(ctx, &t)
	}
	if err := r.status.keep(ctx, &t, "WildoutEventType"); err != nil {
		return ctrl.Result{}, err
	}
	facts, err := r.facts(ctx, &t)
	if err != nil {
		return ctrl.Result{}, err
	}
	status, err := r.newStatus(ctx, &t, facts)
	if err != nil {
		return ctrl.Result{}, err
	}
	// Subscribers may wait as numbers do: many come and go at once.
	words := t.Status.ObservedGeneration != status.ObservedGeneration || !sameConditions(t.Status.Conditions, status.Conditions)
	wait, err := r.status.write(ctx, &t, "WildoutEventType", &t.Status, status, words)
	if err == nil && words {
		r.events.transitions(&t, t.Status.Conditions, status.Conditions)
	}
	return ctrl.Result{RequeueAfter: wait}, err
}

func (r *eventTypes) secretName(t *v1alpha1.WildoutEventType) string {
	if s := t.Spec.Redis; s != nil && s.SecretName != "" {
		return s.SecretName
	}
	return r.options.RedisSecret
}

func (r *eventTypes) facts(ctx context.Context, t *v1alpha1.WildoutEventType) (*health.EventTypeFacts, error) {
	facts := &health.EventTypeFacts{EventType: t, Secret: r.secretName(t), SchemaErr: schemaFault(t)}
	var err error
	if facts.DeclaredBy, err = declaredBy(ctx, r.client, t); err != nil {
		return nil, err
	}
	name := client.ObjectKeyFromObject(t)
	if facts.DeclaredBy != "" { // the stream is the other one's
		r.poller.ForgetType(name)
		return facts, nil
	}
	period, maxBytes, err := retention(t.Spec.Retention)
	if err != nil {
		return nil, fmt.Errorf("event type %s: %w", t.Name, err) // the API server checks it
	}
	facts.View = r.poller.FollowType(survey.EventType{Name: name, Secret: facts.Secret, Type: string(t.Spec.Type), Period: period, MaxBytes: maxBytes})
	return facts, nil
}

// schemaFault says why the gateway could not use the schema.
func schemaFault(t *v1alpha1.WildoutEventType) error {
	if t.Spec.Schema == nil {
		return nil
	}
	_, err := intake.CompileSchema(t.Spec.Schema.Raw)
	return err
}

// declaredBy returns the object that declared the same type first, or "".
func declaredBy(ctx context.Context, c client.Reader, t *v1alpha1.WildoutEventType) (string, error) {
	var same v1alpha1.WildoutEventTypeList
	if err := c.List(ctx, &same, client.InNamespace(t.Namespace), client.MatchingFields{observe.IndexType: string(t.Spec.Type)}); err != nil {
		return "", fmt.Errorf("look for the event type %s: %w", t.Spec.Type, err)
	}
	first := t
	for i := range same.Items {
		other := &same.Items[i]
		if c := other.CreationTimestamp.Compare(first.CreationTimestamp.Time); c < 0 || c == 0 && other.Name < first.Name {
			first = other
		}
	}
	if first.Name == t.Name {
		return "", nil
	}
	return first.Name, nil
}

const defaultRetention = 72 * time.Hour

func retention(r *v1alpha1.Retention) (period time.Duration, maxBytes int64, err error) {
	if r == nil {
		return defaultRetention, 0, nil
	}
	if period, err = r.Period.Parse(); err != nil {
		return 0, 0, err
	}
	if period == 0 {
		period = defaultRetention
	}
	if r.MaxBytes != "" {
		size, err := resource.ParseQuantity(r.MaxBytes)
		if err != nil {
			return 0, 0, fmt.Errorf("spec.retention.maxBytes: %w", err)
		}
		maxBytes = size.Value()
	}
	return period, maxBytes, nil
}

func (r *eventTypes) newStatus(ctx context.Context, t *v1alpha1.WildoutEventType, facts *health.EventTypeFacts) (*v1alpha1.WildoutEventTypeStatus, error) {
	s := t.Status.DeepCopy()
	s.ObservedGeneration = t.Generation
	s.Conditions = health.Merge(t.Status.Conditions, health.EventTypeConditions(facts), metav1.Now())
	var readers v1alpha1.WildoutFunctionList
	if err := r.client.List(ctx, &readers, client.InNamespace(t.Namespace), client.MatchingFields{observe.IndexReads: string(t.Spec.Type)}); err != nil {
		return nil, fmt.Errorf("look for the functions that read %s: %w", t.Spec.Type, err)
	}
	s.Subscribers = nil
	for i := range readers.Items {
		s.Subscribers = append(s.Subscribers, readers.Items[i].Name)
	}
	slices.Sort(s.Subscribers)
	if stream := facts.View.Stream; stream != nil {
		s.Stream = &v1alpha1.StreamState{Length: stream.Length, Bytes: stream.Bytes}
		if stream.Length > 0 {
			s.Stream.Oldest, s.Stream.Newest = seconds(stream.Oldest), seconds(stream.Newest)
		}
	}
	return s, nil
}

// delete removes the stream, if no function reads it, and lets the event type
// go, in a bounded time.
func (r *eventTypes) delete(ctx context.Context, t *v1alpha1.WildoutEventType) (ctrl.Result, error) {
	name := client.ObjectKeyFromObject(t)
	r.poller.ForgetType(name)
	if !controllerutil.ContainsFinalizer(t, v1alpha1.Finalizer) {
		r.status.forget(t.UID)
		return ctrl.Result{}, nil
	}
	other, err := declaredBy(ctx, r.client, t)
	if err != nil {
		return ctrl.Result{}, err
	}
	late := time.Since(t.DeletionTimestamp.Time) > r.options.DeletionTimeout
	leaving, err := r.readersLeave(ctx, t)
	if err != nil {
		return ctrl.Result{}, err
	}
	if leaving && !late { // the stream goes with the last of them
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	if other == "" {
		bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		err := r.poller.DropStream(bounded, name, r.secretName(t), string(t.Spec.Type))
		if err != nil && !late {
			ctrl.LoggerFrom(ctx).Info("Redis is not cleaned yet; trying again", "error", err.Error())
			return ctrl.Result{RequeueAfter: 2 * time.Second}, nil
		}
		if err != nil {
			r.events.warn(t, "RedisNotCleaned", "Delete", "the stream of %s may still be in Redis: %v", t.Spec.Type, err)
		}
	}
	before := t.DeepCopy()
	controllerutil.RemoveFinalizer(t, v1alpha1.Finalizer)
	err = r.client.Patch(ctx, t, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	r.status.forget(t.UID)
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// readersLeave reports whether a function that reads the type is being deleted.
func (r *eventTypes) readersLeave(ctx context.Context, t *v1alpha1.WildoutEventType) (bool, error) {
	var readers v1alpha1.WildoutFunctionList
	if err := r.client.List(ctx, &readers, client.InNamespace(t.Namespace), client.MatchingFields{observe.IndexReads: string(t.Spec.Type)}); err != nil {
		return false, fmt.Errorf("look for the functions that read %s: %w", t.Spec.Type, err)
	}
	return slices.ContainsFunc(readers.Items, func(f v1alpha1.WildoutFunction) bool { return !f.DeletionTimestamp.IsZero() }), nil
}
