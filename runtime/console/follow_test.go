package console_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// await reads changes until one is as wanted.
func await(t *testing.T, changes <-chan console.Change, what string, is func(console.Change) bool) console.Change {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case c, open := <-changes:
			if !open {
				t.Fatalf("the changes ended before %s", what)
			}
			if is(c) {
				return c
			}
		case <-deadline:
			t.Fatalf("there was no change: %s", what)
		}
	}
}

func status(id string, st run.Status) func(console.Change) bool {
	return func(c console.Change) bool { return c.Run != nil && c.Run.EventID == id && c.Run.Status == st }
}

// TestFollow watches runs of two functions from the event to the end.
func TestFollow(t *testing.T) {
	r := newRig(t)
	r.install(t, "greet")
	r.install(t, "mail")
	r.serve(t)
	follow := func(f console.Filter) <-chan console.Change {
		changes, err := r.service.Follow(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		return changes
	}
	all, greet := follow(console.Filter{}), follow(console.Filter{Function: "greet", Kinds: []console.ChangeKind{console.RunChanged}})
	id := r.publish(t, event.Event{})
	e := await(t, all, "the event", func(c console.Change) bool { return c.Event != nil && c.Event.ID == id })
	if e.Event.Preview != "{}" || e.ID == "" {
		t.Errorf("the event is told as %+v", e.Event)
	}
	await(t, greet, "a queued run", status(id, console.Queued))
	entry := r.read(t, "greet", 1)[0]
	await(t, greet, "a running run", status(id, run.Running))
	ended := end(t, r.committer(t, "greet"), "greet", &entry, fail("no route"))
	last := await(t, greet, "a run that failed", status(id, run.Failed))
	if last.Run.ID != ended || last.Run.Error != "no route" || last.Run.Function != "greet" {
		t.Errorf("it is told as %+v", last.Run)
	}
	await(t, all, "the numbers of a function", func(c console.Change) bool {
		return c.Function != nil && c.Function.Name == "greet" && c.Function.Failed == 1
	})

	// One that comes back learns what it missed, and no more.
	id2 := r.publish(t, event.Event{})
	await(t, all, "the second event", func(c console.Change) bool { return c.Event != nil && c.Event.ID == id2 })
	back := follow(console.Filter{Kinds: []console.ChangeKind{console.EventPublished}, After: last.ID})
	if c := <-back; c.Event == nil || c.Event.ID != id2 {
		t.Errorf("who comes back is told %+v first, want the second event", c)
	}
	for name, after := range map[string]string{"of another process": "abc-3", "from the future": strings.Split(last.ID, "-")[0] + "-999999", "no id": "x"} {
		if c := <-follow(console.Filter{After: after}); c.Kind != console.Reset {
			t.Errorf("after a change %s there is %+v, want a reset", name, c)
		}
	}
}

// TestFilteredRun: a run that was told as queued, and never begins, is told as
// such.
func TestFilteredRun(t *testing.T) {
	r := newRig(t)
	r.install(t, "greet")
	r.serve(t)
	changes, err := r.service.Follow(t.Context(), console.Filter{Kinds: []console.ChangeKind{console.RunChanged}})
	if err != nil {
		t.Fatal(err)
	}
	id := r.publish(t, event.Event{})
	await(t, changes, "a queued run", status(id, console.Queued))
	e := r.read(t, "greet", 1)[0]
	if err := r.committer(t, "greet").Ack(t.Context(), e.Stream, e.ID); err != nil {
		t.Fatal(err)
	}
	await(t, changes, "a filtered event", status(id, console.Filtered))
}

// TestNobodyFollows: without watchers nothing is read; when they leave it stops.
func TestNobodyFollows(t *testing.T) {
	r := newRig(t, func(o *console.Options) { o.SampleEvery = time.Hour })
	r.install(t, "greet")
	stop := r.serve(t)
	quiet := func() bool {
		before := r.store.Traffic().Commands
		time.Sleep(100 * time.Millisecond)
		return r.store.Traffic().Commands == before
	}
	eventually(t, "the first sample is taken and nothing more is read", quiet)
	ctx, leave := context.WithCancel(t.Context())
	var all []<-chan console.Change
	for range 20 {
		changes, err := r.service.Follow(ctx, console.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, changes)
	}
	if quiet() {
		t.Error("with watchers nothing is read")
	}
	before := r.store.Traffic().RoundTrips
	time.Sleep(200 * time.Millisecond)
	if trips := r.store.Traffic().RoundTrips - before; trips > 200 {
		t.Errorf("%d round trips in 20 looks: twenty watchers cost more than one", trips)
	}
	leave()
	for _, changes := range all {
		for range changes { // until it is closed
		}
	}
	eventually(t, "nothing is read any more", quiet)

	changes, err := r.service.Follow(t.Context(), console.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	for range changes {
	}
	if _, err := r.service.Follow(t.Context(), console.Filter{}); console.StatusOf(err) != http.StatusServiceUnavailable {
		t.Errorf("after the end: %v", err)
	}
}

// TestSlowWatcher: who does not keep up is told so, and the others are not
// held up.
func TestSlowWatcher(t *testing.T) {
	r := newRig(t)
	r.install(t, "greet")
	r.serve(t)
	slow, err := r.service.Follow(t.Context(), console.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	quick, err := r.service.Follow(t.Context(), console.Filter{Kinds: []console.ChangeKind{console.EventPublished}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		events := make([]*event.Event, 100)
		for j := range events {
			events[j] = &event.Event{Type: "hello", Data: []byte("{}")}
		}
		if err := r.store.Publish(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		await(t, quick, fmt.Sprint("the events of batch ", i), func(c console.Change) bool { return c.Event != nil && c.Event.ID == events[99].ID })
	}
	go func() { // what happens after it has begun to read again
		for range 100 {
			_ = r.store.Publish(context.Background(), &event.Event{Type: "hello", Data: []byte("{}")})
			time.Sleep(10 * time.Millisecond)
		}
	}()
	await(t, slow, "a reset", func(c console.Change) bool { return c.Kind == console.Reset })
}

// TestStream reads the stream over HTTP, as a browser does.
func TestStream(t *testing.T) {
	r := newRig(t)
	r.install(t, "greet")
	r.service.SetHeartbeat(30 * time.Millisecond)
	r.serve(t)
	open := func(ctx context.Context, query, last string) (http.Header, *bufio.Scanner) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/v1/stream"+query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res.Header, bufio.NewScanner(res.Body)
	}
	find := func(lines *bufio.Scanner, head string) string {
		t.Helper()
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), head); ok {
				return rest
			}
		}
		t.Fatalf("the stream ended before %q: %v", head, lines.Err())
		return ""
	}
	ctx, leave := context.WithCancel(t.Context())
	header, lines := open(ctx, "?kind=event", "")
	if header.Get("Content-Type") != "text/event-stream" || header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", header)
	}
	if retry := find(lines, "retry: "); retry != "2000" {
		t.Errorf("retry after %s", retry)
	}
	find(lines, ": still here")
	id := r.publish(t, event.Event{})
	last := find(lines, "id: ")
	if kind := find(lines, "event: "); kind != "event" {
		t.Errorf("the kind is %s", kind)
	}
	if data := find(lines, "data: "); !strings.Contains(data, `"id":"`+id+`"`) {
		t.Errorf("data %s", data)
	}
	leave()
	second := r.publish(t, event.Event{})
	_, lines = open(t.Context(), "?kind=event", last)
	if data := find(lines, "data: "); !strings.Contains(data, `"id":"`+second+`"`) {
		t.Errorf("after the last event there is %s, want the one that was missed", data)
	}

	var kinds []console.ChangeKind
	err := r.client.Follow(t.Context(), console.Filter{After: "gone-1"}, func(c console.Change) bool {
		kinds = append(kinds, c.Kind)
		return len(kinds) < 2
	})
	if err != nil || !slices.Equal(kinds, []console.ChangeKind{console.Connected, console.Reset}) {
		t.Errorf("a client is told %v (%v)", kinds, err)
	}
}

