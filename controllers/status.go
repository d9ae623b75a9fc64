package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/wildout/wildout/api/v1alpha1"
)

// statusWriter writes statuses: words at once, numbers alone seldom, and
// nothing when nothing has changed.
type statusWriter struct {
	client   client.Client
	interval time.Duration

	mu      sync.Mutex
	written map[types.UID]time.Time
}

func newStatusWriter(c client.Client, interval time.Duration) *statusWriter {
	return &statusWriter{client: c, interval: interval, written: map[types.UID]time.Time{}}
}

// keep adds the finalizer, which keeps the object until Redis is cleaned.
func (w *statusWriter) keep(ctx context.Context, object client.Object, kind string) error {
	if controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer) {
		return nil
	}
	config := w.config(object, kind)
	config.SetFinalizers([]string{v1alpha1.Finalizer})
	err := w.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(config), client.FieldOwner(v1alpha1.FieldOwner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("add the finalizer to %s: %w", object.GetName(), err)
	}
	return nil
}

// config is the head of an apply. With the UID it never makes an object anew
// that was just deleted.
func (w *statusWriter) config(object client.Object, kind string) *unstructured.Unstructured {
	config := &unstructured.Unstructured{Object: map[string]any{}}
	config.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	config.SetNamespace(object.GetNamespace())
	config.SetName(object.GetName())
	config.SetUID(object.GetUID())
	return config
}

// write applies the status when it differs from the old one: at once when
// words differ, and numbers alone only so often. It returns how long to wait
// when they are not written yet.
func (w *statusWriter) write(ctx context.Context, object client.Object, kind string, old, status any, words bool) (time.Duration, error) {
	if equality.Semantic.DeepEqual(old, status) {
		return 0, nil
	}
	if wait := w.wait(object.GetUID()); !words && wait > 0 {
		return wait, nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(status)
	if err != nil {
		return 0, fmt.Errorf("encode the status of %s: %w", object.GetName(), err)
	}
	config := w.config(object, kind)
	config.Object["status"] = content
	err = w.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(config), client.FieldOwner(v1alpha1.FieldOwner), client.ForceOwnership)
	if err != nil {
		return 0, fmt.Errorf("write the status of %s: %w", object.GetName(), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written[object.GetUID()] = time.Now()
	return 0, nil
}

func (w *statusWriter) wait(uid types.UID) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.interval - time.Since(w.written[uid])
}

func (w *statusWriter) forget(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.written, uid)
}

// find returns a condition, or an empty one.
func find(conditions []metav1.Condition, kind string) metav1.Condition {
	for _, c := range conditions {
		if c.Type == kind {
			return c
		}
	}
	return metav1.Condition{}
}
