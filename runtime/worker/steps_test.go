package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/run"
)

var _ = Describe("a run", func() {
	It("takes its steps in order and returns its output", func() {
		r := newRig()
		r.start(compile("greet", `
			triggers: [{event: user/registered}]
			steps:
			- name: first
			  handler: echo
			  with: {name: first, user: "${event.data.id}"}
			- name: second
			  set: "${steps.first.output.user + '!'}"
			- name: third
			  handler: echo
			  with: {name: third, text: "hello ${steps.second.output}"}
			output: "${steps.third.output.text}"`))
		record := r.ended("greet", r.send("user/registered", `{"id":"ada"}`))
		Expect(record.Status).To(Equal(run.Succeeded), record.Error)
		Expect(string(record.Output)).To(Equal(`"hello ada!"`))
		Expect(record.Steps).To(HaveLen(3))
		Expect(r.called("first")).To(Equal(1))
		Eventually(func() int64 { return r.stats("greet", "user/registered").Pending }).Should(BeZero())
	})

	It("passes over events that its filter refuses", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a, if: "event.data.n > 1"}]
			steps: [{name: one, handler: echo, with: {name: "${string(event.data.n)}"}}]`))
		r.send("a", `{"n":1}`)
		r.ended("f", r.send("a", `{"n":2}`))
		Expect(r.called("1")).To(BeZero())
		Eventually(func() int64 { return r.stats("f", "a").Pending }).Should(BeZero())
	})

	It("retries with backoff and counts the attempts", func() {
		r := newRig()
		var n atomic.Int32
		wildout.Add(r.handlers, "flaky", func(ctx context.Context, _ struct{}) (int, error) {
			if n.Add(1) < 3 {
				return 0, errors.New("not yet")
			}
			return wildout.Info(ctx).Attempt, nil
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: flaky, retryPolicy: {maxAttempts: 3, initialInterval: 10ms}}]`))
		record := r.ended("f", r.send("a", `{}`))
		Expect(record.Status).To(Equal(run.Succeeded), record.Error)
		Expect(string(record.Output)).To(Equal("3"))
		Expect(record.Steps[0].Attempts).To(Equal(3))
	})

	It("fails for good after the last attempt, at once for a non-retriable error, and takes its onFailure steps", func() {
		r := newRig()
		wildout.Add(r.handlers, "broken", func(_ context.Context, in struct {
			Fatal bool `json:"fatal"`
		}) (int, error) {
			r.count(fmt.Sprint("broken", in.Fatal))
			err := errors.New("no way")
			if in.Fatal {
				return 0, wildout.NonRetriable(err)
			}
			return 0, err
		})
		p := compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: broken, with: {fatal: "${event.data.fatal}"}, retryPolicy: {maxAttempts: 2, initialInterval: 5ms}}]
			onFailure: [{name: tell, handler: echo, with: {name: told, error: "${error.message}", step: "${error.step}"}}]`)
		r.start(p)
		record := r.ended("f", r.send("a", `{"fatal":false}`))
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.Error).To(Equal("no way"))
		Expect(record.ErrorStep).To(Equal("one"))
		Expect(r.called("brokenfalse")).To(Equal(2))
		Expect(record.Event).NotTo(BeNil())
		record = r.ended("f", r.send("a", `{"fatal":true}`))
		Expect(r.called("brokentrue")).To(Equal(1))
		Expect(r.called("told")).To(Equal(2))
		Expect(record.Steps).To(HaveLen(2))
	})

	It("goes on after a failure with onError: Continue", func() {
		r := newRig()
		wildout.Add(r.handlers, "broken", func(context.Context, struct{}) (int, error) {
			return 0, wildout.NonRetriable(errors.New("no way"))
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: one, handler: broken, onError: Continue}
			- {name: two, set: "${steps.one.error}"}`))
		record := r.ended("f", r.send("a", `{}`))
		Expect(record.Status).To(Equal(run.Succeeded), record.Error)
		Expect(string(record.Output)).To(Equal(`"no way"`))
	})

	It("sleeps without holding anything", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			concurrency: [{limit: 1}]
			steps:
			- {name: one, handler: echo, with: {name: one}}
			- {name: nap, sleep: 2s}
			- {name: two, handler: echo, with: {name: two}}`))
		first, second := r.send("a", `{}`), r.send("a", `{}`)
		one, two := r.ended("f", first), r.ended("f", second)
		Expect(one.Status).To(Equal(run.Succeeded))
		Expect(two.Status).To(Equal(run.Succeeded))
		Expect(*stepOf(two, "one").Start).To(BeTemporally("<", *stepOf(one, "two").Start), "the second began while the first slept")
		Expect(*stepOf(one, "one").Start).To(BeTemporally("<", *stepOf(two, "two").Start))
		Expect(r.called("one")).To(Equal(2))
		Expect(r.stats("f", "a").Waiting).To(BeZero())
	})

	It("runs a graph in parallel and a list by elements", func() {
		r := newRig()
		g := newGauge()
		wildout.Add(r.handlers, "meet", func(_ context.Context, in struct {
			Num int    `json:"num"`
			Of  int    `json:"of"`
			At  string `json:"at"`
		}) (int, error) {
			g.enter(in.At)
			defer g.leave(in.At)
			for began := time.Now(); g.peak(in.At) < in.Of; time.Sleep(time.Millisecond) {
				if time.Since(began) > 20*time.Second {
					return 0, wildout.NonRetriable(fmt.Errorf("%d of %d at work at a time", g.peak(in.At), in.Of))
				}
			}
			return in.Num * in.Num, nil
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: left, needs: [], handler: meet, with: {num: 2, of: 2, at: graph}}
			- {name: right, needs: [], handler: meet, with: {num: 3, of: 2, at: graph}}
			- {name: squares, needs: [left, right], forEach: "${event.data.list}", maxParallel: 3, handler: meet, with: {num: "${item}", of: 3, at: list}}
			output: "${ {'sum': steps.left.output + steps.right.output, 'squares': steps.squares.output} }"`))
		record := r.ended("f", r.send("a", `{"list":[1,2,3,4]}`))
		Expect(record.Status).To(Equal(run.Succeeded), record.Error)
		Expect(string(record.Output)).To(MatchJSON(`{"sum":13,"squares":[1,4,9,16]}`))
		Expect(g.peak("list")).To(Equal(3))
	})

	It("remembers durable sub-steps between attempts", func() {
		r := newRig()
		wildout.Add(r.handlers, "composed", func(ctx context.Context, _ struct{}) (int, error) {
			a, err := wildout.Step(ctx, "a", func(ctx context.Context) (int, error) {
				r.count("sub " + wildout.Info(ctx).Step)
				return 41, nil
			})
			if err != nil {
				return 0, err
			}
			if wildout.Info(ctx).Attempt == 1 {
				return 0, errors.New("after the sub-step")
			}
			return a + 1, nil
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: composed, retryPolicy: {initialInterval: 5ms}}]`))
		record := r.ended("f", r.send("a", `{}`))
		Expect(string(record.Output)).To(Equal("42"))
		Expect(r.called("sub one/a")).To(Equal(1))
	})

	It("sends events once, and invokes another function for its output", func() {
		r := newRig()
		r.start(compile("child", `
			triggers: [{event: never}]
			steps: [{name: one, set: "${event.data.num * 2}"}]`))
		r.start(compile("listener", `
			triggers: [{event: b}]
			steps: [{name: one, handler: echo, with: {name: heard}}]`))
		r.start(compile("parent", `
			triggers: [{event: a}]
			steps:
			- {name: twice, invoke: {function: child, data: {num: "${event.data.n}"}}}
			- {name: tell, sendEvent: [{name: b, data: {num: "${steps.twice.output}"}}, {name: b, data: {}, id: same}, {name: b, data: {}, id: same}]}
			output: "${steps.twice.output}"`))
		record := r.ended("parent", r.send("a", `{"n":21}`))
		Expect(record.Status).To(Equal(run.Succeeded), record.Error)
		Expect(string(record.Output)).To(Equal("42"))
		Eventually(func() int { return r.called("heard") }).Should(Equal(2))
		Consistently(func() int { return r.called("heard") }, 200*time.Millisecond).Should(Equal(2))
	})

	It("fails the step when the invoked run fails", func() {
		r := newRig()
		r.start(compile("child", `
			triggers: [{event: never}]
			steps: [{name: one, assert: [{that: "event.data.num > 100", message: "too small: ${event.data.num}"}]}]`))
		r.start(compile("parent", `
			triggers: [{event: a}]
			steps: [{name: twice, invoke: {function: child, data: {num: 1}}}]`))
		record := r.ended("parent", r.send("a", `{}`))
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.Error).To(ContainSubstring("too small: 1"))
	})
})

var _ = Describe("waitForEvent", func() {
	const spec = `
			triggers: [{event: order/placed}]
			steps:
			- {name: one, handler: echo, with: {name: one}}
			- {name: paid, waitForEvent: {event: order/paid, match: data.id, timeout: 2s}}
			output: "${steps.paid.output == null ? 'nothing' : steps.paid.output.data.by}"`

	It("ends with the event that matches", func() {
		r := newRig()
		r.start(compile("f", spec))
		e := r.send("order/placed", `{"id":7}`)
		Eventually(func() int64 { return r.stats("f", "order/placed").Waiting }).Should(Equal(int64(1)))
		r.send("order/paid", `{"id":8,"by":"another"}`)
		r.send("order/paid", `{"id":7,"by":"card"}`)
		Expect(string(r.ended("f", e).Output)).To(Equal(`"card"`))
	})

	It("counts an event that came before the wait began", func() {
		r := newRig()
		e := r.send("order/placed", `{"id":7}`)
		r.send("order/paid", `{"id":7,"by":"early"}`)
		r.start(compile("f", spec))
		Expect(string(r.ended("f", e).Output)).To(Equal(`"early"`))
	})

	It("is null when the time is up", func() {
		r := newRig()
		r.start(compile("f", strings.ReplaceAll(spec, "2s", "100ms")))
		Expect(string(r.ended("f", r.send("order/placed", `{"id":7}`)).Output)).To(Equal(`"nothing"`))
		keys, err := r.runs.Waiters(context.Background(), "f", "order/paid", "data.id", `7`)
		Expect(err).NotTo(HaveOccurred())
		Expect(keys).To(BeEmpty())
	})

	It("asks the run where the wait has a condition", func() {
		r := newRig()
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: least, set: 10}
			- {name: big, waitForEvent: {event: b, if: "async.data.n >= steps.least.output", timeout: 5s}}
			output: "${steps.big.output.data.n}"`))
		e := r.send("a", `{}`)
		Eventually(func() int64 { return r.stats("f", "a").Waiting }).Should(Equal(int64(1)))
		for _, n := range []int{1, 2, 3} {
			r.send("b", fmt.Sprintf(`{"n":%d}`, n))
			time.Sleep(20 * time.Millisecond)
		}
		r.send("b", `{"n":11}`)
		Expect(string(r.ended("f", e).Output)).To(Equal("11"))
	})

	It("misses nothing when events and waits cross", func() {
		r := newRig()
		r.start(compile("f", strings.ReplaceAll(spec, "2s", "10s")))
		const n = 200
		ids := map[string]bool{}
		for i := range n {
			ids[r.send("order/placed", fmt.Sprintf(`{"id":%d}`, i)).ID] = true
			r.send("order/paid", fmt.Sprintf(`{"id":%d,"by":"x"}`, i))
		}
		Eventually(func() int { return len(r.history("f")) }).Should(Equal(n))
		for _, record := range r.history("f") {
			Expect(string(record.Output)).To(Equal(`"x"`))
		}
	})
})

