package run

// Status is the state of a run.
type Status string

// The states of a run.
const (
	// Queued: no runner has read the entry that starts it yet.
	Queued Status = "queued"
	// Running: a runner has it.
	Running Status = "running"
	// Waiting: it is parked; nothing of it runs anywhere.
	Waiting   Status = "waiting"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	// Cancelled: a person, or the end of the run that invoked it, ended it;
	// Record.Error is the reason.
	Cancelled Status = "cancelled"
	// Skipped: a limit or a key of its function let it not begin; Record.Error is
	// the reason.
	Skipped Status = "skipped"
	// Rejected: there was no run, for the stream entry was no event, or a key or a
	// trigger's `if` could not be evaluated.
	Rejected Status = "rejected"
)

// Ended reports whether the run is over.
func (s Status) Ended() bool {
	switch s {
	case Queued, Running, Waiting:
		return false
	}
	return true
}

// Statuses lists the states in which a run is found: first those of runs that
// have not ended.
func Statuses() []Status {
	return []Status{Queued, Running, Waiting, Succeeded, Failed, Cancelled, Skipped, Rejected}
}

// StepStatus is the state of a step, of an element of its forEach, or of a
// sub-step of its handler.
type StepStatus string

// The states of a step.
const (
	StepPending   StepStatus = "pending" // it has not begun
	StepRunning   StepStatus = "running"
	StepWaiting   StepStatus = "waiting"
	StepOK        StepStatus = "ok"
	StepFailed    StepStatus = "failed"
	StepSkipped   StepStatus = "skipped" // its `if` was false
	StepCancelled StepStatus = "cancelled"
)

// Ended reports whether the step is over.
func (s StepStatus) Ended() bool {
	switch s {
	case StepPending, StepRunning, StepWaiting:
		return false
	}
	return true
}

// Reason says, for a machine, why a run that has not ended does not move.
type Reason string

// The reasons.
const (
	// WaitingForSlot: a concurrency limit of its function is full.
	WaitingForSlot Reason = "WaitingForSlot"
	// Throttled: the throttle of its function lets it begin later.
	Throttled Reason = "Throttled"
	// WaitingForRun: a run that it invoked, or that holds its idempotency key,
	// has not ended.
	WaitingForRun Reason = "WaitingForRun"
	// NoSuchFunction: a step invokes a function that is not there.
	NoSuchFunction  Reason = "NoSuchFunction"
	WaitingForEvent Reason = "WaitingForEvent"
	Sleeping        Reason = "Sleeping"
	// RetryBackoff: a step has failed, or was put off, and is tried again later.
	RetryBackoff Reason = "RetryBackoff"
	// RunnerLacksHandler: no runner that looked at it has the handler of the step
	// that it is at.
	RunnerLacksHandler Reason = "RunnerLacksHandler"
	// RunnerLacksVersion: no runner that looked at it can read the version of the
	// function that it began with, or its journal.
	RunnerLacksVersion Reason = "RunnerLacksVersion"
)
