package v1alpha1

// The rules say dyn(self) for with and set: the type check of CEL leaves out a
// field that may hold any JSON, its evaluation does not.

// Step is one durable step: a name, exactly one action, and how it is run.
//
// +kubebuilder:validation:XValidation:rule="[has(self.handler), has(self.sleep), has(self.sleepUntil), has(self.waitForEvent), has(self.sendEvent), has(self.invoke), has(self.assert), has(dyn(self).set)].exists_one(x, x)",message="a step has exactly one action: handler, sleep, sleepUntil, waitForEvent, sendEvent, invoke, assert or set"
// +kubebuilder:validation:XValidation:rule="!has(dyn(self).with) || has(self.handler)",message="with belongs to handler",fieldPath=".with"
// +kubebuilder:validation:XValidation:rule="!has(self.waits) || has(self.handler)",message="waits belongs to handler",fieldPath=".waits"
// +kubebuilder:validation:XValidation:rule="!has(self.maxParallel) || has(self.forEach)",message="maxParallel belongs to forEach",fieldPath=".maxParallel"
// +kubebuilder:validation:XValidation:rule="!has(self.needs) || !(self.name in self.needs)",message="a step cannot need itself",fieldPath=".needs"
type Step struct {
	// The name of the step in its function: a DNS label.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// The handler to call, such as email.send.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	Handler string `json:"handler,omitempty"`

	// The input of the handler: any JSON, strings may hold ${expressions}.
	// +optional
	With *JSON `json:"with,omitempty"`

	// The events that the handler may wait for (wildout.WaitForEvent). Runners
	// read what is listed here, and nothing else.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Waits []AwaitedEvent `json:"waits,omitempty"`

	// How long to sleep.
	// +optional
	Sleep Duration `json:"sleep,omitempty"`

	// Until when to sleep: an RFC 3339 time or an ${expression} that gives one.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.contains('${') || self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$')",message="must be an RFC 3339 time such as 2030-01-31T08:00:00Z, or hold an ${expression} that gives one"
	SleepUntil Template `json:"sleepUntil,omitempty"`

	// The event to wait for. The output is the event, or null on time-out.
	// +optional
	WaitForEvent *WaitForEvent `json:"waitForEvent,omitempty"`

	// Events to send, exactly once. The output is the list of their ids.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	SendEvent []SendEvent `json:"sendEvent,omitempty"`

	// The function to run and wait for. The output is the child's output.
	// +optional
	Invoke *Invoke `json:"invoke,omitempty"`

	// Conditions that must hold; a false one fails the run without a retry.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Assert []Assertion `json:"assert,omitempty"`

	// A value to compute: any JSON, strings may hold ${expressions}.
	// +optional
	Set *JSON `json:"set,omitempty"`

	// CEL; false skips the step, and its output is null.
	// +optional
	If Expression `json:"if,omitempty"`

	// A ${list}: the action runs once per `item`, the output is the list of outputs.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.startsWith('${') && self.endsWith('}')",message="must be one ${expression} that gives a list, such as ${event.data.recipients}"
	ForEach Template `json:"forEach,omitempty"`

	// How many elements of forEach are worked on at once. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxParallel int32 `json:"maxParallel,omitempty"`

	// The steps that must have ended before this one starts. Left out: the
	// step before. An empty list: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	Needs *[]string `json:"needs,omitempty"`

	// The retry policy of this step.
	// +optional
	RetryPolicy *RetryPolicy `json:"retryPolicy,omitempty"`

	// How long one attempt may take. Default: 5m.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`

	// What the failure of this step means for the run.
	// +optional
	// +kubebuilder:default=Fail
	OnError OnError `json:"onError,omitempty"`
}

// OnError says what the failure of a step means for its run.
//
// +kubebuilder:validation:Enum=Fail;Continue
type OnError string

const (
	// OnErrorFail fails the run.
	OnErrorFail OnError = "Fail"
	// OnErrorContinue records the failure (steps.<name>.error); the run goes on.
	OnErrorContinue OnError = "Continue"
)

// WaitForEvent waits for an event that was published after the run began.
type WaitForEvent struct {
	// The type of the event.
	// +required
	Event EventTypeName `json:"event"`

	// A path such as data.userId that must be equal in the awaited event and
	// in the event that started the run.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(id|type|source|subject|data(\.[A-Za-z_][A-Za-z0-9_]*)+)$`
	Match string `json:"match,omitempty"`

	// CEL over `async` (the awaited event), `event` and `steps`.
	// +optional
	If Expression `json:"if,omitempty"`

	// How long to wait. The output is null when the time is up.
	// +required
	Timeout Duration `json:"timeout"`
}

// SendEvent is an event to send.
type SendEvent struct {
	// The type of the event.
	// +required
	Name EventTypeName `json:"name"`

	// The data: any JSON object, strings may hold ${expressions}.
	// +optional
	Data *JSON `json:"data,omitempty"`

	// The id; of events of one type with the same id within 24 hours one is kept.
	// Left out: derived from the run and the step.
	// +optional
	ID Template `json:"id,omitempty"`
}

// Invoke runs another function of the same namespace and waits for it.
type Invoke struct {
	// The name of the function.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=52
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Function string `json:"function"`

	// The data of the event that the child run sees: any JSON object, strings
	// may hold ${expressions}.
	// +optional
	Data *JSON `json:"data,omitempty"`

	// How long to wait for the child. Left out: until it has ended.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`
}

// Assertion is a condition that must hold.
type Assertion struct {
	// CEL.
	// +required
	That Expression `json:"that"`

	// The error when it does not hold; may hold ${expressions}.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
