package log

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	wildout "github.com/wildout/wildout/runtime"
)

func write(t *testing.T, handler slog.Handler, input string) (json.RawMessage, error) {
	t.Helper()
	w, err := New(Options{Logger: slog.New(handler)})
	if err != nil {
		t.Fatal(err)
	}
	reg := &wildout.Registry{}
	Register(reg, w)
	h, _ := reg.Lookup("log.write")
	ctx := wildout.WithInfo(context.Background(), wildout.RunInfo{Function: "f", RunID: "r1", Step: "say", Attempt: 2}, nil)
	return h(ctx, json.RawMessage(input))
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func TestWrite(t *testing.T) {
	tests := map[string]struct{ input, want string }{
		"message": {
			`{"message": "hi"}`,
			`{"level":"INFO","msg":"hi","function":"f","run":"r1","step":"say","attempt":2}`,
		},
		"fields keep their form and cannot forge the run": {
			`{"message": "hi", "level": "error", "fields": {"run": "x", "n": 12345678901234567890, "list": [1, {"a": null}]}}`,
			`{"level":"ERROR","msg":"hi","function":"f","run":"r1","step":"say","attempt":2,"fields":{"list":[1,{"a":null}],"n":12345678901234567890,"run":"x"}}`,
		},
		"below the level": {`{"message": "hi", "level": "debug"}`, ``},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			output, err := write(t, slog.NewJSONHandler(&buf, &slog.HandlerOptions{ReplaceAttr: withoutTime}), tt.input)
			if err != nil || string(output) != "null" {
				t.Errorf("output is %s, %v; want null", output, err)
			}
			if got := strings.TrimSpace(buf.String()); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestWriteText(t *testing.T) {
	var buf bytes.Buffer
	if _, err := write(t, slog.NewTextHandler(&buf, nil), `{"message": "hi", "fields": {"n": 1, "s": "a\nb"}}`); err != nil {
		t.Fatal(err)
	}
	if want := `fields.n=1 fields.s="\"a\\nb\""` + "\n"; !strings.HasSuffix(buf.String(), want) {
		t.Errorf("got %q, want it to end with %q", buf.String(), want)
	}
}

func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct{ input, want string }{
		"level":   {`{"message": "hi", "level": "loud"}`, `"loud"`},
		"message": {`{"level": "info"}`, "message"},
		"field":   {`{"message": "hi", "msg": 1}`, "msg"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := write(t, slog.DiscardHandler, tt.input)
			if !wildout.IsNonRetriable(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a non-retriable error with %s", err, tt.want)
			}
		})
	}
	if _, err := New(Options{}); err == nil {
		t.Error("New took no logger")
	}
}
