package describe

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/wildout/wildout/cmd/wildout/internal/term"
)

// maxPods is how many pods of a ReplicaSet are shown.
const maxPods = 10

func (p *painter) replicaSet(r *appsv1.ReplicaSet) *term.Node {
	all := p.f.podsOf(r)
	node := &term.Node{Title: "ReplicaSet " + r.Name, Note: plural(int64(len(all)), "pod") + " · " + p.ago(r.CreationTimestamp)}
	for _, c := range r.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			node.Sign, node.Paint, node.Text = "✗", p.style.Bad, c.Message
		}
	}
	for _, pod := range all[:min(len(all), maxPods)] {
		node.Add(p.pod(pod))
	}
	if rest := len(all) - maxPods; rest > 0 {
		node.Add(&term.Node{Title: fmt.Sprintf("… and %d more", rest)})
	}
	return node
}

func (p *painter) pod(pod *corev1.Pod) *term.Node {
	state, stuck := podState(pod)
	node := &term.Node{Sign: "✓", Paint: p.style.Good, Title: "Pod " + pod.Name, Text: stuck}
	switch {
	case stuck != "" || pod.Status.Phase == corev1.PodFailed:
		node.Sign, node.Paint = "✗", p.style.Bad
	case state != "ready":
		node.Sign, node.Paint = "…", p.style.Busy
	}
	notes := []string{state}
	if n := restarts(pod); n > 0 {
		notes = append(notes, plural(int64(n), "restart"))
	}
	notes = append(notes, p.ago(pod.CreationTimestamp))
	if pod.Spec.NodeName != "" {
		notes = append(notes, "on "+pod.Spec.NodeName)
	}
	node.Note = joined(notes)
	return node
}

// podState says in a word where a pod is, and what it is stuck on; "": on
// nothing.
func podState(pod *corev1.Pod) (state, stuck string) {
	if pod.DeletionTimestamp != nil {
		return "ending", ""
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "not placed", c.Reason + ": " + c.Message
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if state, stuck := containerState(&pod.Status.ContainerStatuses[i]); stuck != "" {
			return state, stuck
		}
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return "ready", ""
		}
	}
	return strings.ToLower(string(pod.Status.Phase)), pod.Status.Message
}

// containerState says what a container is stuck on, with its own last words.
func containerState(s *corev1.ContainerStatus) (state, stuck string) {
	var words []string
	if w := s.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
		state = w.Reason
		words = append(words, w.Message)
	}
	ended := s.State.Terminated
	if ended == nil && !s.Ready {
		ended = s.LastTerminationState.Terminated
	}
	if ended != nil && (ended.ExitCode != 0 || s.State.Terminated != nil) {
		if state == "" {
			state = "ended"
		}
		words = append(words, fmt.Sprintf("ended with status %d (%s) %s", ended.ExitCode, ended.Reason, strings.TrimSpace(ended.Message)))
	}
	return state, strings.TrimSpace(strings.Join(words, "\n"))
}

func restarts(pod *corev1.Pod) (n int32) {
	for i := range pod.Status.ContainerStatuses {
		n += pod.Status.ContainerStatuses[i].RestartCount
	}
	return n
}

// maxEvents is how many Events are shown.
const maxEvents = 10

func (p *painter) events() *term.Node {
	if len(p.f.Events) == 0 {
		return nil
	}
	node := &term.Node{Title: "events"}
	if len(p.f.Events) > maxEvents {
		node.Note = fmt.Sprintf("the last %d of %d", maxEvents, len(p.f.Events))
	}
	for i := range p.f.Events[:min(len(p.f.Events), maxEvents)] {
		e := &p.f.Events[i]
		line := &term.Node{Title: e.Reason, Note: term.Ago(lastSeen(e), p.now), Text: strings.TrimSpace(e.Note)}
		if e.Type == corev1.EventTypeWarning {
			line.Paint = p.style.Bad
		}
		if e.Regarding.Name != p.object.Name {
			line.Note += " · " + e.Regarding.Kind + " " + e.Regarding.Name
		}
		times := e.DeprecatedCount
		if e.Series != nil {
			times = e.Series.Count
		}
		if times > 1 {
			line.Note += fmt.Sprintf(" · %d times", times)
		}
		node.Add(line)
	}
	return node
}
