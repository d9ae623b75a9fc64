package controllers

import (
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/controllers/observe"
	"github.com/wildout/wildout/controllers/survey"
	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/plan"
)

// compiled is what the operator needs of the plan of one generation of a
// function. It is kept: compiling is the most work there is in a reconcile. The
// plan itself is not: only runners need it.
type compiled struct {
	generation int64
	// version is the function's (plan.Plan.Hash); "": it does not compile.
	version string
	// schedules are its cron triggers.
	schedules []survey.Schedule
	// fault is why it does not compile, mostly plan.Errors; nil: it does.
	fault error
}

func (r *functions) compile(f *v1alpha1.WildoutFunction) compiled {
	r.mu.Lock()
	known, ok := r.compiled[f.UID]
	r.mu.Unlock()
	if ok && known.generation == f.Generation {
		return known
	}
	c := compiled{generation: f.Generation}
	p, err := plan.Compile(f.Name, &f.Spec, plan.Options{})
	if err != nil {
		c.fault = err
	} else {
		c.version = p.Hash
		c.schedules = schedulesOf(p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.compiled[f.UID] = c
	return c
}

func schedulesOf(p *plan.Plan) (all []survey.Schedule) {
	for _, t := range p.Triggers {
		if t.Schedule != nil {
			all = append(all, survey.Schedule{Cron: t.Cron, Next: t.Schedule.Next})
		}
	}
	return all
}

// follow makes the function known to the survey, and returns what that knows.
func (r *functions) follow(f *v1alpha1.WildoutFunction, spec compiled, snapshot *observe.Snapshot) view.Function {
	followed := survey.Function{
		Name: client.ObjectKeyFromObject(f), Secret: r.secretName(f.Spec.Redis), Types: f.Spec.Reads(),
		Settled: spec.fault == nil && settled(f, snapshot), Origin: originOf(f, snapshot.Reads),
	}
	if isScaled(f) { // without runners it is up to the operator to see ticks come
		followed.Scaled = true
		followed.Schedules = spec.schedules
	}
	return r.poller.Follow(followed)
}

// originOf is where the function begins to read what it has not read before.
func originOf(f *v1alpha1.WildoutFunction, reads []v1alpha1.ReadSince) survey.Origin {
	beginning, at := f.Spec.StartFrom.Since()
	o := survey.Origin{Beginning: beginning, At: at, Created: f.CreationTimestamp.Time, Added: make(map[string]time.Time, len(reads))}
	for _, r := range reads {
		o.Added[string(r.Event)] = r.Since.Time
	}
	return o
}

// settled reports whether no runner of an earlier version is left.
func settled(f *v1alpha1.WildoutFunction, snapshot *observe.Snapshot) bool {
	d := snapshot.Deployment
	name, err := desired.ConfigMap(f, snapshot.Reads)
	if err != nil || d == nil || d.Spec.Template.Annotations[desired.AnnotationManifest] != name || d.Status.ObservedGeneration < d.Generation {
		return false
	}
	for i := range snapshot.Pods {
		if snapshot.Pods[i].Annotations[desired.AnnotationManifest] != name {
			return false
		}
	}
	return d.Status.Replicas == d.Status.UpdatedReplicas
}

// desire says what the children shall be; nil while that cannot be said: the
// spec does not compile, its spec.runner has a fault, or nobody knows the Secret
// yet. Then they stay as they are.
func (r *functions) desire(f *v1alpha1.WildoutFunction, spec compiled, content view.Content, snapshot *observe.Snapshot) (objects *desired.Objects, runnerFault, err error) {
	if spec.version == "" {
		return nil, nil, nil
	}
	if content == "" && snapshot.Deployment != nil {
		content = view.Content(snapshot.Deployment.Spec.Template.Annotations[desired.AnnotationRedis])
	}
	if content == "" {
		return nil, nil, nil
	}
	objects, err = desired.Children(desired.Input{Function: f, Version: spec.version, Reads: snapshot.Reads,
		Secret: r.secretName(f.Spec.Redis), Content: content, Image: r.options.RunnerImage, Settings: r.options.Runners})
	if fault := (*desired.FieldError)(nil); errors.As(err, &fault) {
		return nil, fault, nil
	}
	return objects, nil, err
}
