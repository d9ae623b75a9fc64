package console_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// crowd ends many runs of several functions, and leaves others open: some
// fail, some are queued, some run.
func crowd(t *testing.T, r *rig) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for _, f := range []string{"greet", "mail", "audit"} {
		r.install(t, f)
	}
	for n := range 60 {
		if n == 45 { // for the filters by time, which count in milliseconds
			time.Sleep(10 * time.Millisecond)
		}
		r.publish(t, event.Event{})
	}
	for i, f := range []string{"greet", "mail", "audit"} {
		c := r.committer(t, f)
		for n, e := range r.read(t, f, 50-10*i) {
			switch {
			case n >= 30-10*i: // a runner has it still
			case random.IntN(3) == 0:
				end(t, c, f, &e, fail(fmt.Sprintf(`No route to "host-%d"`, random.IntN(5))))
			default:
				end(t, c, f, &e, nil)
			}
		}
	}
}

// walk reads all pages of a query.
func (r *rig) walk(t *testing.T, q console.RunQuery) (all []run.Record) {
	t.Helper()
	for pages := 0; ; pages++ {
		page, err := r.client.Runs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Runs) > q.Limit && q.Limit > 0 {
			t.Fatalf("a page has %d runs, the limit is %d", len(page.Runs), q.Limit)
		}
		all = append(all, page.Runs...)
		if page.Next == "" {
			return all
		}
		if pages > 2000 {
			t.Fatal("the pages do not end")
		}
		q.Cursor = page.Next
	}
}

func at(r *run.Record) time.Time {
	if r.EndedAt != nil {
		return *r.EndedAt
	}
	return r.StartedAt
}

// TestPages reads the same list in pages of any size: each run is there once,
// in one order.
func TestPages(t *testing.T) {
	r := newRig(t)
	crowd(t, r)
	whole := r.walk(t, console.RunQuery{Limit: console.MaxLimit})
	if len(whole) != 3*60 {
		t.Fatalf("there are %d runs, want %d", len(whole), 3*60)
	}
	counts := map[string]int{}
	for i := range whole {
		counts[whole[i].Function+" "+string(whole[i].Status)]++
		// The clock of the history is that of Redis, the record has ours.
		if i > 0 && at(&whole[i]).After(at(&whole[i-1]).Add(50*time.Millisecond)) {
			t.Errorf("run %d is of %s, the one before of %s", i, at(&whole[i]), at(&whole[i-1]))
		}
	}
	for f, running := range map[string]int{"greet": 20, "mail": 20, "audit": 20} {
		queued := map[string]int{"greet": 10, "mail": 20, "audit": 30}[f]
		if counts[f+" running"] != running || counts[f+" queued"] != queued {
			t.Errorf("%s has %d running and %d queued, want %d and %d", f, counts[f+" running"], counts[f+" queued"], running, queued)
		}
	}
	for _, limit := range []int{1, 2, 7, 50, 179, 180, 181} {
		parts := r.walk(t, console.RunQuery{Limit: limit})
		if !slices.EqualFunc(parts, whole, func(a, b run.Record) bool { return a.ID == b.ID && a.Status == b.Status }) {
			t.Errorf("in pages of %d the list is another one: %d runs", limit, len(parts))
		}
	}
}

// TestFilters compares each filter with what it should leave of the whole list.
func TestFilters(t *testing.T) {
	r := newRig(t)
	crowd(t, r)
	whole := r.walk(t, console.RunQuery{Limit: console.MaxLimit})
	middle := at(&whole[90])
	for name, c := range map[string]struct {
		q    console.RunQuery
		want func(*run.Record) bool
	}{
		"a function":        {console.RunQuery{Function: "mail"}, func(r *run.Record) bool { return r.Function == "mail" }},
		"failed":            {console.RunQuery{Statuses: []run.Status{run.Failed}}, func(r *run.Record) bool { return r.Status == run.Failed }},
		"succeeded":         {console.RunQuery{Statuses: []run.Status{run.Succeeded}}, func(r *run.Record) bool { return r.Status == run.Succeeded }},
		"two states":        {console.RunQuery{Statuses: []run.Status{run.Running, run.Failed}}, func(r *run.Record) bool { return r.Status == run.Running || r.Status == run.Failed }},
		"queued":            {console.RunQuery{Statuses: []run.Status{console.Queued}}, func(r *run.Record) bool { return r.Status == console.Queued }},
		"cancelled":         {console.RunQuery{Statuses: []run.Status{run.Cancelled}}, func(*run.Record) bool { return false }},
		"an event type":     {console.RunQuery{EventType: "hello"}, func(*run.Record) bool { return true }},
		"another type":      {console.RunQuery{EventType: "hell"}, func(*run.Record) bool { return false }},
		"an event":          {console.RunQuery{EventID: whole[100].EventID}, func(r *run.Record) bool { return r.EventID == whole[100].EventID }},
		"a text":            {console.RunQuery{Text: "no route"}, func(r *run.Record) bool { return r.Error != "" }},
		"a text with quote": {console.RunQuery{Text: `"HOST-2"`}, func(r *run.Record) bool { return strings.Contains(r.Error, "host-2") }},
		"a text and more":   {console.RunQuery{Text: "host-1", Function: "greet"}, func(r *run.Record) bool { return r.Function == "greet" && strings.Contains(r.Error, "host-1") }},
		"since":             {console.RunQuery{Since: middle}, nil},
		"until":             {console.RunQuery{Until: middle}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, limit := range []int{3, console.MaxLimit} {
				c.q.Limit = limit
				got := r.walk(t, c.q)
				if c.want == nil { // our clock and that of Redis differ a little
					if len(got) < 40 || len(got) > 140 {
						t.Errorf("%d runs, want about half of %d", len(got), len(whole))
					}
					continue
				}
				var want []string
				for i := range whole {
					if c.want(&whole[i]) {
						want = append(want, whole[i].ID)
					}
				}
				var ids []string
				for i := range got {
					ids = append(ids, got[i].ID)
				}
				if !slices.Equal(ids, want) {
					t.Errorf("in pages of %d: %d runs, want %d", limit, len(ids), len(want))
				}
			}
		})
	}
}

