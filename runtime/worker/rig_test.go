package worker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/crashtest"
	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/worker"
)

// dial opens a connection past the code under test.
func dial(redis *servicetest.Redis) *crashtest.Conn {
	GinkgoHelper()
	c, err := crashtest.Dial(redis.Addr)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c.Close)
	return c
}

// do sends a command past the code under test.
func do(c *crashtest.Conn, args ...any) any {
	GinkgoHelper()
	answer, err := c.Do(args...)
	Expect(err).NotTo(HaveOccurred())
	return answer
}

// sendMany publishes n events in one pipeline; data makes the data of each.
func (r *rig) sendMany(eventType string, n int, data func(i int) string) {
	GinkgoHelper()
	for i := range n {
		r.send(eventType, data(i))
	}
}

// finishes waits until that many runs of a function have ended.
func (r *rig) finishes(function string, n int) {
	GinkgoHelper()
	Eventually(func() (int64, error) {
		st, err := r.inspect.Stats(context.Background(), function, nil)
		return st.Succeeded + st.Failed, err
	}).Should(BeNumerically(">=", int64(n)), "not all runs of %s have ended", function)
	Expect(r.history(function)).To(HaveLen(n))
}

// gauge counts who is inside, by key.
type gauge struct {
	mu     sync.Mutex
	inside map[string]int
	most   map[string]int
	starts map[string][]time.Time
}

func newGauge() *gauge {
	return &gauge{inside: map[string]int{}, most: map[string]int{}, starts: map[string][]time.Time{}}
}

func (g *gauge) enter(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside[key]++
	g.most[key] = max(g.most[key], g.inside[key])
	g.starts[key] = append(g.starts[key], time.Now())
}

func (g *gauge) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside[key]--
}

// peak is the most that were inside at once.
func (g *gauge) peak(key string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most[key]
}

func (g *gauge) started(key string) []time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := slices.Clone(g.starts[key])
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// busy registers a handler that stays inside the gauge for a while.
func (r *rig) busy(name string, g *gauge, stay time.Duration) {
	wildout.Add(r.handlers, name, func(ctx context.Context, in struct {
		Key any `json:"key"`
	}) (int, error) {
		key := fmt.Sprint(in.Key)
		g.enter(key)
		defer g.leave(key)
		select {
		case <-time.After(stay):
			return 1, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

// install lets a worker start and leave.
func (r *rig) install(p *plan.Plan) {
	GinkgoHelper()
	w := r.start(p)
	Eventually(w.Health).Should(Succeed())
	w.stop()
}

// entry is the id of the first entry of a stream.
func (r *rig) entry(eventType string) string {
	GinkgoHelper()
	return do(dial(shared), "XRANGE", r.store.Keys().Stream(eventType), "-", "+", "COUNT", 1).([]any)[0].([]any)[0].(string)
}

// named sets the beginning of a worker's name, by which shares are ordered.
func named(name string) func(*worker.Options) {
	return func(o *worker.Options) { o.Name = name }
}

// leased sets how long a worker may be silent.
func leased(d time.Duration) func(*worker.Options) {
	return func(o *worker.Options) { o.Lease = d }
}

// peekAll asks for all entries of the stream of an event type.
func peekAll(eventType string) []inspect.EventRange {
	return []inspect.EventRange{{Type: eventType, Count: 1000}}
}

func runID(function, eventType, entry string) string { return store.RunID(function, eventType, entry) }
