package v1alpha1

// How a runner ends, as the operator tells it apart: the exit status of its
// process says what of, its termination message the words.
const (
	// ExitFailed: something else than its settings; another start may do.
	ExitFailed = 1
	// ExitBadSettings: its settings or its manifest are at fault; another start
	// fails, too.
	ExitBadSettings = 2
	// ExitUnknownHandler: its manifest names a handler that it does not have.
	ExitUnknownHandler = 3
)
