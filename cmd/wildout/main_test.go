package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// asMain makes the test program be wildout.
const asMain = "WILDOUT_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program returns a command that runs wildout in a process of its own, called
// by a name.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), link, args...)
	cmd.Env = append(os.Environ(), asMain+"=1")
	return cmd
}

// printed returns what a command printed, and its exit status.
func printed(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// answers is a server that gives one answer to everything.
func answers(t *testing.T, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestExitStatus(t *testing.T) {
	problem := func(status int) string {
		return answers(t, status, fmt.Sprintf(`{"error":"so it is","status":%d}`, status))
	}
	file := filepath.Join(t.TempDir(), "events.ndjson")
	write(t, file, "{}\n{}\n")
	for name, c := range map[string]struct {
		args   []string
		status int
		stderr string
	}{
		"well":                   {[]string{"version"}, 0, ""},
		"help":                   {[]string{"runs"}, 0, ""},
		"no":                     {[]string{"runs", "get", "x", "--url", problem(404)}, 1, "wildout: so it is"},
		"a conflict":             {[]string{"runs", "cancel", "x", "--url", problem(409)}, 1, "so it is"},
		"a refused event":        {[]string{"send", "hello", "--url", problem(400)}, 1, "so it is"},
		"no manifest":            {[]string{"validate", "-f", t.TempDir()}, 1, "there is no manifest"},
		"unknown command":        {[]string{"rnus"}, 2, "unknown command"},
		"unknown subcommand":     {[]string{"runs", "lsit"}, 2, "unknown command"},
		"unknown flag":           {[]string{"runs", "list", "--sort"}, 2, "unknown flag"},
		"a flag without a value": {[]string{"runs", "list", "--function"}, 2, "flag needs an argument"},
		"a wrong value":          {[]string{"runs", "list", "--limit", "many"}, 2, "invalid argument"},
		"a wrong status":         {[]string{"runs", "list", "--status", "bad"}, 2, "want queued"},
		"a wrong time":           {[]string{"runs", "list", "--since", "soon"}, 2, "want a time such as"},
		"a wrong URL":            {[]string{"runs", "list", "--url", "localhost:8288"}, 2, "it looks like http://"},
		"no id":                  {[]string{"runs", "get"}, 2, "requires at least 1 arg"},
		"no selection":           {[]string{"runs", "replay"}, 2, "which runs?"},
		"two selections":         {[]string{"runs", "cancel", "x", "--status", "failed"}, 2, "not both"},
		"no event":               {[]string{"send"}, 2, "which event?"},
		"a missing flag":         {[]string{"validate"}, 2, "required flag"},
		"flags that exclude":     {[]string{"send", "x", "--data", "{}", "--file", "y"}, 2, "none of the others can be"},
		"no file":                {[]string{"send", "x", "--file", "/no/such"}, 2, "read the events"},
		"a file with faults":     {[]string{"send", "x", "--file", file, "--wait", "--url", problem(400)}, 2, "--wait is for one event"},
		"nobody there":           {[]string{"functions", "--url", "http://127.0.0.1:1"}, 3, "nobody answers"},
		"nobody there to send":   {[]string{"send", "x", "--url", "http://127.0.0.1:1"}, 3, "nobody answers"},
		"nobody there to follow": {[]string{"runs", "watch", "--url", "http://127.0.0.1:1"}, 3, "nobody answers"},
		"not now":                {[]string{"functions", "--url", problem(503)}, 3, "so it is"},
		"something else":         {[]string{"functions", "--url", answers(t, 500, "<html>")}, 3, "is this wildout?"},
		"not allowed":            {[]string{"runs", "cancel", "x", "--url", problem(403)}, 4, "so it is"},
		"no token":               {[]string{"functions", "--url", problem(401)}, 4, "so it is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr, status := printed(t, program(t, "wildout", c.args...))
			if status != c.status || !strings.Contains(stderr, c.stderr) {
				t.Errorf("status %d, printed %q, want %d and %q", status, stderr, c.status, c.stderr)
			}
		})
	}
	help, _, _ := printed(t, program(t, "wildout", "--help"))
	if !strings.Contains(help, "Exit status: 0 all is well; 1 the answer is no") {
		t.Errorf("the help does not list the exit statuses:\n%s", help)
	}
}

func TestAsPlugin(t *testing.T) {
	help, _, status := printed(t, program(t, "kubectl-wildout", "send", "--help"))
	if status != 0 || !strings.Contains(help, "kubectl wildout send [TYPE] [flags]") || !strings.Contains(help, "| kubectl wildout send") ||
		!strings.Contains(help, "\n  kubectl wildout send user/registered") || strings.Contains(help, "\n  wildout ") {
		t.Errorf("the help of the plugin:\n%s", help)
	}
	_, stderr, _ := printed(t, program(t, "kubectl-wildout", "rnus"))
	if !strings.HasPrefix(stderr, `kubectl wildout: unknown command "rnus" for "kubectl wildout"`) {
		t.Errorf("its errors: %s", stderr)
	}
	out, _, _ := printed(t, program(t, "kubectl_complete-wildout", "runs", "li"))
	if !strings.HasPrefix(out, "list\t") {
		t.Errorf("it completes: %s", out)
	}
}

// TestInterrupted sends a file without an end, until somebody presses Ctrl-C.
func TestInterrupted(t *testing.T) {
	var taken atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var events []wireEvent
		if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
			return // the interrupt cut it off
		}
		taken.Add(int64(len(events)))
		_ = json.NewEncoder(w).Encode(map[string]any{"ids": make([]string, len(events))})
	}))
	t.Cleanup(server.Close)
	cmd := program(t, "wildout", "send", "bulk", "--file", "-", "--url", server.URL)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, err := io.WriteString(in, strings.Repeat("{}\n", 100)); err != nil {
				return
			}
		}
	}()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for taken.Load() < 5000 {
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the status says it
	stdout, stderr, status := out.String(), errs.String(), cmd.ProcessState.ExitCode()
	var sent int64
	text := strings.ReplaceAll(stderr, ",", "")
	if _, err := fmt.Sscanf(text, "sent %d events of the file", &sent); err != nil || status != exitInterrupted {
		t.Fatalf("status %d, printed %q %q", status, stdout, stderr)
	}
	if all := taken.Load(); sent < 4000 || sent > all || sent < all-maxBatch {
		t.Errorf("it says that %d were sent, the server took %d", sent, all)
	}
}

