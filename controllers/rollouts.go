package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
)

// rollouts is a budget: an update of the operator, or another Secret, would
// replace the runners of all functions at once, with as many pods again. So many
// functions at most are replaced at a time; those whose new runners are not ready
// yet count, and so do those that were under way when the operator began. What a
// person changes in a function waits for nobody.
type rollouts struct {
	most   int
	client client.Reader // the cache

	mu sync.Mutex
	// wake has a function looked at again.
	wake func(types.NamespacedName)
	// counted: what was under way at the beginning is among these.
	counted bool
	under   map[types.UID]rollout
	waiting []waiter
}

// rollout is a function whose runners are being replaced.
type rollout struct {
	// generation of the Deployment with the new pods; 0: not applied yet.
	generation int64
	// worked: its runners did before. If the new ones do not, the others keep
	// theirs: the turn is not given back.
	worked bool
}

// waiter is a function whose runners are to be replaced.
type waiter struct {
	uid  types.UID
	name types.NamespacedName
}

func newRollouts(most int, c client.Reader) *rollouts {
	return &rollouts{most: most, client: c, wake: func(types.NamespacedName) {}, under: map[types.UID]rollout{}}
}

// onFree sets what is called with a function that may have its turn now. It must
// not block.
func (r *rollouts) onFree(wake func(types.NamespacedName)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wake = wake
}

// waits reports whether a function has to keep the runners that it has for now.
func (r *rollouts) waits(ctx context.Context, f *v1alpha1.WildoutFunction, d *appsv1.Deployment, objects *desired.Objects) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.count(ctx); err != nil {
		return false, err
	}
	if u, ok := r.under[f.UID]; ok && u.ended(d) {
		r.end(f.UID)
	}
	if !needsTurn(f, d, objects) {
		r.leave(f.UID)
		return false, nil
	}
	if _, has := r.under[f.UID]; has {
		return false, nil
	}
	if len(r.under) < r.most {
		r.leave(f.UID)
		r.under[f.UID] = rollout{worked: d.Status.AvailableReplicas >= replicasOf(d) && f.Status.RolledOut != ""}
		return false, nil
	}
	if !slices.ContainsFunc(r.waiting, func(w waiter) bool { return w.uid == f.UID }) {
		r.waiting = append(r.waiting, waiter{f.UID, client.ObjectKeyFromObject(f)})
	}
	return true, nil
}

// needsTurn reports whether the operator is about to replace runners, or start
// one to see, that nobody has asked for.
func needsTurn(f *v1alpha1.WildoutFunction, d *appsv1.Deployment, objects *desired.Objects) bool {
	if d == nil || objects == nil || f.Status.ObservedGeneration != f.Generation || f.Spec.Suspend {
		return false
	}
	return d.Annotations[desired.AnnotationRollout] != objects.Rollout.String() && (replicasOf(d) > 0 || isScaled(f))
}

// begun notes that the new runners of a function were asked for; refused that
// they could not be.
func (r *rollouts) begun(uid types.UID, generation int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u, ok := r.under[uid]; ok && u.generation == 0 {
		u.generation = generation
		r.under[uid] = u
	}
}

func (r *rollouts) refused(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u, ok := r.under[uid]; ok && u.generation == 0 {
		r.end(uid)
	}
}

// forget drops a function that has gone.
func (r *rollouts) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave(uid)
	if _, ok := r.under[uid]; ok {
		r.end(uid)
	}
}

// numbers are how many functions are being replaced, and how many wait.
func (r *rollouts) numbers() (under, waiting int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.under), len(r.waiting)
}

// end gives a turn back. The lock is held.
func (r *rollouts) end(uid types.UID) {
	delete(r.under, uid)
	for _, next := range r.waiting[:min(len(r.waiting), max(0, r.most-len(r.under)))] {
		r.wake(next.name)
	}
}

// leave takes a function off those that wait. The lock is held.
func (r *rollouts) leave(uid types.UID) {
	r.waiting = slices.DeleteFunc(r.waiting, func(w waiter) bool { return w.uid == uid })
}

// count finds, once, what the operator before this one has left under way. The
// lock is held.
func (r *rollouts) count(ctx context.Context) error {
	if r.counted {
		return nil
	}
	var all appsv1.DeploymentList
	ours := labels.SelectorFromSet(labels.Set{"app.kubernetes.io/managed-by": desired.ManagedBy})
	if err := r.client.List(ctx, &all, client.MatchingLabelsSelector{Selector: ours}); err != nil {
		return fmt.Errorf("look for runners that are being replaced: %w", err)
	}
	for i := range all.Items {
		d := &all.Items[i]
		if owner := metav1.GetControllerOf(d); owner != nil && isUnderWay(d) {
			r.under[owner.UID] = rollout{generation: d.Generation}
		}
	}
	r.counted = true
	return nil
}

// ended reports whether new runners are all there, or never will be.
func (u rollout) ended(d *appsv1.Deployment) bool {
	switch {
	case d == nil:
		return true
	case u.generation == 0 || d.Generation < u.generation: // the cache does not have it yet
		return false
	}
	return isComplete(d) || isStuck(d) && !u.worked
}

// isUnderWay reports whether runners are being replaced. Runners that were all
// there once, and are not ready now, are not.
func isUnderWay(d *appsv1.Deployment) bool {
	if isComplete(d) || isStuck(d) {
		return false
	}
	c := progress(d)
	return c == nil || c.Reason != "NewReplicaSetAvailable" || d.Status.ObservedGeneration < d.Generation
}

// isComplete reports whether all runners are there, those of the current pods,
// and no others.
func isComplete(d *appsv1.Deployment) bool {
	s, n := &d.Status, replicasOf(d)
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas >= n
}

// isStuck reports whether Kubernetes has given up waiting for new runners.
func isStuck(d *appsv1.Deployment) bool {
	c := progress(d)
	return c != nil && c.Reason == "ProgressDeadlineExceeded" && d.Status.ObservedGeneration >= d.Generation
}

func progress(d *appsv1.Deployment) *appsv1.DeploymentCondition {
	for i := range d.Status.Conditions {
		if c := &d.Status.Conditions[i]; c.Type == appsv1.DeploymentProgressing {
			return c
		}
	}
	return nil
}
