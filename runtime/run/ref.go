package run

// Ref names a run and the stream entry that owns it.
type Ref struct {
	Function string
	RunID    string
	// Stream and Entry are what is acknowledged when the run ends or parks.
	Stream string
	Entry  string
	// Inbox says that Stream is the function's inbox, whose entries are deleted.
	Inbox bool
	// Parked says that the run was parked before: its identity is stored.
	Parked  bool
	Version string
	Parent  *Parent
	// Runner is who the entry is pending for.
	Runner string
}

// Decision is what was decided about the beginning of a run: once, and in the
// same write as what it took, so that a delivery after a crash reads it and
// never decides again. Functions without limits decide nothing.
type Decision string

// The decisions. Releases before them take the field for a damaged result and
// pass it over, for none of them is JSON.
const (
	// Counted: a rate limit that drops what is above it let the run pass. It may
	// still wait for a slot.
	Counted Decision = "counted"
	// Begun: the run has taken what its limits give.
	Begun Decision = "begun"
	// Dropped: the rate limit did not let the run pass, and never will.
	Dropped Decision = "dropped"
)
