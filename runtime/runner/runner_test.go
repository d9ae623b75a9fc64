package runner

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wildout/wildout/api/v1alpha1"
	wildout "github.com/wildout/wildout/runtime"
)

// handlers are a set with one handler, and another that lacks a setting.
func handlers() Handlers {
	set := Handlers{Registry: &wildout.Registry{}, Missing: func(name string) string {
		if name == "mail.send" {
			return "WILDOUT_SMTP_URL"
		}
		return ""
	}}
	wildout.Add(set.Registry, "greet", func(context.Context, struct{}) (string, error) { return "hello", nil })
	return set
}

// manifest has functions whose one step calls this handler.
func manifest(names ...string) string {
	var all strings.Builder
	for _, handler := range names {
		all.WriteString("---\napiVersion: wildout.dev/v1alpha1\nkind: WildoutFunction\nmetadata: {name: f}\nspec:\n  triggers: [{event: a}]\n  steps:\n  - {name: one, handler: " + handler + "}\n")
	}
	return all.String()
}

func TestLoad(t *testing.T) {
	p, _, err := load(file(t, manifest("greet")), handlers())
	if err != nil || p.Function != "f" || len(p.Steps) != 1 {
		t.Fatalf("got %+v, %v", p, err)
	}
}

// TestManifestsThatCannotRun end the runner with the status by which the
// operator tells whose fault it is, and with what to do.
func TestManifestsThatCannotRun(t *testing.T) {
	for name, tc := range map[string]struct {
		manifest string
		status   int
		want     []string
	}{
		"two functions":       {manifest("greet", "greet"), v1alpha1.ExitBadSettings, nil},
		"none":                {"", v1alpha1.ExitBadSettings, nil},
		"no YAML":             {"a: [", v1alpha1.ExitBadSettings, nil},
		"unknown handler":     {manifest("bye"), v1alpha1.ExitUnknownHandler, []string{"function f cannot run", "bye", "spec.steps[0].handler"}},
		"a setting is absent": {manifest("mail.send"), v1alpha1.ExitBadSettings, []string{"the handler mail.send needs WILDOUT_SMTP_URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, said, told := start(t, tc.manifest)
			if status != tc.status {
				t.Errorf("status: got %d, want %d: %s", status, tc.status, said)
			}
			for _, text := range tc.want {
				if !strings.Contains(said, text) || !strings.Contains(told, text) {
					t.Errorf("want %q in what it said (%s) and in the termination log (%s)", text, said, told)
				}
			}
		})
	}
}

// start runs a runner that has no Redis, and returns what it said and left.
func start(t *testing.T, manifest string, more ...string) (status int, said, told string) {
	t.Helper()
	var stderr strings.Builder
	log := filepath.Join(t.TempDir(), "termination-log")
	args := append([]string{"--redis-url", "redis://127.0.0.1:1/0", "--listen", "127.0.0.1:0", "--manifest", file(t, manifest), "--termination-log", log}, more...)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	status = Run(ctx, Options{Args: args, Setup: func(context.Context, Resources) (Handlers, error) { return handlers(), nil }, Stderr: &stderr})
	text, err := os.ReadFile(log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return status, stderr.String(), string(text)
}

func TestStartsThatFail(t *testing.T) {
	for name, tc := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"no manifest":                     {[]string{"--manifest", "/not/there"}, v1alpha1.ExitBadSettings, "set WILDOUT_MANIFEST to its path"},
		"a wrong URL":                     {[]string{"--redis-url", "http://h"}, v1alpha1.ExitBadSettings, "it looks like redis://user:password@host:6379/0"},
		"a wrong number":                  {[]string{"--max-in-flight", "no"}, v1alpha1.ExitBadSettings, "WILDOUT_MAX_IN_FLIGHT"},
		"an address that nobody can have": {[]string{"--listen", "256.0.0.1:1"}, v1alpha1.ExitFailed, "set WILDOUT_LISTEN to another address"},
	} {
		t.Run(name, func(t *testing.T) {
			status, said, _ := start(t, manifest("greet"), tc.args...)
			if status != tc.status || !strings.Contains(said, tc.want) {
				t.Errorf("got %d, %s; want %d with %q", status, said, tc.status, tc.want)
			}
		})
	}
}

