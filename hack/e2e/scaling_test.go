package e2e_test

import (
	"fmt"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// awake is how long a function without runners may take to begin.
const awake = 3 * time.Second

var _ = Describe("Scaling", func() {
	It("goes to zero, and wakes for an event, a timer and a cron tick within 3 s", func() {
		sender, redis := newSender(), openStore(home)
		var all sync.WaitGroup
		woken := lateness{}
		each := func(n int, what string, measure func(i int) []time.Duration) {
			for i := range n {
				all.Go(func() {
					defer GinkgoRecover()
					woken.add(what, measure(i)...)
				})
			}
		}
		const window = "stabilizationWindow: 2s"
		each(3, "an event", func(i int) (late []time.Duration) {
			eventType := fmt.Sprintf("scale/event-%d", i)
			key := apply(home, fmt.Sprintf("scale-event-%d", i), fmt.Sprintf(`
triggers: [{event: %s}]
steps: [{name: note, handler: log.write, with: {message: "noted ${event.id}"}}]
runner: {scaling: {max: 2, %s}}
`, eventType, window))
			for round := range 12 {
				sleeps(key)
				id := fmt.Sprintf("%s-%d-%d", key.Name, GinkgoRandomSeed(), round)
				sender.send(eventType, id, map[string]any{})
				record := awaitRun(redis, key.Name, id, time.Minute)
				entry, err := inspect.New(redis).Locate(ctx, eventType, id)
				Expect(err).NotTo(HaveOccurred())
				late = append(late, record.StartedAt.Sub(event.EntryTime(entry.ID)))
			}
			return late
		})
		// Longer than the next timer keeps a runner.
		const nap = 90 * time.Second
		each(4, "a timer", func(i int) (late []time.Duration) {
			eventType := fmt.Sprintf("scale/timer-%d", i)
			key := apply(home, fmt.Sprintf("scale-timer-%d", i), fmt.Sprintf(`
triggers: [{event: %s}]
steps:
- {name: nap, sleep: %s}
- {name: note, handler: log.write, with: {message: "noted ${event.id}"}}
runner: {scaling: {max: 2, %s}}
`, eventType, nap, window))
			for round := range 3 {
				sleeps(key)
				id := fmt.Sprintf("%s-%d-%d", key.Name, GinkgoRandomSeed(), round)
				sender.send(eventType, id, map[string]any{})
				sleeps(key)
				record := awaitRun(redis, key.Name, id, nap+time.Minute)
				late = append(late, record.EndedAt.Sub(record.Steps[0].Start.Add(nap)))
			}
			return late
		})
		each(2, "a cron tick", func(i int) (late []time.Duration) {
			key := apply(home, fmt.Sprintf("scale-cron-%d", i), fmt.Sprintf(`
triggers: [{cron: "%d/2 * * * *"}]
steps: [{name: note, handler: log.write, with: {message: "tick ${event.id}"}}]
runner: {scaling: {max: 2, %s}}
`, i, window))
			for round := range 2 {
				sleeps(key)
				Eventually(func() int { return len(history(redis, key.Name)) }, 150*time.Second).Should(BeNumerically(">", round))
			}
			for _, record := range history(redis, key.Name) {
				late = append(late, record.StartedAt.Sub(record.StartedAt.Truncate(time.Minute)))
			}
			return late
		})
		all.Wait()
		Expect(woken.all).To(HaveLen(3))
		for what, late := range woken.all {
			slices.Sort(late)
			AddReportEntry("woken by "+what, fmt.Sprintf("%d times: half of them within %s, the slowest in %s", len(late), late[len(late)/2], late[len(late)-1]))
			Expect(late[len(late)-1]).To(BeNumerically("<=", awake), what)
		}
	})

	It("follows the backlog up and down, and loses nothing", func() {
		const eventType, events = "scale/many", 400
		sender, redis := newSender(), openStore(home)
		spec := func(more string) string {
			return flowing(eventType, "throttle: {limit: 20, period: 1s, burst: 20}\nrunner: {scaling: {min: 0, max: 4, targetBacklog: 50, stabilizationWindow: 3s}}\n"+more)
		}
		key := apply(home, "scale-many", spec("suspend: true"))
		Eventually(state(key, v1alpha1.ConditionReady)).Should(Equal("True/Suspended"))
		for i := range events {
			sender.send(eventType, fmt.Sprintf("many-%d-%d", GinkgoRandomSeed(), i), map[string]any{"n": i})
		}
		Expect(runners(key)).To(BeEmpty())
		apply(home, key.Name, spec(""))
		most := 0
		Eventually(func() int64 {
			most = max(most, len(runners(key)))
			st, err := inspect.New(redis).Stats(ctx, key.Name, []string{eventType})
			Expect(err).NotTo(HaveOccurred())
			return st.Succeeded
		}, 2*time.Minute).Should(Equal(int64(events)))
		Expect(most).To(Equal(4))
		sleeps(key)
		Expect(history(redis, key.Name)).To(HaveLen(events))
	})

	It("has one owner: kubectl scale sets replicas, and is refused beside scaling", func() {
		fixed := apply(home, "scale-fixed", plain+"runner: {replicas: 1}")
		becomesReady(fixed)
		execute(".", "kubectl", "scale", "wfn/"+fixed.Name, "--namespace", home, "--replicas=3")
		Eventually(func() int { return len(runners(fixed)) }).Should(Equal(3))
		becomesReady(fixed)
		Expect(get(fixed).Status.Replicas).To(BeEquivalentTo(3))

		owned := apply(home, "scale-owned", plain+"runner: {scaling: {min: 1, max: 2}}")
		becomesReady(owned)
		_, err := printed(".", "kubectl", "scale", "wfn/"+owned.Name, "--namespace", home, "--replicas=3")
		Expect(err).To(MatchError(ContainSubstring("scaling decides how many runners there are")))
		Expect(runners(owned)).To(HaveLen(1))
	})
})

// lateness is how late things were, by what they waited for.
type lateness struct {
	mu  sync.Mutex
	all map[string][]time.Duration
}

func (l *lateness) add(what string, late ...time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string][]time.Duration{}
	}
	l.all[what] = append(l.all[what], late...)
}

// sleeps waits until a function has no runners, and is Ready all the same.
func sleeps(key client.ObjectKey) {
	GinkgoHelper()
	Eventually(state(key, v1alpha1.ConditionRunnersAvailable), 90*time.Second).Should(Equal("True/ScaledToZero"))
	Eventually(func() int { return len(runners(key)) }, time.Minute).Should(BeZero())
	Expect(state(key, v1alpha1.ConditionReady)()).To(Equal("True/Ready"))
}

// awaitRun waits for the end of the run of an event.
func awaitRun(redis *store.Conn, function, eventID string, within time.Duration) (record run.Record) {
	GinkgoHelper()
	Eventually(func() bool {
		for _, r := range history(redis, function) {
			if r.EventID == eventID {
				record = r
				return true
			}
		}
		return false
	}, within).Should(BeTrue(), "the run of event %s", eventID)
	return record
}

func history(redis *store.Conn, function string) []run.Record {
	GinkgoHelper()
	all, err := inspect.New(redis).History(ctx, function, 1_000_000)
	Expect(err).NotTo(HaveOccurred())
	return all
}
