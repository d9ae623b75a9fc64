package worker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/run"
)

var _ = Describe("timeout", func() {
	It("ends a run that is active for too long, and takes its onFailure steps", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, time.Hour)
		r.start(compile("f", `
			triggers: [{event: a}]
			timeout: 200ms
			steps:
			- {name: one, handler: echo, with: {name: one, text: before}}
			- {name: two, handler: work, with: {key: all}}
			onFailure:
			- {name: tell, handler: echo, with: {name: told, step: "${error.step}", one: "${steps.one.output.text}"}}`))
		record := r.ended("f", r.send("a", `{}`))
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.Error).To(ContainSubstring("spec.timeout"))
		Expect(record.ErrorStep).To(Equal("two"))
		Expect(r.called("told")).To(Equal(1))
	})

	It("counts active time only, over all parks", func() {
		r, g := newRig(), newGauge()
		r.busy("work", g, 300*time.Millisecond)
		spec := `
			triggers: [{event: a}]
			timeout: %s
			steps:
			- {name: one, handler: work, with: {key: all}}
			- {name: nap, sleep: 2s}
			- {name: two, handler: work, with: {key: all}}`
		r.start(compile("patient", replace(spec, "2s")))
		r.start(compile("strict", replace(spec, "590ms")))
		e := r.send("a", `{}`)
		Expect(r.ended("patient", e).Status).To(Equal(run.Succeeded))
		record := r.ended("strict", e)
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.ErrorStep).To(Equal("two"))
		Expect(record.Steps[1].Status).To(Equal(run.StepOK))
	})
})

var _ = Describe("deadline", func() {
	It("counts waiting too, and ends a run that is parked", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			deadline: 300ms
			steps:
			- {name: one, handler: echo, with: {name: one, text: before}}
			- {name: nap, sleep: 1h}
			onFailure:
			- {name: tell, handler: echo, with: {name: told, text: "${steps.one.output.text}", message: "${error.message}"}}
			- {name: pause, sleep: 100ms}
			- {name: again, handler: echo, with: {name: "again ${steps.one.output.text} ${steps.tell.output.text}"}}`))
		began := time.Now()
		record := r.ended("f", r.send("a", `{}`))
		Expect(time.Since(began)).To(BeNumerically(">=", 300*time.Millisecond))
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.Error).To(ContainSubstring("spec.deadline"))
		Expect(record.ErrorStep).To(Equal("nap"))
		Expect(r.called("told")).To(Equal(1))
		Expect(r.called("again before before")).To(Equal(1), "onFailure steps see the results of the run, also after a wait of their own")
	})

	It("ends a run that waits for an event, and forgets the wait", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			deadline: 200ms
			steps: [{name: wait, waitForEvent: {event: b, match: data.id, timeout: 1h}}]`))
		record := r.ended("f", r.send("a", `{"id":1}`))
		Expect(record.Error).To(ContainSubstring("spec.deadline"))
		Expect(dialKeys(r, "*:wait:*")).To(BeEmpty())
		Expect(r.stats("f", "a").Waiting).To(BeZero())
	})
})

var _ = Describe("onFailure", func() {
	It("sees what the run had, also on another runner", func() {
		r := newRig()
		var seen []map[string]any
		wildout.Add(r.handlers, "flaky", func(_ context.Context, in map[string]any) (int, error) {
			if seen = append(seen, in); len(seen) == 1 {
				return 0, errors.New("not at first")
			}
			return 0, nil
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: pure, set: "${'p' + event.data.text}"}
			- {name: list, forEach: "${[1, 2, 3]}", handler: echo, with: {name: element, num: "${item}"}}
			- {name: last, handler: echo, with: {name: last, text: done}}
			- {name: check, assert: [{that: "false", message: "as planned"}]}
			onFailure:
			- name: tell
			  handler: flaky
			  retryPolicy: {initialInterval: 20ms}
			  with:
			    pure: "${steps.pure.output}"
			    list: "${steps.list.output.map(e, e.num)}"
			    last: "${steps.last.output.text}"
			    error: "${steps.check.error}"`))
		record := r.ended("f", r.send("a", `{"text":"x"}`))
		Expect(record.Error).To(Equal("assertion failed: as planned"))
		// The first attempt sees what is in memory. It parks, and the second one
		// sees what the journal has.
		Expect(seen).To(HaveLen(2))
		Expect(seen[0]).To(Equal(map[string]any{"pure": "px", "list": []any{1.0, 2.0, 3.0}, "last": "done", "error": "assertion failed: as planned"}))
		Expect(seen[1]).To(Equal(seen[0]))
		statuses := map[string]string{}
		for _, s := range record.Steps {
			statuses[s.Name] = string(s.Status)
		}
		Expect(statuses).To(Equal(map[string]string{"pure": "ok", "list": "ok", "list[0]": "ok", "list[1]": "ok", "list[2]": "ok",
			"last": "ok", "check": "failed", "tell": "ok"}))
	})
})

func replace(spec, value string) string { return fmt.Sprintf(spec, value) }
