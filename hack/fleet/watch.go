package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
)

// watch follows the functions: when each became Ready, and as what generation.
type watch struct {
	cache.Cache // of functions, and of the pods of runners

	mu    sync.Mutex
	there map[types.NamespacedName]seen
}

// seen is a function as it was last seen.
type seen struct {
	generation int64
	ready      bool
	since      time.Time // of ready, with this generation
}

// follow starts to watch. It ends with ctx.
func follow(ctx context.Context, c *cluster) (*watch, error) {
	pods := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{"app.kubernetes.io/managed-by": "wildout"})}
	all, err := cache.New(c.config, cache.Options{Scheme: c.Scheme(), DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{&corev1.Pod{}: pods}})
	if err != nil {
		return nil, fmt.Errorf("watch the cluster: %w", err)
	}
	w := &watch{Cache: all, there: map[types.NamespacedName]seen{}}
	informer, err := all.GetInformer(ctx, &v1alpha1.WildoutFunction{}, cache.BlockUntilSynced(false))
	if err == nil {
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: w.note, UpdateFunc: func(_, o any) { w.note(o) }, DeleteFunc: w.gone})
	}
	if err == nil {
		_, err = all.GetInformer(ctx, &corev1.Pod{}, cache.BlockUntilSynced(false))
	}
	if err != nil {
		return nil, fmt.Errorf("watch the cluster: %w", err)
	}
	go func() { _ = all.Start(ctx) }() // it ends with ctx, or WaitForCacheSync says so
	if !all.WaitForCacheSync(ctx) {
		return nil, errors.New("watch the cluster: the watch does not start")
	}
	return w, nil
}

func (w *watch) note(o any) {
	f, ok := o.(*v1alpha1.WildoutFunction)
	if !ok {
		return
	}
	now := seen{generation: f.Generation, since: time.Now()}
	for _, c := range f.Status.Conditions {
		now.ready = now.ready || c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue && c.ObservedGeneration == f.Generation
	}
	name := client.ObjectKeyFromObject(f)
	w.mu.Lock()
	defer w.mu.Unlock()
	if was := w.there[name]; was.generation == now.generation && was.ready == now.ready {
		return
	}
	w.there[name] = now
}

func (w *watch) gone(o any) {
	if tombstone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = tombstone.Obj
	}
	if f, ok := o.(*v1alpha1.WildoutFunction); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.there, client.ObjectKeyFromObject(f))
	}
}

func (w *watch) functions() map[types.NamespacedName]seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.there)
}
