package describe

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/cmd/wildout/internal/term"
)

// painter makes the tree of a function, as it is now.
type painter struct {
	f      *Function
	object *v1alpha1.WildoutFunction
	style  term.Style
	now    time.Time
}

// Tree is the picture of a function.
func (f *Function) Tree(style term.Style, now time.Time) *term.Node {
	p := &painter{f, &f.Function, style, now}
	o := p.object
	notes := []string{"generation " + fmt.Sprint(o.Generation)}
	if !o.CreationTimestamp.IsZero() {
		notes = append(notes, "made "+p.ago(o.CreationTimestamp))
	}
	if o.DeletionTimestamp != nil {
		notes = append(notes, "being deleted since "+p.ago(*o.DeletionTimestamp))
	}
	root := &term.Node{Title: o.Namespace + "/" + o.Name, Paint: style.Bold, Note: joined(notes), Text: o.Spec.Description}
	root.Add(p.spec()...)
	root.Add(p.conditions(), p.types())
	root.Add(p.deployments()...)
	return root.Add(p.versions(), p.runs(), p.events(), p.hidden())
}

// spec is what the function is to do, in a few lines.
func (p *painter) spec() (nodes []*term.Node) {
	o := p.object
	if o.Status.Triggers != "" {
		nodes = append(nodes, &term.Node{Title: "starts on " + strings.ReplaceAll(o.Status.Triggers, ",", ", ")})
	}
	if o.Status.Image != "" {
		nodes = append(nodes, &term.Node{Title: "image " + o.Status.Image})
	}
	if o.Spec.Suspend {
		nodes = append(nodes, &term.Node{Sign: "…", Paint: p.style.Busy, Title: "suspended", Note: "it reads nothing; events wait in their streams"})
	}
	return nodes
}

// conditions are those of the operator: Ready, and below it what it sums up.
func (p *painter) conditions() *term.Node {
	o := p.object
	var ready *term.Node
	stalled := false
	var below []*term.Node
	said := map[string]bool{} // what is told below needs no second time
	for _, c := range o.Status.Conditions {
		switch c.Type {
		case v1alpha1.ConditionReady:
			ready = p.condition(c)
		case v1alpha1.ConditionReconciling:
		case v1alpha1.ConditionStalled:
			stalled = true
		default:
			below = append(below, p.condition(c))
			said[c.Message] = true
		}
	}
	if ready == nil {
		return &term.Node{Sign: "–", Title: "no conditions", Note: "the operator has not looked at it yet: does it run, and look after this namespace?"}
	}
	if said[ready.Text] {
		ready.Text = ""
	}
	switch {
	case o.Status.ObservedGeneration < o.Generation:
		ready.Note += fmt.Sprintf(" · of generation %d: the operator has not looked at the change yet", o.Status.ObservedGeneration)
	case stalled:
		ready.Note += " · somebody has to see to it"
	}
	return ready.Add(below...)
}

func (p *painter) condition(c metav1.Condition) *term.Node {
	sign, paint := "–", p.style.Dim
	switch c.Status {
	case metav1.ConditionTrue:
		sign, paint = "✓", p.style.Good
	case metav1.ConditionFalse:
		sign, paint = "✗", p.style.Bad
	case metav1.ConditionUnknown:
	}
	title := c.Type
	if c.Reason != c.Type {
		title += " " + c.Reason
	}
	return &term.Node{Sign: sign, Paint: paint, Title: title, Note: "for " + p.since(c.LastTransitionTime), Text: c.Message}
}

// types are the event types that the function names.
func (p *painter) types() *term.Node {
	uses := p.f.uses()
	if len(uses) == 0 {
		return nil
	}
	node := &term.Node{Title: "event types"}
	_, hidden := p.f.Hidden[eventTypes.Resource]
	for _, u := range uses {
		t := p.f.declared(u.eventType)
		line := &term.Node{Title: u.eventType, Note: u.as}
		switch {
		case t != nil:
			p.stream(line, t)
		case !hidden:
			line.Sign, line.Paint = "–", p.style.Busy
			line.Note += " · nobody declares it: its events are not checked"
		}
		node.Add(line)
	}
	return node
}

