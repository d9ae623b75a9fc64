package crashtest_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
)

// manifest has the functions under test. Together they use everything that
// writes to Redis.
const manifest = `
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: order}
spec:
  triggers: [{event: order/placed}]
  idempotency: {key: event.data.order}
  history: {limit: 100000}
  retryPolicy: {maxAttempts: 5, initialInterval: 20ms}
  steps:
  - {name: reserve, handler: effect, with: {value: "${event.data.order}"}}
  - {name: charge, handler: flaky, with: {value: 42}}
  - {name: nap, sleep: 50ms}
  - {name: tell, sendEvent: [{name: order/told, data: {order: "${event.data.order}"}}]}
  - {name: ship, invoke: {function: shipping, data: {order: "${event.data.order}"}}}
  - {name: paid, waitForEvent: {event: order/paid, match: data.order, timeout: 60s}}
  - {name: pack, forEach: "${event.data.items}", maxParallel: 2, handler: pack, with: {value: "${item}"}}
  - {name: compose, handler: compose}
  - {name: close, handler: effect, with: {value: "${steps.paid.output.data.by}"}}
  output: "${ {'charged': steps.charge.output, 'ship': steps.ship.output, 'pack': steps.pack.output, 'compose': steps.compose.output, 'close': steps.close.output} }"
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: shipping}
spec:
  triggers: [{event: never}]
  history: {limit: 100000}
  steps:
  - {name: label, handler: effect, with: {value: "${event.data.order}"}}
  - {name: handover, handler: effect, with: {value: shipped}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: listener}
spec:
  triggers: [{event: order/told}]
  history: {limit: 100000}
  steps:
  - {name: hear, handler: effect, with: {value: heard}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: refund}
spec:
  triggers: [{event: order/broken}]
  steps:
  - {name: begin, handler: effect, with: {value: 1}}
  - {name: fail, handler: broken}
  onFailure:
  - {name: tell, handler: effect, with: {value: "${error.message}"}}
  - {name: record, handler: effect, with: {value: 2}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: account}
spec:
  triggers: [{event: account/changed}]
  history: {limit: 100000}
  concurrency: [{limit: 1, key: event.data.account}]
  steps:
  - {name: change, handler: exclusive, with: {value: "${event.data.account}"}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: meter}
spec:
  triggers: [{event: meter/read}]
  history: {limit: 100000}
  throttle: {limit: 5, period: 1s, key: event.data.meter}
  steps:
  - {name: read, handler: effect, with: {value: 1}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: caller}
spec:
  triggers: [{event: call/made}]
  history: {limit: 100000}
  throttle: {limit: 1000, period: 1s, burst: 10}
  steps:
  - {name: call, invoke: {function: shared, data: {key: "${event.data.key}"}}}
  - {name: note, handler: effect, with: {value: "${steps.call.output}"}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: shared}
spec:
  triggers: [{event: never}]
  history: {limit: 100000}
  idempotency: {key: event.data.key}
  steps:
  - {name: work, handler: effect, with: {value: 1, millis: 100}} # the second call comes meanwhile
  - {name: done, handler: effect, with: {value: 2}}
  output: "${run.id}"
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: nightly}
spec:
  triggers: [{cron: "0 3 * * *"}]
  steps:
  - {name: tick, handler: effect, with: {value: 1}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: slow}
spec:
  triggers: [{event: slow/asked}]
  history: {limit: 100000}
  steps:
  - {name: doze, handler: doze, with: {value: 1}}
  - {name: wake, handler: effect, with: {value: 2}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: regret} # cancelled while it waits for its child
spec:
  triggers: [{event: order/regretted}]
  steps:
  - {name: begin, handler: effect, with: {value: 1}}
  - {name: send, invoke: {function: parcel}}
  - {name: never, handler: effect, with: {value: 2}}
  onFailure:
  - {name: tell, handler: effect, with: {value: 3}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: parcel} # cancelled with who invoked it
spec:
  triggers: [{event: never}]
  steps:
  - {name: pack, handler: effect, with: {value: 1}}
  - {name: wait, waitForEvent: {event: never, timeout: 1h}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: stuck} # cancelled while its handler is under way
spec:
  triggers: [{event: stuck/asked}]
  steps:
  - {name: hang, handler: hang}
  - {name: never, handler: effect, with: {value: 2}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: deal} # one Go function: its handler does what the steps of order do
spec:
  triggers: [{event: deal/made}]
  history: {limit: 100000}
  retryPolicy: {maxAttempts: 5, initialInterval: 20ms}
  steps:
  - {name: all, handler: deal, with: {value: "${event.data.order}"}, waits: [{event: order/paid, match: data.order}]}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: errand} # steps side by side, a time to wait for, and a limit without a key
spec:
  triggers: [{event: errand/asked}]
  history: {limit: 100000}
  concurrency: [{limit: 3}]
  steps:
  - {name: left, needs: [], handler: busy, with: {value: 1}}
  - {name: right, needs: [], handler: effect, with: {value: 2}}
  - {name: until, needs: [left, right], sleepUntil: "${event.data.until}"}
  - {name: end, handler: effect, with: {value: done}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: drip} # a throttle without a key
spec:
  triggers: [{event: drip/asked}]
  history: {limit: 100000}
  throttle: {limit: 10, period: 1s, window: Sliding}
  steps:
  - {name: fall, handler: first, with: {value: 1}}
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: recant} # cancelled while its handler waits for a run that it invoked
spec:
  triggers: [{event: order/regretted}]
  steps:
  - {name: all, handler: recant}
  onFailure:
  - {name: tell, handler: effect, with: {value: 3}}
`

