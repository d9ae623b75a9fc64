package controllers

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/wildout/wildout/api/v1alpha1"
)

// The kinds that the operator reconciles.
const (
	functionKind  = "WildoutFunction"
	eventTypeKind = "WildoutEventType"
)

// addFinalizer adds the finalizer, which keeps an object until Redis is cleaned.
func addFinalizer(ctx context.Context, c client.Client, object client.Object, kind string) error {
	if controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer) {
		return nil
	}
	config := applyHead(object, kind)
	config.SetFinalizers([]string{v1alpha1.Finalizer})
	err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(config), client.FieldOwner(v1alpha1.FieldOwner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("add the finalizer to %s: %w", object.GetName(), err)
	}
	return nil
}

// removeFinalizer lets an object go. It is no error that it has gone.
func removeFinalizer(ctx context.Context, c client.Client, object client.Object) error {
	before, ok := object.DeepCopyObject().(client.Object)
	if !ok || !controllerutil.RemoveFinalizer(object, v1alpha1.Finalizer) {
		return nil
	}
	err := c.Patch(ctx, object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	return client.IgnoreNotFound(err)
}

// applyHead is the head of an apply to an object that is there. With the UID it
// never makes an object anew that was just deleted.
func applyHead(object client.Object, kind string) *unstructured.Unstructured {
	head := &unstructured.Unstructured{Object: map[string]any{}}
	head.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	head.SetNamespace(object.GetNamespace())
	head.SetName(object.GetName())
	head.SetUID(object.GetUID())
	return head
}
