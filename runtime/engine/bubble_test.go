package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wildout/wildout/runtime/plan"
)

// bubble runs a test on a bed with a clock of its own.
func bubble(t *testing.T, p *plan.Plan, test func(t *testing.T, b *bed)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, p)
		test(t, b)
		b.engine.Close()
		time.Sleep(time.Minute) // what was abandoned ends too
	})
}