// effects are the steps of each function whose handlers have an effect, as a
// run that ends has them.
var effects = map[string][]string{
	"order": {"reserve", "charge", "pack[0]", "pack[0]/weigh", "pack[1]", "pack[1]/weigh", "pack[2]", "pack[2]/weigh",
		"compose", "compose/left", "compose/right", "close"},
	"shipping": {"label", "handover"},
	"listener": {"hear"},
	"refund":   {"begin", "tell", "record"},
	"account":  {"change"},
	"meter":    {"read"},
	"caller":   {"note"},
	"shared":   {"work", "done"},
	"nightly":  {"tick"},
	"slow":     {"doze", "wake"},
	"regret":   {"begin"},
	"parcel":   {"pack"},
	"stuck":    {},
	"deal":     {"all/reserve", "all/label", "all/meanwhile", "all/close", "all"},
	"recant":   {"all/begin"},
	"errand":   {"left", "right", "end"},
	"drip":     {"fall"},
}

// optional are the functions whose runs may be cancelled before they have any
// effect, or before it is committed.
var optional = map[string]bool{"parcel": true}

// reason is why runs are cancelled.
const reason = "it was a mistake"

// cancelled has the error of the runs of functions that are cancelled.
var cancelled = map[string]string{"regret": reason, "parcel": "the run that invoked it was cancelled: " + reason, "stuck": reason, "recant": reason}

// regrets are the steps in which runs are cancelled that wait for a child.
var regrets = map[string]string{"regret": "send", "recant": "all/send"}

// outputs are what runs of each function end with; a function that is not here
// has an output that depends on the run.
var outputs = map[string]string{
	"order":    `{"charged":42,"ship":"shipped","pack":["a","b","c"],"compose":"left right","close":"card"}`,
	"shipping": `"shipped"`,
	"listener": `"heard"`,
	"meter":    `1`,
	"nightly":  `1`,
	"slow":     `2`,
	"errand":   `"done"`,
	"drip":     `1`,
	"deal":     `{"ship":"shipped","paid":"card"}`,
}

// eventTypes are all that the functions read, to find their streams.
var eventTypes = []string{"order/placed", "order/paid", "order/told", "order/broken", "account/changed", "meter/read", "call/made", "slow/asked", "order/regretted", "stuck/asked", "deal/made", "errand/asked", "drip/asked", "never"}

// compileAll compiles the manifest. The cron function ticks once, at the time given.
// Versions of most functions differ in a deadline that no run comes near.
func compileAll(tick time.Time, version int) (map[string]*plan.Plan, error) {
	text := manifest
	if version > 0 {
		text = strings.ReplaceAll(manifest, "{limit: 100000}", fmt.Sprintf("{limit: 100000}\n  deadline: %dh", 23+version))
	}
	functions, _, err := plan.ReadManifests("crashtest", []byte(text))
	if err != nil {
		return nil, err
	}
	plans := map[string]*plan.Plan{}
	for i := range functions {
		name := functions[i].Name
		p, err := plan.Compile(name, &functions[i].Spec, plan.Options{})
		if err != nil {
			return nil, fmt.Errorf("function %s: %w", name, err)
		}
		for j := range p.Triggers {
			if p.Triggers[j].Schedule != nil {
				p.Triggers[j].Schedule = onceAt(tick)
			}
		}
		plans[name] = p
	}
	return plans, nil
}

// onceAt is a schedule with a single tick.
type onceAt time.Time

func (o onceAt) Next(t time.Time) time.Time {
	if tick := time.Time(o); tick.After(t) {
		return tick
	}
	return time.Time{}
}

// expectedEffects are the idempotency keys of the effects of a run in the history.
func expectedEffects(r run.Record) []string {
	if r.Follows != "" {
		return nil // it took over what another run did
	}
	keys := make([]string, 0, len(effects[r.Function]))
	for _, step := range effects[r.Function] {
		keys = append(keys, r.ID+"/"+step)
	}
	return keys
}
