package controllers

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
)

// catalog keeps, in each namespace, the ConfigMap with the event types that
// the gateway mounts. A request names the ConfigMap.
type catalog struct {
	client client.Client
	live   client.Reader
}

var configMapKind = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}

// Reconcile makes the ConfigMap what the event types of its namespace are. A
// type with a schema that cannot be used is left out: its events pass unchecked,
// where the gateway would otherwise refuse the whole folder.
func (r *catalog) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var list v1alpha1.WildoutEventTypeList
	if err := r.client.List(ctx, &list, client.InNamespace(request.Namespace)); err != nil {
		return ctrl.Result{}, fmt.Errorf("list the event types of %s: %w", request.Namespace, err)
	}
	var usable []v1alpha1.WildoutEventType
	for _, t := range list.Items {
		first, err := declaredBy(ctx, r.client, &t)
		if err != nil {
			return ctrl.Result{}, err
		}
		if t.DeletionTimestamp.IsZero() && first == "" && schemaFault(&t) == nil {
			usable = append(usable, t)
		}
	}
	config, err := desired.EventTypes(request.Namespace, usable)
	if err != nil {
		return ctrl.Result{}, err
	}
	if config == nil {
		return ctrl.Result{}, r.remove(ctx, request)
	}
	if err := r.ours(ctx, request); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "the event types do not reach the gateway")
		return ctrl.Result{}, nil
	}
	if err := r.client.Apply(ctx, config, client.FieldOwner(v1alpha1.FieldOwner), client.ForceOwnership); err != nil {
		return ctrl.Result{}, fmt.Errorf("apply ConfigMap %s: %w", request.NamespacedName, err)
	}
	return ctrl.Result{}, nil
}

// ours says whether the name is free, or the ConfigMap is ours.
func (r *catalog) ours(ctx context.Context, request ctrl.Request) error {
	var found metav1.PartialObjectMetadata
	found.SetGroupVersionKind(configMapKind)
	err := r.live.Get(ctx, request.NamespacedName, &found)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil && found.Labels[v1alpha1.LabelEventTypes] == "" {
		err = nameTaken("ConfigMap", request.Name, "wildout: rename or remove it")
	}
	return err
}

func (r *catalog) remove(ctx context.Context, request ctrl.Request) error {
	var found metav1.PartialObjectMetadata
	found.SetGroupVersionKind(configMapKind)
	if err := r.client.Get(ctx, request.NamespacedName, &found); err != nil { // the cache has our own alone
		return client.IgnoreNotFound(err)
	}
	return client.IgnoreNotFound(r.client.Delete(ctx, &found))
}
