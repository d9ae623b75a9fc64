package plan

import (
	"errors"
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Options say what else Compile checks.
type Options struct {
	// KnownHandler reports whether the runner has a handler of that name.
	// Nil: any name will do.
	KnownHandler func(name string) bool
	// Stored says that runs have begun with this version: rules that came
	// later do not stop them.
	Stored bool
}

// Compile checks and compiles the spec of the function of that name. What the
// schema of the custom resource refuses, Compile refuses too: the CLI has no
// API server to ask. It does not change spec. A fault of the manifest makes an
// error of type Errors, with every fault that was found.
func Compile(name string, spec *v1alpha1.WildoutFunctionSpec, opts Options) (*Plan, error) {
	if spec == nil {
		return nil, errors.New("compile a function: there is no spec")
	}
	env, err := celEnv()
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	spec = withDefaults(spec)
	c := &compiler{env: env, opts: opts}
	c.functionName("metadata.name", name)
	if !c.counts(spec) {
		return nil, c.errs
	}
	c.graph = newGraph(spec)
	p := c.plan(name, spec)
	if err := c.errs.err(); err != nil {
		return nil, err
	}
	if p.Hash, err = hash(spec); err != nil {
		return nil, err
	}
	return p, nil
}

// compiler collects the faults of one manifest.
type compiler struct {
	env   *cel.Env
	opts  Options
	graph *graph
	errs  Errors
}

func (c *compiler) errorf(path, format string, args ...any) {
	c.errs = append(c.errs, &Error{Path: path, Message: fmt.Sprintf(format, args...)})
}

// The bounds of the lists, as in the schema of the custom resource.
const (
	maxTriggers    = 10
	maxConcurrency = 2
	maxSteps       = 64
	maxOnFailure   = 16
	maxSends       = 100
	maxAssertions  = 32
	maxAwaited     = 16
)

// counts reports lists that are too short or too long; with those the rest is
// not worth looking at.
func (c *compiler) counts(spec *v1alpha1.WildoutFunctionSpec) bool {
	before := len(c.errs)
	c.count("spec.triggers", len(spec.Triggers), 1, maxTriggers)
	c.count("spec.concurrency", len(spec.Concurrency), 0, maxConcurrency)
	c.count("spec.steps", len(spec.Steps), 1, maxSteps)
	c.count("spec.onFailure", len(spec.OnFailure), 0, maxOnFailure)
	for i, step := range spec.Steps {
		if step.Needs != nil {
			c.count(fmt.Sprintf("spec.steps[%d].needs", i), len(*step.Needs), 0, maxSteps)
		}
	}
	return len(c.errs) == before
}

func (c *compiler) plan(name string, spec *v1alpha1.WildoutFunctionSpec) *Plan {
	p := &Plan{Function: name, Spec: spec}
	c.length("spec.description", spec.Description, 1024)
	c.deployment(spec)
	p.Triggers = c.triggers(spec.Triggers)
	c.startFrom(spec.StartFrom)
	p.Concurrency = c.concurrency(spec.Concurrency)
	p.RateLimit = c.rateLimit(spec.RateLimit)
	p.Throttle = c.throttle(spec.Throttle)
	p.Idempotency = c.idempotency(spec.Idempotency)
	p.Timeout = c.duration("spec.timeout", spec.Timeout)
	p.Deadline = c.duration("spec.deadline", spec.Deadline)
	retry := c.retry("spec.retryPolicy", spec.RetryPolicy, defaultRetry)
	vars := []string{varEvent, varSteps, varRun, varEnv}
	for i, v := range c.graph.main {
		p.Steps = append(p.Steps, c.step(site{v.path, vars, v}, &spec.Steps[i], retry))
	}
	inFailure := slices.Concat(vars, []string{varError})
	for i, v := range c.graph.onFailure {
		p.OnFailure = append(p.OnFailure, c.step(site{v.path, inFailure, v}, &spec.OnFailure[i], retry))
	}
	p.Output = c.json(site{path: "spec.output", vars: vars}, spec.Output, wantAny)
	c.oneOf("spec.versioning", string(spec.Versioning), string(v1alpha1.VersioningPinned), string(v1alpha1.VersioningLatest))
	if h := spec.History; h != nil && h.Limit != nil {
		c.within("spec.history.limit", int64(*h.Limit), 0, 1_000_000)
	}
	return p
}

// eventVars are the variables of what is decided before a run exists.
var eventVars = []string{varEvent, varEnv}

func (c *compiler) concurrency(limits []v1alpha1.ConcurrencyLimit) []ConcurrencyLimit {
	var out []ConcurrencyLimit
	for i, limit := range limits {
		path := fmt.Sprintf("spec.concurrency[%d]", i)
		c.within(path+".limit", int64(limit.Limit), 1, 100_000)
		if limit.Key == "" && slices.ContainsFunc(limits[:i], func(l v1alpha1.ConcurrencyLimit) bool { return l.Key == "" }) {
			c.errorf(path, "is the second limit without a key: both would hold for the whole function")
		}
		out = append(out, ConcurrencyLimit{Limit: int(limit.Limit), Key: c.key(path+".key", limit.Key)})
	}
	return out
}

func (c *compiler) rateLimit(r *v1alpha1.RateLimit) *RateLimit {
	if r == nil {
		return nil
	}
	const path = "spec.rateLimit"
	c.within(path+".limit", int64(r.Limit), 1, 1_000_000)
	c.within(path+".burst", int64(r.Burst), 1, 1_000_000)
	return &RateLimit{
		Limit:  int(r.Limit),
		Burst:  int(r.Burst),
		Period: c.requiredDuration(path+".period", r.Period),
		Key:    c.key(path+".key", r.Key),
	}
}

// maxSliding bounds the begins that a sliding window remembers.
const maxSliding = 10_000

func (c *compiler) throttle(t *v1alpha1.Throttle) *Throttle {
	if t == nil {
		return nil
	}
	const path = "spec.throttle"
	out := &Throttle{
		Limit:   int(t.Limit),
		Burst:   int(t.Burst),
		Period:  c.requiredDuration(path+".period", t.Period),
		Key:     c.key(path+".key", t.Key),
		Sliding: t.Window == v1alpha1.WindowSliding,
	}
	c.oneOf(path+".window", string(t.Window), string(v1alpha1.WindowEven), string(v1alpha1.WindowSliding))
	c.within(path+".burst", int64(t.Burst), 1, 1_000_000)
	if !out.Sliding {
		c.within(path+".limit", int64(t.Limit), 1, 1_000_000)
		return out
	}
	c.within(path+".limit", int64(t.Limit), 1, maxSliding)
	if t.Burst > 1 {
		c.errorf(path+".burst", "has no meaning with window: Sliding, which lets up to limit begin at once: leave it out")
	}
	return out
}

func (c *compiler) idempotency(i *v1alpha1.Idempotency) *Idempotency {
	if i == nil {
		return nil
	}
	const path = "spec.idempotency"
	if i.Key == "" {
		c.errorf(path+".key", "is missing: write an expression such as event.data.userId")
	}
	if i.OnFailure != "" {
		c.oneOf(path+".onFailure", string(i.OnFailure), string(v1alpha1.KeyKeep), string(v1alpha1.KeyRelease))
	}
	return &Idempotency{Key: c.key(path+".key", i.Key), TTL: c.requiredDuration(path+".ttl", i.TTL), Release: i.OnFailure == v1alpha1.KeyRelease}
}

func (c *compiler) key(path string, key v1alpha1.Expression) *Expr {
	return c.condition(site{path: path, vars: eventVars}, key, wantKey)
}

// condition compiles a field of type Expression; left out it gives nil.
func (c *compiler) condition(at site, source v1alpha1.Expression, w want) *Expr {
	if source == "" || !c.length(at.path, string(source), maxExpression) {
		return nil
	}
	return c.bare(at, string(source), w)
}
