package controllers

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	corev1 "k8s.io/api/core/v1"

	"github.com/wildout/wildout/api/v1alpha1"
)

// recorder makes Kubernetes Events: of transitions, never of every run.
type recorder struct{ events.EventRecorder }

// maxNote is the longest note that the API server takes, in bytes.
const maxNote = 1024

func (r recorder) warn(object runtime.Object, reason, action, format string, args ...any) {
	r.Eventf(object, nil, corev1.EventTypeWarning, reason, action, "%s", cut(fmt.Sprintf(format, args...), maxNote))
}

// told are the conditions whose transitions are Events. Ready only repeats one
// of them, and what merely takes its time is none.
var told = []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionStreamsReady, v1alpha1.ConditionPublished, v1alpha1.ConditionRunnersAvailable, v1alpha1.ConditionHealthy}

var passing = map[string]bool{v1alpha1.ReasonProgressing: true, v1alpha1.ReasonRollingOut: true, v1alpha1.ReasonRunnersUnready: true}

// transitions makes an Event of each condition that became false, or another
// kind of false, and of each that is true again.
func (r recorder) transitions(object runtime.Object, old, fresh []metav1.Condition) {
	for _, kind := range told {
		was, is := find(old, kind), find(fresh, kind)
		switch {
		case is.Status == was.Status && is.Reason == was.Reason:
		case is.Status == metav1.ConditionFalse && !passing[is.Reason]:
			r.warn(object, is.Reason, "Check"+kind, "%s", is.Message)
		case is.Status == metav1.ConditionTrue && was.Status == metav1.ConditionFalse && !passing[was.Reason]:
			r.Eventf(object, nil, corev1.EventTypeNormal, is.Reason, "Check"+kind, "%s", cut(is.Message, maxNote))
		case is.Status == metav1.ConditionTrue && (is.Reason == v1alpha1.ReasonUndeclaredEventType || is.Reason == v1alpha1.ReasonNoSuchFunction):
			r.warn(object, is.Reason, "Check"+kind, "%s", is.Message)
		}
	}
}
