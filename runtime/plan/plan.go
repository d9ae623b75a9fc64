// Package plan compiles the spec of a function: its step graph, its CEL
// programs and its policies. Every error names the field and points at the
// spot in the expression. A Plan never changes and may be shared. The package
// must not know how runs are executed or stored.
package plan

import (
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Plan is a compiled function.
type Plan struct {
	// Function is the name of the function.
	Function string
	// Hash is the content address of the spec: the version of the function.
	Hash string
	// Spec is what was compiled, with its defaults filled in.
	Spec *v1alpha1.WildoutFunctionSpec

	Triggers    []Trigger
	Steps       []*Step
	OnFailure   []*Step
	Output      *Value // nil: the output of the last step
	Concurrency []ConcurrencyLimit
	RateLimit   *RateLimit
	Throttle    *Throttle
	Idempotency *Idempotency
	// Timeout bounds the active time of a run; 0 means no bound.
	Timeout time.Duration
	// Deadline bounds the age of a run; 0 means no bound.
	Deadline time.Duration
}

// Latest reports whether runs continue on the newest version of the function,
// in place of the one they began with.
func (p *Plan) Latest() bool { return p.Spec.Versioning == v1alpha1.VersioningLatest }

// Trigger starts a run: an event type, or a schedule.
type Trigger struct {
	Event    string
	If       *Expr    // nil: every event
	Schedule Schedule // nil unless Cron
	Cron     string   // the expression with its time zone, the identity of the schedule
}

// Schedule gives the ticks of a cron expression.
type Schedule interface {
	// Next returns the first tick after t, or the zero time if there is none.
	Next(t time.Time) time.Time
}

// ConcurrencyLimit bounds the active runs.
type ConcurrencyLimit struct {
	Limit int
	Key   *Expr // nil: the whole function
}

// RateLimit bounds the events that start a run in a period; what is above it
// is dropped.
type RateLimit struct {
	Limit  int
	Burst  int
	Period time.Duration
	Key    *Expr // nil: the whole function
}

// Throttle bounds the runs that begin in a period; what is above it waits.
type Throttle struct {
	Limit  int
	Burst  int
	Period time.Duration
	Key    *Expr // nil: the whole function
	// Sliding: no window of one period has more than Limit begins; else they are
	// spread evenly, with up to Burst at once.
	Sliding bool
}

// Idempotency makes runs with the same key one run.
type Idempotency struct {
	Key *Expr
	TTL time.Duration
	// Release says that the key of a run that failed is free again.
	Release bool
}

// Retry is a compiled retry policy.
type Retry struct {
	MaxAttempts     int
	InitialInterval time.Duration
	Multiplier      float64
	MaxInterval     time.Duration
	Jitter          float64
}

// DefaultStepTimeout bounds an attempt of a step that sets no timeout.
const DefaultStepTimeout = 5 * time.Minute

// Step is one compiled step.
type Step struct {
	Name string
	// Needs are the indexes, in the same list, of the steps it starts after;
	// in onFailure every main step is over already.
	Needs           []int
	If              *Expr  // nil: always
	ForEach         *Value // nil: once
	MaxParallel     int    // at least 1
	Retry           Retry
	Timeout         time.Duration
	ContinueOnError bool
	Action          Action
}
