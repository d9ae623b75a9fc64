package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WildoutFunction is a durable function: what starts it, the steps it takes,
// and how it behaves under load and failure.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=wfn,categories=wildout
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.runner.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:printcolumn:name="Triggers",type=string,JSONPath=`.status.triggers`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicas`
// +kubebuilder:printcolumn:name="Backlog",type=integer,JSONPath=`.status.backlog`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.runs.failed`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`,priority=1
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.status.image`,priority=1
// +kubebuilder:printcolumn:name="In-flight",type=integer,JSONPath=`.status.runs.inFlight`,priority=1
// +kubebuilder:printcolumn:name="Waiting",type=integer,JSONPath=`.status.runs.waiting`,priority=1
// +kubebuilder:selectablefield:JSONPath=`.spec.suspend`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 52",message="metadata.name must be at most 52 characters: it becomes part of the names of Deployments and of Redis keys"
type WildoutFunction struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What the function does.
	// +required
	Spec WildoutFunctionSpec `json:"spec"`

	// What the operator made of it. Nobody else writes here.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status WildoutFunctionStatus `json:"status,omitzero"`
}

// WildoutFunctionList is a list of functions.
//
// +kubebuilder:object:root=true
type WildoutFunctionList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []WildoutFunction `json:"items"`
}

