package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

const spec = `{"triggers":[{"event":"hello"},{"cron":"0 3 * * *"}],"steps":[{"name":"a","handler":"x"},{"name":"b","waitForEvent":{"event":"answer","timeout":"1h"}}]}`

// rig is a console over a Redis in which a test plays the runner.
type rig struct {
	store   *store.Conn
	runs    *runs.Store
	service *console.Service
	client  *console.Client
	url     string
}

func newRig(t testing.TB, change ...func(*console.Options)) *rig {
	t.Helper()
	redis := servicetest.StartRedis(t)
	s, err := store.Open(store.Options{URL: redis.URL(), Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	o := console.Options{Store: s, Authorize: console.AllowAll, FollowEvery: 10 * time.Millisecond}
	for _, c := range change {
		c(&o)
	}
	service, err := console.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	service.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &rig{store: s, runs: runs.New(s), service: service, client: &console.Client{URL: server.URL}, url: server.URL}
}

// serve lets the service measure and follow; stop ends that.
func (r *rig) serve(t testing.TB) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.service.Serve(ctx); err != nil {
			t.Errorf("Serve: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func (r *rig) install(t testing.TB, function string) {
	t.Helper()
	if err := r.runs.EnsureGroups(t.Context(), function, store.FromBeginning, "hello", "answer"); err != nil {
		t.Fatal(err)
	}
	if err := r.runs.SavePlan(t.Context(), function, "v1", []byte(spec)); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) publish(t testing.TB, e event.Event) string {
	t.Helper()
	if e.Type == "" {
		e.Type = "hello"
	}
	if e.Data == nil {
		e.Data = []byte("{}")
	}
	if err := r.store.Publish(t.Context(), &e); err != nil {
		t.Fatal(err)
	}
	return e.ID
}

// read gives a runner of the function up to n events.
func (r *rig) read(t testing.TB, function string, n int) []store.Entry {
	t.Helper()
	reader := r.runs.NewReader(function, "runner-1", store.FromBeginning)
	defer reader.Close()
	entries, err := reader.Read(t.Context(), []string{r.store.Keys().Stream("hello")}, n, 0)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// committer is the group commit of a runner.
func (r *rig) committer(t testing.TB, function string) *runs.Committer {
	c := r.runs.NewCommitter(function, runs.HistoryLimits{Done: 1_000_000, Dead: 1_000_000}, nil)
	t.Cleanup(c.Close)
	return c
}

// end ends the run of an entry that was read.
func end(t testing.TB, c *runs.Committer, function string, e *store.Entry, fill func(*run.Record)) string {
	t.Helper()
	ev, err := e.Event()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	record := run.Record{ID: store.RunID(function, e.Type, e.ID), Function: function, Status: run.Succeeded, EventID: ev.ID, EventType: e.Type, Version: "v1",
		StartedAt: event.EntryTime(e.ID), EndedAt: &now}
	if fill != nil {
		fill(&record)
	}
	ref := &runs.Ref{Function: function, RunID: record.ID, Stream: e.Stream, Entry: e.ID}
	f := runs.Finish{Ref: ref, Record: run.AppendRecord(nil, &record), Failed: record.Status == run.Failed}
	if counted, err := c.Finish(context.Background(), f); err != nil || !counted {
		t.Fatalf("finish: %v %v", counted, err)
	}
	return record.ID
}

func fail(text string) func(*run.Record) {
	return func(r *run.Record) { r.Status, r.Error, r.ErrorStep = run.Failed, text, "a" }
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}
