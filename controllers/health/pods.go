package health

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/wildout/wildout/api/v1alpha1"
)

// podTrouble says what keeps a pod from working, nil when nothing does.
func podTrouble(pod *corev1.Pod) *opinion {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return notYet(v1alpha1.ReasonUnschedulable, "no node takes the runner: "+c.Message)
		}
	}
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		if o := waitingTrouble(s); o != nil {
			return o
		}
		if o := endedTrouble(s); o != nil {
			return o
		}
	}
	return nil
}

// waitingTrouble: the container cannot even start.
func waitingTrouble(s *corev1.ContainerStatus) *opinion {
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

// endedTrouble: the container has ended, in the runner's own words.
func endedTrouble(s *corev1.ContainerStatus) *opinion {
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
	case ended.ExitCode == v1alpha1.ExitUnknownHandler && words != "":
		return no(v1alpha1.ReasonUnknownHandler, words)
	case ended.ExitCode == v1alpha1.ExitBadSettings && words != "":
		return no(v1alpha1.ReasonRunnerRefuses, words)
	case words == "":
		words = fmt.Sprintf("it ended with status %d and said nothing; its log may: kubectl logs --previous", ended.ExitCode)
	}
	return no(v1alpha1.ReasonCrashLoop, fmt.Sprintf("the runner ended %d times: %s", s.RestartCount+1, words))
}