// WildoutFunctionSpec says what starts a function and which steps a run takes.
//
// +kubebuilder:validation:XValidation:rule="!has(self.onFailure) || self.onFailure.all(f, !self.steps.exists(s, s.name == f.name))",message="each name must differ from those in steps: expressions call both steps.<name>",fieldPath=".onFailure"
type WildoutFunctionSpec struct {
	// One sentence for the people who read it later.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// What starts a run: any one of them.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	Triggers []Trigger `json:"triggers"`

	// From where the function reads an event type that it has not read before: Now,
	// Beginning, or a time such as 2026-12-01T08:00:00Z. Now is the second in which it was created,
	// and of a trigger that is added later the second in which that is; Beginning is
	// the oldest event that is retained. An event type that it has read before goes on where it
	// stood, whatever this says.
	// +optional
	// +kubebuilder:default=Now
	StartFrom StartFrom `json:"startFrom,omitempty"`

	// True: nothing is read, events wait in their streams and lose nothing.
	// +optional
	// +kubebuilder:default=false
	Suspend bool `json:"suspend,omitempty"`

	// How many runs may be active at once, over all runners. A run that
	// waits (sleep, retry, event, child) is not active.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:XValidation:rule="self.filter(c, !has(c.key)).size() <= 1",message="only one limit can be without a key: both would hold for the whole function"
	Concurrency []ConcurrencyLimit `json:"concurrency,omitempty"`

	// How many events may start a run in a period, over all runners. What is
	// above it is DROPPED; to delay it, write a throttle.
	// +optional
	RateLimit *RateLimit `json:"rateLimit,omitempty"`

	// How many runs may begin in a period, over all runners. What is above it
	// waits its turn; nothing is lost.
	// +optional
	Throttle *Throttle `json:"throttle,omitempty"`

	// Runs with the same key are one run.
	// +optional
	Idempotency *Idempotency `json:"idempotency,omitempty"`

	// How long a run may be active in all; waiting does not count.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`

	// How long after its start a run must have ended; waiting counts.
	// +optional
	Deadline Duration `json:"deadline,omitempty"`

	// The retry policy of every step that has none of its own.
	// +optional
	RetryPolicy *RetryPolicy `json:"retryPolicy,omitempty"`

	// The steps of a run, in order; `needs` makes them a graph.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(s, !has(s.needs) || s.needs.all(n, self.exists(t, t.name == n)))",message="needs names a step that is not in this list"
	Steps []Step `json:"steps"`

	// Steps taken once a run has failed for good; they see `error`.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(s, !has(s.needs) || s.needs.all(n, self.exists(t, t.name == n)))",message="needs names a step that is not in this list"
	OnFailure []Step `json:"onFailure,omitempty"`

	// What a run returns: any JSON, strings may hold ${expressions}.
	// Left out, it is the output of the last step.
	// +optional
	Output *JSON `json:"output,omitempty"`

	// Which version of the function a run that is under way continues on.
	// +optional
	// +kubebuilder:default=Pinned
	Versioning VersioningPolicy `json:"versioning,omitempty"`

	// How many finished runs are kept for looking at.
	// +optional
	// +kubebuilder:default={limit: 1000}
	History *History `json:"history,omitempty"`

	// The Redis that holds the events and the runs.
	// +optional
	Redis *Redis `json:"redis,omitempty"`

	// The pods that run the function.
	// +optional
	Runner *Runner `json:"runner,omitempty"`

	// What becomes of the function's runs and history when it is deleted.
	// +optional
	// +kubebuilder:default=Delete
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// StartFrom says from where a function reads: Now, Beginning, or a time as in
// RFC 3339.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=40
// +kubebuilder:validation:XValidation:rule="self in ['Now', 'Beginning'] || self.matches('^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$')",message="must be Now, Beginning, or a time with its zone, such as 2026-12-01T08:00:00Z"
type StartFrom string

const (
	// StartNow reads what is published from now on.
	StartNow StartFrom = "Now"
	// StartBeginning reads all that is retained.
	StartBeginning StartFrom = "Beginning"
)

// VersioningPolicy says on which version of its function a run continues.
//
// +kubebuilder:validation:Enum=Pinned;Latest
type VersioningPolicy string

const (
	// VersioningPinned finishes a run on the version it began with.
	VersioningPinned VersioningPolicy = "Pinned"
	// VersioningLatest continues a run on the newest version.
	VersioningLatest VersioningPolicy = "Latest"
)

// Trigger starts a run: an event of a type, or a schedule.
//
// +kubebuilder:validation:ExactlyOneOf=event;cron
// +kubebuilder:validation:XValidation:rule="!has(self.timeZone) || has(self.cron)",message="timeZone belongs to cron",fieldPath=".timeZone"
// +kubebuilder:validation:XValidation:rule="!has(self.if) || has(self.event)",message="if belongs to event",fieldPath=".if"
type Trigger struct {
	// The event type, such as user/registered.
	// +optional
	Event EventTypeName `json:"event,omitempty"`

	// CEL over `event`; false means that the event is not for this function.
	// +optional
	If Expression `json:"if,omitempty"`

	// A schedule of five fields: minute, hour, day of month, month, day of week.
	// Exactly one run per tick, however many runners there are.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Za-z*/,?-]+( +[0-9A-Za-z*/,?-]+){4}$')",message="must have five fields: minute, hour, day of month, month, day of week, such as 0 3 * * *"
	Cron string `json:"cron,omitempty"`

	// The IANA time zone of cron, such as Europe/Berlin. Default: UTC.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`
	TimeZone string `json:"timeZone,omitempty"`
}

// EventTypeName is the name of an event type, such as user/registered.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$`
type EventTypeName string

// Expression is a CEL expression.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=2048
type Expression string

// Template is a string with one or more ${expressions}.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=4096
type Template string

// ConcurrencyLimit bounds the runs that are active at once.
type ConcurrencyLimit struct {
	// The most runs at once.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Limit int32 `json:"limit"`

	// CEL over `event`: the limit holds for each value, fair between values.
	// Left out: the limit holds for the whole function.
	// +optional
	Key Expression `json:"key,omitempty"`
}

// RateLimit bounds the events that start a run in a period (GCRA: evenly
// spaced, with up to `burst` at once). What is above it is dropped: it starts
// no run, now or later, and is recorded as skipped.
type RateLimit struct {
	// The most events that start a run in a period.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Limit int32 `json:"limit"`

	// The period.
	// +required
	Period Duration `json:"period"`

	// How many may start a run at once after a pause.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Burst int32 `json:"burst,omitempty"`

	// CEL over `event`: the limit holds for each value. Where it is false,
	// nothing is limited.
	// +optional
	Key Expression `json:"key,omitempty"`
}

// Throttle bounds the runs that begin in a period. What is above it begins
// later, in the order in which it came; it holds no slot meanwhile.
//
// +kubebuilder:validation:XValidation:rule="!has(self.window) || self.window != 'Sliding' || !has(self.burst) || self.burst == 1",message="a burst has no meaning with window: Sliding, which lets up to limit begin at once: leave it out"
// +kubebuilder:validation:XValidation:rule="!has(self.window) || self.window != 'Sliding' || self.limit <= 10000",message="with window: Sliding the limit is at most 10000: each begin of a period is remembered"
type Throttle struct {
	// The most runs that begin in a period.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Limit int32 `json:"limit"`

	// The period.
	// +required
	Period Duration `json:"period"`

	// With Even: how many may begin at once after a pause. With 1, runs begin
	// one period ÷ limit apart.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Burst int32 `json:"burst,omitempty"`

	// CEL over `event`: the limit holds for each value. Where it is false,
	// nothing is limited.
	// +optional
	Key Expression `json:"key,omitempty"`

	// Even spreads the runs over the period, with up to `burst` at once.
	// Sliding: never more than `limit` begin in any window of one period, in
	// whatever rhythm they come.
	// +optional
	// +kubebuilder:default=Even
	Window Window `json:"window,omitempty"`
}

// Window is how a throttle spreads the runs of a period.
//
// +kubebuilder:validation:Enum=Even;Sliding
type Window string

const (
	// WindowEven spreads runs over the period (GCRA).
	WindowEven Window = "Even"
	// WindowSliding bounds the runs of every window of one period.
	WindowSliding Window = "Sliding"
)

// Idempotency makes runs with the same key one run.
type Idempotency struct {
	// CEL over `event`.
	// +required
	Key Expression `json:"key"`

	// How long the key is remembered, from the start of its run.
	// +optional
	// +kubebuilder:default="24h"
	TTL Duration `json:"ttl,omitempty"`

	// What becomes of the key when its run has failed for good. Left out, it is
	// kept as after a success: the work may have been done in part.
	// +optional
	OnFailure KeyPolicy `json:"onFailure,omitempty"`
}

// KeyPolicy says what becomes of an idempotency key whose run failed.
//
// +kubebuilder:validation:Enum=Keep;Release
type KeyPolicy string

const (
	// KeyKeep remembers the key for its ttl: what comes with it is a duplicate.
	KeyKeep KeyPolicy = "Keep"
	// KeyRelease frees the key: the next event with it starts a run.
	KeyRelease KeyPolicy = "Release"
)

// RetryPolicy says when a failed step is tried again. Attempt n+1 begins
// min(maxInterval, initialInterval * multiplier^(n-1)) after attempt n, give
// or take the jitter.
type RetryPolicy struct {
	// The most attempts, the first included. 1 means no retry.
	// +optional
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxAttempts int32 `json:"maxAttempts,omitempty"`

	// The wait after the first failed attempt.
	// +optional
	// +kubebuilder:default="1s"
	InitialInterval Duration `json:"initialInterval,omitempty"`

	// How much longer each wait is than the one before. A decimal from 1 to 100.
	// +optional
	// +kubebuilder:default="2"
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:Pattern=`^([1-9][0-9]?|100)(\.[0-9]+)?$`
	Multiplier string `json:"multiplier,omitempty"`

	// The longest wait.
	// +optional
	// +kubebuilder:default="10m"
	MaxInterval Duration `json:"maxInterval,omitempty"`

	// How far a wait may differ from its nominal length, as a fraction from 0 to 1.
	// +optional
	// +kubebuilder:default="0.2"
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:Pattern=`^(0(\.[0-9]+)?|1(\.0+)?)$`
	Jitter string `json:"jitter,omitempty"`
}

// History bounds what is kept of finished runs.
type History struct {
	// How many finished runs are kept; failed ones are counted apart.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Limit *int32 `json:"limit,omitempty"`
}
