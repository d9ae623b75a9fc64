package worker_test

import (
	"encoding/json"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/plan"
)

// every ticks at multiples of an interval.
type every time.Duration

func (e every) Next(t time.Time) time.Time {
	return t.Truncate(time.Duration(e)).Add(time.Duration(e))
}

// cronPlan compiles a cron function that ticks at an interval of less than the
// minute that an expression can say.
func cronPlan(interval time.Duration) *plan.Plan {
	p := compile("f", `
		triggers: [{cron: "0 3 * * *"}]
		steps: [{name: one, handler: echo, with: {name: "${event.data.tick}"}}]
		output: "${event.data.tick}"`)
	p.Triggers[0].Schedule = every(interval)
	return p
}

var _ = Describe("cron", func() {
	It("starts one run per tick, however many workers there are", func() {
		r := newRig()
		p := cronPlan(300 * time.Millisecond)
		began := time.Now()
		for _, name := range []string{"a", "b", "c"} {
			r.start(p, named(name))
		}
		Eventually(func() int { return len(r.history("f")) }).Should(BeNumerically(">=", 6))
		runs := r.history("f")
		Expect(len(runs)).To(BeNumerically("<=", int(time.Since(began)/(300*time.Millisecond))+1))
		ids := map[string]int{}
		for _, run := range runs {
			ids[run.ID]++
			Expect(run.EventType).To(Equal("wildout/cron.tick"))
		}
		Expect(ids).To(HaveLen(len(runs)))
	})

	It("makes up for missed ticks with one run, and starts nothing for what was before it", func() {
		r := newRig()
		p := cronPlan(time.Second)
		// ticks are those that started a run, in their order.
		ticks := func() (all []time.Time) {
			for _, run := range r.history("f") {
				at, err := time.Parse(`"`+time.RFC3339+`"`, string(run.Output))
				Expect(err).NotTo(HaveOccurred())
				all = append(all, at)
			}
			slices.SortFunc(all, time.Time.Compare)
			return all
		}
		began := time.Now()
		first := r.start(p)
		Eventually(ticks).ShouldNot(BeEmpty())
		first.stop()
		before := ticks()
		Expect(before[0]).To(BeTemporally(">=", began.Truncate(time.Second)), "a new schedule starts nothing for the past")
		stopped := before[len(before)-1]
		time.Sleep(time.Until(stopped.Add(4 * time.Second))) // ticks are missed
		again := time.Now()
		second := r.start(p)
		Eventually(func() int { return len(ticks()) }).Should(BeNumerically(">=", len(before)+3))
		second.stop()
		after := ticks()[len(before):]
		Expect(after[0]).To(BeTemporally(">=", again.Truncate(time.Second)), "one run for all that were missed, with the last of their ticks")
		for i, at := range after[1:] {
			Expect(at).To(BeTemporally(">", after[i]))
		}
	})

	It("starts nothing for the past of a new schedule", func() {
		r := newRig()
		p := cronPlan(time.Minute)
		if next := every(time.Minute).Next(time.Now()); time.Until(next) < 10*time.Second {
			time.Sleep(time.Until(next))
		}
		r.start(p)
		Consistently(func() int { return len(r.history("f")) }, "800ms").Should(BeZero())
		Expect(dialKeys(r, "*:cron")).To(HaveLen(1), "the schedule is not known")
	})

	It("ticks in its time zone", func() {
		p := compile("f", `
			triggers: [{cron: "30 3 * * *", timeZone: Asia/Kolkata}]
			steps: [{name: one, set: 1}]`)
		next := p.Triggers[0].Schedule.Next(time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC))
		Expect(next.UTC()).To(Equal(time.Date(2025, 3, 1, 22, 0, 0, 0, time.UTC)))
		Expect(p.Triggers[0].Cron).To(Equal("TZ=Asia/Kolkata 30 3 * * *"))
	})

	It("tells the run its tick, in UTC", func() {
		r := newRig()
		r.start(cronPlan(time.Second))
		Eventually(func() int { return len(r.history("f")) }).Should(BeNumerically(">=", 1))
		var tick string
		Expect(json.Unmarshal(r.history("f")[0].Output, &tick)).To(Succeed())
		at, err := time.Parse(time.RFC3339, tick)
		Expect(err).NotTo(HaveOccurred())
		Expect(at).To(BeTemporally("~", time.Now(), 10*time.Second))
		Expect(tick).To(HaveSuffix("Z"), "who reads the tick must not depend on the zone of the runner's machine")
	})
})
