package event

// Types of events that no stream has: the runs that see them start otherwise.
const (
	// CronType is that of a cron run.
	CronType = "wildout/cron.tick"
	// InvokeType is that of an invoked run.
	InvokeType = "wildout/function.invoked"
)
