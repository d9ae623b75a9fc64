package term

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wildout/wildout/runtime/run"
)

// LogHandler writes log lines for people: a tidy one for a run that has ended,
// for all else the message and the attributes that say something. It shows
// Info and above.
type LogHandler struct {
	style Style
	attrs []slog.Attr
	group string
	out   *lines
}

// lines is a writer that several handlers share.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

// NewLogHandler returns a LogHandler that writes to w.
func NewLogHandler(w io.Writer) *LogHandler {
	return &LogHandler{style: StyleFor(w), out: &lines{w: w}}
}

// Enabled implements slog.Handler.
func (h *LogHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// WithAttrs implements slog.Handler.
func (h *LogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		a.Key = h.group + a.Key
		with.attrs = append(with.attrs, a)
	}
	return &with
}

// WithGroup implements slog.Handler.
func (h *LogHandler) WithGroup(name string) slog.Handler {
	with := *h
	with.group += name + "."
	return &with
}

// margin is where the text of a line begins, after the time and the sign.
const margin = len("15:04:05.000 x ")

// Messages of a worker that have a form of their own here.
const (
	runMessage   = "run "
	readyMessage = "ready"
)

// Handle implements slog.Handler.
func (h *LogHandler) Handle(_ context.Context, r slog.Record) error {
	attrs := slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		a.Key = h.group + a.Key
		attrs = append(attrs, a)
		return true
	})
	var line string
	state, isRun := strings.CutPrefix(r.Message, runMessage)
	switch status := run.Status(state); {
	case isRun && (status == run.Succeeded || status == run.Failed):
		line = h.run(status, attrs)
	case r.Message == readyMessage && r.Level == slog.LevelInfo:
		return nil // what is not ready says so
	default:
		line = h.other(&r, attrs)
	}
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := io.WriteString(h.out.w, h.style.Dim(r.Time.Format("15:04:05.000"))+" "+line+"\n")
	return err
}

// run is the line of a run that has ended.
func (h *LogHandler) run(status run.Status, attrs []slog.Attr) string {
	values := map[string]slog.Value{}
	for _, a := range attrs {
		values[a.Key] = a.Value
	}
	sign, paint := h.style.status(status)
	took := ""
	if d, ok := values["duration"].Any().(time.Duration); ok {
		took = Duration(d)
	}
	line := fmt.Sprintf("%s %-28s %s %6s  %s", paint(sign), oneLine(values["function"].String()), paint(fmt.Sprintf("%-9s", status)), took, h.style.Dim(oneLine(values["run"].String())))
	if failure := values["error"]; failure.Any() != nil {
		message := failure.String()
		if step := values["step"].String(); step != "" && !strings.HasPrefix(message, step) {
			message = step + ": " + message
		}
		line += "\n" + strings.Repeat(" ", margin) + h.style.Bad(indent(margin, Safe(message)))
	}
	return line
}

// quiet are attributes that say nothing new to somebody with one process.
var quiet = []string{"runner", "level", "trace_id", "span_id"}

func (h *LogHandler) other(r *slog.Record, attrs []slog.Attr) string {
	sign, paint := "·", h.style.Dim
	switch {
	case r.Level >= slog.LevelError:
		sign, paint = "✗", h.style.Bad
	case r.Level >= slog.LevelWarn:
		sign, paint = "!", h.style.Busy
	}
	var b strings.Builder
	b.WriteString(paint(sign) + " " + indent(margin, Safe(r.Message)))
	for _, a := range attrs {
		value := a.Value.Resolve()
		if slices.Contains(quiet, a.Key) || value.Equal(slog.Value{}) {
			continue
		}
		if a.Key == "error" {
			b.WriteString(": " + h.style.Bad(indent(margin, Safe(value.String()))))
			continue
		}
		b.WriteString(h.style.Dim(" " + oneLine(a.Key) + "=" + Safe(quoted(value.String()))))
	}
	return b.String()
}

func quoted(text string) string {
	if text == "" || strings.ContainsAny(text, " \"\n") {
		return fmt.Sprintf("%q", text)
	}
	return text
}
