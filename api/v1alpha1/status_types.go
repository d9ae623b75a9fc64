package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WildoutFunctionStatus is what the operator knows of a function.
type WildoutFunctionStatus struct {
	// The generation of the spec that the rest of the status is about.
	// +optional
	// +kubebuilder:default=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Ready sums up Accepted, StreamsReady and RunnersAvailable. Healthy is
	// about the runs. Reconciling and Stalled are there only while true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// What starts a run, for printing.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Triggers string `json:"triggers,omitempty"`

	// The version of the function that new runs get.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`

	// The image of the runners.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// How many runners there are.
	// +optional
	Replicas int32 `json:"replicas"`

	// The labels of the runners, for an HPA.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Selector string `json:"selector,omitempty"`

	// The runners that were last seen to work, all of them: a digest of their
	// pods, and of the Secret of Redis. More of the same are no rollout, and may
	// go down to zero.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	RolledOut string `json:"rolledOut,omitempty"`

	// What there is to do: events that no runner has read, and waiting runs
	// whose time has come.
	// +optional
	Backlog int64 `json:"backlog"`

	// The runs, in numbers.
	// +optional
	Runs *RunCounts `json:"runs,omitempty"`

	// When a run last ended.
	// +optional
	LastRunTime *metav1.Time `json:"lastRunTime,omitempty"`

	// The run that failed last.
	// +optional
	LastFailure *Failure `json:"lastFailure,omitempty"`
}

// RunCounts are the runs of a function, in numbers.
type RunCounts struct {
	// Runs that runners have now.
	// +optional
	InFlight int64 `json:"inFlight"`
	// Runs that wait: for a time, an event, a child, a retry.
	// +optional
	Waiting int64 `json:"waiting"`
	// Runs that ended well, since the function exists.
	// +optional
	Succeeded int64 `json:"succeeded"`
	// Runs that failed for good, since the function exists.
	// +optional
	Failed int64 `json:"failed"`
	// Waiting runs by the version of the function that they began with.
	// +optional
	ByVersion map[string]int64 `json:"byVersion,omitempty"`
}

// Failure is a run that failed.
type Failure struct {
	// The id of the run: wildout runs get <id> shows it.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	RunID string `json:"runID,omitempty"`
	// The step that failed.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Step string `json:"step,omitempty"`
	// The error.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// When the run ended.
	// +optional
	Time metav1.Time `json:"time,omitzero"`
}

// WildoutEventTypeStatus is what the operator knows of an event type.
type WildoutEventTypeStatus struct {
	// The generation of the spec that the rest of the status is about.
	// +optional
	// +kubebuilder:default=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Ready sums up Accepted, Published and StreamsReady. Reconciling and Stalled are
	// there only while true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// The functions of the namespace that read events of this type.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=253
	Subscribers []string `json:"subscribers,omitempty"`

	// The stream that holds the events.
	// +optional
	Stream *StreamState `json:"stream,omitempty"`

	// Whose consumer groups keep events longer than spec.retention says: what a
	// function has not finished with is never removed. The first 32, by name.
	// +optional
	// +listType=map
	// +listMapKey=function
	// +kubebuilder:validation:MaxItems=32
	HeldBy []Hold `json:"heldBy,omitempty"`
}

// Hold is a consumer group that keeps events.
type Hold struct {
	// The function, which may have gone.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Function string `json:"function"`
	// Why: it is Behind; it is Suspended; it was Deleted while Redis was away, and
	// the group goes soon; or there is no such function, and the group was
	// Retained (deletionPolicy), or is somebody else's.
	// +optional
	// +kubebuilder:validation:Enum=Behind;Suspended;Deleted;Retained
	Reason string `json:"reason,omitempty"`
	// When the oldest event that it needs was published.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// StreamState is a stream in numbers.
type StreamState struct {
	// Events in the stream.
	// +optional
	Length int64 `json:"length"`
	// When the oldest of them was published.
	// +optional
	Oldest *metav1.Time `json:"oldest,omitempty"`
	// When the newest of them was published.
	// +optional
	Newest *metav1.Time `json:"newest,omitempty"`
	// The memory that the stream takes in Redis, in bytes.
	// +optional
	Bytes int64 `json:"bytes"`
}
