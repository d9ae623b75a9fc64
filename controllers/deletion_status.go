package controllers

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/health"
)

// reportDeletion tells that a function is being deleted: what waits for Redis, or
// for somebody else's finalizer, is not ready.
func (r *functions) reportDeletion(ctx context.Context, f *v1alpha1.WildoutFunction) error {
	status := f.Status.DeepCopy()
	status.Conditions = health.Deleting(f.Status.Conditions, f.Generation, metav1.NewTime(r.options.Now()))
	_, err := r.status.write(ctx, f, functionKind, &f.Status, status, true)
	return err
}

// reportDeletion is that of a function, for an event type.
func (r *eventTypes) reportDeletion(ctx context.Context, t *v1alpha1.WildoutEventType) error {
	status := t.Status.DeepCopy()
	status.Conditions = health.Deleting(t.Status.Conditions, t.Generation, metav1.NewTime(r.options.Now()))
	_, err := r.status.write(ctx, t, eventTypeKind, &t.Status, status, true)
	return err
}
