package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/cmd/wildout/internal/dev"
	"github.com/wildout/wildout/cmd/wildout/internal/term"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// log collects what a server writes.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// running is a dev server of a test.
type running struct {
	*dev.Server
	client *console.Client
	log    *log
	stop   func()
}

// start runs a server with the built-in Redis, SQLite and the SMTP sink.
func start(t *testing.T, paths ...string) *running {
	t.Helper()
	return startWith(t, dev.Options{Paths: paths, EmbeddedRedis: true, DataDir: t.TempDir()})
}

func startWith(t *testing.T, o dev.Options) *running {
	t.Helper()
	r := &running{log: &log{}}
	o.Listen, o.Logger = "127.0.0.1:0", slog.New(term.NewLogHandler(r.log))
	r.Server = dev.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
		if t.Failed() {
			t.Log(r.log)
		}
	})
	t.Cleanup(r.stop)
	select {
	case <-r.Ready():
	case err := <-ended:
		t.Fatalf("the server did not start: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatalf("the server is not ready:\n%s", r.log)
	}
	r.client = &console.Client{URL: r.About().URL}
	return r
}

// cli runs the command line and returns what it printed.
func cli(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

var site = []string{"../../config/event-types", "../../config/functions"}

// TestDemo is `make run` without the terminal: one event of each type, and
// exactly the effects that they should have.
func TestDemo(t *testing.T) {
	s := start(t, site...)
	var out bytes.Buffer
	if err := demo(t.Context(), &out, s.Server); err != nil {
		t.Fatal(err)
	}
	page, err := s.client.Runs(t.Context(), console.RunQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for i := range page.Runs {
		counts[page.Runs[i].Function+" "+string(page.Runs[i].Status)]++
	}
	// The event and the workflow start the same mail. If the event's run is
	// first the other follows it; if it is second it does not begin.
	const welcome = "send-welcome-email succeeded"
	if n := counts[welcome]; n != 1 && n != 2 {
		t.Errorf("runs: %d × %s, want 1 or 2", n, welcome)
	}
	delete(counts, welcome)
	want := map[string]int{
		"user-registration-workflow waiting": 1,
		"process-new-event succeeded":        1,
		"event-creation-workflow succeeded":  1,
		"process-audit-log succeeded":        4,
		"enhanced-audit-logger succeeded":    4,
		"enhanced-email-processor succeeded": 4,
		"batch-email-processor succeeded":    1,
		"notify-security-alert succeeded":    2,
		"maintenance-workflow succeeded":     1,
	}
	compare(t, "runs", counts, want)

	mails := map[string]int{}
	for _, m := range s.Mails() {
		mails[strings.Join(m.To, ",")+": "+m.Subject]++
	}
	compare(t, "mails", mails, map[string]int{
		"mara@wildout.example: Welcome to Wildout":                                   1,
		"admin@wildout.example: New event: Night of Lanterns":                        1,
		"ada@wildout.example: Night of Lanterns is published":                        1,
		"security@wildout.example: [HIGH] multiple_failed_logins: user user-bela":    1,
		"security@wildout.example: [MEDIUM] login_from_new_country: user user-chidi": 1,
		"ada@wildout.example: Your tickets":                                          1,
		"ada@wildout.example: This weekend":                                          1,
		"bela@wildout.example: This weekend":                                         1,
		"chidi@wildout.example: This weekend":                                        1,
	})
	compare(t, "audit rows", s.count(t, "SELECT action, count(*) FROM audit_log GROUP BY action"), map[string]int{
		"REGISTER_SUCCESS": 1, "WELCOME_EMAIL_SENT": 1, "EVENT_CREATED": 1, "LOGIN_FAILURE": 3, "DATA_EXPORT": 1, "EMAIL_SENT": 4,
	})
	compare(t, "listings", s.count(t, "SELECT status, count(*) FROM events WHERE id = 'event-lanterns' GROUP BY status"), map[string]int{"published": 1})
	for _, part := range []string{"send-welcome-email", "Mails  9", "multiple_failed_logins", "compliance", "Now it is your turn"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the report does not show %q:\n%s", part, &out)
		}
	}
}

func (r *running) count(t *testing.T, query string) map[string]int {
	t.Helper()
	rows, err := r.Handlers().DB.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		counts[name] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return counts
}

func compare(t *testing.T, what string, got, want map[string]int) {
	t.Helper()
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s: %d × %s, want %d", what, got[name], name, n)
		}
	}
	for name, n := range got {
		if _, known := want[name]; !known {
			t.Errorf("%s: %d × %s, want none", what, n, name)
		}
	}
}

