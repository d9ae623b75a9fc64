//go:build !(linux && amd64)

package crashtest_test

import "time"

// shiftClock does nothing where nobody has found a way.
func shiftClock(time.Duration) error { return nil }
