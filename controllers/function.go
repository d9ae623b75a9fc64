package controllers

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/health"
	"github.com/wildout/wildout/controllers/observe"
	"github.com/wildout/wildout/controllers/survey"
)

// functions reconciles WildoutFunctions.
type functions struct {
	options  Options
	client   client.Client
	poller   *survey.Poller
	applier  *applier
	status   *statusWriter
	events   recorder
	takeover takeover
	rollouts *rollouts
	tombs    *tombstones

	mu       sync.Mutex
	compiled map[types.UID]compiled
	memories map[types.UID]*memory
}

// Reconcile makes the children of a function what its spec says, and its
// status what they are.
func (r *functions) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var f v1alpha1.WildoutFunction
	if err := r.client.Get(ctx, request.NamespacedName, &f); err != nil {
		if apierrors.IsNotFound(err) {
			r.poller.Forget(request.NamespacedName)
			if !r.tombs.has(request.NamespacedName, false) {
				r.poller.GiveUp(request.NamespacedName, false)
			}
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !f.DeletionTimestamp.IsZero() {
		return r.delete(ctx, &f)
	}
	if err := addFinalizer(ctx, r.client, &f, functionKind); err != nil {
		return ctrl.Result{}, err
	}
	return r.reconcile(ctx, &f)
}

// reconcile goes the way of a manifest, step by step. Each step takes what those
// before it have found, and hands on what it has found itself: none changes what
// another one has.
func (r *functions) reconcile(ctx context.Context, f *v1alpha1.WildoutFunction) (ctrl.Result, error) {
	now := r.options.Now()
	snapshot, err := observe.Function(ctx, r.client, f)
	if err != nil {
		return ctrl.Result{}, err
	}
	spec := r.compile(f)
	redis := r.follow(f, spec, snapshot)
	objects, runnerFault, err := r.desire(f, spec, redis.Secret.Content, snapshot)
	if err != nil {
		return ctrl.Result{}, err
	}
	waits, err := r.rollouts.waits(ctx, f, snapshot.Deployment, objects)
	if err != nil {
		return ctrl.Result{}, err
	}
	target := r.scale(f, redis.Work, objects, snapshot, waits, now)
	done := r.bring(ctx, change{f, snapshot, objects, target, redis, now})
	verdict := health.Judge(&health.Function{
		Object:  f,
		Spec:    health.Spec{Fault: spec.fault, RunnerFault: runnerFault, Undeclared: snapshot.Undeclared, Absent: snapshot.Absent},
		Refusal: done.refusal,
		Secret:  r.secretName(f.Spec.Redis),
		Redis:   redis,
		Runners: health.Runners{Deployment: done.deployment, Generation: done.generation, Pods: snapshot.Pods, Wanted: target.runners,
			RolledOut: target.rolledOut, Waits: target.waits, MoreSince: done.moreSince, Contested: done.contested},
		Now: now,
	})
	status := newStatus(f, verdict.Conditions, redis, done.deployment, now)
	if objects != nil {
		status.Version = spec.version
	}
	if objects != nil && !target.waits {
		status.Image = objects.Image
		status.RolledOut = rolledOut(f.Status.RolledOut, status.Conditions, target, objects.Rollout)
	}
	wait, err := r.report(ctx, f, status)
	if err != nil {
		return ctrl.Result{}, err
	}
	if done.err != nil {
		return ctrl.Result{}, done.err
	}
	if !redis.Asked { // it is told of the answer; to look again costs nothing
		wait = r.options.SecretInterval
	}
	return ctrl.Result{RequeueAfter: soonest(wait, target.again, done.later, verdict.Again)}, nil
}

// soonest is the shortest wait of those that there are.
func soonest(waits ...time.Duration) (first time.Duration) {
	for _, wait := range waits {
		if wait > 0 && (first == 0 || wait < first) {
			first = wait
		}
	}
	return first
}

func (r *functions) secretName(redis *v1alpha1.Redis) string {
	if redis != nil && redis.SecretName != "" {
		return redis.SecretName
	}
	return r.options.RedisSecret
}

// forget drops what is remembered of a function.
func (r *functions) forget(uid types.UID) {
	r.applier.forget(uid)
	r.status.forget(uid)
	r.rollouts.forget(uid)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.compiled, uid)
	delete(r.memories, uid)
}
