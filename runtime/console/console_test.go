package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/servicetest"
	"github.com/wildout/wildout/runtime/store"
)

const spec = `{"triggers":[{"event":"hello"},{"cron":"0 3 * * *"}],"steps":[{"name":"a"},{"name":"b","waitForEvent":{"event":"answer"}}]}`

// rig is a console over a Redis in which a test plays the runner.
type rig struct {
	store  *store.Store
	client *console.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	redis := servicetest.StartRedis(t)
	s, err := store.Open(store.Options{URL: redis.URL(), Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c, err := console.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	c.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &rig{store: s, client: &console.Client{URL: server.URL}}
}

func (r *rig) install(t *testing.T, function string) {
	t.Helper()
	k := r.store.Keys()
	if err := r.store.EnsureGroup(t.Context(), function, k.Inbox(function), k.Stream("hello"), k.Stream("answer")); err != nil {
		t.Fatal(err)
	}
	if err := r.store.SavePlan(t.Context(), function, "v1", []byte(spec)); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) publish(t *testing.T, e event.Event) string {
	t.Helper()
	e.Type, e.Data = "hello", []byte("{}")
	if err := r.store.Publish(t.Context(), &e); err != nil {
		t.Fatal(err)
	}
	return e.ID
}

// read gives a runner of the function what there is.
func (r *rig) read(t *testing.T, function string) []store.Entry {
	t.Helper()
	reader := r.store.NewReader(function, "runner-1")
	defer reader.Close()
	entries, err := reader.Read(t.Context(), []string{r.store.Keys().Stream("hello")}, 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func (r *rig) status(t *testing.T, id string) store.Status {
	t.Helper()
	runs, err := r.client.EventRuns(t.Context(), "hello", id)
	if err != nil {
		t.Fatal(err)
	}
	if len(runs.Runs) != 1 || runs.Runs[0].Function != "greet" || runs.Runs[0].EventID != id {
		t.Fatalf("the event has the runs %+v", runs.Runs)
	}
	return runs.Runs[0].Status
}

// TestStates follows an event from the stream to the end of its run.
func TestStates(t *testing.T) {
	for name, id := range map[string]string{"an id of its own": "mine", "an id from its place": ""} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.install(t, "greet")
			other := r.publish(t, event.Event{})
			id := r.publish(t, event.Event{ID: id})
			if st := r.status(t, id); st != console.Queued {
				t.Errorf("before a runner has read it, the run is %s", st)
			}
			functions, err := r.client.Functions(t.Context())
			if err != nil || len(functions) != 1 || functions[0].Unread != 2 || strings.Join(functions[0].Triggers, " ") != "hello cron 0 3 * * *" {
				t.Errorf("functions %+v (%v)", functions, err)
			}
			entries := r.read(t, "greet")
			if st := r.status(t, id); st != store.Running {
				t.Errorf("when a runner has it, the run is %s", st)
			}
			runs, err := r.client.Runs(t.Context(), console.Query{Status: store.Running})
			if err != nil || len(runs) != 2 || runs[0].EventType != "hello" {
				t.Fatalf("running are %+v (%v)", runs, err)
			}
			run, err := r.client.Run(t.Context(), runs[0].ID)
			if err != nil || run.Status != store.Running {
				t.Errorf("the run is %+v (%v)", run, err)
			}
			r.finish(t, entries)
			if st := r.status(t, id); st != store.Succeeded {
				t.Errorf("when it has ended, the run is %s", st)
			}
			if st := r.status(t, other); st != console.Filtered {
				t.Errorf("acknowledged without a record, the run is %s", st)
			}
		})
	}
}

// finish acknowledges the first entry and ends the run of the second.
func (r *rig) finish(t *testing.T, entries []store.Entry) {
	t.Helper()
	committer := r.store.NewCommitter("greet", store.HistoryLimits{Done: 10, Dead: 10}, func() error { return nil })
	defer committer.Close()
	if err := committer.Ack(context.Background(), entries[0].Stream, entries[0].ID); err != nil {
		t.Fatal(err)
	}
	e := entries[1]
	now := time.Now()
	record := store.Record{ID: store.RunID("greet", "hello", e.ID), Status: store.Succeeded, StartedAt: now, EndedAt: &now}
	ref := &store.Ref{Function: "greet", RunID: record.ID, Stream: e.Stream, Entry: e.ID}
	if counted, err := committer.Finish(context.Background(), store.Finish{Ref: ref, Record: store.AppendRecord(nil, &record)}); err != nil || !counted {
		t.Fatalf("finish: %v %v", counted, err)
	}
}

func TestFunctionsThatOnlyWaitForTheEvent(t *testing.T) {
	r := newRig(t)
	r.install(t, "greet")
	e := event.Event{Type: "answer", Data: []byte("{}")}
	if err := r.store.Publish(t.Context(), &e); err != nil {
		t.Fatal(err)
	}
	runs, err := r.client.EventRuns(t.Context(), "answer", e.ID)
	if err != nil || len(runs.Runs) != 0 {
		t.Errorf("an event that is no trigger has the runs %+v (%v)", runs, err)
	}
}
