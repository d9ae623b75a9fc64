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

// pause is how long a run of the function below sleeps between its two steps.
const pause = 300 * time.Millisecond

// flowing is a function whose runs write, sleep and write.
func flowing(eventType, more string) string {
	return fmt.Sprintf(`
triggers: [{event: %s}]
steps:
- {name: before, handler: log.write, with: {message: "before ${event.id}", level: debug}}
- {name: nap, sleep: %s}
- {name: after, handler: log.write, with: {message: "after ${event.id}", level: debug}}
history: {limit: 100000}
%s`, eventType, pause, more)
}

// flow is events that keep coming, and what becomes of them.
type flow struct {
	function  client.ObjectKey
	eventType string
	inspect   *inspect.Inspector

	stop chan struct{}
	sent sync.WaitGroup
	mu   sync.Mutex
	ids  []string
}

// startFlow sends that many events a second until end is called.
func startFlow(s sender, redis *store.Conn, function client.ObjectKey, eventType string, perSecond int) *flow {
	f := &flow{function: function, eventType: eventType, inspect: inspect.New(redis), stop: make(chan struct{})}
	const senders = 8
	for i := range senders {
		f.sent.Go(func() {
			defer GinkgoRecover()
			tick := time.NewTicker(time.Second * senders / time.Duration(perSecond))
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-f.stop:
					return
				case <-tick.C:
				}
				id := fmt.Sprintf("%s-%d-%d-%d", function.Name, GinkgoRandomSeed(), i, n)
				s.send(eventType, id, map[string]any{"n": n})
				f.mu.Lock()
				f.ids = append(f.ids, id)
				f.mu.Unlock()
			}
		})
	}
	return f
}

// end stops the flow and waits until every event has its run: each exactly
// one, that succeeded.
func (f *flow) end(within time.Duration) {
	GinkgoHelper()
	close(f.stop)
	f.sent.Wait()
	Eventually(func() (string, error) {
		st, err := f.inspect.Stats(ctx, f.function.Name, []string{f.eventType})
		return fmt.Sprintf("%d succeeded, %d failed, %d unread, %d in flight, %d waiting",
			st.Succeeded, st.Failed, st.Unread, st.Pending, st.Waiting), err
	}, within).Should(Equal(fmt.Sprintf("%d succeeded, 0 failed, 0 unread, 0 in flight, 0 waiting", len(f.ids))))
	runs := map[string]int{}
	for _, r := range f.history() {
		runs[r.EventID]++
		Expect(r.Status).To(Equal(run.Succeeded), "run %s: %s", r.ID, r.Error)
	}
	for _, id := range f.ids {
		Expect(runs[id]).To(Equal(1), "runs of event %s", id)
	}
}

func (f *flow) history() []run.Record {
	GinkgoHelper()
	all, err := f.inspect.History(ctx, f.function.Name, 1_000_000)
	Expect(err).NotTo(HaveOccurred())
	return all
}

// lateness is how much later than need be each run ended, sorted: from its
// event being in the stream, by the clock of Redis, without the nap.
func (f *flow) lateness() []time.Duration {
	GinkgoHelper()
	all := make([]time.Duration, 0, len(f.ids))
	published := f.published()
	for _, r := range f.history() {
		all = append(all, r.EndedAt.Sub(published[r.EventID])-pause)
	}
	slices.Sort(all)
	return all
}

// published is when each event came, by the clock of Redis.
func (f *flow) published() map[string]time.Time {
	GinkgoHelper()
	all := map[string]time.Time{}
	for _, id := range f.ids {
		entry, err := f.inspect.Locate(ctx, f.eventType, id)
		Expect(err).NotTo(HaveOccurred())
		all[id] = event.EntryTime(entry.ID)
	}
	return all
}

func report(what string, late []time.Duration) {
	at := func(part float64) time.Duration { return late[min(len(late)-1, int(float64(len(late))*part))] }
	AddReportEntry(what, fmt.Sprintf("%d runs; later than need be: half of them by %s, 99%% by at most %s, 99.9%% by %s, the last by %s",
		len(late), at(0.5), at(0.99), at(0.999), late[len(late)-1]))
}

var _ = Describe("A change of a function", func() {
	It("under 200 events a second loses none and makes none later than a second", func() {
		const eventType = "rolling/tested"
		sender, redis := newSender(), openStore(home)
		key := apply(home, "rolling", flowing(eventType, "runner: {replicas: 2}"))
		becomesReady(key)
		flow := startFlow(sender, redis, key, eventType, 200)
		time.Sleep(5 * time.Second)
		for change := range 3 {
			By(fmt.Sprintf("change %d", change+1))
			apply(home, key.Name, flowing(eventType, fmt.Sprintf("runner: {replicas: 2}\ntimeout: %dm", change+5)))
			Eventually(state(key, v1alpha1.ConditionReady), time.Minute).Should(Equal("True/Ready"))
			Eventually(func() int { return len(runners(key)) }, time.Minute).Should(Equal(2), "the earlier runners are to be gone")
		}
		time.Sleep(5 * time.Second)
		flow.end(30 * time.Second)
		late := flow.lateness()
		report("a rolling update", late)
		Expect(late[len(late)-1]).To(BeNumerically("<=", time.Second))
	})
})
