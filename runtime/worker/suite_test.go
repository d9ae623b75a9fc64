package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/acts"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
	"github.com/wildout/wildout/runtime/worker"
)

func TestWorker(t *testing.T) {
	RegisterFailHandler(Fail)
	// A busy machine makes a test slow, not red.
	SetDefaultEventuallyTimeout(30 * time.Second)
	RunSpecs(t, "worker")
}

var (
	shared     *servicetest.Redis
	namespaces atomic.Int64
)

var _ = BeforeSuite(func() {
	shared = servicetest.StartRedis(GinkgoTB())
})

// rig is one namespace of a Redis with the handlers of a test.
type rig struct {
	url       string
	namespace string
	store     *store.Conn
	runs      *runs.Store
	inspect   *inspect.Inspector
	acts      *acts.Acts
	handlers  *wildout.Registry
	mu        sync.Mutex
	calls     map[string]int
	env       map[string]string
	log       *slog.Logger
	made      time.Time // since when its functions read
}

func newRig() *rig { return newRigOn(shared.URL()) }

func newRigOn(url string) *rig {
	r := &rig{url: url, namespace: fmt.Sprintf("t%d", namespaces.Add(1)), handlers: &wildout.Registry{}, calls: map[string]int{}, made: time.Now()}
	r.log = slog.New(slog.NewTextHandler(GinkgoWriter, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.connect()
	// echo returns its input and counts the call under `name`.
	wildout.Add(r.handlers, "echo", func(_ context.Context, in map[string]any) (map[string]any, error) {
		r.count(fmt.Sprint(in["name"]))
		return in, nil
	})
	return r
}

// connect opens the store, and its rooms, at the URL of the rig.
func (r *rig) connect() {
	GinkgoHelper()
	s, err := store.Open(store.Options{URL: r.url, Namespace: r.namespace, Logger: r.log})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	r.store = s
	r.runs = runs.New(s)
	r.inspect = inspect.New(s)
	r.acts = acts.New(s)
}

func (r *rig) count(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[name]++
}

func (r *rig) called(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[name]
}

// compile compiles the spec of a function, written without its frame.
func compile(name, spec string) *plan.Plan {
	GinkgoHelper()
	text := "apiVersion: wildout.dev/v1alpha1\nkind: WildoutFunction\nmetadata: {name: " + name + "}\nspec:\n" + indent(spec)
	functions, _, err := plan.ReadManifests(name, []byte(text))
	Expect(err).NotTo(HaveOccurred())
	p, err := plan.Compile(name, &functions[0].Spec, plan.Options{})
	Expect(err).NotTo(HaveOccurred())
	return p
}

func indent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	cut := len(lines[0]) - len(strings.TrimLeft(lines[0], "\t "))
	for i, line := range lines {
		if len(line) >= cut {
			line = line[cut:]
		}
		lines[i] = "  " + strings.ReplaceAll(line, "\t", "  ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// runner is a worker that runs in the test process.
type runner struct {
	*worker.Worker
	cancel context.CancelFunc
	done   chan struct{}
}

func (r *rig) start(p *plan.Plan, change ...func(*worker.Options)) *runner {
	GinkgoHelper()
	o := worker.Options{Store: worker.OnRedis(r.runs), Plan: p, Handlers: r.handlers, Env: r.env, Name: "test", Created: r.made, Lease: 2 * time.Second, Grace: 2 * time.Second, Logger: r.log}
	for _, c := range change {
		c(&o)
	}
	w, err := worker.New(o)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	record := &runner{Worker: w, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(record.done)
		defer GinkgoRecover()
		Expect(w.Run(ctx)).To(Succeed())
	}()
	DeferCleanup(record.stop)
	return record
}

func (r *runner) stop() {
	r.cancel()
	<-r.done
}

func (r *rig) send(eventType, data string) *event.Event {
	GinkgoHelper()
	e := &event.Event{Type: eventType, Data: []byte(data)}
	Expect(r.store.Publish(context.Background(), e)).To(Succeed())
	return e
}

// history returns the ended runs of a function.
func (r *rig) history(function string) []run.Record {
	GinkgoHelper()
	all, err := r.inspect.History(context.Background(), function, 10_000)
	Expect(err).NotTo(HaveOccurred())
	return all
}

// ended waits for the end of the run that an event started.
func (r *rig) ended(function string, e *event.Event) run.Record {
	GinkgoHelper()
	var found run.Record
	Eventually(func() bool {
		for _, rec := range r.history(function) {
			if rec.EventID == e.ID {
				found = rec
				return true
			}
		}
		return false
	}).Should(BeTrue(), "the run of event %s has not ended", e.ID)
	return found
}

func (r *rig) stats(function string, types ...string) inspect.Stats {
	GinkgoHelper()
	st, err := r.inspect.Stats(context.Background(), function, types)
	Expect(err).NotTo(HaveOccurred())
	return st
}
