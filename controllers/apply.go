package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/health"
)

// applier applies the children of owners, each when it has to be: what was
// applied before and has not changed since costs no request. What it remembers
// only saves requests; without it everything is applied once more.
type applier struct {
	client client.Client
	// live reads from the API server, where the cache does not see what is not
	// ours.
	live client.Reader

	mu      sync.Mutex
	applied map[types.UID]map[string]receipt // by owner, then kind and name
}

// receipt is what an apply has left behind.
type receipt struct {
	content    [sha256.Size]byte
	uid        types.UID
	generation int64
}

func newApplier(c client.Client, live client.Reader) *applier {
	return &applier{client: c, live: live, applied: map[types.UID]map[string]receipt{}}
}

// object is a child as it shall be, in the form that is sent.
type object struct {
	*unstructured.Unstructured
	content [sha256.Size]byte
}

func newObject(config runtime.ApplyConfiguration) (object, error) {
	encoded, err := json.Marshal(config)
	if err != nil {
		return object{}, fmt.Errorf("encode an object: %w", err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(encoded); err != nil {
		return object{}, fmt.Errorf("encode an object: %w", err)
	}
	return object{u, sha256.Sum256(encoded)}, nil
}

// newObjects are the children in the form that is sent, in their order.
func newObjects(configs []runtime.ApplyConfiguration) ([]object, error) {
	all := make([]object, 0, len(configs))
	for _, config := range configs {
		o, err := newObject(config)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func (o object) key() string { return o.GetKind() + "/" + o.GetName() }

// apply makes a child what it shall be. observed is the child in the cache, or
// nil. It returns the object as the API server has it now, nil when there was
// nothing to do, and the generation that the apply has led to. The error is a
// *health.Refusal when the object is.
func (a *applier) apply(ctx context.Context, owner types.UID, o object, observed metav1.Object) (*unstructured.Unstructured, int64, error) {
	known, ours := a.known(owner, o.key())
	if ours && known.content == o.content && observed != nil && observed.GetUID() == known.uid && observed.GetGeneration() <= known.generation {
		return nil, known.generation, nil
	}
	if err := a.ownedBy(ctx, owner, o, observed); err != nil {
		return nil, 0, err
	}
	sent := o.DeepCopy()
	err := a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(sent), client.FieldOwner(v1alpha1.FieldOwner), client.ForceOwnership)
	if err != nil {
		return nil, 0, refusal(fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.applied[owner] == nil {
		a.applied[owner] = map[string]receipt{}
	}
	generation := sent.GetGeneration()
	a.applied[owner][o.key()] = receipt{o.content, sent.GetUID(), generation}
	return sent, generation, nil
}

// ownedBy says whether an object of that name is ours to change.
func (a *applier) ownedBy(ctx context.Context, owner types.UID, o object, observed metav1.Object) error {
	if observed == nil {
		var found metav1.PartialObjectMetadata
		found.SetGroupVersionKind(o.GroupVersionKind())
		err := a.live.Get(ctx, client.ObjectKeyFromObject(o), &found)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		observed = &found
	}
	for _, ref := range observed.GetOwnerReferences() {
		if ref.UID == owner {
			return nil
		}
	}
	return nameTaken(o.GetKind(), o.GetName(), "this function: rename or remove it, or give the function another name")
}

// nameTaken says that an object of somebody else has the name of one of ours.
func nameTaken(kind, name, whose string) *health.Refusal {
	return &health.Refusal{Why: health.NameTaken, Err: fmt.Errorf("there is a %s %s that does not belong to %s", kind, name, whose)}
}

// refusal is an answer of the API server, by what helps.
func refusal(err error) *health.Refusal {
	switch {
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return &health.Refusal{Why: health.Invalid, Err: err}
	case apierrors.IsForbidden(err):
		return &health.Refusal{Why: health.Forbidden, Err: err}
	}
	return &health.Refusal{Why: health.Passing, Err: err}
}

// begun reports whether this operator has applied anything of an owner.
func (a *applier) begun(owner types.UID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.applied[owner]) > 0
}

func (a *applier) known(owner types.UID, key string) (receipt, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, ok := a.applied[owner][key]
	return r, ok
}

// forget drops what is remembered of an owner.
func (a *applier) forget(owner types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.applied, owner)
}

// remove deletes a child that is not wanted any more, and no other object that
// has taken its name since.
func (a *applier) remove(ctx context.Context, owner types.UID, child client.Object) error {
	uid := child.GetUID()
	err := a.client.Delete(ctx, child, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete %s %s: %w", child.GetObjectKind().GroupVersionKind().Kind, child.GetName(), err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.applied[owner], child.GetObjectKind().GroupVersionKind().Kind+"/"+child.GetName())
	return nil
}
