package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// program is the runner, and example the one of the documentation; built once
// for all tests, stripped as for images.
var program, example string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "runner")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "runner")
	example = filepath.Join(dir, "example")
	for target, source := range map[string]string{program: ".", example: "../../docs/examples/runner"} {
		if output, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", target, source).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build %s: %v\n%s", source, err, output)
			return 1
		}
	}
	return servicetest.Main(m)
}

const greet = `apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: greet}
spec:
  triggers: [{event: hello}]
  steps:
    - {name: note, handler: log.write, with: {message: "hello ${event.data.name}"}}
  output: "${env.GREETING} ${event.data.name}"
`

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is a runner as Kubernetes runs it: with settings in its environment
// and in files.
type process struct {
	cmd    *exec.Cmd
	addr   string
	dir    string
	output output
}

func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t *testing.T, manifest, redisURL string, env ...string) *process {
	t.Helper()
	return startProgram(t, program, manifest, redisURL, env...)
}

func startProgram(t *testing.T, program, manifest, redisURL string, env ...string) *process {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{addr: listener.Addr().String(), dir: t.TempDir()}
	listener.Close()
	p.cmd = exec.Command(program)
	p.cmd.Env = append([]string{
		"WILDOUT_MANIFEST=" + file(t, p.dir, "function.yaml", manifest),
		"WILDOUT_REDIS_URL_FILE=" + file(t, p.dir, "url", redisURL+"\n"),
		"WILDOUT_LISTEN=" + p.addr, "WILDOUT_NAMESPACE=shop", "WILDOUT_ENV_GREETING=Good day,",
		"WILDOUT_TERMINATION_LOG=" + filepath.Join(p.dir, "termination-log"), "WILDOUT_LEASE=2s",
	}, env...)
	p.cmd.Stderr = &p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Log(p.output.String())
		}
	})
	return p
}

// wait returns the exit status.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { t.Error("the runner does not end"); _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.cmd.Wait() // the status says it all
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) get(path string) (int, string) {
	res, err := http.Get("http://" + p.addr + path)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// TestRedisComesLate starts a runner while Redis is away: it says so, waits,
// and works once Redis is there. A signal ends it in order.
func TestRedisComesLate(t *testing.T) {
	redis := servicetest.StartRedis(t, servicetest.AppendFsync("everysec"))
	redis.Stop()
	p := start(t, greet, redis.URL())
	eventually(t, "the probe says what is wrong", func() bool {
		status, text := p.get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(text, "nothing listens at the address in the Redis URL")
	})
	if status, _ := p.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz answers %d while Redis is away: Kubernetes would kill the runner", status)
	}
	redis.Start()
	eventually(t, "the runner is ready", func() bool { status, _ := p.get("/readyz"); return status == http.StatusOK })

	s := open(t, redis.URL())
	publish(t, s, "hello")
	eventually(t, "the run ends", func() bool { return ended(s, `"Good day, Mara"`) })
	if !strings.Contains(p.output.String(), `"msg":"hello Mara"`) {
		t.Error("log.write left no line")
	}
	if _, text := p.get("/metrics"); !strings.Contains(text, `wildout_runs_total{function="greet",status="succeeded"} 1`) {
		t.Errorf("the metrics do not count the run:\n%s", text)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := p.wait(t); status != 0 {
		t.Errorf("after SIGTERM the exit status is %d", status)
	}
	stats, err := inspect.New(s).Stats(t.Context(), "greet", []string{"hello"})
	if err != nil || stats.Runners != 0 {
		t.Errorf("the runner did not take leave: %+v (%v)", stats, err)
	}
}

func TestWrongPassword(t *testing.T) {
	redis := servicetest.StartRedis(t, servicetest.Password("right"))
	p := start(t, greet, strings.ReplaceAll(redis.URL(), "right", "wr0ng"))
	eventually(t, "the probe says what is wrong", func() bool {
		status, text := p.get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(text, "refuses the user name or password")
	})
	if strings.Contains(p.output.String(), "wr0ng") {
		t.Error("the password is in the log")
	}
}

// TestFaultsOfTheSettings are those that no restart mends: a status that says
// so, and the reason for Kubernetes to show.
func TestFaultsOfTheSettings(t *testing.T) {
	const url = "redis://127.0.0.1:1/0"
	for name, c := range map[string]struct {
		manifest, url string
		env           []string
		want          string
	}{
		"a wrong expression":    {strings.ReplaceAll(greet, "event.data.name}\"\n", "event.dota.name}\"\n"), url, nil, "spec.output:"},
		"an unknown handler":    {strings.ReplaceAll(greet, "log.write", "log.wright"), url, nil, `the runner has no handler "log.wright"`},
		"a missing setting":     {strings.ReplaceAll(greet, "log.write", "audit.log"), url, nil, "the handler audit.log needs a database (WILDOUT_DATABASE_URL) and an SMTP server (WILDOUT_SMTP_URL)"},
		"two functions":         {greet + "---\n" + strings.ReplaceAll(greet, "name: greet", "name: other"), url, nil, "has 2 functions"},
		"an unknown field":      {strings.ReplaceAll(greet, "steps:", "stesp:"), url, nil, "stesp"},
		"no Redis URL":          {greet, "", nil, "no Redis URL"},
		"a duration":            {greet, url, []string{"WILDOUT_GRACE=soon"}, "WILDOUT_GRACE (--grace):"},
		"a format":              {greet, url, []string{"WILDOUT_LOG_FORMAT=yaml"}, "want json or text"},
		"a file that is not":    {greet, url, []string{"WILDOUT_DATABASE_URL_FILE=/no/such/file"}, "WILDOUT_DATABASE_URL_FILE: open /no/such/file"},
		"a range of addresses":  {greet, url, []string{"WILDOUT_HTTP_ALLOW_CIDRS=10.0.0.0"}, "WILDOUT_HTTP_ALLOW_CIDRS:"},
		"a URL of another kind": {greet, url, []string{"WILDOUT_DATABASE_URL=mysql://x"}, "no scheme that is known"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, c.manifest, c.url, c.env...)
			want := v1alpha1.ExitBadSettings
			if name == "an unknown handler" {
				want = v1alpha1.ExitUnknownHandler
			}
			if status := p.wait(t); status != want {
				t.Errorf("exit status %d, want %d", status, want)
			}
			reason, err := os.ReadFile(filepath.Join(p.dir, "termination-log"))
			if err != nil || !strings.Contains(string(reason), c.want) {
				t.Errorf("the termination log says %q (%v), want %q", reason, err, c.want)
			}
			if !strings.Contains(p.output.String(), c.want) {
				t.Error("the log does not say it")
			}
		})
	}
}