// TestWaiting lists runs that were parked, and more of them than are looked at.
func TestWaiting(t *testing.T) {
	r := newRig(t)
	r.install(t, "greet")
	if _, err := r.runs.Beat(t.Context(), "greet", "runner-1", time.Hour, true); err != nil {
		t.Fatal(err)
	}
	const n = 2100
	for range n {
		r.publish(t, event.Event{})
	}
	c := r.committer(t, "greet")
	due := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	for i, e := range r.read(t, "greet", n) {
		ev, err := e.Event()
		if err != nil {
			t.Fatal(err)
		}
		meta, err := run.Identity{Event: ev, StartedAt: ev.Time, Version: "v1"}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		ref := &runs.Ref{Function: "greet", RunID: store.RunID("greet", "hello", e.ID), Stream: e.Stream, Entry: e.ID, Runner: "runner-1", Version: "v1"}
		if res, err := c.Park(t.Context(), runs.Park{Ref: ref, Meta: meta, Due: due}); err != nil || res != runs.ParkOK {
			t.Fatalf("park: %v %v", res, err)
		}
		if i == 0 {
			one, err := r.client.Run(t.Context(), ref.RunID)
			if err != nil || one.Status != run.Waiting || !one.WaitsFor.Equal(due) || one.EventID != ev.ID || !one.Planned {
				t.Errorf("the run is %+v (%v)", one, err)
			}
			page, err := r.client.Runs(t.Context(), console.RunQuery{Statuses: []run.Status{run.Waiting}})
			if err != nil || len(page.Runs) != 1 || page.Runs[0].ID != ref.RunID || !page.Runs[0].WaitsFor.Equal(due) {
				t.Errorf("the list is %+v (%v)", page, err)
			}
		}
	}
	page, err := r.client.Runs(t.Context(), console.RunQuery{EventType: "hello", Limit: 10})
	if err != nil || len(page.Runs) != 10 || page.Next == "" || !strings.Contains(page.Partial, "more than 2000") {
		t.Errorf("of many the list has %d, partial %q (%v)", len(page.Runs), page.Partial, err)
	}
}

// TestEventPages reads events of several types in pages.
func TestEventPages(t *testing.T) {
	r := newRig(t)
	r.install(t, "greet")
	for i := range 60 {
		r.publish(t, event.Event{Type: []string{"hello", "answer", "un/known"}[i%3], Data: fmt.Appendf(nil, `{"n":%d,"text":"%s"}`, i, strings.Repeat("é", 300))})
	}
	walk := func(q console.EventQuery) (all []console.EventSummary) {
		for {
			page, err := r.client.Events(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, page.Events...)
			if page.Next == "" {
				return all
			}
			if len(all) > 1000 {
				t.Fatal("the pages do not end")
			}
			q.Cursor = page.Next
		}
	}
	whole := walk(console.EventQuery{Limit: 1000})
	if len(whole) != 60 {
		t.Fatalf("there are %d events, want 60", len(whole))
	}
	if e := whole[0]; e.Bytes < 600 || len(e.Preview) > 256 || !strings.HasPrefix(e.Preview, `{"n":59,"text":"éé`) || strings.ContainsRune(e.Preview, '\ufffd') {
		t.Errorf("the newest is %+v", e)
	}
	for _, limit := range []int{1, 7, 60} {
		if parts := walk(console.EventQuery{Limit: limit}); !slices.Equal(parts, whole) {
			t.Errorf("in pages of %d there are %d events, or others", limit, len(parts))
		}
	}
	if of := walk(console.EventQuery{Type: "un/known", Limit: 3}); len(of) != 20 {
		t.Errorf("of one type there are %d, want 20", len(of))
	}
	types, err := r.client.EventTypes(t.Context())
	if err != nil || len(types) != 3 || types[0].Type != "answer" || types[1].Events != 20 || types[1].Newest == nil ||
		!slices.Equal(types[1].Triggers, []string{"greet"}) || !slices.Equal(types[0].Waits, []string{"greet"}) {
		t.Errorf("the types are %+v (%v)", types, err)
	}
	if e, err := r.client.Event(t.Context(), "", whole[2].ID); err != nil || e.Event.ID != whole[2].ID || len(e.Event.Data) != whole[2].Bytes {
		t.Errorf("the event is %+v (%v)", e, err)
	}
}
