// Package log is the handler log.write: one line in the runner's log, marked
// with the run it came from. It must not know where the log goes.
package log

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	wildout "github.com/wildout/wildout/runtime"
)

// Name is the name that manifests use.
const Name = "log.write"

// Entry is the input of log.write. Its output is null.
type Entry struct {
	Message string `json:"message"`
	// Level is debug, info, warn or error; info when empty.
	Level string `json:"level,omitempty"`
	// Fields are written under "fields", where none of them can pass itself
	// off as the run's own. They keep their JSON form.
	Fields map[string]json.RawMessage `json:"fields,omitempty"`
}

// Options configure the handler.
type Options struct {
	// Logger takes the entries. Required.
	Logger *slog.Logger
}

// Validate reports what is missing.
func (o Options) Validate() error {
	if o.Logger == nil {
		return errors.New("log handler: no logger is given")
	}
	return nil
}

// Writer writes entries.
type Writer struct{ logger *slog.Logger }

// New returns a Writer.
func New(opts Options) (*Writer, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	return &Writer{logger: opts.Logger}, nil
}

// Register adds log.write, written by w, to reg.
func Register(reg *wildout.Registry, w *Writer) { wildout.Add(reg, Name, w.Write) }

// Write writes one entry with the function, run, step and attempt of ctx.
func (w *Writer) Write(ctx context.Context, e Entry) (any, error) {
	level, err := e.level()
	if err != nil {
		return nil, wildout.NonRetriable(err)
	}
	if e.Message == "" {
		return nil, wildout.NonRetriable(errors.New("log.write needs a message"))
	}
	info := wildout.Info(ctx)
	w.logger.LogAttrs(ctx, level, e.Message,
		slog.String("function", info.Function),
		slog.String("run", info.RunID),
		slog.String("step", info.Step),
		slog.Int("attempt", info.Attempt),
		e.group())
	return nil, nil
}

func (e Entry) level() (slog.Level, error) {
	switch e.Level {
	case "debug":
		return slog.LevelDebug, nil
	case "", "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log.write has the level %q, want debug, info, warn or error", e.Level)
}

// group has the fields sorted by name; no fields make no group.
func (e Entry) group() slog.Attr {
	attrs := make([]slog.Attr, 0, len(e.Fields))
	for name, value := range e.Fields {
		attrs = append(attrs, slog.Any(name, field(value)))
	}
	slices.SortFunc(attrs, func(a, b slog.Attr) int { return cmp.Compare(a.Key, b.Key) })
	return slog.GroupAttrs("fields", attrs...)
}

// field prints as its JSON, whatever the format of the log.
type field json.RawMessage

func (f field) MarshalJSON() ([]byte, error) { return f, nil }
func (f field) MarshalText() ([]byte, error) { return f, nil }