// TestRetries sends to a gateway that is busy, then away, then there: each
// batch is taken once, for all tries have one seed.
func TestRetries(t *testing.T) {
	var tries, taken int
	seeds := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries++
		var events []wireEvent
		if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
			t.Error(err)
		}
		seed := r.Header.Get("X-Inngest-Event-Id-Seed")
		seeds[seed]++
		switch tries {
		case 1:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		case 3:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case 4: // it took them, and nobody learned of it
			taken += len(events)
			panic(http.ErrAbortHandler)
		}
		if seeds[seed] == 1 || tries == 2 {
			taken += len(events)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"ids": make([]string, len(events))})
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "events.json")
	write(t, file, "["+strings.TrimSuffix(strings.Repeat(`{"name":"a","data":{}},`, 1500), ",")+"]")
	began := time.Now()
	out, stderr, err := cli(t, "send", "--file", file, "--url", server.URL, "-o", "json")
	if err != nil || !strings.Contains(out, `"sent": 1500`) {
		t.Errorf("printed %s %s (%v)", out, stderr, err)
	}
	if tries != 5 || taken != 1500 || len(seeds) != 2 {
		t.Errorf("%d tries with %d seeds, %d events taken", tries, len(seeds), taken)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("it took %s: Retry-After is not honoured", took)
	}
	_, _, err = cli(t, "send", "a", "--url", answers(t, http.StatusServiceUnavailable, `{"error":"full"}`), "--retry-for", "300ms")
	if exitStatus(err) != exitUnreachable || !strings.Contains(err.Error(), "full") {
		t.Errorf("after its patience: %v", err)
	}
}

// TestTokenAndAuthority asks a server with a certificate of its own, which wants
// a token.
func TestTokenAndAuthority(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "[]")
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	ca, token := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	write(t, ca, certificate(server))
	write(t, token, "s3cret\n")
	args := []string{"functions", "--url", server.URL}
	if _, _, err := cli(t, args...); exitStatus(err) != exitUnreachable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	args = append(args, "--ca-file", ca)
	if _, _, err := cli(t, args...); exitStatus(err) != exitRefused {
		t.Errorf("without a token: %v", err)
	}
	for name, more := range map[string][]string{"a flag": {"--token", "s3cret"}, "a file": {"--token-file", token}} {
		if out, _, err := cli(t, append(args, more...)...); err != nil || out != "no functions\n" {
			t.Errorf("with the token of %s: %s (%v)", name, out, err)
		}
	}
	t.Setenv("WILDOUT_TOKEN", "s3cret")
	t.Setenv("WILDOUT_URL", server.URL)
	t.Setenv("WILDOUT_CA_FILE", ca)
	if out, _, err := cli(t, "functions"); err != nil || out != "no functions\n" {
		t.Errorf("all of the environment: %s (%v)", out, err)
	}
	for name, args := range map[string][]string{"no such token": {"--token-file", dir + "/none"}, "no such authority": {"--ca-file", dir + "/none"}, "no authority": {"--ca-file", token}} {
		if _, _, err := cli(t, append([]string{"functions"}, args...)...); exitStatus(err) != exitUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func certificate(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}
