package health

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/wildout/wildout/api/v1alpha1"
)

// runnerRules: from what keeps a pod from being made to what it says itself.
var runnerRules = []rule{
	namesAreFree, suspended, deploymentExists, podsMayBeMade, runnersWork, rolledOut, runnersReady,
}

// NameTakenError says that an object of somebody else has the name of a child.
type NameTakenError struct{ Kind, Name string }

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("there is a %s %s that does not belong to this function: rename or remove it, or give the function another name", e.Kind, e.Name)
}

func namesAreFree(f *Facts) *verdict {
	if taken, ok := f.ApplyErr.(*NameTakenError); ok { //nolint:errorlint // it is never wrapped
		return no(v1alpha1.ReasonNameTaken, taken.Error())
	}
	if apierrors.IsForbidden(f.ApplyErr) {
		return no(v1alpha1.ReasonPodsForbidden, "the API server does not let the operator make what the function needs: "+f.ApplyErr.Error())
	}
	return nil
}

func suspended(f *Facts) *verdict {
	if !f.Function.Spec.Suspend {
		return nil
	}
	if n := len(f.Pods); n > 0 {
		return notYet(v1alpha1.ReasonProgressing, fmt.Sprintf("spec.suspend is true: %d runners end what they have begun, and read nothing more", n))
	}
	return yes(v1alpha1.ReasonSuspended, "spec.suspend is true: there are no runners")
}

func deploymentExists(f *Facts) *verdict {
	switch {
	case f.Deployment != nil:
		return nil
	case f.SpecErr != nil || f.ApplyErr != nil:
		return notYet(v1alpha1.ReasonProgressing, "there are no runners before the spec is accepted")
	}
	return notYet(v1alpha1.ReasonProgressing, "there are no runners yet: they start once the Secret of Redis is known")
}

// podsMayBeMade: quotas, Pod Security, admission webhooks.
func podsMayBeMade(f *Facts) *verdict {
	for _, c := range f.Deployment.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return no(v1alpha1.ReasonPodsForbidden, "Kubernetes cannot make the pods: "+c.Message)
		}
	}
	return nil
}

// runnersWork: what the pods are stuck on, or the runners say. A rollout that
// is stuck on its new pods is stuck, however well the old ones do.
func runnersWork(f *Facts) *verdict {
	for i := range f.Pods {
		if !f.Pods[i].DeletionTimestamp.IsZero() {
			continue // it goes: whatever it says is of yesterday
		}
		if v := podTrouble(&f.Pods[i]); v != nil {
			return v
		}
	}
	return nil
}

