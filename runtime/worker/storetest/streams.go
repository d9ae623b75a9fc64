package storetest

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// holdsForStreams makes the specs of what is read, and of what is kept.
func holdsForStreams(begin func() *site) {
	It("gives each event to one runner, from the first one on", func() {
		s := begin()
		stream := s.keys.Stream(eventType)
		seen := map[string]string{}
		for i := range 6 {
			s.publish()
			runner := fmt.Sprint("r", i%2)
			for _, e := range s.read(runner, stream) {
				if owner := seen[e.ID]; owner != "" {
					Expect(owner).To(Equal(runner))
				}
				seen[e.ID] = runner
			}
		}
		Expect(seen).To(HaveLen(6))
	})

	It("ends a read that waits when the reader is closed", func() {
		s := begin()
		reader := s.Store.NewReader(function, "r1", store.FromBeginning)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				if _, err := reader.Read(ctx, []string{s.keys.Stream(eventType)}, 1, 5*time.Second); err != nil && !store.Temporary(err) {
					return
				}
			}
		}()
		Consistently(ended, "200ms").ShouldNot(BeClosed())
		Expect(reader.Close()).To(Succeed())
		Eventually(ended, patience).Should(BeClosed())
	})

	It("reads on where a stream was deleted meanwhile", func() {
		s := begin()
		stream := s.keys.Stream("new")
		reader := s.Store.NewReader(function, "r1", store.FromBeginning)
		DeferCleanup(reader.Close)
		again(func() ([]store.Entry, error) {
			entries, err := reader.Read(ctx, []string{stream}, 1, 0)
			return entries, store.Explain(err)
		})
		done(func() error { return s.Store.EnsureGroups(ctx, function, store.FromBeginning, "new") })
		again(func() ([]store.Entry, error) {
			entries, err := reader.Read(ctx, []string{stream}, 1, 0)
			return entries, store.Explain(err)
		})
	})

	It("shows what comes next without giving it to anybody", func() {
		s := begin()
		stream := s.keys.Stream(eventType)
		s.publish()
		read := s.read("r1", stream)
		s.publish()
		upTo := again(func() (map[string]string, error) {
			return s.Store.ReadUpTo(ctx, function, []string{stream, s.keys.Stream("not there")})
		})
		Expect(upTo).To(Equal(map[string]string{stream: read[0].ID, s.keys.Stream("not there"): "0-0"}))
		reader := s.Store.NewReader(function, "r1", store.FromBeginning)
		DeferCleanup(reader.Close)
		for range 2 {
			next := again(func() ([]store.Entry, error) {
				return reader.After(ctx, map[string]string{stream: read[0].ID}, 10, -1)
			})
			Expect(next).To(HaveLen(1))
		}
		Expect(s.read("r2", stream)).To(HaveLen(1), "it is there to be read")
	})

	It("remembers what a function has read and what its runs wait on, of any version", func() {
		s := begin()
		done(func() error { return s.Store.EnsureGroups(ctx, function, store.FromBeginning, "a", "b") })
		done(func() error { return s.Store.EnsureGroups(ctx, function, store.FromBeginning, "b", "c") })
		Expect(again(func() ([]string, error) { return s.Store.Reads(ctx, function) })).To(ConsistOf("a", "b", "c"))
		paths := []run.WaitPath{{EventType: "b", Match: "data.id"}, {EventType: "c"}}
		again(func() (bool, error) { return s.Store.RegisterWaits(ctx, function, paths) })
		Expect(again(func() (bool, error) { return s.Store.RegisterWaits(ctx, function, paths[:1]) })).To(BeFalse())
		Expect(again(func() ([]run.WaitPath, error) { return s.Store.WaitPaths(ctx, function) })).To(ConsistOf(paths[0], paths[1]))
		Expect(s.beat("r1", true)).To(And(HaveField("WaitPaths", 2), HaveField("Reads", 3)))
	})

	It("keeps the version that a run began with", func() {
		s := begin()
		c := s.committer()
		save := func(version string) {
			GinkgoHelper()
			done(func() error { return s.Store.SavePlan(ctx, function, version, []byte(`{"v":"`+version+`"}`)) })
		}
		plans := func() map[string]string {
			GinkgoHelper()
			return again(func() (map[string]string, error) { return s.Store.Plans(ctx, function) })
		}
		save("v1")
		park(c, parkedForever(s.begin("r1")))
		save("v2")
		save("v3")
		Expect(plans()).To(And(HaveKeyWithValue("v1", `{"v":"v1"}`), HaveKeyWithValue("v3", `{"v":"v3"}`)))
	})

	It("removes nothing that is still needed", func() {
		s := begin()
		stream := s.keys.Stream(eventType)
		for range 300 {
			s.publish()
		}
		done(func() error { return s.Store.Trim(ctx, eventType, time.Nanosecond, 1) })
		Expect(s.entries(stream)).To(HaveLen(300))
		period, most := again2(func() (time.Duration, int64, error) { return s.Store.Retention(ctx, eventType) })
		Expect(period).To(Equal(store.DefaultRetention.Period))
		Expect(most).To(BeZero())
	})
}

// again2 is again for two answers.
func again2[A, B any](call func() (A, B, error)) (a A, b B) {
	GinkgoHelper()
	done(func() (err error) {
		a, b, err = call()
		return err
	})
	return a, b
}

// parkedForever waits for what never comes.
func parkedForever(ref *run.Ref) runs.Park { return runs.Park{Ref: ref, Awaits: []string{"never"}} }