// TestFollowOneRun tells of each step of a run that is followed for itself.
func TestFollowOneRun(t *testing.T) {
	r := newRig(t)
	r.install(t, "greet")
	r.serve(t)
	r.publish(t, event.Event{})
	e := r.read(t, "greet", 1)[0]
	record := store.RunID("greet", "hello", e.ID)
	changes, err := r.service.Follow(t.Context(), console.Filter{RunID: record})
	if err != nil {
		t.Fatal(err)
	}
	c := r.committer(t, "greet")
	if _, err := c.CommitResult(t.Context(), record, "a", []byte(`{"n":1,"t":1,"d":2,"o":{"x":1}}`)); err != nil {
		t.Fatal(err)
	}
	await(t, changes, "the step", func(c console.Change) bool {
		return c.Run != nil && len(c.Run.Steps) == 1 && string(c.Run.Steps[0].Output) == `{"x":1}`
	})
	end(t, c, "greet", &e, nil)
	await(t, changes, "the end", func(c console.Change) bool { return c.Run != nil && c.Run.EndedAt != nil })
}

// TestSamples measures what is there, and recalls what was before the process.
func TestSamples(t *testing.T) {
	r := newRig(t, func(o *console.Options) { o.SampleEvery = 50 * time.Millisecond })
	r.install(t, "greet")
	c := r.committer(t, "greet")
	for range 3 {
		r.publish(t, event.Event{})
	}
	entries := r.read(t, "greet", 2)
	end(t, c, "greet", &entries[0], nil)
	r.serve(t)
	total := func(s console.Series) (succeeded, failed int64, latency bool) {
		for _, one := range s.Samples {
			succeeded, failed, latency = succeeded+one.Succeeded, failed+one.Failed, latency || one.Latency != nil
		}
		return succeeded, failed, latency
	}
	var s console.Series
	var err error
	eventually(t, "there is a sample", func() bool { s, err = r.service.Samples(t.Context(), "greet"); return err == nil })
	if ok, _, latency := total(s); ok != 1 || !latency {
		t.Errorf("the run from before is not recalled: %d, latency %v", ok, latency)
	}
	if n := len(s.Samples); n != int(time.Hour/(50*time.Millisecond)) || s.Samples[0].Load != nil {
		t.Errorf("%d samples, the first with load %v", n, s.Samples[0].Load)
	}
	newest := s.Samples[len(s.Samples)-1]
	if newest.Load == nil || *newest.Load != (console.Load{Backlog: 1, InFlight: 1}) {
		t.Errorf("the newest load is %+v", newest.Load)
	}
	end(t, c, "greet", &entries[1], fail("no route"))
	eventually(t, "the failure is measured", func() bool {
		s, err = r.service.Samples(t.Context(), "")
		_, failed, _ := total(s)
		return err == nil && failed == 1
	})
	if !slices.IsSortedFunc(s.Samples, func(a, b console.Sample) int { return a.Time.Compare(b.Time) }) {
		t.Error("the samples are not in the order of time")
	}
}
