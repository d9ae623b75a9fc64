package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/console/web"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

const manifest = `{"triggers":[{"event":"hello"}],"steps":[{"name":"greet","handler":"log.info","with":{"to":"${event.data.name}"}},{"name":"rest","sleep":"72h"}]}`

const schema = `{"type":"object","required":["name","mood"],"properties":{"name":{"type":"string"},"mood":{"enum":["good","bad"]},
	"tags":{"type":"array","items":{"type":"string"}}}}`

// rig is a site over a Redis in which a test plays the runner.
type rig struct {
	t       *testing.T
	store   *store.Conn
	runs    *runs.Store
	service *console.Service
	url     string
	client  *http.Client
	sent    []*event.Event
	mails   []web.Mail
}

func newRig(t *testing.T, change ...func(*web.Options)) *rig {
	t.Helper()
	s, err := store.Open(store.Options{URL: servicetest.StartRedis(t).URL(), Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	r := &rig{t: t, store: s, runs: runs.New(s)}
	r.service, err = console.New(console.Options{Store: s, Authorize: web.Authorize, FollowEvery: 20 * time.Millisecond,
		Types: func() []console.EventType {
			return []console.EventType{{Type: "hello", Schema: json.RawMessage(schema)}}
		},
		Send: func(ctx context.Context, events []*event.Event) error {
			if !strings.Contains(string(events[0].Data), "name") {
				return &console.Problem{Status: http.StatusBadRequest, Text: "data.name is missing", Faults: []console.Fault{{Path: "data.name", Message: "is missing"}}}
			}
			r.sent = append(r.sent, events...)
			return s.Publish(ctx, events...)
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.service.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	o := web.Options{Service: r.service, Namespace: "shop", Logger: slog.New(slog.DiscardHandler), Mails: func() []web.Mail { return r.mails }}
	for _, c := range change {
		c(&o)
	}
	site, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux, api := http.NewServeMux(), http.NewServeMux()
	r.service.Register(api)
	mux.Handle("/v1/", site.Protect(api))
	site.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(func() { site.Close(); server.Close() })
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.url = server.URL
	r.client = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return r
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (r *rig) do(method, path, form string, header ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(form))
	if err != nil {
		r.t.Fatal(err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		} else {
			req.Header.Add(name, value)
		}
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

func (r *rig) get(path string, header ...string) answer {
	r.t.Helper()
	return r.do(http.MethodGet, path, "", header...)
}

// install makes the function known.
func (r *rig) install(function string) {
	r.t.Helper()
	if err := r.runs.EnsureGroups(r.t.Context(), function, store.FromBeginning, "hello"); err != nil {
		r.t.Fatal(err)
	}
	if err := r.runs.SavePlan(r.t.Context(), function, "v1", []byte(manifest)); err != nil {
		r.t.Fatal(err)
	}
}

// run publishes an event and plays the run that it starts, which ends as the
// record says.
func (r *rig) run(function, data string, record run.Record) (runID, eventID string) {
	r.t.Helper()
	ctx := r.t.Context()
	e := event.Event{Type: "hello", Data: json.RawMessage(data)}
	if err := r.store.Publish(ctx, &e); err != nil {
		r.t.Fatal(err)
	}
	reader := r.runs.NewReader(function, "runner-1", store.FromBeginning)
	defer reader.Close()
	entries, err := reader.Read(ctx, []string{r.store.Keys().Stream("hello")}, 1, 0)
	if err != nil || len(entries) != 1 {
		r.t.Fatalf("%d entries (%v)", len(entries), err)
	}
	committer := r.runs.NewCommitter(function, runs.HistoryLimits{Done: 100, Dead: 100}, func() error { return nil })
	defer committer.Close()
	now := time.Now()
	record.ID = store.RunID(function, "hello", entries[0].ID)
	record.EventID, record.EventType, record.Version = e.ID, "hello", "v1"
	record.StartedAt, record.EndedAt = now.Add(-time.Second), &now
	if record.Status != run.Succeeded {
		record.Event = &e
	}
	ref := &runs.Ref{Function: function, RunID: record.ID, Stream: entries[0].Stream, Entry: entries[0].ID}
	if counted, err := committer.Finish(ctx, runs.Finish{Ref: ref, Failed: record.Status == run.Failed, Record: run.AppendRecord(nil, &record)}); err != nil || !counted {
		r.t.Fatalf("finish: %v %v", counted, err)
	}
	return record.ID, e.ID
}

// hostile is what must come out as text wherever it is shown.
const hostile = `<script>alert(1)</script><img src=x onerror=alert(1)>"'` + "`" + `</textarea></script>{{.}}javascript:alert(1)`

// TestPages asks for every page over data that somebody hostile sent: each is
// there, is whole, and has nothing of it as markup.
func TestPages(t *testing.T) {
	r := newRig(t)
	r.install("greet")
	data, err := json.Marshal(map[string]string{"name": hostile, hostile: "x"})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now().Add(-time.Second)
	steps := []run.StepRecord{
		{Name: "greet", Status: "failed", Attempts: 2, Start: &start, Millis: 10, Error: hostile, Output: data, Tries: []run.Try{{Start: start, Millis: 3, Error: hostile}}},
		{Name: hostile, Status: "ok", Attempts: 1, Start: &start, Millis: 10}}
	failed, eventID := r.run("greet", string(data), run.Record{Status: run.Failed, Error: hostile, ErrorStep: hostile, Steps: steps})
	r.run("greet", `{"name":"x"}`, run.Record{Status: run.Succeeded, Output: data})
	r.mails = []web.Mail{{ID: "m1", From: hostile, To: []string{hostile}, Subject: hostile, Text: hostile, HTML: hostile, Raw: []byte(hostile), Received: start}}
	for name, c := range map[string]struct {
		path   string
		status int
		want   []string
	}{
		"overview":      {"/", 200, []string{"Backlog", "Latency of runs", "Needs a look", "greet"}},
		"functions":     {"/functions", 200, []string{"greet", "hello", "0%"}},
		"runs":          {"/runs", 200, []string{"Failed", "Succeeded", failed}},
		"runs filtered": {"/runs?status=failed&function=greet&type=hello&since=1h&text=ALERT", 200, []string{failed}},
		"no runs":       {"/runs?status=cancelled", 200, []string{"No run fits"}},
		"bad status":    {"/runs?status=" + url.QueryEscape(hostile), 400, []string{"is none of"}},
		"bad cursor":    {"/runs?cursor=zz", 400, []string{"That request makes no sense"}},
		"no function":   {"/runs?function=none", 404, []string{"Not here"}},
		"run":           {"/runs/" + failed, 200, []string{"The run failed", "Timeline", "log.info", "Attempt", "Replay"}},
		"run asks":      {"/runs/" + failed + "?ask=replay", 200, []string{`<dialog id="ask-replay" aria-labelledby="ask-replay-head" open>`}},
		"no run":        {"/runs/" + url.PathEscape(hostile), 404, []string{"Not here"}},
		"events":        {"/events?type=hello", 200, []string{eventID}},
		"event":         {"/events/" + eventID + "?type=hello", 200, []string{"What it started", "greet"}},
		"event no type": {"/events/" + eventID, 400, nil},
		"no event":      {"/events/none?type=hello", 404, nil},
		"send":          {"/send?type=hello", 200, []string{"&#34;mood&#34;: &#34;good&#34;", `{"type":"object"`, "required"}},
		"send like":     {"/send?type=hello&like=" + eventID, 200, []string{"textarea"}},
		"send no type":  {"/send?type=" + url.QueryEscape(hostile), 200, []string{"no schema"}},
		"mails":         {"/mails", 200, []string{"/mails/m1"}},
		"mail":          {"/mails/m1", 200, []string{`sandbox title="The mail as HTML"`}},
		"mail text":     {"/mails/m1?part=text", 200, nil},
		"mail source":   {"/mails/m1?part=source", 200, nil},
		"no mail":       {"/mails/m2", 404, nil},
		"no page":       {"/" + url.PathEscape(hostile), 404, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.get(c.path)
			if a.status != c.status || !strings.HasSuffix(strings.TrimSpace(a.body), "</html>") {
				t.Errorf("status %d: %.300s", a.status, a.body)
			}
			for _, want := range c.want {
				if !strings.Contains(a.body, want) {
					t.Errorf("no %q in the page", want)
				}
			}
			for _, never := range []string{"<script>alert", "<img src=x", `="javascript:`, " style=", "<style", "onclick="} {
				if strings.Contains(a.body, never) {
					t.Errorf("the page has %q", never)
				}
			}
			checkHeaders(t, a)
		})
	}
}

func checkHeaders(t *testing.T, a answer) {
	t.Helper()
	csp := a.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
		t.Errorf("policy %q", csp)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": "same-origin"} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestMailIsSandboxed: the frame with the HTML of a mail may do nothing.
func TestMailIsSandboxed(t *testing.T) {
	r := newRig(t)
	r.mails = []web.Mail{{ID: "m1", HTML: "<p>hi</p>" + hostile}}
	a := r.get("/mails/m1/html")
	csp := a.header.Get("Content-Security-Policy")
	if a.status != 200 || !strings.Contains(csp, "; sandbox;") || !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "script") || !strings.Contains(csp, "frame-ancestors 'self'") {
		t.Errorf("%d %q", a.status, csp)
	}
}

func TestSend(t *testing.T) {
	r := newRig(t)
	r.install("greet")
	for name, c := range map[string]struct {
		form   string
		status int
		want   string
	}{
		"good":         {`type=hello&data={"name":"x"}`, 303, ""},
		"with an id":   {`type=hello&id=mine&data={"name":"x"}`, 303, ""},
		"not JSON":     {"type=hello&data={\n \"name\": x}", 400, "line 2, column 10"},
		"no object":    {`type=hello&data=[1]`, 400, "want a JSON object"},
		"a fault":      {`type=hello&data={}`, 400, "<code>data.name</code> is missing"},
		"what was in":  {`type=hello&data={"nom":"<b>"}`, 400, `{&#34;nom&#34;:&#34;&lt;b&gt;&#34;}</textarea>`},
		"without type": {`data={}`, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.sent = nil
			form := url.Values{}
			for _, pair := range strings.Split(c.form, "&") {
				k, v, _ := strings.Cut(pair, "=")
				form.Set(k, v)
			}
			a := r.do(http.MethodPost, "/send", form.Encode())
			if a.status != c.status || !strings.Contains(a.body, c.want) {
				t.Errorf("%d, no %q in %s", a.status, c.want, a.body)
			}
			if (len(r.sent) == 1) != (c.status == 303) {
				t.Errorf("%d events were sent", len(r.sent))
			}
			if c.status == 303 {
				if page := r.get(a.header.Get("Location")); page.status != 200 || !strings.Contains(page.body, "The event is stored") {
					t.Errorf("after it: %d", page.status)
				}
			}
		})
	}
}

// TestActs replays and cancels, which the store does.
func TestActs(t *testing.T) {
	r := newRig(t)
	r.install("greet")
	id, _ := r.run("greet", `{"name":"x"}`, run.Record{Status: run.Failed, Error: "no"})
	a := r.do(http.MethodPost, "/runs/"+id+"/replay?function=greet", "")
	if a.status != 303 || !strings.HasPrefix(a.header.Get("Location"), "/runs/") || strings.Contains(a.header.Get("Location"), id) {
		t.Errorf("replay: %d to %q: %s", a.status, a.header.Get("Location"), a.body)
	}
	if a := r.do(http.MethodPost, "/runs/"+id+"/cancel", "reason=x"); a.status != 409 || !strings.Contains(a.body, "Back to the run") {
		t.Errorf("cancel of a run that has ended: %d %s", a.status, a.body)
	}
}

// TestOtherSites: what a page of somebody else makes a browser send is refused.
func TestOtherSites(t *testing.T) {
	r := newRig(t)
	r.install("greet")
	id, _ := r.run("greet", `{"name":"x"}`, run.Record{Status: run.Failed, Error: "no"})
	for _, path := range []string{"/send", "/runs/" + id + "/replay", "/runs/" + id + "/cancel", "/theme", "/v1/runs/" + id + "/replay", "/v1/runs/" + id + "/cancel"} {
		for _, header := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example", "Origin: null"} {
			if a := r.do(http.MethodPost, path, "data={}&type=hello", header); a.status != http.StatusForbidden {
				t.Errorf("%s with %s: %d", path, header, a.status)
			}
		}
	}
	for host, want := range map[string]int{"evil.example": 421, "127.0.0.1.evil.example:80": 421, "localhost:8288": 200, "wildout.localhost": 200, "[::1]:8288": 200, "127.0.0.2": 200, "192.0.2.1:80": 200, "LOCALHOST": 200, "dev-box": 200} {
		for _, path := range []string{"/", "/v1/functions"} {
			if a := r.get(path, "Host: "+host); a.status != want {
				t.Errorf("%s of the host %s: %d, want %d", path, host, a.status, want)
			}
		}
	}
}

func TestAssets(t *testing.T) {
	r := newRig(t)
	page := r.get("/")
	total := len(page.body)
	for _, part := range strings.Split(page.body, `"`) {
		if !strings.HasPrefix(part, "/assets/") {
			continue
		}
		a := r.get(part)
		if a.status != 200 || !strings.Contains(a.header.Get("Cache-Control"), "immutable") || a.header.Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", part, a.status, a.header)
		}
		total += len(a.body)
	}
	if total > 60_000 {
		t.Errorf("a page weighs %d bytes without data, want 60,000 at most", total)
	}
	t.Logf("the overview without data weighs %d bytes, uncompressed", total)
	if a := r.get("/assets/none.css"); a.status != 404 {
		t.Errorf("an asset that is not there: %d", a.status)
	}
}

func TestTheme(t *testing.T) {
	r := newRig(t)
	a := r.do(http.MethodPost, "/theme", "theme=dark&back=/runs?status=failed")
	if a.status != 303 || a.header.Get("Location") != "/runs?status=failed" {
		t.Errorf("%d %q", a.status, a.header.Get("Location"))
	}
	if page := r.get("/"); !strings.Contains(page.body, `data-theme="dark"`) {
		t.Error("the theme is not remembered")
	}
	for _, back := range []string{"https://evil.example", "//evil.example", `/\evil.example`, ""} {
		if a := r.do(http.MethodPost, "/theme", "theme=light&back="+url.QueryEscape(back)); a.header.Get("Location") != "/" {
			t.Errorf("back %q leads to %q", back, a.header.Get("Location"))
		}
	}
	if a := r.do(http.MethodPost, "/theme", "theme=pink"); a.status != 400 {
		t.Errorf("pink: %d", a.status)
	}
}

// TestLive follows the pages while a run ends.
func TestLive(t *testing.T) {
	r := newRig(t)
	r.install("greet")
	first, eventID := r.run("greet", `{"name":"x"}`, run.Record{Status: run.Failed, Error: "no"})
	type page struct{ path, want string }
	pages := map[string]page{
		"runs":      {"/live/runs?status=succeeded", `id="run-%s"`},
		"other":     {"/live/runs?status=failed", `id="run-%s"`}, // only for those who have it
		"events":    {"/live/events", `<span class="name">hello</span>`},
		"overview":  {"/live/overview", "%s"},
		"functions": {"/live/functions", "50%%"},
		"run":       {"/live/run?id=" + first, `id="run"`},
		"event":     {"/live/event?type=hello&id=" + eventID, first},
		"mails":     {"/live/mails", "No mails yet"},
	}
	got := map[string]chan string{}
	for name, p := range pages {
		got[name] = make(chan string, 100)
		r.listen(p.path, got[name])
	}
	time.Sleep(300 * time.Millisecond)
	second, _ := r.run("greet", `{"name":"y"}`, run.Record{Status: run.Succeeded})
	for name, p := range pages {
		want := p.want
		if strings.Contains(want, "%") {
			want = fmt.Sprintf(strings.ReplaceAll(want, "50%%", "50%%%.0s"), second)
		}
		deadline, seen := time.After(8*time.Second), ""
		for !strings.Contains(seen, want) {
			select {
			case text := <-got[name]:
				seen += text
			case <-deadline:
				t.Fatalf("%s: no %q in %s", name, want, seen)
			}
		}
		if _, row, _ := strings.Cut(seen, want); name == "other" && !strings.Contains(row, "data-known") {
			t.Errorf("a run that does not fit the filter comes into the list: %s", seen)
		}
	}
	for _, path := range []string{"/live/none", "/live/run?id=none", "/live/runs?status=none"} {
		if a := r.get(path); a.status < 400 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

// listen reads a stream until the test ends.
func (r *rig) listen(path string, into chan<- string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+path, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("%s: %v %v", path, res, err)
	}
	r.t.Cleanup(func() { res.Body.Close() })
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := res.Body.Read(buffer)
			if n > 0 {
				into <- string(buffer[:n])
			}
			if err != nil {
				return
			}
		}
	}()
}