// rolledOut: all runners are there, with the current spec, and no other is.
func rolledOut(f *Facts) *verdict {
	d := f.Deployment
	s := &d.Status
	if (d.Generation < f.Generation || s.ObservedGeneration < d.Generation) && !f.RolledOut {
		return notYet(v1alpha1.ReasonRollingOut, "the change is being rolled out")
	}
	for _, c := range s.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			return no(v1alpha1.ReasonRolloutStuck, fmt.Sprintf("the rollout is stuck: %d of %d runners are up to date, %d are ready; kubectl -n %s describe deployment %s",
				s.UpdatedReplicas, f.Replicas, s.ReadyReplicas, d.Namespace, d.Name))
		}
	}
	switch {
	case s.Replicas > s.UpdatedReplicas || s.UpdatedReplicas < f.Replicas && !f.RolledOut:
		return notYet(v1alpha1.ReasonRollingOut, fmt.Sprintf("%d of %d runners are up to date; those of the version before go on working", s.UpdatedReplicas, f.Replicas))
	case s.Replicas > f.Replicas && !f.RolledOut:
		return notYet(v1alpha1.ReasonRollingOut, fmt.Sprintf("%d runners end, %d stay", s.Replicas-f.Replicas, f.Replicas))
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
func (f *Facts) startWithin() time.Duration {
	if !f.RolledOut || f.Deployment == nil || f.Deployment.Status.AvailableReplicas >= f.Replicas {
		return 0
	}
	patience := startFirst
	if f.Deployment.Status.AvailableReplicas > 0 {
		patience = startMore
	}
	return max(0, f.MoreSince.Add(patience).Sub(f.Now))
}

// Again is after which time to judge anew though nothing has changed; 0: time
// alone changes nothing.
func Again(f *Facts) time.Duration { return f.startWithin() }

// runnersReady: as many as are wanted, or about to.
func runnersReady(f *Facts) *verdict {
	if f.Deployment.Status.AvailableReplicas < f.Replicas && f.startWithin() == 0 {
		return notYet(v1alpha1.ReasonRunnersUnready, f.count())
	}
	return nil
}

func (f *Facts) count() string {
	return fmt.Sprintf("%d of %d runners are ready", min(f.Deployment.Status.AvailableReplicas, f.Replicas), f.Replicas)
}

func runnersFine(f *Facts) *verdict {
	v := yes(v1alpha1.ReasonRunnersAvailable, f.count())
	switch {
	case f.Replicas == 0 && f.isScaled():
		v = yes(v1alpha1.ReasonScaledToZero, "there is nothing to do, and no runner: an event, a timer or a cron tick starts one")
	case f.Replicas == 0:
		v = yes(v1alpha1.ReasonScaledToZero, "there are no runners, as wanted")
	case f.Deployment.Status.AvailableReplicas < f.Replicas:
		v = yes(v1alpha1.ReasonScalingUp, f.count()+", more are starting")
	}
	if f.Contested != nil {
		v.message += fmt.Sprintf("; somebody else sets the replicas of Deployment %s to %d again and again: an HPA or KEDA must scale the WildoutFunction, not the Deployment",
			f.Deployment.Name, *f.Contested)
	}
	return v
}

func (f *Facts) isScaled() bool {
	return f.Function.Spec.Runner != nil && f.Function.Spec.Runner.Scaling != nil
}

// podTrouble says what keeps a pod from working, nil when nothing does.
func podTrouble(pod *corev1.Pod) *verdict {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return notYet(v1alpha1.ReasonUnschedulable, "no node takes the runner: "+c.Message)
		}
	}
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		if v := waitingTrouble(s); v != nil {
			return v
		}
		if v := endedTrouble(s); v != nil {
			return v
		}
	}
	return nil
}

// waitingTrouble: the container cannot even start.
func waitingTrouble(s *corev1.ContainerStatus) *verdict {
	w := s.State.Waiting
	if w == nil {
		return nil
	}
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed":
		return no(v1alpha1.ReasonImagePullFailed, fmt.Sprintf("the image %s cannot be had: %s; check spec.runner.image and spec.runner.imagePullSecrets", s.Image, w.Message))
	case "CreateContainerConfigError":
		return no(v1alpha1.ReasonConfigNotFound, "the runner cannot start: "+w.Message+"; create it, or change spec.runner.env or envFrom")
	case "CreateContainerError", "RunContainerError":
		return no(v1alpha1.ReasonCrashLoop, "the runner cannot be started: "+w.Message)
	}
	return nil
}

// exitBadSettings is the exit status of a runner whose settings or manifest
// are at fault (docs/cli.md).
const exitBadSettings = 2

// endedTrouble: the container has ended, in the runner's own words.
func endedTrouble(s *corev1.ContainerStatus) *verdict {
	ended := s.State.Terminated
	if ended == nil && (s.State.Running == nil || !s.Ready) {
		ended = s.LastTerminationState.Terminated // it is started again, or about to be
	}
	if ended == nil || ended.ExitCode == 0 {
		return nil
	}
	words := strings.TrimSpace(ended.Message)
	switch {
	case ended.Reason == "OOMKilled":
		return no(v1alpha1.ReasonOutOfMemory, "the runner was killed for taking more memory than its limit: raise spec.runner.resources.limits.memory")
	case isUnknownHandler(words):
		return no(v1alpha1.ReasonUnknownHandler, words)
	case ended.ExitCode == exitBadSettings:
		return no(v1alpha1.ReasonRunnerRefuses, words)
	case words == "":
		words = fmt.Sprintf("it ended with status %d and said nothing; its log may: kubectl logs --previous", ended.ExitCode)
	}
	return no(v1alpha1.ReasonCrashLoop, fmt.Sprintf("the runner ended %d times: %s", s.RestartCount+1, words))
}

// isUnknownHandler recognizes what plan.Compile says of a handler that the
// runner does not have.
func isUnknownHandler(words string) bool {
	return strings.Contains(words, ".handler: ") && strings.Contains(words, "no handler")
}
