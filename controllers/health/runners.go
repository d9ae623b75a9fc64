package health

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Runners are what there is of a function's runners, and what there shall be.
type Runners struct {
	// Deployment is the one that was applied last, or nil.
	Deployment *appsv1.Deployment
	// Generation is the generation that the Deployment got from the current
	// spec; an observed one that is older says nothing about it.
	Generation int64
	// Pods are the runners.
	Pods []corev1.Pod
	// Wanted is how many there shall be.
	Wanted int32
	// RolledOut: runners of this very kind have worked. Only their number may
	// have changed since.
	RolledOut bool
	// Waits: they are replaced for the operator's sake once it is their turn.
	Waits bool
	// MoreSince is when more runners were wanted last; zero: not lately.
	MoreSince time.Time
	// Contested is the number of runners that somebody else sets on the
	// Deployment again and again; nil: nobody does.
	Contested *int32
}

// trial is Runners with what else decides about them.
type trial struct {
	Runners
	function *v1alpha1.WildoutFunction
	refusal  *Refusal
	// faulty: there can be no runners of this spec.
	faulty bool
	now    time.Time
}

func (t *trial) isScaled() bool {
	return t.function.Spec.Runner != nil && t.function.Spec.Runner.Scaling != nil
}

// available is how many runners are ready.
func (t *trial) available() int32 { return t.Deployment.Status.AvailableReplicas }

// runnerRules: from what keeps a pod from being made to what it says itself.
var runnerRules = []rule[*trial]{
	namesAreFree, suspended, deploymentExists, podsMayBeMade, runnersWork, rolledOut, runnersReady,
}

func namesAreFree(t *trial) *opinion {
	switch {
	case t.refusal == nil:
	case t.refusal.Why == NameTaken:
		return no(v1alpha1.ReasonNameTaken, t.refusal.Error())
	case t.refusal.Why == Forbidden:
		return no(v1alpha1.ReasonPodsForbidden, "the API server does not let the operator make what the function needs: "+t.refusal.Error())
	}
	return nil
}

func suspended(t *trial) *opinion {
	if !t.function.Spec.Suspend {
		return nil
	}
	if n := len(t.Pods); n > 0 {
		return notYet(v1alpha1.ReasonProgressing, fmt.Sprintf("spec.suspend is true: %d runners end what they have begun, and read nothing more", n))
	}
	return yes(v1alpha1.ReasonSuspended, "spec.suspend is true: there are no runners")
}

func deploymentExists(t *trial) *opinion {
	switch {
	case t.Deployment != nil:
		return nil
	case t.faulty, t.refusal != nil && t.refusal.Why == Invalid:
		return notYet(v1alpha1.ReasonProgressing, "there are no runners before the spec is accepted")
	}
	return notYet(v1alpha1.ReasonProgressing, "there are no runners yet: they start once the Secret of Redis is known")
}

// podsMayBeMade: quotas, Pod Security, admission webhooks.
func podsMayBeMade(t *trial) *opinion {
	for _, c := range t.Deployment.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return no(v1alpha1.ReasonPodsForbidden, "Kubernetes cannot make the pods: "+c.Message)
		}
	}
	return nil
}

// runnersWork: what the pods are stuck on, or the runners say. A rollout that
// is stuck on its new pods is stuck, however well the old ones do.
func runnersWork(t *trial) *opinion {
	for i := range t.Pods {
		if !t.Pods[i].DeletionTimestamp.IsZero() {
			continue // it goes: whatever it says is of yesterday
		}
		if o := podTrouble(&t.Pods[i]); o != nil {
			return o
		}
	}
	return nil
}

// rolledOut: all runners are there, with the current spec, and no other is.
func rolledOut(t *trial) *opinion {
	d := t.Deployment
	s := &d.Status
	if (d.Generation < t.Generation || s.ObservedGeneration < d.Generation) && !t.RolledOut {
		return notYet(v1alpha1.ReasonRollingOut, "the change is being rolled out")
	}
	for _, c := range s.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			return no(v1alpha1.ReasonRolloutStuck, fmt.Sprintf("the rollout is stuck: %d of %d runners are up to date, %d are ready; kubectl -n %s describe deployment %s",
				s.UpdatedReplicas, t.Wanted, s.ReadyReplicas, d.Namespace, d.Name))
		}
	}
	switch {
	case s.Replicas > s.UpdatedReplicas || s.UpdatedReplicas < t.Wanted && !t.RolledOut:
		return notYet(v1alpha1.ReasonRollingOut, fmt.Sprintf("%d of %d runners are up to date; those of the version before go on working", s.UpdatedReplicas, t.Wanted))
	case s.Replicas > t.Wanted && !t.RolledOut:
		return notYet(v1alpha1.ReasonRollingOut, fmt.Sprintf("%d runners end, %d stay", s.Replicas-t.Wanted, t.Wanted))
	}
	return nil
}

// How long runners that were just asked for may take to start before that is
// told: where there are others, the pods may be the first on their nodes, which
// have to get the image.
const (
	startFirst = 20 * time.Second
	startMore  = 2 * time.Minute
)

// startWithin is how long the missing runners may still take; 0: they are late,
// or were there.
func (t *trial) startWithin() time.Duration {
	if !t.RolledOut || t.Deployment == nil || t.available() >= t.Wanted {
		return 0
	}
	patience := startFirst
	if t.available() > 0 {
		patience = startMore
	}
	return max(0, t.MoreSince.Add(patience).Sub(t.now))
}

// runnersReady: as many as are wanted, or about to.
func runnersReady(t *trial) *opinion {
	if t.available() < t.Wanted && t.startWithin() == 0 {
		return notYet(v1alpha1.ReasonRunnersUnready, t.count())
	}
	return nil
}

func (t *trial) count() string {
	return fmt.Sprintf("%d of %d runners are ready", min(t.available(), t.Wanted), t.Wanted)
}

func runnersFine(t *trial) *opinion {
	o := yes(v1alpha1.ReasonRunnersAvailable, t.count())
	switch {
	case t.Wanted == 0 && t.isScaled():
		o = yes(v1alpha1.ReasonScaledToZero, "there is nothing to do, and no runner: an event, a timer or a cron tick starts one")
	case t.Wanted == 0:
		o = yes(v1alpha1.ReasonScaledToZero, "there are no runners, as wanted")
	case t.available() < t.Wanted:
		o = yes(v1alpha1.ReasonScalingUp, t.count()+", more are starting")
	}
	if t.Waits {
		o.message += "; they are replaced when it is their turn: the operator replaces those of some functions at a time (--max-rollouts)"
	}
	if t.Contested != nil {
		o.message += fmt.Sprintf("; somebody else sets the replicas of Deployment %s to %d again and again: an HPA or KEDA must scale the WildoutFunction, not the Deployment",
			t.Deployment.Name, *t.Contested)
	}
	return o
}