// small is a function with an outcome that its event decides.
const small = `apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: greet}
spec:
  triggers: [{event: hello, if: "!has(event.data.skip)"}]
  steps:
    - name: check
      assert: [{that: has(event.data.name), message: nobody to greet}]
    - name: greeting
      set: "HELLO ${event.data.name}"
`

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReload edits the files of a server that runs.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "greet.yaml")
	write(t, file, strings.ReplaceAll(small, "HELLO", "Hello"))
	write(t, filepath.Join(dir, "compose.yaml"), "services: {redis: {image: redis}}\n") // not ours
	s := start(t, dir)
	greeting := func(want string) func() bool {
		return func() bool {
			out, _, err := cli(t, "send", "hello", "--url", s.client.URL, "--data", `{"name":"Mara"}`, "--wait", "-o", "json")
			return err == nil && strings.Contains(out, `"`+want+` Mara"`)
		}
	}
	eventually(t, "the function runs", greeting("Hello"))

	write(t, file, strings.ReplaceAll(small, "HELLO", "Good day,"))
	eventually(t, "the change is picked up", greeting("Good day,"))
	eventually(t, "the worker before has left", func() bool {
		all, err := s.client.Functions(t.Context())
		return err == nil && len(all) == 1 && all[0].Runners == 1
	})

	write(t, file, strings.ReplaceAll(small, "event.data.name}", "event.dota.name}"))
	eventually(t, "the fault is shown", func() bool { return strings.Contains(s.log.String(), "spec.steps[1].set") })
	if !greeting("Good day,")() {
		t.Error("a fault in the file stopped the function that was running")
	}

	other := filepath.Join(dir, "other.yaml")
	write(t, other, strings.ReplaceAll(small, "name: greet}", "name: other}"))
	eventually(t, "a new file is picked up", func() bool { return strings.Contains(s.log.String(), "new: other") })

	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a removed file stops its function", func() bool { return strings.Contains(s.log.String(), "removed: other") })
}

func TestSend(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "greet.yaml"), small)
	write(t, filepath.Join(dir, "sleeper.yaml"), `apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: sleeper}
spec:
  triggers: [{event: nap}]
  steps: [{name: rest, sleep: 72h}]
`)
	write(t, filepath.Join(dir, "parent.yaml"), `apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: parent}
spec:
  triggers: [{event: family}]
  steps: [{name: call, invoke: {function: child}}]
---
apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: child}
spec:
  triggers: [{event: orphan}]
  steps: [{name: rest, sleep: 300ms}, {name: word, set: "here I am"}]
`)
	write(t, filepath.Join(dir, "type.yaml"), `apiVersion: wildout.dev/v1alpha1
kind: WildoutEventType
metadata: {name: hello}
spec: {type: hello, schema: {type: object, properties: {name: {type: string}}}, retention: {period: 2h, maxBytes: 1Mi}}
`)
	s := start(t, dir)
	data := filepath.Join(dir, "data.txt")
	write(t, data, `{"name":"Fay"}`)
	for name, c := range map[string]struct {
		args  []string
		wants []string
		fails string // the error; "shown" is status 1 without another message
	}{
		"a run":               {[]string{"hello", "--data", `{"name":"Mara"}`, "--wait"}, []string{"✓ greet  succeeded in", "greeting  ok", `output "HELLO Mara"`}, ""},
		"data of a file":      {[]string{"hello", "--file", data, "--wait"}, []string{`"HELLO Fay"`}, ""},
		"a run that fails":    {[]string{"hello", "--wait"}, []string{"✗ greet  failed in", "check: assertion failed: nobody to greet"}, "shown"},
		"a run that sleeps":   {[]string{"nap", "--wait"}, []string{"… sleeper  waiting until", "(in 3d)", "rest  waiting"}, ""},
		"a run that invokes":  {[]string{"family", "--wait"}, []string{"✓ parent  succeeded in", `output "here I am"`}, ""},
		"a filtered event":    {[]string{"hello", "--data", `{"skip":true}`, "--wait"}, []string{"– greet  not started"}, ""},
		"no listener":         {[]string{"unheard-of", "--wait"}, []string{"no function listens to unheard-of"}, ""},
		"no wait":             {[]string{"hello", "--id", "mine"}, []string{"mine\n"}, ""},
		"wait for an own id":  {[]string{"hello", "--id", "mine/2", "--data", `{"name":"Ida"}`, "--wait"}, []string{"mine/2\n", "✓ greet"}, ""},
		"as JSON":             {[]string{"hello", "--data", `{"name":"Mara"}`, "--wait", "-o", "json"}, []string{`"type": "hello"`, `"status": "succeeded"`, `"function": "greet"`}, ""},
		"what does not fit":   {[]string{"hello", "--data", `{"name":7}`}, nil, "data.name is not valid: got number, want string"},
		"no JSON":             {[]string{"hello", "--data", `{name:7}`}, nil, "the data is no JSON"},
		"as YAML":             {[]string{"hello", "--id", "y", "-o", "yaml"}, []string{"id: \"y\"\n", "type: hello\n"}, ""},
		"another output":      {[]string{"hello", "-o", "xml"}, nil, "want text, json, yaml, name"},
		"nobody who answers":  {[]string{"hello", "--url", "http://127.0.0.1:1"}, nil, "is `wildout dev`, or the console of a cluster, running there?"},
		"two sources of data": {[]string{"hello", "--data", "{}", "--file", data}, nil, "none of the others can be"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := cli(t, append([]string{"send", "--url", s.client.URL}, c.args...)...)
			switch {
			case c.fails == "" && err != nil, c.fails == "shown" && !errors.Is(err, errShown):
				t.Errorf("error %v", err)
			case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Errorf("error %v, want %q", err, c.fails)
			}
			for _, want := range c.wants {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
		})
	}
}

