package health

// Refusal is why an object could not be applied.
type Refusal struct {
	Why RefusalReason
	Err error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// RefusalReason divides refusals by what helps.
type RefusalReason int

// The reasons of refusals.
const (
	// Passing: to try again helps.
	Passing RefusalReason = iota
	// NameTaken: an object of somebody else has the name.
	NameTaken
	// Forbidden: the API server does not let the operator do it. That may be
	// changed meanwhile: it is tried again.
	Forbidden
	// Invalid: the API server finds fault with the object, and will until
	// somebody changes what it is made from.
	Invalid
)

// Lasts reports whether to try again does not help: what would starts another
// reconcile.
func (r *Refusal) Lasts() bool { return r.Why == NameTaken || r.Why == Invalid }
