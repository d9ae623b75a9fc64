package wildout

import (
	"errors"
	"time"
)

// ErrCancelled is what context.Cause says of the context of a handler whose run
// was cancelled; the cause's text has the reason.
var ErrCancelled = errors.New("the run was cancelled")

// nonRetriableError marks a failure that another attempt cannot mend.
type nonRetriableError struct{ err error }

func (e *nonRetriableError) Error() string { return e.err.Error() }
func (e *nonRetriableError) Unwrap() error { return e.err }

// retryAfterError sets the wait before the next attempt.
type retryAfterError struct {
	err   error
	after time.Duration
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }

// NonRetriable marks err as a failure that another attempt cannot mend: the
// step fails at once. A nil err gives nil.
func NonRetriable(err error) error {
	if err == nil {
		return nil
	}
	return &nonRetriableError{err}
}

// RetryAfter asks for the next attempt in d at the earliest, in place of the
// retry policy's interval; the attempt counts. A nil err gives nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, d}
}

// snoozeError puts a step off; it has not failed.
type snoozeError struct {
	err   error
	after time.Duration
}

func (e *snoozeError) Error() string { return e.err.Error() }
func (e *snoozeError) Unwrap() error { return e.err }

// Snooze says that it is too early for the step: the handler did nothing and
// is to be called again in d. The attempt does not count, so that a step may be
// put off as often as it takes; the run's deadline is the only bound. The
// reason is shown while the step waits. A nil reason gives nil.
func Snooze(d time.Duration, reason error) error {
	if reason == nil {
		return nil
	}
	return &snoozeError{reason, d}
}

// SnoozeDelay returns for how long err puts the step off, and whether it does.
func SnoozeDelay(err error) (time.Duration, bool) {
	var mark *snoozeError
	if errors.As(err, &mark) {
		return mark.after, true
	}
	return 0, false
}

// IsNonRetriable reports whether err, or an error that it wraps, was marked
// by NonRetriable.
func IsNonRetriable(err error) bool {
	var mark *nonRetriableError
	return errors.As(err, &mark)
}

// RetryDelay returns the wait that err asks for, and whether it asks for one.
func RetryDelay(err error) (time.Duration, bool) {
	var mark *retryAfterError
	if errors.As(err, &mark) {
		return mark.after, true
	}
	return 0, false
}