// TestDatabaseAway starts with a database and a mail server that are down:
// that is the business of the steps that need them.
func TestDatabaseAway(t *testing.T) {
	redis := servicetest.StartRedis(t)
	p := start(t, greet, redis.URL(), "WILDOUT_DATABASE_URL=postgres://u:p@127.0.0.1:1/site", "WILDOUT_SMTP_URL=smtp://127.0.0.1:1")
	eventually(t, "the runner is ready", func() bool { status, _ := p.get("/readyz"); return status == http.StatusOK })
}

// TestExample runs the example of the documentation.
func TestExample(t *testing.T) {
	manifest, err := os.ReadFile("../../docs/examples/runner/greet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	redis := servicetest.StartRedis(t)
	p := startProgram(t, example, string(manifest), redis.URL())
	// Run by hand it reads what comes from now on.
	eventually(t, "the runner is ready", func() bool { status, _ := p.get("/readyz"); return status == http.StatusOK })
	s := open(t, redis.URL())
	publish(t, s, "person/arrived")
	eventually(t, "the run ends", func() bool { return ended(s, `"Hello, Mara!"`) })
}

// TestExampleThatWaits runs the sample of a function that is one handler, with
// the example of docs/handlers.md: it waits for its payment, sleeps, and invokes
// a function of another runner.
func TestExampleThatWaits(t *testing.T) {
	manifest, err := os.ReadFile("../../config/samples/handler-that-waits.yaml")
	if err != nil {
		t.Fatal(err)
	}
	redis := servicetest.StartRedis(t)
	startProgram(t, example, string(manifest), redis.URL())
	start(t, ship, redis.URL())
	s := open(t, redis.URL())
	send := func(eventType, data string) {
		if err := s.Publish(t.Context(), &event.Event{Type: eventType, Data: json.RawMessage(data)}); err != nil {
			t.Fatal(err)
		}
	}
	looks := inspect.New(s)
	const function = "sample-handler-that-waits"
	send("order/confirmed", `{"orderId":"o1","email":"mara@example.com"}`)
	eventually(t, "the handler waits for the payment", func() bool {
		waiting, err := looks.Waiting(t.Context(), function, 10)
		return err == nil && len(waiting) == 1 && waiting[0].Reason == run.WaitingForEvent
	})
	send("payment/received", `{"orderId":"another","sum":1}`)
	send("payment/received", `{"orderId":"o1","sum":20.5}`)
	eventually(t, "the run ends", func() bool {
		all, err := looks.History(t.Context(), function, 10)
		if len(all) == 1 && string(all[0].Output) != `{"parcel":"o1 for 20.5"}` {
			t.Fatalf("the run is %s with %s: %s", all[0].Status, all[0].Output, all[0].Error)
		}
		return err == nil && len(all) == 1
	})
}

const ship = `apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: ship-order}
spec:
  triggers: [{event: never}]
  steps:
    - {name: label, set: {parcel: "${event.data.orderId + ' for ' + string(event.data.sum)}"}}
`

// TestDocumentedHandler holds docs/handlers.md to the example that compiles.
func TestDocumentedHandler(t *testing.T) {
	page, err := os.ReadFile("../../docs/handlers.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("../../docs/examples/runner/order.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(page), "```go\n")
	shown, _, found := strings.Cut(shown, "```\n")
	if !found || !strings.Contains(string(code), shown) {
		t.Errorf("docs/handlers.md shows what docs/examples/runner/order.go does not have:\n%s", shown)
	}
}

func open(t *testing.T, url string) *store.Conn {
	t.Helper()
	s, err := store.Open(store.Options{URL: url, Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func publish(t *testing.T, s *store.Conn, eventType string) {
	t.Helper()
	if err := s.Publish(t.Context(), &event.Event{Type: eventType, Data: json.RawMessage(`{"name":"Mara"}`)}); err != nil {
		t.Fatal(err)
	}
}

// ended reports whether the one run of greet ended with that output.
func ended(s *store.Conn, output string) bool {
	all, err := inspect.New(s).History(context.Background(), "greet", 10)
	return err == nil && len(all) == 1 && all[0].Status == run.Succeeded && string(all[0].Output) == output
}

func TestHelp(t *testing.T) {
	output, err := exec.Command(program, "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(output), "WILDOUT_REDIS_URL") {
		t.Errorf("%v\n%s", err, output)
	}
}