// stream adds what is known of a declared event type.
func (p *painter) stream(line *term.Node, t *v1alpha1.WildoutEventType) {
	line.Sign, line.Paint = "✓", p.style.Good
	if s := t.Status.Stream; s != nil {
		line.Note += fmt.Sprintf(" · %s, %s", plural(s.Length, "event"), term.Bytes(int(s.Bytes)))
		if s.Newest != nil {
			line.Note += ", the newest " + p.ago(*s.Newest)
		}
	}
	for _, c := range t.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady && c.Status != metav1.ConditionTrue {
			line.Sign, line.Paint, line.Text = "✗", p.style.Bad, c.Reason+": "+c.Message
		}
	}
}

func (p *painter) deployments() (nodes []*term.Node) {
	for i := range p.f.Deployments {
		nodes = append(nodes, p.deployment(&p.f.Deployments[i]))
	}
	return nodes
}

func (p *painter) deployment(d *appsv1.Deployment) *term.Node {
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	s := &d.Status
	node := &term.Node{Sign: "✓", Paint: p.style.Good, Title: "Deployment " + d.Name,
		Note: fmt.Sprintf("%d of %d ready, %d up to date", s.ReadyReplicas, wanted, s.UpdatedReplicas)}
	if s.ReadyReplicas < wanted || s.UpdatedReplicas < wanted {
		node.Sign, node.Paint = "…", p.style.Busy
	}
	for _, c := range s.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure || c.Type == appsv1.DeploymentProgressing && c.Status == "False" {
			node.Sign, node.Paint, node.Text = "✗", p.style.Bad, c.Reason+": "+c.Message
		}
	}
	for _, r := range p.f.replicaSetsOf(d) {
		node.Add(p.replicaSet(r))
	}
	return node
}

// versions are the manifests that runs or pods still need.
func (p *painter) versions() *term.Node {
	if len(p.f.ConfigMaps) == 0 {
		return nil
	}
	waiting := map[string]int64{}
	if runs := p.object.Status.Runs; runs != nil {
		maps.Copy(waiting, runs.ByVersion)
	}
	node := &term.Node{Title: "versions"}
	for i := range p.f.ConfigMaps {
		c := &p.f.ConfigMaps[i]
		version := c.Labels[v1alpha1.LabelVersion]
		notes := []string{"ConfigMap " + c.Name, p.ago(c.CreationTimestamp)}
		line := &term.Node{Title: version}
		if version == p.object.Status.Version {
			notes = append([]string{"new runs get it"}, notes...)
			line.Paint = p.style.Good
		}
		if n, ok := waiting[version]; ok {
			notes = append(notes, plural(n, "run")+" waiting")
			delete(waiting, version)
		}
		line.Note = joined(notes)
		node.Add(line)
	}
	for _, version := range slices.Sorted(maps.Keys(waiting)) {
		node.Add(&term.Node{Title: version, Note: plural(waiting[version], "run") + " waiting; their manifest is in Redis alone"})
	}
	return node
}

// runs are the numbers, and the run that failed last.
func (p *painter) runs() *term.Node {
	s := &p.object.Status
	if s.Runs == nil {
		return nil
	}
	number := func(n int64, what string) string { return term.Count(int(n)) + " " + what }
	notes := []string{number(s.Runs.InFlight, "in flight"), number(s.Runs.Waiting, "waiting"), number(s.Backlog, "in the backlog"),
		number(s.Runs.Succeeded, "succeeded"), number(s.Runs.Failed, "failed")}
	if s.LastRunTime != nil {
		notes = append(notes, "the last ended "+p.ago(*s.LastRunTime))
	}
	node := &term.Node{Title: "runs", Note: joined(notes)}
	if last := s.LastFailure; last != nil {
		failed := &term.Node{Sign: "✗", Paint: p.style.Bad, Title: last.RunID, Note: "failed " + p.ago(last.Time), Text: last.Message}
		if last.Step != "" {
			failed.Note += " in step " + last.Step
		}
		node.Add(failed)
	}
	return node
}

// hidden says what this user does not see.
func (p *painter) hidden() *term.Node {
	if len(p.f.Hidden) == 0 {
		return nil
	}
	node := &term.Node{Sign: "–", Paint: p.style.Busy, Title: "not shown"}
	for _, resource := range slices.Sorted(maps.Keys(p.f.Hidden)) {
		node.Add(&term.Node{Title: resource, Text: p.f.Hidden[resource]})
	}
	return node
}

func (p *painter) ago(t metav1.Time) string   { return term.Ago(t.Time, p.now) }
func (p *painter) since(t metav1.Time) string { return term.Duration(p.now.Sub(t.Time)) }

func joined(notes []string) string { return strings.Join(notes, " · ") }

func plural(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return term.Count(int(n)) + " " + what
}
