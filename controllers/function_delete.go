package controllers

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/observe"
	"github.com/wildout/wildout/controllers/survey"
)

// How long it takes to look again whether runners have ended, and whether Redis
// is clean.
const (
	endAgain   = time.Second
	cleanAgain = 2 * time.Second
)

// delete removes what the function has outside Kubernetes, and lets it go. It
// takes a bounded time, whatever has become of Redis.
func (r *functions) delete(ctx context.Context, f *v1alpha1.WildoutFunction) (ctrl.Result, error) {
	name := client.ObjectKeyFromObject(f)
	if !controllerutil.ContainsFinalizer(f, v1alpha1.Finalizer) {
		r.poller.Forget(name)
		r.forget(f.UID)
		return ctrl.Result{}, nil
	}
	snapshot, err := observe.Function(ctx, r.client, f)
	if err != nil {
		return ctrl.Result{}, err
	}
	r.poller.Forget(name)
	if d := snapshot.Deployment; d != nil && d.DeletionTimestamp.IsZero() {
		d.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
		if err := r.applier.remove(ctx, f.UID, d); err != nil {
			return ctrl.Result{}, err
		}
	}
	if f.Spec.DeletionPolicy == v1alpha1.DeletionRetain {
		return ctrl.Result{}, r.letGo(ctx, f)
	}
	if err := r.reportDeletion(ctx, f); err != nil {
		return ctrl.Result{}, err
	}
	late := r.options.isLate(f)
	if (len(snapshot.Pods) > 0 || snapshot.Deployment != nil) && !late {
		return ctrl.Result{RequeueAfter: endAgain}, nil // its runners would make anew what is removed
	}
	// A stream that nobody declares goes with its last reader.
	removal := r.poller.RemoveFunction(name, r.secretName(f.Spec.Redis), snapshot.Undeclared)
	if !removal.Done && r.options.mayYetEnd(f, removal) {
		return ctrl.Result{RequeueAfter: cleanAgain}, nil // it is told when it is done
	}
	if !removal.Done {
		if err := r.tombs.bury(ctx, grave{name, false}, r.secretName(f.Spec.Redis), snapshot.Undeclared); err != nil {
			return ctrl.Result{}, err
		}
		r.events.warn(f, "RedisNotCleaned", "Delete", "its keys (wo:{%s.*}:fn:%s:*) and consumer groups are still in Redis, and are removed when it is back: %s", f.Namespace, f.Name, why(removal))
	}
	return ctrl.Result{}, r.letGo(ctx, f)
}

// why is why a removal is not done.
func why(r survey.Removal) string {
	if r.Err == nil {
		return "it takes longer than it may"
	}
	return r.Err.Error()
}

// isLate reports whether an object that is being deleted has waited long enough.
func (o *Options) isLate(object client.Object) bool {
	return o.Now().Sub(object.GetDeletionTimestamp().Time) > o.DeletionTimeout
}

// attemptTime is how long a first attempt to remove something from Redis gets
// beyond that: where it could not begin before, since runners were there, it is
// not given up before it was made.
const attemptTime = 10 * time.Second

// mayYetEnd reports whether a removal is to be waited for.
func (o *Options) mayYetEnd(object client.Object, removal survey.Removal) bool {
	waited := o.Now().Sub(object.GetDeletionTimestamp().Time)
	return waited <= o.DeletionTimeout || removal.Err == nil && waited <= o.DeletionTimeout+attemptTime
}

func (r *functions) letGo(ctx context.Context, f *v1alpha1.WildoutFunction) error {
	if err := removeFinalizer(ctx, r.client, f); err != nil {
		return err
	}
	r.forget(f.UID)
	return nil
}
