package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/health"
	"github.com/wildout/wildout/controllers/observe"
	"github.com/wildout/wildout/controllers/survey"
	"github.com/wildout/wildout/controllers/view"
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
	tombs   *tombstones
	catalog *catalog
}

// Reconcile makes an event type known to Redis, and its status what is found.
func (r *eventTypes) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var t v1alpha1.WildoutEventType
	if err := r.client.Get(ctx, request.NamespacedName, &t); err != nil {
		if apierrors.IsNotFound(err) {
			r.poller.ForgetType(request.NamespacedName)
			if !r.tombs.has(request.NamespacedName, true) {
				r.poller.GiveUp(request.NamespacedName, true)
			}
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !t.DeletionTimestamp.IsZero() {
		return r.delete(ctx, &t)
	}
	if err := addFinalizer(ctx, r.client, &t, eventTypeKind); err != nil {
		return ctrl.Result{}, err
	}
	known, err := r.look(ctx, &t)
	if err != nil {
		return ctrl.Result{}, err
	}
	status, err := r.newStatus(ctx, known)
	if err != nil {
		return ctrl.Result{}, err
	}
	// Subscribers may wait as numbers do: many come and go at once.
	words := t.Status.ObservedGeneration != status.ObservedGeneration || !sameConditions(t.Status.Conditions, status.Conditions)
	wait, err := r.status.write(ctx, &t, eventTypeKind, &t.Status, status, words)
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

// look finds out what an event type is judged by.
func (r *eventTypes) look(ctx context.Context, t *v1alpha1.WildoutEventType) (*health.EventType, error) {
	first, err := declaredBy(ctx, r.client, t)
	if err != nil {
		return nil, err
	}
	known := &health.EventType{Object: t, Secret: r.secretName(t), SchemaFault: schemaFault(t), DeclaredBy: first, Catalog: r.catalog.of(t)}
	name := client.ObjectKeyFromObject(t)
	if first != "" { // the stream is the other one's
		r.poller.ForgetType(name)
		return known, nil
	}
	period, maxBytes, err := retention(t.Spec.Retention)
	if err != nil {
		return nil, fmt.Errorf("event type %s: %w", t.Name, err) // the API server checks it
	}
	known.Redis = r.poller.FollowType(survey.EventType{Name: name, Secret: known.Secret, Type: string(t.Spec.Type), Period: period, MaxBytes: maxBytes})
	return known, nil
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

func (r *eventTypes) newStatus(ctx context.Context, known *health.EventType) (*v1alpha1.WildoutEventTypeStatus, error) {
	t := known.Object
	s := t.Status.DeepCopy()
	s.ObservedGeneration = t.Generation
	s.Conditions = health.Merge(t.Status.Conditions, health.JudgeEventType(known), metav1.NewTime(r.options.Now()))
	var readers v1alpha1.WildoutFunctionList
	if err := r.client.List(ctx, &readers, client.InNamespace(t.Namespace), client.MatchingFields{observe.IndexReads: string(t.Spec.Type)}); err != nil {
		return nil, fmt.Errorf("look for the functions that read %s: %w", t.Spec.Type, err)
	}
	s.Subscribers = nil
	for i := range readers.Items {
		s.Subscribers = append(s.Subscribers, readers.Items[i].Name)
	}
	slices.Sort(s.Subscribers)
	if stream := known.Redis.Stream; stream != nil {
		s.Stream = &v1alpha1.StreamState{Length: stream.Length, Bytes: stream.Bytes}
		s.HeldBy = r.holds(t.Namespace, stream.Holders, readers.Items)
		if stream.Length > 0 {
			s.Stream.Oldest, s.Stream.Newest = seconds(stream.Oldest), seconds(stream.Newest)
		}
	}
	return s, nil
}

// maxHolds is how many holders a status names.
const maxHolds = 32

// holds says for whom events are kept longer than they were to be kept.
func (r *eventTypes) holds(namespace string, holders []view.Holder, readers []v1alpha1.WildoutFunction) (all []v1alpha1.Hold) {
	for _, h := range holders[:min(len(holders), maxHolds)] {
		hold := v1alpha1.Hold{Function: h.Function, Since: seconds(h.Since), Reason: v1alpha1.HoldRetained}
		at := slices.IndexFunc(readers, func(f v1alpha1.WildoutFunction) bool { return f.Name == h.Function })
		switch {
		case at >= 0 && readers[at].Spec.Suspend:
			hold.Reason = v1alpha1.HoldSuspended
		case at >= 0:
			hold.Reason = v1alpha1.HoldBehind
		case r.tombs.knows(types.NamespacedName{Namespace: namespace, Name: h.Function}, false):
			hold.Reason = v1alpha1.HoldDeleted
		}
		all = append(all, hold)
	}
	return all
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
	if err := r.reportDeletion(ctx, t); err != nil {
		return ctrl.Result{}, err
	}
	late := r.options.isLate(t)
	leaving, err := r.readersLeave(ctx, t)
	if err != nil {
		return ctrl.Result{}, err
	}
	if leaving && !late { // the stream goes with the last of them
		return ctrl.Result{RequeueAfter: endAgain}, nil
	}
	if other == "" {
		removal := r.poller.RemoveStream(name, r.secretName(t), string(t.Spec.Type))
		if !removal.Done && r.options.mayYetEnd(t, removal) {
			return ctrl.Result{RequeueAfter: cleanAgain}, nil // it is told when it is done
		}
		if !removal.Done {
			if err := r.tombs.bury(ctx, grave{name, true}, r.secretName(t), []string{string(t.Spec.Type)}); err != nil {
				return ctrl.Result{}, err
			}
			r.events.warn(t, "RedisNotCleaned", "Delete", "the stream of %s may still be in Redis, and is removed when that is back: %s", t.Spec.Type, why(removal))
		}
	}
	r.status.forget(t.UID)
	return ctrl.Result{}, removeFinalizer(ctx, r.client, t)
}

// readersLeave reports whether a function that reads the type is being deleted.
func (r *eventTypes) readersLeave(ctx context.Context, t *v1alpha1.WildoutEventType) (bool, error) {
	var readers v1alpha1.WildoutFunctionList
	if err := r.client.List(ctx, &readers, client.InNamespace(t.Namespace), client.MatchingFields{observe.IndexReads: string(t.Spec.Type)}); err != nil {
		return false, fmt.Errorf("look for the functions that read %s: %w", t.Spec.Type, err)
	}
	return slices.ContainsFunc(readers.Items, func(f v1alpha1.WildoutFunction) bool { return !f.DeletionTimestamp.IsZero() }), nil
}
