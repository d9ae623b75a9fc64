package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/run"
)

// stepOf returns a step of a run by its path.
func stepOf(record run.Record, path string) run.StepRecord {
	GinkgoHelper()
	for _, s := range record.Steps {
		if s.Name == path {
			return s
		}
	}
	Fail(fmt.Sprintf("run %s has no step %s: %+v", record.ID, path, record.Steps))
	return run.StepRecord{}
}

func paths(record run.Record) (all []string) {
	for _, s := range record.Steps {
		all = append(all, s.Name)
	}
	return all
}

var _ = Describe("the record of a run", func() {
	It("has the failed attempts of a step, across parks and runners", func() {
		r := newRig()
		wildout.Add(r.handlers, "flaky", func(ctx context.Context, _ struct{}) (string, error) {
			if n := wildout.Info(ctx).Attempt; n < 4 {
				time.Sleep(time.Duration(n) * 10 * time.Millisecond)
				return "", fmt.Errorf("failure %d", n)
			}
			return "done", nil
		})
		p := compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: one, handler: flaky, retryPolicy: {initialInterval: 100ms, multiplier: "1"}}
			- {name: nap, sleep: 20ms}
			- {name: two, handler: flaky, retryPolicy: {maxAttempts: 3, initialInterval: 10ms}}`)
		w := r.start(p)
		e := r.send("a", `{}`)
		r.waits("f", 1)
		open, err := r.inspect.Unended(context.Background(), "f", r.runOf("f", e))
		Expect(err).NotTo(HaveOccurred())
		one := stepOf(*open, "one")
		Expect(one.Status).To(Equal(run.StepWaiting))
		Expect(one.Tries).NotTo(BeEmpty())
		Expect(one.Until).NotTo(BeNil())
		w.stop()
		r.start(p)
		record := r.ended("f", e)
		one = stepOf(record, "one")
		Expect(one.Attempts).To(Equal(4))
		Expect(string(one.Output)).To(Equal(`"done"`))
		Expect(one.Tries).To(HaveLen(3))
		for i, t := range one.Tries {
			Expect(t.Error).To(Equal(fmt.Sprint("failure ", i+1)))
			Expect(t.Millis).To(And(BeNumerically(">=", 10*(i+1)), BeNumerically("<", 30_000)))
			if i > 0 {
				Expect(t.Start).To(BeTemporally(">", one.Tries[i-1].Start.Add(80*time.Millisecond)))
			}
		}
		Expect(*one.Start).To(BeTemporally(">", one.Tries[2].Start))
		two := stepOf(record, "two")
		Expect(two.Status).To(Equal(run.StepFailed))
		Expect(two.Tries).To(HaveLen(3), "the last one is among them")
		Expect(two.Tries[2].Start).To(BeTemporally("==", *two.Start))
		Expect(two.Error).To(Equal("failure 3"))
	})

	It("keeps the last 20 attempts, and the beginning of their errors", func() {
		r := newRig()
		wildout.Add(r.handlers, "broken", func(ctx context.Context, _ struct{}) (string, error) {
			return "", fmt.Errorf("failure %d %s", wildout.Info(ctx).Attempt, strings.Repeat("é", 5000))
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: one, handler: broken, retryPolicy: {maxAttempts: 25, initialInterval: 1ms, multiplier: "1"}}]`))
		one := stepOf(r.ended("f", r.send("a", `{}`)), "one")
		Expect(one.Attempts).To(Equal(25))
		Expect(one.Tries).To(HaveLen(20))
		Expect(one.Tries[0].Error).To(HavePrefix("failure 6 é"))
		Expect(one.Tries[19].Error).To(HavePrefix("failure 25 é"))
		Expect(len(one.Tries[0].Error)).To(BeNumerically("<", 300))
	})

	It("has the elements of a list and the sub-steps of handlers", func() {
		r := newRig()
		wildout.Add(r.handlers, "pack", func(ctx context.Context, in struct {
			Item int `json:"item"`
		}) (int, error) {
			weight, err := wildout.Step(ctx, "weigh", func(context.Context) (int, error) { return 10 * in.Item, nil })
			if err == nil && in.Item == 2 && wildout.Info(ctx).Attempt == 1 {
				err = errors.New("dropped")
			}
			return weight + 1, err
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: list, forEach: "${[1, 2]}", maxParallel: 2, handler: pack, with: {item: "${item}"}, retryPolicy: {initialInterval: 20ms}}
			- {name: none, forEach: "${[]}", handler: pack}
			- {name: one, handler: pack, with: {item: 7}}`))
		record := r.ended("f", r.send("a", `{}`))
		Expect(paths(record)).To(Or( // sub-steps are there by their beginning, and both elements began at once
			Equal([]string{"list", "list[0]", "list[1]", "list[0]/weigh", "list[1]/weigh", "none", "one", "one/weigh"}),
			Equal([]string{"list", "list[0]", "list[1]", "list[1]/weigh", "list[0]/weigh", "none", "one", "one/weigh"})))
		list := stepOf(record, "list")
		Expect(string(list.Output)).To(Equal("[11,21]"))
		Expect(list.Elements).To(Equal(2))
		Expect(stepOf(record, "list[1]").Tries).To(HaveLen(1))
		Expect(stepOf(record, "list[1]").Tries[0].Error).To(Equal("dropped"))
		Expect(string(stepOf(record, "list[1]/weigh").Output)).To(Equal("20"))
		Expect(string(stepOf(record, "one/weigh").Output)).To(Equal("70"))
	})

	It("has of a long list the elements that tell something", func() {
		r := newRig()
		wildout.Add(r.handlers, "pack", func(_ context.Context, in struct {
			Item int `json:"item"`
		}) (int, error) {
			if in.Item%10 == 9 {
				return 0, wildout.NonRetriable(errors.New("broken"))
			}
			return in.Item, nil
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps: [{name: list, forEach: "${lists.range(300)}", maxParallel: 20, handler: pack, with: {item: "${item}"}, onError: Continue}]`))
		record := r.ended("f", r.send("a", `{}`))
		Expect(stepOf(record, "list").Elements).To(Equal(300))
		Expect(record.Steps).To(HaveLen(51))
		failed := 0
		for _, s := range record.Steps[1:] {
			if s.Status == "failed" {
				failed++
			}
		}
		Expect(failed).To(Equal(30))
		Expect(stepOf(record, "list[0]").Status).To(Equal(run.StepOK))
	})

	It("has waits from their beginning to their end, however late the run went on", func() {
		r := newRig()
		r.start(compile("child", `
			triggers: [{event: never}]
			steps: [{name: nap, sleep: 100ms}]`))
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: pure, set: "${'now'}"}
			- {name: skipped, if: "false", handler: echo}
			- {name: nap, sleep: 100ms}
			- {name: call, invoke: {function: child}}
			- {name: paid, waitForEvent: {event: b, timeout: 10m}}
			- {name: late, waitForEvent: {event: c, timeout: 50ms}}
			- {name: done, set: "${'done'}"}`))
		e := r.send("a", `{}`)
		Eventually(func() []string { return dialKeys(r, "*:wait:*") }).ShouldNot(BeEmpty())
		time.Sleep(200 * time.Millisecond)
		sent := time.Now()
		r.send("b", `{}`)
		record := r.ended("f", e)
		at := func(path string) int64 { return stepOf(record, path).Start.Sub(record.StartedAt).Milliseconds() }
		end := func(path string) int64 { return at(path) + stepOf(record, path).Millis }
		took := func(path string) int64 { return stepOf(record, path).Millis }
		Expect(at("pure")).To(BeNumerically(">=", 0))
		Expect(stepOf(record, "skipped").Status).To(Equal(run.StepSkipped))
		Expect(at("skipped")).To(BeNumerically(">=", end("pure")))
		Expect(at("nap")).To(BeNumerically(">=", end("skipped")))
		Expect(took("nap")).To(Equal(int64(100)))
		Expect(at("call")).To(BeNumerically(">=", end("nap")))
		Expect(took("call")).To(BeNumerically(">=", 100))
		Expect(at("paid")).To(BeNumerically(">=", end("call")))
		Expect(end("paid")).To(BeNumerically(">=", sent.Sub(record.StartedAt).Milliseconds()-5))
		Expect(at("late")).To(BeNumerically(">=", end("paid")))
		Expect(took("late")).To(BeNumerically(">=", 50))
		Expect(at("done")).To(Equal(end("late")))
		Expect(*record.EndedAt).To(BeTemporally(">=", record.StartedAt.Add(time.Duration(end("late"))*time.Millisecond)))
		Expect(record.EndedAt.Sub(sent)).To(BeNumerically("<", time.Minute), "no wait took its timeout that need not")
	})

	It("says how far a run that has not ended has come", func() {
		r := newRig()
		wildout.Add(r.handlers, "broken", func(context.Context, struct{}) (int, error) { return 0, errors.New("not yet") })
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: one, handler: echo, with: {name: one}}
			- {name: nap, sleep: 30ms}
			- {name: two, needs: [nap], handler: broken, retryPolicy: {initialInterval: 5m}}
			- {name: paid, needs: [nap], waitForEvent: {event: b, timeout: 1h}}
			- {name: sleep, needs: [nap], sleep: 1h}`))
		e := r.send("a", `{}`)
		var record run.Record
		Eventually(func() ([]string, error) {
			open, err := r.inspect.Unended(context.Background(), "f", r.runOf("f", e))
			if open != nil {
				record = *open
			}
			return paths(record), err
		}, "3s").Should(ConsistOf("one", "nap", "two", "paid", "sleep"))
		Expect(string(stepOf(record, "one").Output)).To(Equal(`{"name":"one"}`))
		Expect(stepOf(record, "nap").Status).To(Equal(run.StepOK))
		Expect(stepOf(record, "nap").Millis).To(Equal(int64(30)))
		for path, due := range map[string]time.Duration{"two": 5 * time.Minute, "paid": time.Hour, "sleep": time.Hour} {
			s := stepOf(record, path)
			Expect(s.Status).To(Equal(run.StepWaiting), path)
			Expect(*s.Until).To(BeTemporally("~", time.Now().Add(due), 2*time.Minute), path)
		}
		Expect(stepOf(record, "two").Tries).To(HaveLen(1))
	})

	It("keeps what outputs are, if they are small", func() {
		r := newRig()
		wildout.Add(r.handlers, "long", func(_ context.Context, in struct {
			Pairs int `json:"pairs"`
		}) (map[string]string, error) {
			return map[string]string{"text": strings.Repeat("ö\"", in.Pairs)}, nil
		})
		r.start(compile("f", `
			triggers: [{event: a}]
			steps:
			- {name: small, handler: long, with: {pairs: 2}}
			- {name: large, handler: long, with: {pairs: 5000}}
			- {name: many, forEach: "${lists.range(20)}", handler: long, with: {pairs: 200}}
			- {name: nap, sleep: 1h}`))
		e := r.send("a", `{}`)
		r.waits("f", 1)
		open, err := r.inspect.Unended(context.Background(), "f", r.runOf("f", e))
		Expect(err).NotTo(HaveOccurred())
		r.cancels("f", e, "")
		for what, record := range map[string]run.Record{"open": *open, "ended": r.ended("f", e)} {
			small, large := stepOf(record, "small"), stepOf(record, "large")
			Expect(string(small.Output)).To(Equal(`{"text":"ö\"ö\""}`), what)
			Expect(small.OutputBytes).To(BeZero(), what)
			Expect(string(large.Output)).To(HavePrefix(`"{\"text\":\"ö`), what)
			Expect(string(large.Output)).To(HaveSuffix(`…"`), what)
			Expect(large.OutputBytes).To(BeNumerically(">", 15_000), what)
			Expect(len(large.Output)).To(BeNumerically("<", 1500), what)
			total := 0
			for _, s := range record.Steps {
				total += len(s.Output)
			}
			Expect(total).To(BeNumerically("<", 9000), what)
			Expect(total).To(BeNumerically(">", 4000), what)
		}
	})
})
