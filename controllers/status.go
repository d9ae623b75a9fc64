package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
)

// statusWriter writes statuses: words at once, numbers alone seldom, and
// nothing when nothing has changed.
type statusWriter struct {
	client   client.Client
	interval time.Duration
	now      func() time.Time

	mu      sync.Mutex
	written map[types.UID]time.Time
}

func newStatusWriter(c client.Client, interval time.Duration, now func() time.Time) *statusWriter {
	return &statusWriter{client: c, interval: interval, now: now, written: map[types.UID]time.Time{}}
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
	config := applyHead(object, kind)
	config.Object["status"] = content
	err = w.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(config), client.FieldOwner(v1alpha1.FieldOwner), client.ForceOwnership)
	if err != nil {
		return 0, fmt.Errorf("write the status of %s: %w", object.GetName(), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written[object.GetUID()] = w.now()
	return 0, nil
}

func (w *statusWriter) wait(uid types.UID) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written[uid].Add(w.interval).Sub(w.now())
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

// sameConditions compares conditions. Messages that only say how far a question
// is, or how many runs failed, may wait as numbers do.
func sameConditions(a, b []metav1.Condition) bool {
	if len(a) != len(b) {
		return false
	}
	byType := map[string]metav1.Condition{}
	for _, c := range a {
		byType[c.Type] = c
	}
	for _, c := range b {
		was := byType[c.Type]
		if was.Status != c.Status || was.Reason != c.Reason || was.ObservedGeneration != c.ObservedGeneration ||
			was.Message != c.Message && c.Type != v1alpha1.ConditionHealthy && c.Reason != v1alpha1.ReasonHighFailureRate && c.Reason != v1alpha1.ReasonConnecting {
			return false
		}
	}
	return true
}
