package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/controllers/health"
	"github.com/wildout/wildout/controllers/observe"
	"github.com/wildout/wildout/controllers/view"
)

// change is what a reconcile has decided on.
type change struct {
	function *v1alpha1.WildoutFunction
	// snapshot is what there is.
	snapshot *observe.Snapshot
	// objects are what the children shall be; nil: they stay as they are.
	objects *desired.Objects
	target  target
	// redis is what is known of the function in Redis.
	redis view.Function
	now   time.Time
}

// outcome is what applying a change has come to.
type outcome struct {
	// deployment is as the API server has it now, generation what it got from
	// the current spec.
	deployment *appsv1.Deployment
	generation int64
	// moreSince is when more runners were asked for last.
	moreSince time.Time
	// contested is the number of runners that somebody else sets again and
	// again; nil: nobody does.
	contested *int32
	// later is after which time there is more to do; 0: there is not.
	later time.Duration
	// refusal is why a child could not be applied; nil: all were.
	refusal *health.Refusal
	// err is what trying again may help with.
	err error
}

// bring makes the children what they shall be, or says after which time that is
// to be done.
func (r *functions) bring(ctx context.Context, c change) outcome {
	as := outcome{deployment: c.snapshot.Deployment, moreSince: r.memoryOf(c.function.UID).moreSince}
	if c.objects == nil {
		return as
	}
	children, err := newObjects(c.objects.All)
	if err != nil {
		as.err = err
		return as
	}
	if as.later = r.mayStay(c, children); as.later > 0 {
		as.generation = c.snapshot.Deployment.Generation
		return as
	}
	done := r.apply(ctx, c, children, as)
	if done.refusal != nil || done.err != nil {
		r.rollouts.refused(c.function.UID)
	}
	if done.refusal == nil && done.err == nil {
		done.err = r.prune(ctx, c, children)
	}
	return done
}

// apply applies the children, in their order, until one is refused.
func (r *functions) apply(ctx context.Context, c change, children []object, done outcome) outcome {
	for _, o := range children {
		isDeployment := o.GetKind() == "Deployment"
		if isDeployment && c.target.waits {
			return r.resize(ctx, c, done)
		}
		if isDeployment {
			if by := r.contested(c, o); by != nil {
				done.contested = &by.replicas
				done.generation = by.generation
				done.later = by.wait
				continue
			}
		}
		answer, generation, err := r.applier.apply(ctx, c.function.UID, o, observed(c.snapshot, o))
		if err != nil {
			return done.refused(err)
		}
		if !isDeployment {
			continue
		}
		done.generation = generation
		r.rollouts.begun(c.function.UID, generation)
		if answer == nil {
			continue
		}
		if done.deployment, done.err = asDeployment(answer); done.err != nil { // the cache does not have it yet
			return done
		}
		done.moreSince = r.noteScaled(c)
	}
	return done
}

// resize changes the number of runners alone: it is not their turn yet to be
// replaced. The Deployment is the last of the children.
func (r *functions) resize(ctx context.Context, c change, done outcome) outcome {
	d := c.snapshot.Deployment.DeepCopy()
	done.generation = d.Generation
	if replicasOf(d) == c.target.runners {
		return done
	}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, c.target.runners))
	if err := r.client.Patch(ctx, d, patch, client.FieldOwner(v1alpha1.FieldOwner)); err != nil {
		return done.refused(refusal(fmt.Errorf("change the number of runners of %s: %w", c.function.Name, err)))
	}
	done.generation = d.Generation
	done.deployment = d
	done.moreSince = r.noteScaled(c)
	return done
}

// refused is an outcome where a child could not be applied.
func (o outcome) refused(err error) outcome {
	o.err = err
	if errors.As(err, &o.refusal) && o.refusal.Lasts() {
		o.err = nil
	}
	return o
}

func asDeployment(u *unstructured.Unstructured) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, d); err != nil {
		return nil, fmt.Errorf("read the answer to an apply: %w", err)
	}
	return d, nil
}

// observed returns the child that the cache has, nil when it has none.
func observed(snapshot *observe.Snapshot, o object) metav1.Object {
	if o.GetKind() == "Deployment" {
		if snapshot.Deployment == nil {
			return nil
		}
		return snapshot.Deployment
	}
	for i := range snapshot.Children {
		if child := &snapshot.Children[i]; child.Kind == o.GetKind() && child.Name == o.GetName() {
			return child
		}
	}
	return nil
}

// prune deletes the children that are not wanted any more. A ConfigMap with an
// earlier manifest is kept while a pod may start from it, or a run began with
// its version.
func (r *functions) prune(ctx context.Context, c change, children []object) error {
	wanted := map[string]bool{}
	for _, o := range children {
		wanted[o.key()] = true
	}
	for i := range c.snapshot.Children {
		child := &c.snapshot.Children[i]
		if wanted[child.Kind+"/"+child.Name] || !metav1.IsControlledBy(child, c.function) {
			continue
		}
		if child.Kind == "ConfigMap" && c.mayNeed(child) {
			continue
		}
		if err := r.applier.remove(ctx, c.function.UID, child); err != nil {
			return err
		}
	}
	return nil
}

func (c change) mayNeed(configMap *metav1.PartialObjectMetadata) bool {
	numbers := c.redis.Numbers
	if numbers == nil || !settled(c.function, c.snapshot) {
		return true
	}
	return numbers.ByVersion[configMap.Labels[v1alpha1.LabelVersion]] > 0
}
