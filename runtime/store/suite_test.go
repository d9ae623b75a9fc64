package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/acts"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/store/upkeep"
)

func TestStore(t *testing.T) {
	RegisterFailHandler(Fail)
	// A busy machine makes a test slow, not red.
	SetDefaultEventuallyTimeout(30 * time.Second)
	RunSpecs(t, "store")
}

var (
	shared     *servicetest.Redis
	namespaces atomic.Int64
	ctx        = context.Background()
)

var _ = BeforeSuite(func() { shared = servicetest.StartRedis(GinkgoTB()) })

// lease of the runners in these tests.
const lease = time.Minute

// bench is a namespace with a function f that reads event type a.
type bench struct {
	*store.Conn
	runs      *runs.Store
	inspect   *inspect.Inspector
	acts      *acts.Acts
	upkeep    *upkeep.Upkeep
	namespace string
	keys      store.Keys
	rdb       *redis.Client
}

func newBench() *bench {
	GinkgoHelper()
	namespace := fmt.Sprint("s", namespaces.Add(1))
	s, err := store.Open(store.Options{URL: shared.URL(), Namespace: namespace})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	rdb := redis.NewClient(&redis.Options{Addr: shared.Addr})
	DeferCleanup(rdb.Close)
	b := &bench{Conn: s, runs: runs.New(s), inspect: inspect.New(s), acts: acts.New(s), upkeep: upkeep.New(s), namespace: namespace, keys: s.Keys(), rdb: rdb}
	Expect(b.runs.EnsureGroups(ctx, "f", store.FromBeginning, "a")).To(Succeed())
	return b
}

// committer starts the group commit of a runner that is never fenced.
func (b *bench) committer() *runs.Committer {
	c := b.runs.NewCommitter("f", runs.HistoryLimits{Done: 100, Dead: 100}, nil)
	DeferCleanup(c.Close)
	return c
}

// publish appends an event of type a.
func (b *bench) publish(data string) *event.Event {
	GinkgoHelper()
	e := &event.Event{Type: "a", Data: []byte(data)}
	Expect(b.Publish(ctx, e)).To(Succeed())
	return e
}

// read gives up to n new entries of a stream to a runner.
func (b *bench) read(runner, stream string, n int) []store.Entry {
	GinkgoHelper()
	r := b.runs.NewReader("f", runner, store.FromBeginning)
	defer r.Close()
	entries, err := r.Read(ctx, []string{stream}, n, 0)
	Expect(err).NotTo(HaveOccurred())
	return entries
}

// begin publishes an event and gives it to a runner, which lives.
func (b *bench) begin(runner string) *runs.Ref {
	GinkgoHelper()
	b.publish(`{}`)
	b.alive(runner)
	e := b.read(runner, b.keys.Stream("a"), 1)[0]
	return &runs.Ref{Function: "f", RunID: store.RunID("f", "a", e.ID), Stream: e.Stream, Entry: e.ID, Runner: runner, Version: "v1"}
}

func (b *bench) alive(runner string) {
	GinkgoHelper()
	beat, err := b.runs.Beat(ctx, "f", runner, lease, true)
	Expect(err).NotTo(HaveOccurred())
	Expect(beat.Fenced).To(BeFalse())
}

// dies makes a runner silent for longer than its lease.
func (b *bench) dies(runner string) {
	GinkgoHelper()
	Expect(b.rdb.ZAdd(ctx, b.keys.Runners("f"), redis.Z{Score: 1000, Member: runner}).Err()).To(Succeed())
}

// record is a history entry.
func record(id string) []byte {
	return run.AppendRecord(nil, &run.Record{ID: id, Status: run.Succeeded, StartedAt: time.Now()})
}

func (b *bench) pending(stream string) int64 {
	GinkgoHelper()
	p, err := b.rdb.XPending(ctx, stream, "f").Result()
	Expect(err).NotTo(HaveOccurred())
	return p.Count
}

// claim lets r2 take over entries of a dead runner.
func (b *bench) claim(dead, stream, after string, most int) ([]store.Entry, error) {
	return b.runs.Claim(ctx, runs.Claim{Function: "f", Runner: "r2", Dead: dead, Stream: stream, After: after, Lease: lease, Most: most})
}
