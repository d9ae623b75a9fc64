package console_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

func (r *rig) status(t *testing.T, id string) run.Status {
	t.Helper()
	runs, err := r.client.EventRuns(t.Context(), "hello", id)
	if err != nil {
		t.Fatal(err)
	}
	if len(runs.Runs) != 1 || runs.Runs[0].Function != "greet" || runs.Runs[0].EventID != id {
		t.Fatalf("the event has the runs %+v", runs.Runs)
	}
	record := runs.Runs[0]
	if record.Status == console.Filtered {
		return record.Status
	}
	// The list and the run itself say the same.
	page, err := r.client.Runs(t.Context(), console.RunQuery{Statuses: []run.Status{record.Status}, EventID: id})
	if err != nil || len(page.Runs) != 1 || page.Runs[0].ID != record.ID || page.Runs[0].EventType != "hello" {
		t.Errorf("the list of %s runs of the event has %+v (%v)", record.Status, page.Runs, err)
	}
	one, err := r.client.Run(t.Context(), record.ID)
	if err != nil || one.Status != record.Status || one.EventID != id {
		t.Errorf("the run is %+v (%v), want %s", one, err, record.Status)
	}
	return record.Status
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
			entries := r.read(t, "greet", 10)
			if st := r.status(t, id); st != run.Running {
				t.Errorf("when a runner has it, the run is %s", st)
			}
			c := r.committer(t, "greet")
			if err := c.Ack(t.Context(), entries[0].Stream, entries[0].ID); err != nil {
				t.Fatal(err)
			}
			end(t, c, "greet", &entries[1], nil)
			if st := r.status(t, id); st != run.Succeeded {
				t.Errorf("when it has ended, the run is %s", st)
			}
			if st := r.status(t, other); st != console.Filtered {
				t.Errorf("acknowledged without a record, the run is %s", st)
			}
		})
	}
}

func TestFunctionsThatOnlyWaitForTheEvent(t *testing.T) {
	r := newRig(t)
	r.install(t, "greet")
	id := r.publish(t, event.Event{Type: "answer"})
	runs, err := r.client.EventRuns(t.Context(), "answer", id)
	if err != nil || len(runs.Runs) != 0 {
		t.Errorf("an event that is no trigger has the runs %+v (%v)", runs, err)
	}
	page, err := r.client.Runs(t.Context(), console.RunQuery{})
	if err != nil || len(page.Runs) != 0 {
		t.Errorf("and the list has %+v (%v)", page.Runs, err)
	}
}

func TestFunctions(t *testing.T) {
	r := newRig(t)
	r.install(t, "greet")
	c := r.committer(t, "greet")
	for range 4 {
		r.publish(t, event.Event{})
	}
	for i, e := range r.read(t, "greet", 4) {
		if i == 2 {
			end(t, c, "greet", &e, fail("no route"))
			continue
		}
		end(t, c, "greet", &e, nil)
	}
	f, err := r.service.Function(t.Context(), "greet")
	if err != nil {
		t.Fatal(err)
	}
	if f.State != console.Down {
		t.Errorf("without a runner its state is %s", f.State)
	}
	if f.Succeeded != 3 || f.Failed != 1 || f.Recent.Runs != 4 || f.Recent.Failed != 1 || f.Recent.PerMinute != 0.8 || f.LastRun == nil {
		t.Errorf("its numbers are %+v", f)
	}
	if l := f.LastFailure; l == nil || l.Error != "no route" || l.Step != "a" {
		t.Errorf("its last failure is %+v", l)
	}
	if _, err := r.runs.Beat(t.Context(), "greet", "runner-1", 1e9, true); err != nil {
		t.Fatal(err)
	}
	if f, _ = r.service.Function(t.Context(), "greet"); f.State != console.Idle {
		t.Errorf("with a runner its state is %s", f.State)
	}
	var p *console.Problem
	if _, err := r.service.Function(t.Context(), "nope"); !errors.As(err, &p) || p.Status != http.StatusNotFound {
		t.Errorf("one that is not: %v", err)
	}
}

