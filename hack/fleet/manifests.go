package main

import (
	"fmt"
	"strings"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/plan"
)

// label marks everything that is ours in the cluster. Fake nodes have it, with
// a taint of the same name, and runners ask for them.
const label = "fleet.wildout.dev/session"

// kind is a kind of function: what differs from one to the next.
type kind struct{ triggers, more, steps, runner string }

// kinds are what ten functions of one event type are like. $TYPE is the event
// type, and $OTHER another one of the same namespace.
var kinds = [...]kind{
	{triggers: `[{event: $TYPE}, {cron: "0 3 * * *", timeZone: Europe/Berlin}]`, steps: plainSteps},
	{triggers: `[{event: $TYPE, if: "event.data.count % 2 == 0"}, {event: $OTHER}]`, steps: plainSteps},
	{triggers: `[{event: $TYPE}]`, steps: plainSteps, runner: elastic},
	{triggers: `[{event: $TYPE}]`, steps: waitingSteps},
	{triggers: `[{event: $TYPE}]`, steps: plainSteps, more: "  concurrency: [{limit: 50}, {limit: 2, key: event.data.user}]\n  retryPolicy: {maxAttempts: 6, initialInterval: 2s}\n"},
	{triggers: `[{event: $TYPE}]`, steps: loopSteps},
	{triggers: `[{event: $TYPE}]`, steps: plainSteps, more: "  throttle: {limit: 6000, period: 1m, burst: 100}\n"},
	{triggers: `[{event: $TYPE}]`, steps: loopSteps, runner: elastic},
	{triggers: `[{event: $TYPE}]`, steps: plainSteps, more: "  idempotency: {key: event.data.order, ttl: 1h}\n  timeout: 10m\n"},
	{triggers: `[{event: $TYPE}]`, steps: waitingSteps, runner: "replicas: 2"},
}

const (
	// A runner that is ready has shown itself; without events it may go soon.
	elastic    = "scaling: {min: 0, max: 3, targetBacklog: 100, stabilizationWindow: 20s}"
	plainSteps = `    - name: note
      handler: log.write
      with: {message: "order ${event.data.order} of ${event.data.user}", fields: {count: "${event.data.count}"}}
    - name: twice
      set: "${event.data.count * 2}"
    - name: tell
      if: steps.twice.output > 10
      handler: log.write
      with: {message: "twice is ${steps.twice.output}"}
  onFailure:
    - name: report
      handler: log.write
      with: {level: error, message: "${error.message}"}
`
	loopSteps = `    - name: each
      forEach: "${[1, 2, 3]}"
      handler: log.write
      with: {message: "part ${item} of ${event.data.order}"}
    - name: sound
      assert: [{that: event.data.count >= 0, message: count is below zero}]
`
	waitingSteps = `    - name: rest
      sleep: 2s
    - name: answer
      waitForEvent: {event: $OTHER, match: data.user, timeout: 5s}
    - name: note
      handler: log.write
      with: {message: "answered: ${steps.answer.output != null}"}
`
)

func (o *options) namespace(n int) string { return fmt.Sprintf("wildout-fleet-%d", n%o.namespaces) }

func eventType(n int) string { return fmt.Sprintf("order/changed-%d", n) }

// eventTypes are what is published; type n is in namespace n modulo their number.
func (o *options) eventTypes() ([]v1alpha1.WildoutEventType, error) {
	var text strings.Builder
	for n := range o.types {
		fmt.Fprintf(&text, `---
apiVersion: wildout.dev/v1alpha1
kind: WildoutEventType
metadata: {name: order-changed-%d, namespace: %s}
spec:
  type: %s
  description: An order was changed.
  retention: {period: 1h, maxBytes: 64Mi}
  schema:
    type: object
    required: [order, user, count]
    properties: {order: {type: string}, user: {type: string}, count: {type: integer}}
`, n, o.namespace(n), eventType(n))
	}
	_, types, err := plan.ReadManifests("event types", []byte(text.String()))
	return types, err
}

// manifests are the functions; function n reads event type n modulo their
// number, in the namespace of that.
func (o *options) manifests(session string) ([]v1alpha1.WildoutFunction, error) {
	var text strings.Builder
	for n := range o.functions {
		t := n % o.types
		other := (t + o.namespaces) % o.types
		k := kinds[n/o.types%len(kinds)]
		names := strings.NewReplacer("$TYPE", eventType(t), "$OTHER", eventType(other))
		fmt.Fprintf(&text, `---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: f%04d, namespace: %s}
spec:
  description: One of many.
  triggers: %s
%s  steps:
%s  runner:
    nodeSelector: {%s: %s}
    tolerations: [{key: %s, operator: Exists, effect: NoSchedule}]
`, n, o.namespace(t), names.Replace(k.triggers), k.more, names.Replace(k.steps), label, session, label)
		if k.runner != "" {
			fmt.Fprintf(&text, "    %s\n", k.runner)
		}
	}
	functions, _, err := plan.ReadManifests("functions", []byte(text.String()))
	return functions, err
}
