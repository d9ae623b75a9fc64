package store_test

import (
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
)

// sent is how many bytes the server has sent so far, to everybody.
func sent() int {
	GinkgoHelper()
	rdb := redis.NewClient(&redis.Options{Addr: shared.Addr})
	defer rdb.Close()
	text, err := rdb.Info(ctx, "stats").Result()
	Expect(err).NotTo(HaveOccurred())
	_, rest, _ := strings.Cut(text, "total_net_output_bytes:")
	n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
	Expect(err).NotTo(HaveOccurred())
	return n
}

var _ = Describe("the numbers of functions", func() {
	It("are read once: what ended in each way, who lives, how long what waits has waited", func() {
		b := newBench()
		c := b.committer()
		b.alive("r1")
		b.dies("dead")
		for _, f := range []runs.Finish{{}, {}, {Failed: true}, {Cancelled: true}, {Count: "duplicate"}, {Count: "dropped"}} {
			f.Ref = b.begin("r1")
			if f.Count == "" {
				f.Record = record(f.Ref.RunID)
			}
			Expect(c.Finish(ctx, f)).To(BeTrue())
		}
		due := time.Now().Add(-time.Hour)
		Expect(c.Park(ctx, runs.Park{Ref: b.begin("r1"), Meta: []byte(`{}`), Due: due})).To(Equal(runs.ParkOK))
		Expect(c.Park(ctx, runs.Park{Ref: b.begin("r1"), Meta: []byte(`{}`)})).To(Equal(runs.ParkOK))
		b.begin("r1")
		b.publish(`{}`)
		all, err := b.inspect.Survey(ctx, []inspect.Subject{{Namespace: b.namespace, Function: "f", Types: []string{"a"}, Aged: true}})
		Expect(err).NotTo(HaveOccurred())
		n := all[0]
		Expect(n.Err).NotTo(HaveOccurred())
		want := inspect.Stats{Unread: 1, Pending: 1, Waiting: 2, Due: 1, Succeeded: 2, Failed: 1, Cancelled: 1, Dropped: 1, Duplicate: 1, Runners: 1}
		Expect(n.Stats).To(Equal(want))
		Expect(n.OldestDue).To(BeNumerically("~", time.Hour, time.Minute))
		Expect(n.OldestUnread).To(And(BeNumerically(">", 0), BeNumerically("<", time.Minute)))
		Expect(b.inspect.Stats(ctx, "f", []string{"a"})).To(Equal(want))
	})

	It("count what the server does not, beyond a page, and up to what is enough", func() {
		b := newBench()
		batch := make([]*event.Event, 1200)
		for i := range batch {
			batch[i] = &event.Event{Type: "a", Data: []byte(`{}`)}
		}
		Expect(b.Publish(ctx, batch...)).To(Succeed())
		entries := b.rdb.XRange(ctx, b.keys.Stream("a"), "-", "+").Val()
		for at, unread := range map[int]int64{1199: 0, 1198: 1, 1099: 100, 949: 250, 0: 1000} {
			Expect(b.rdb.XGroupSetID(ctx, b.keys.Stream("a"), "f", entries[at].ID).Err()).To(Succeed())
			Expect(b.inspect.Stats(ctx, "f", []string{"a"})).To(HaveField("Unread", unread))
		}
	})

	It("come without a byte of what is in the events", func() {
		b := newBench()
		const large = 300_000
		for range 3 {
			b.publish(`"` + strings.Repeat("x", large) + `"`)
		}
		entries := b.rdb.XRange(ctx, b.keys.Stream("a"), "-", "+").Val()
		Expect(b.rdb.XGroupSetID(ctx, b.keys.Stream("a"), "f", entries[0].ID).Err()).To(Succeed())
		sleeper := inspect.Sleeper{Namespace: b.namespace, Function: "f", Read: map[string]string{b.keys.Stream("a"): entries[0].ID}}
		before := sent()
		all, err := b.inspect.Survey(ctx, []inspect.Subject{{Namespace: b.namespace, Function: "f", Types: []string{"a"}, Scaled: true, Aged: true}})
		Expect(err).NotTo(HaveOccurred())
		Expect(all[0].Unread).To(Equal(int64(2)))
		Expect(b.inspect.HaveNews(ctx, []inspect.Sleeper{sleeper})).To(Equal([]bool{true}))
		states, err := b.inspect.SurveyStreams(ctx, []inspect.StreamRef{{Namespace: b.namespace, Type: "a"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(states[0].Length).To(Equal(int64(3)))
		Expect(states[0].Bytes).To(BeNumerically(">", large))
		Expect(states[0].Oldest).To(Equal(event.EntryTime(entries[0].ID)))
		Expect(states[0].Newest).To(Equal(event.EntryTime(entries[2].ID)))
		Expect(sent()-before).To(BeNumerically("<", large/2), "bytes that came")
	})

	It("say of each sleeper whether there is something, whoever else reads less", func() {
		b := newBench()
		for range 3 {
			b.publish(`{}`)
		}
		e := b.rdb.XRange(ctx, b.keys.Stream("a"), "-", "+").Val()
		sleeper := func(name, read string) inspect.Sleeper {
			return inspect.Sleeper{Namespace: b.namespace, Function: name, Read: map[string]string{b.keys.Stream("a"): read}}
		}
		sleepers := []inspect.Sleeper{sleeper("behind", "0-0"), sleeper("f", e[1].ID), sleeper("ahead", e[2].ID)}
		Expect(b.inspect.HaveNews(ctx, sleepers)).To(Equal([]bool{true, true, false}))
	})

	It("of others are there where one key is not what it should be", func() {
		b := newBench()
		b.publish(`{}`)
		Expect(b.rdb.Set(ctx, b.keys.Stream("broken"), 1, 0).Err()).To(Succeed())
		subjects := []inspect.Subject{{Namespace: b.namespace, Function: "f", Types: []string{"a"}}, {Namespace: b.namespace, Function: "g", Types: []string{"broken"}}}
		all, err := b.inspect.Survey(ctx, subjects)
		Expect(err).NotTo(HaveOccurred())
		Expect(all[0].Err).NotTo(HaveOccurred())
		Expect(all[0].Unread).To(Equal(int64(1)))
		Expect(all[1].Err).To(MatchError(ContainSubstring("another application")))
		states, err := b.inspect.SurveyStreams(ctx, []inspect.StreamRef{{Namespace: b.namespace, Type: "broken"}, {Namespace: b.namespace, Type: "a"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(states[0]).To(Equal(inspect.StreamState{}))
		Expect(states[1].Length).To(Equal(int64(1)))
		read := map[string]string{b.keys.Stream("broken"): "0-0", b.keys.Stream("a"): "0-0"}
		Expect(b.inspect.HaveNews(ctx, []inspect.Sleeper{{Namespace: b.namespace, Function: "f", Read: read}})).To(Equal([]bool{true}))
	})

	It("are read after Redis has lost its scripts", func() {
		b := newBench()
		b.publish(`{}`)
		read := map[string]string{b.keys.Stream("a"): "0-0"}
		for range 2 {
			Expect(b.rdb.ScriptFlush(ctx).Err()).To(Succeed())
			Expect(b.inspect.HaveNews(ctx, []inspect.Sleeper{{Namespace: b.namespace, Function: "f", Read: read}})).To(Equal([]bool{true}))
		}
	})
})