// TestRefusals asks for what there is not, and for what one may not.
func TestRefusals(t *testing.T) {
	r := newRig(t, func(o *console.Options) { o.Authorize = nil })
	r.install(t, "greet")
	for path, c := range map[string]struct {
		status int
		want   string
	}{
		"GET /v1/runs/nope":                     {404, `there is no run "nope"`},
		"GET /v1/runs?function=nope":            {404, `there is no function "nope"`},
		"GET /v1/runs?status=nope":              {400, "want succeeded, failed"},
		"GET /v1/runs?limit=0":                  {400, "want 1 to 1000"},
		"GET /v1/runs?limit=1001":               {400, "want 1 to 1000"},
		"GET /v1/runs?limit=many":               {400, "want 1 to 1000"},
		"GET /v1/runs?state=failed":             {400, `there is no parameter "state"`},
		"GET /v1/runs?cursor=x":                 {400, "not made by wildout"},
		"GET /v1/runs?cursor=MS0yLWVncmVldA%3D": {400, "not made by wildout"},
		"GET /v1/runs?since=yesterday":          {400, "want a time such as"},
		"GET /v1/runs?since=1m&until=1h":        {400, "until is before since"},
		"GET /v1/events?cursor=%00":             {400, "not made by wildout"},
		"GET /v1/events?limit=-1":               {400, "want 1 to 1000"},
		"GET /v1/events/nope":                   {404, `there is no event "nope"`},
		"GET /v1/events/nope?type=hello":        {404, `there is no event "nope" of type hello`},
		"GET /v1/events/nope/runs":              {400, "which event type?"},
		"GET /v1/samples?function=nope":         {404, "was not measured"},
		"GET /v1/stream?kind=nope":              {400, "want run, event or function"},
		"GET /v1/stream?run=nope":               {404, `there is no run "nope"`},
		"POST /v1/runs/nope/cancel":             {403, "read-only; start it with --allow-actions"},
		"POST /v1/runs/nope/replay":             {403, "read-only; start it with --allow-actions"},
	} {
		t.Run(path, func(t *testing.T) {
			method, path, _ := strings.Cut(path, " ")
			status, body := r.ask(t, method, path, "", nil)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("status %d, body %s, want %d and %q", status, body, c.status, c.want)
			}
		})
	}
	if _, err := r.service.Send(t.Context(), nil); console.StatusOf(err) != http.StatusForbidden {
		t.Errorf("send: %v", err)
	}
}

func (r *rig) ask(t *testing.T, method, path, body string, header map[string]string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.ReplaceAll(b.String(), `\"`, `"`)
}

// TestActs cancels and replays the run of an event that no runner has read.
func TestActs(t *testing.T) {
	r := newRig(t)
	r.install(t, "greet")
	r.publish(t, event.Event{})
	page, err := r.client.Runs(t.Context(), console.RunQuery{})
	if err != nil || len(page.Runs) != 1 {
		t.Fatalf("runs %+v (%v)", page, err)
	}
	id := page.Runs[0].ID
	if err := r.client.Cancel(t.Context(), id, "by mistake"); err != nil {
		t.Error(err)
	}
	replay, err := r.client.Replay(t.Context(), id)
	if err != nil || replay == id {
		t.Errorf("the replay is %q (%v)", replay, err)
	}
	if record, err := r.client.Run(t.Context(), replay); err != nil || record.Status != console.Queued || record.ReplayOf != id {
		t.Errorf("it is %+v (%v)", record, err)
	}
	e := r.read(t, "greet", 1)[0]
	c := r.committer(t, "greet")
	if err := c.Ack(t.Context(), e.Stream, e.ID); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path, body string
		header     map[string]string
		status     int
		want       string
	}{
		"no such run":       {"/v1/runs/nope/cancel", "{}", nil, 404, "there is no run"},
		"no JSON":           {"/v1/runs/" + replay + "/cancel", "{", nil, 400, "cannot be read"},
		"another field":     {"/v1/runs/" + replay + "/cancel", `{"why":"x"}`, nil, 400, "unknown field"},
		"a long reason":     {"/v1/runs/" + replay + "/cancel", `{"reason":"` + strings.Repeat("x", 1001) + `"}`, nil, 400, "the limit is 1000"},
		"a large body":      {"/v1/runs/" + replay + "/cancel", strings.Repeat(" ", 20_000), nil, 400, "too large"},
		"from another site": {"/v1/runs/" + replay + "/cancel", "{}", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, "cross-origin"},
		"of another origin": {"/v1/runs/" + replay + "/replay", "", map[string]string{"Origin": "https://evil.example"}, 403, "cross-origin"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := r.ask(t, http.MethodPost, c.path, c.body, c.header); status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("status %d, body %s, want %d and %q", status, body, c.status, c.want)
			}
		})
	}
	r.publish(t, event.Event{ID: "other"})
	e = r.read(t, "greet", 1)[0]
	ended := end(t, c, "greet", &e, nil)
	if err := r.client.Cancel(t.Context(), ended, ""); err == nil || !strings.Contains(err.Error(), "has ended already") {
		t.Errorf("cancel of a run that has ended: %v", err)
	}
	if err := (&console.Client{URL: "http://127.0.0.1:1"}).Cancel(t.Context(), ended, ""); err == nil || !strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("where nobody answers: %v", err)
	}
}

// TestSend sends with a gateway that is there, or not.
func TestSend(t *testing.T) {
	events := func() []*event.Event { return []*event.Event{{Type: "hello", Data: []byte("{}")}} }
	r := newRig(t)
	if _, err := r.service.Send(t.Context(), events()); console.StatusOf(err) != http.StatusNotImplemented {
		t.Errorf("without a gateway: %v", err)
	}
	var st *store.Conn
	r = newRig(t, func(o *console.Options) {
		st = o.Store
		o.Send = func(ctx context.Context, events []*event.Event) error { return st.Publish(ctx, events...) }
	})
	ids, err := r.service.Send(t.Context(), events())
	if err != nil || len(ids) != 1 {
		t.Fatalf("sent %v (%v)", ids, err)
	}
	if e, err := r.client.Event(t.Context(), "", ids[0]); err != nil || e.Event.Type != "hello" || len(e.Runs) != 0 {
		t.Errorf("the event is %+v (%v)", e, err)
	}
}