// TestASetupThatFails is a fault of the settings: another start does not mend it.
func TestASetupThatFails(t *testing.T) {
	var stderr strings.Builder
	closed := false
	status := Run(t.Context(), Options{Args: []string{"--redis-url", "redis://127.0.0.1:1/0", "--termination-log", filepath.Join(t.TempDir(), "t")}, Stderr: &stderr,
		Setup: func(_ context.Context, r Resources) (Handlers, error) {
			if r.Store == nil || r.Logger == nil || r.Settings.Namespace != "default" {
				t.Errorf("resources: %+v", r)
			}
			return Handlers{Close: func() { closed = true }}, errors.New("no database")
		}})
	if status != v1alpha1.ExitBadSettings || !strings.Contains(stderr.String(), "no database") || closed {
		t.Errorf("got %d, %s", status, &stderr)
	}
}

func TestHelpEndsWell(t *testing.T) {
	var stderr strings.Builder
	if status := Run(t.Context(), Options{Args: []string{"-h"}, Stderr: &stderr, Usage: "more"}); status != 0 || !strings.HasSuffix(stderr.String(), "more") {
		t.Errorf("got %d, %s", status, &stderr)
	}
}

// get asks a mux for a path.
func get(mux http.Handler, path string) (int, string) {
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	return answer.Code, answer.Body.String()
}

func TestProbes(t *testing.T) {
	var trouble error
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "things_total", Help: "Things."}))
	mux := http.NewServeMux()
	RegisterProbes(mux, func() error { return trouble }, metrics)
	check := func(path string, status int, text string) {
		t.Helper()
		if got, body := get(mux, path); got != status || !strings.Contains(body, text) {
			t.Errorf("%s: got %d %q, want %d with %q", path, got, body, status, text)
		}
	}
	check("/readyz", http.StatusOK, "ok")
	check("/metrics", http.StatusOK, "things_total 0")
	trouble = errors.New("Redis is away")
	check("/readyz", http.StatusServiceUnavailable, "not ready: Redis is away")
	check("/healthz", http.StatusOK, "ok") // to start it again would not help
	check("/other", http.StatusNotFound, "")
}

// TestServeEndsRequestsUnderWay: they get their answer.
func TestServeEndsRequestsUnderWay(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	entered := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-ctx.Done()
			_, _ = io.WriteString(w, "answered")
		}))
	}()
	go func() { <-entered; stop() }()
	answer, err := http.Get("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err := <-ended; err != nil || string(body) != "answered" {
		t.Errorf("got %q, %v", body, err)
	}
	if _, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		t.Error("somebody still listens")
	}
}

func TestServeTellsWhyItEnds(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := Serve(t.Context(), listener, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "HTTP server on 127.0.0.1") {
		t.Errorf("got %v", err)
	}
}

func TestTerminationLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	writeTerminationLog(path, strings.Repeat("a", maxTerminationLog)+"b")
	writeTerminationLog(filepath.Join(path, "not", "there"), "let be")
	text, err := os.ReadFile(path)
	if err != nil || len(text) != maxTerminationLog || strings.Contains(string(text), "b") {
		t.Errorf("got %d bytes, %v", len(text), err)
	}
	writeTerminationLog(path, "new")
	if text, _ = os.ReadFile(path); string(text) != "new" {
		t.Errorf("got %s", text)
	}
}

func TestLogFormats(t *testing.T) {
	var text strings.Builder
	newLogger("json", &text).Info("hello", "n", 1)
	var line map[string]any
	if err := json.Unmarshal([]byte(text.String()), &line); err != nil || line["msg"] != "hello" || line["n"] != 1.0 {
		t.Errorf("json: %s, %v", &text, err)
	}
	text.Reset()
	newLogger("text", &text).Info("hello", "n", 1)
	if !strings.Contains(text.String(), "msg=hello n=1") {
		t.Errorf("text: %s", &text)
	}
}