func TestRuns(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "greet.yaml"), small)
	s := start(t, dir)
	url := s.client.URL
	ids := map[string]string{}
	for _, data := range []string{`{"name":"Mara"}`, `{}`} {
		out, _, _ := cli(t, "send", "hello", "--url", url, "--data", data, "--wait", "-o", "json")
		var sent console.EventRuns
		if err := json.Unmarshal([]byte(out), &sent); err != nil || len(sent.Runs) != 1 {
			t.Fatalf("send printed %s (%v)", out, err)
		}
		ids[string(sent.Runs[0].Status)] = sent.Runs[0].ID
	}
	for name, c := range map[string]struct {
		args        []string
		want, avoid string
		fails       string
	}{
		"all":              {[]string{"runs", "list"}, ids["succeeded"], "", ""},
		"failed ones":      {[]string{"runs", "list", "--status", "failed"}, ids["failed"], ids["succeeded"], ""},
		"of a function":    {[]string{"runs", "list", "--function", "greet", "-o", "json"}, ids["failed"], "", ""},
		"the newest":       {[]string{"runs", "list", "--limit", "1"}, ids["failed"], ids["succeeded"], ""},
		"none":             {[]string{"runs", "list", "--status", "waiting"}, "no runs", "", ""},
		"one":              {[]string{"runs", "get", ids["failed"]}, "nobody to greet", "", ""},
		"one as JSON":      {[]string{"runs", "get", ids["succeeded"], "-o", "json"}, `"output": "HELLO Mara"`, "", ""},
		"one that is not":  {[]string{"runs", "get", "nope"}, "", "", `there is no run "nope"`},
		"no such function": {[]string{"runs", "list", "--function", "nope"}, "", "", `there is no function "nope"`},
		"no such status":   {[]string{"runs", "list", "--status", "nope"}, "", "", "want queued, running"},
		"no such limit":    {[]string{"runs", "list", "--limit", "0"}, "", "", "want 1 or more"},
		"functions":        {[]string{"functions"}, "hello", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := cli(t, append(c.args, "--url", url)...)
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
			if !strings.Contains(out, c.want) || c.avoid != "" && strings.Contains(out, c.avoid) {
				t.Errorf("printed, in place of %q:\n%s", c.want, out)
			}
		})
	}
	all, err := s.client.Functions(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("functions: %v (%v)", all, err)
	}
	want := inspect.Stats{Succeeded: 1, Failed: 1, Runners: 1}
	if f := all[0]; f.Stats != want || !slices.Equal(f.Triggers, []string{"hello"}) {
		t.Errorf("function %+v, want %+v", f, want)
	}
}

func TestProbesAndMail(t *testing.T) {
	s := start(t, site...)
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ok", "/metrics": "go_goroutines", "/mail": "[]", "/v1/runs": "[]",
		"/v1/events/x/runs": "which event type?", "/v1/events/x/runs?type=hello": "there is no event",
	} {
		res, err := http.Get(s.client.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s answers %.200s (%v), want %s", path, text, err, want)
		}
	}
}

// TestRunsOutliveTheServer stops a server with a run that sleeps and starts it
// again, on the same Redis.
func TestRunsOutliveTheServer(t *testing.T) {
	manifests, data := t.TempDir(), t.TempDir()
	write(t, filepath.Join(manifests, "nap.yaml"), `apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: nap}
spec:
  triggers: [{event: nap}]
  steps: [{name: first, set: "before"}, {name: rest, sleep: 3s}, {name: last, set: "${steps.first.output} and after"}]
`)
	o := dev.Options{Paths: []string{manifests}, DataDir: data}
	s := startWith(t, o)
	if !strings.Contains(s.About().Redis, "redis-server") {
		t.Fatalf("Redis is %s: run `make services`", s.About().Redis)
	}
	ids, err := s.client.Send(t.Context(), "dev", []byte(`{"name":"nap"}`))
	if err != nil {
		t.Fatal(err)
	}
	status := func() (*console.EventRuns, run.Status) {
		runs, err := s.client.EventRuns(t.Context(), "nap", ids[0])
		if err != nil || len(runs.Runs) != 1 {
			t.Fatalf("runs %+v (%v)", runs, err)
		}
		return runs, runs.Runs[0].Status
	}
	eventually(t, "the run sleeps", func() bool { _, st := status(); return st == run.Waiting })
	if err := dev.New(o).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another `wildout dev`") {
		t.Errorf("a second server in the same folder: %v", err)
	}
	s.stop()
	s = startWith(t, o)
	eventually(t, "the run goes on", func() bool { _, st := status(); return st == run.Succeeded })
	if runs, _ := status(); string(runs.Runs[0].Output) != `"before and after"` {
		t.Errorf("output %s", runs.Runs[0].Output)
	}
}
