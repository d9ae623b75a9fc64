package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/wildout/wildout/cmd/wildout/internal/dev"
	"github.com/wildout/wildout/runtime/run"
)

// hostile moves the cursor, sets the title, and turns text around.
const hostile = "x\x1b[2J\x1b]0;title\x07\r\u009b31m\u202ey"

// expected are the sequences that commands print themselves.
var expected = regexp.MustCompile("\x1b\\[(0|1|2|31|32|33)m|\r\n")

// TestTerminalGetsNoEscapes: what events, errors and servers say reaches no
// terminal as it is, whatever the command and its format.
func TestTerminalGetsNoEscapes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(hostile))
	}))
	t.Cleanup(server.Close)
	folder := t.TempDir()
	write(t, filepath.Join(folder, "f.yaml"), `apiVersion: wildout.dev/v1alpha1
kind: WildoutFunction
metadata: {name: hostile}
spec:
  triggers: [{event: hostile}]
  steps:
    - {name: say, handler: log.write, with: {message: "${event.data.text}", fields: {note: "${event.data.text}"}}}
    - {name: call, handler: http.request, with: {url: "`+server.URL+`"}}
`)
	s := startWith(t, dev.Options{Paths: []string{folder}, EmbeddedRedis: true, DataDir: t.TempDir()})
	body, err := json.Marshal(map[string]string{"text": hostile})
	if err != nil {
		t.Fatal(err)
	}
	event, id := s.sendFor(t, "hostile", string(body))
	s.reaches(t, id, run.Failed)
	for _, args := range [][]string{
		{"runs", "list"}, {"runs", "list", "-o", "json"}, {"runs", "list", "-o", "yaml"}, {"runs", "get", id}, {"runs", "get", id, "-o", "yaml"},
		{"runs", "watch", id, "-o", "json"}, {"events", "list"}, {"events", "list", "-o", "json"}, {"events", "get", event, "--type", "hostile"}, {"events", "get", event, "--type", "hostile", "-o", "yaml"},
		{"send", "hostile", "--wait", "--data", string(body)}, {"functions", "--url", server.URL}, {"runs", "get", hostile}, {"send", hostile, "--data", "{}"},
		{"validate", "-f", hostile}, {hostile},
	} {
		if args[0] != "validate" && args[0] != hostile && args[len(args)-1] != server.URL {
			args = append(args, "--url="+s.client.URL)
		}
		screen := newTerminal(t, 200, 50)
		screen.run(t, program(t, "wildout", args...), "", "")
		shown := expected.ReplaceAllString(screen.String(), "")
		for _, r := range strings.ReplaceAll(shown, "\n", "") {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("%.60q prints %q", args, shown)
				break
			}
		}
		if strings.TrimSpace(shown) == "" {
			t.Errorf("%q prints nothing", args)
		}
	}
	if text := expected.ReplaceAllString(s.log.String(), ""); strings.ContainsAny(text, "\x1b\r\u009b\u202e") || !strings.Contains(text, `\u001b]0;title`) {
		t.Errorf("the log of dev has %q", text)
	}
}