var _ = Describe("bad handlers and bad input", func() {
	It("turns each into a clear error of the run", func() {
		r := newRig()
		wildout.Add(r.handlers, "panics", func(context.Context, struct{}) (int, error) { panic("oh no") })
		wildout.Add(r.handlers, "hangs", func(context.Context, struct{}) (int, error) { select {} })
		wildout.Add(r.handlers, "nan", func(context.Context, struct{}) (float64, error) { return math.NaN(), nil })
		wildout.Add(r.handlers, "huge", func(context.Context, struct{}) (string, error) { return strings.Repeat("x", 10<<20), nil })
		wildout.Add(r.handlers, "typed", func(_ context.Context, in struct {
			Num int `json:"num"`
		}) (int, error) {
			return in.Num, nil
		})
		cases := map[string]struct{ step, message string }{
			"panics":  {`handler: panics, retryPolicy: {maxAttempts: 1}`, "panic: oh no"},
			"hangs":   {`handler: hangs, timeout: 100ms, retryPolicy: {maxAttempts: 1}`, "did not return within"},
			"nan":     {`handler: nan`, "cannot be stored as JSON"},
			"huge":    {`handler: huge`, "the output is 10485762 bytes, the limit is 1048576"},
			"type":    {`handler: typed, with: {num: "${event.data.text}"}`, "input of handler typed does not fit"},
			"unknown": {`handler: typed, with: {m: 1}`, `unknown field "m"`},
			"eval":    {`handler: typed, with: {num: "${event.data.none}"}`, `no field "none"`},
		}
		for name, tc := range cases {
			r.start(compile(name, "triggers: [{event: bad}]\nsteps: [{name: one, "+tc.step+"}]"))
		}
		e := r.send("bad", `{"text":"seven"}`)
		for name, tc := range cases {
			record := r.ended(name, e)
			Expect(record.Status).To(Equal(run.Failed), name)
			Expect(record.Error).To(ContainSubstring(tc.message), name)
		}
	})
})
