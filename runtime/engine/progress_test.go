package engine_test

import (
	"testing"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
)

// TestTheJournalSaysWhatOpenStepsDo: who looks at a run that waits has the
// journal and may not have the plan.
func TestTheJournalSaysWhatOpenStepsDo(t *testing.T) {
	both(t, `
	steps:
	- {name: nap, needs: [], sleep: 1h}
	- {name: paid, needs: [], waitForEvent: {event: b, timeout: 1h}}
	- {name: call, needs: [], invoke: {function: g}}
	- {name: later, needs: [], handler: later, retryPolicy: {initialInterval: 1m}}`,
		func(t *testing.T, b *bed) {
			b.later("later")
			want(t, "kind", b.must().Kind, engine.Parked)
			for path, kind := range map[string]run.Kind{"nap": run.KindSleep, "paid": run.KindWait, "call": run.KindInvoke, "later": run.KindHandler} {
				p, err := run.DecodeProgress(path, b.journal.progress[path])
				if err != nil || p.Kind != kind {
					t.Errorf("%s: %+v, %v; want %q", path, p, err, kind)
				}
			}
		})
}
