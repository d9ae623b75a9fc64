package worker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
)

// once has an effect in a durable sub-step, and counts it.
func (r *rig) once(ctx context.Context, name string) error {
	_, err := wildout.Step(ctx, name, func(context.Context) (bool, error) {
		r.count(name)
		return true, nil
	})
	return err
}

// unended is the run that an event started, as people see it before its end.
func (r *rig) unended(function string, e *event.Event) run.Record {
	GinkgoHelper()
	var found run.Record
	Eventually(func(g Gomega) {
		waiting, err := r.inspect.Waiting(context.Background(), function, 1000)
		g.Expect(err).NotTo(HaveOccurred())
		found = run.Record{}
		for _, record := range waiting {
			if record.EventID == e.ID {
				found = record
			}
		}
		g.Expect(found.Status).To(Equal(run.Waiting), "the run of event %s does not wait", e.ID)
	}).Should(Succeed())
	return found
}

// opened tells the steps of a run: what they do, and how they are.
func opened(record run.Record) (all []string) {
	for _, s := range record.Steps {
		all = append(all, fmt.Sprintf("%s %s%s %s", s.Name, s.Kind, s.Of, s.Status))
	}
	return all
}

var _ = Describe("a handler that waits", func() {
	// whole has all operations of a handler, one after the other.
	whole := func(r *rig) {
		wildout.Add(r.handlers, "whole", func(ctx context.Context, in struct {
			Number int `json:"number"`
		}) (any, error) {
			r.count("calls")
			if err := r.once(ctx, "reserve"); err != nil {
				return nil, err
			}
			if err := wildout.Sleep(ctx, "nap", 100*time.Millisecond); err != nil {
				return nil, err
			}
			ids, err := wildout.SendEvent(ctx, "tell", wildout.Event{Type: "told", Data: map[string]int{"n": in.Number}})
			if err != nil {
				return nil, err
			}
			paid, err := wildout.WaitForEvent[struct{ By string }](ctx, "paid", wildout.WaitOptions{Event: "paid", Match: "data.n", Timeout: time.Hour})
			if err != nil {
				return nil, err
			}
			twice, err := wildout.Invoke[int](ctx, "double", "double", map[string]int{"n": in.Number})
			if err != nil {
				return nil, err
			}
			if err := r.once(ctx, "close"); err != nil {
				return nil, err
			}
			return map[string]any{"by": paid.Data.By, "twice": twice, "told": len(ids), "attempt": wildout.Info(ctx).Attempt}, nil
		})
		r.start(compile("double", `
			triggers: [{event: never}]
			steps: [{name: one, handler: echo, with: {name: double}}]
			output: "${event.data.n * 2}"`))
		r.start(compile("ear", `
			triggers: [{event: told}]
			steps: [{name: hear, handler: echo, with: {name: heard}}]`))
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: all, handler: whole, with: {number: "${event.data.n}"}, waits: [{event: paid, match: data.n}]}]
			output: "${steps.all.output}"`))
	}
	const output = `{"attempt":1,"by":"card","told":1,"twice":14}`

	It("does each thing once, and shows what it waits for", func() {
		r := newRig()
		whole(r)
		e := r.send("a", `{"n":7}`)
		Eventually(func() []string { return opened(r.unended("f", e)) }).Should(ConsistOf(
			"all  waiting", "all/reserve  ok", "all/nap s ok", "all/tell e ok", "all/paid wpaid waiting"))
		waiting := r.unended("f", e)
		Expect(waiting.Reason).To(Equal(run.WaitingForEvent))
		Expect(time.Until(*waiting.WaitsFor)).To(BeNumerically(">", 50*time.Minute), "it is looked at again when the wait is over")
		r.send("paid", `{"n":8,"by":"another"}`)
		r.send("paid", `{"n":7,"by":"card"}`)
		record := r.ended("f", e)
		Expect(string(record.Output)).To(MatchJSON(output))
		Expect(opened(record)).To(ConsistOf("all  ok", "all/nap s ok", "all/reserve  ok", "all/paid wpaid ok", "all/tell e ok", "all/double idouble ok", "all/close  ok"))
		r.finishes("double", 1)
		r.finishes("ear", 1)
		for name, n := range map[string]int{"reserve": 1, "close": 1, "heard": 1, "double": 1, "calls": 4} {
			Expect(r.called(name)).To(Equal(n), name)
		}
		r.spotless("f")
	})

	It("is replayed with a journal of its own: everything is done once more", func() {
		r := newRig()
		whole(r)
		e := r.send("a", `{"n":7}`)
		r.waits("f", 1)
		r.send("paid", `{"n":7,"by":"cash"}`)
		first := r.ended("f", e)
		second := r.replays("f", first.ID)
		// Only what comes after the replay counts.
		Eventually(func() []string { return opened(r.unended("f", e)) }).Should(ContainElement("all/paid wpaid waiting"))
		r.send("paid", `{"n":7,"by":"card"}`)
		record := r.endedRun("f", second)
		Expect(record.ReplayOf).To(Equal(first.ID))
		Expect(string(record.Output)).To(MatchJSON(output))
		r.finishes("double", 2)
		r.finishes("ear", 2)
		Expect(r.called("reserve")).To(Equal(2))
		r.spotless("f")
	})

	It("finds an event that came while it slept, and none that is older than the run", func() {
		r := newRig()
		r.send("paid", `{"n":7,"by":"too early"}`)
		whole(r)
		e := r.send("a", `{"n":7}`)
		r.unended("f", e)
		r.send("paid", `{"n":7,"by":"card"}`)
		Expect(string(r.ended("f", e).Output)).To(MatchJSON(output))
	})

	It("waits side by side, and goes on with what is there", func() {
		r := newRig()
		wildout.Add(r.handlers, "beside", func(ctx context.Context, _ struct{}) (int, error) {
			r.count("calls")
			err := wildout.Parallel(ctx,
				func(ctx context.Context) error {
					_, err := wildout.WaitForEvent[any](ctx, "b", wildout.WaitOptions{Event: "b", Timeout: time.Hour})
					return errors.Join(err, r.once(ctx, "after b"))
				},
				func(ctx context.Context) error {
					_, err := wildout.WaitForEvent[any](ctx, "c", wildout.WaitOptions{Event: "c", Timeout: time.Hour})
					return errors.Join(err, r.once(ctx, "after c"))
				},
				func(ctx context.Context) error { return r.once(ctx, "at once") })
			return wildout.Info(ctx).Attempt, errors.Join(err, r.once(ctx, "behind"))
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: all, handler: beside, waits: [{event: b}, {event: c}]}]
			output: "${steps.all.output}"`))
		e := r.send("a", `{}`)
		Eventually(func() []string { return opened(r.unended("f", e)) }).Should(ContainElements("all/b wb waiting", "all/c wc waiting"))
		Expect(r.called("at once")).To(Equal(1))
		r.send("c", `{}`)
		Eventually(func() int { return r.called("after c") }).Should(Equal(1))
		Expect(r.called("after b") + r.called("behind")).To(BeZero())
		r.send("b", `{}`)
		Expect(string(r.ended("f", e).Output)).To(Equal("1"))
		for _, name := range []string{"at once", "after b", "after c", "behind"} {
			Expect(r.called(name)).To(Equal(1), name)
		}
		Expect(r.called("calls")).To(Equal(3))
		r.spotless("f")
	})

	It("goes on when the time is up, for an event and for a run", func() {
		r := newRig()
		wildout.Add(r.handlers, "impatient", func(ctx context.Context, _ struct{}) (string, error) {
			e, err := wildout.WaitForEvent[any](ctx, "w", wildout.WaitOptions{Event: "b", Timeout: 50 * time.Millisecond})
			if err != nil {
				return "", err
			}
			_, err = wildout.Invoke[any](ctx, "i", "sleeper", nil, wildout.InvokeTimeout(50*time.Millisecond))
			var late *wildout.InvokeError
			if !errors.As(err, &late) {
				return "", err
			}
			return fmt.Sprint(e == nil, " ", late.Function, ": ", late.Message), nil
		})
		r.start(compile("sleeper", `
			triggers: [{event: never}]
			steps: [{name: nap, sleep: 700ms}]`))
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: all, handler: impatient, waits: [{event: b}]}]
			output: "${steps.all.output}"`))
		record := r.ended("f", r.send("a", `{}`))
		Expect(string(record.Output)).To(And(HavePrefix(`"true sleeper: the invoked run`), ContainSubstring("had not ended after 50ms")))
		r.finishes("sleeper", 1) // it goes on by itself
		r.spotless("f")
	})

	It("learns how an invoked run has failed", func() {
		r := newRig()
		wildout.Add(r.handlers, "caller", func(ctx context.Context, _ struct{}) (int, error) {
			return wildout.Invoke[int](ctx, "i", "broken", nil)
		})
		wildout.Add(r.handlers, "broken", func(context.Context, struct{}) (int, error) {
			return 0, wildout.NonRetriable(errors.New("not today"))
		})
		r.start(compile("broken", `
			triggers: [{event: never}]
			steps: [{name: one, handler: broken}]`))
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: all, handler: caller}]`))
		record := r.ended("f", r.send("a", `{}`))
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.ErrorStep).To(Equal("all"))
		Expect(record.Error).To(Equal("the invoked run failed: not today"))
		r.spotless("f")
	})

	It("is cancelled with what it invoked, and nothing of its waits is left", func() {
		r := newRig()
		wildout.Add(r.handlers, "beside", func(ctx context.Context, _ struct{}) (int, error) {
			return 0, errors.Join(r.once(ctx, "begin"), wildout.Parallel(ctx,
				func(ctx context.Context) error { _, err := wildout.Invoke[any](ctx, "child", "child", nil); return err },
				func(ctx context.Context) error {
					_, err := wildout.WaitForEvent[any](ctx, "b", wildout.WaitOptions{Event: "b", Timeout: time.Hour})
					return err
				},
				func(ctx context.Context) error { return wildout.Sleep(ctx, "nap", time.Hour) }), r.once(ctx, "never"))
		})
		r.start(compile("child", `
			triggers: [{event: never}]
			steps: [{name: wait, waitForEvent: {event: never, timeout: 1h}}]`))
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: all, handler: beside, waits: [{event: b}]}]
			onFailure: [{name: tell, handler: echo, with: {name: on failure}}]`))
		e := r.send("a", `{}`)
		r.waits("f", 1)
		r.waits("child", 1)
		r.cancels("f", e, "a mistake")
		record := r.ended("f", e)
		Expect(record.Status).To(Equal(run.Cancelled))
		Expect(record.Error).To(Equal("a mistake"))
		Expect(opened(record)).To(ConsistOf("all  cancelled", "all/begin  ok", "all/child ichild cancelled", "all/b wb cancelled", "all/nap s cancelled"))
		Eventually(func() int64 { return r.stats("child").Cancelled }).Should(Equal(int64(1)))
		Expect(r.called("never") + r.called("on failure")).To(BeZero())
		r.spotless("f")
		r.spotless("child")
	})

	It("may wait only for what the manifest names, since nobody reads anything else", func() {
		r := newRig()
		wildout.Add(r.handlers, "stray", func(ctx context.Context, _ struct{}) (any, error) {
			return wildout.WaitForEvent[any](ctx, "w", wildout.WaitOptions{Event: "b", Timeout: time.Hour})
		})
		p := compile("f", `
			triggers: [{event: a}]
			steps: [{name: all, handler: stray, waits: [{event: c}]}]`)
		r.start(p)
		record := r.ended("f", r.send("a", `{}`))
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.Error).To(ContainSubstring("write waits: [{event: b}] beside handler: stray in step all"))
		groups, err := r.inspect.Groups(context.Background(), "c")
		Expect(err).NotTo(HaveOccurred())
		Expect(groups).To(HaveLen(1), "it reads what the manifest names")
		groups, err = r.inspect.Groups(context.Background(), "b")
		Expect(err).NotTo(HaveOccurred())
		Expect(groups).To(BeEmpty())
	})

	It("is refused clearly when its code has changed under a run that waits", func() {
		r := newRig()
		v1 := func(ctx context.Context) error { return wildout.Sleep(ctx, "pause", 300*time.Millisecond) }
		v2 := func(ctx context.Context) error { return r.once(ctx, "pause") }
		deployed := make(chan func(context.Context) error, 2)
		deployed <- v1
		deployed <- v2
		wildout.Add(r.handlers, "changing", func(ctx context.Context, _ struct{}) (int, error) { return 0, (<-deployed)(ctx) })
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: all, handler: changing}]`))
		record := r.ended("f", r.send("a", `{}`))
		Expect(record.Status).To(Equal(run.Failed))
		Expect(record.Error).To(ContainSubstring("the run has an operation all/pause that sleeps, and its handler now asks for one of this name that is a sub-step"))
		Expect(r.called("pause")).To(BeZero())
		r.spotless("f")
	})
})
