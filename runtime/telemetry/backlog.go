package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// BacklogOptions say whose backlog is exported.
type BacklogOptions struct {
	Store *store.Conn
	// Functions are their names. Nil: all that are installed, as they come and go.
	Functions []string
	// Period is the time between two reads. Default: 15s.
	Period time.Duration
	// Logger is told when Redis cannot be read. Default: slog.Default().
	Logger *slog.Logger
}

// Validate reports what is missing, and fills in the defaults.
func (o *BacklogOptions) Validate() error {
	if o.Store == nil {
		return errors.New("telemetry: the backlog needs a Store")
	}
	if o.Period == 0 {
		o.Period = 15 * time.Second
	}
	if o.Period < 0 {
		return fmt.Errorf("telemetry: the period of the backlog is %s, want more than 0", o.Period)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// Backlog exports what waits for functions. Redis is read at a fixed pace and
// not by who scrapes. Every runner of a function exports the same figures, and
// the gateway those of all functions, so that there are figures of a function
// without a runner too: take the max by function, never the sum.
type Backlog struct {
	BacklogOptions
	inspect *inspect.Inspector
	types   map[string]readTypes // by function

	entries, oldest *prometheus.GaugeVec
	parked, runners *prometheus.GaugeVec
	lacking         *prometheus.GaugeVec
}

// readTypes are the event types that a version of a function reads.
type readTypes struct {
	version string
	types   []string
}

// NewBacklog makes the gauges and registers them with r. Run fills them.
func NewBacklog(r prometheus.Registerer, o BacklogOptions) (*Backlog, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, append([]string{"function"}, labels...))
	}
	b := &Backlog{BacklogOptions: o, inspect: inspect.New(o.Store), types: map[string]readTypes{},
		entries: gauge("wildout_backlog", "What waits for a runner: unread events, and parked runs whose time has come.", "kind"),
		oldest:  gauge("wildout_backlog_oldest_seconds", "How long the oldest of it waits; 0 when nothing does.", "kind"),
		parked:  gauge("wildout_runs_parked", "Runs that are parked: they sleep, or wait for an event, a retry, another run or a limit."),
		lacking: gauge("wildout_runs_lacking_code", "Parked runs that wait for a handler, or a release, that no runner has."),
		runners: gauge("wildout_runners", "Runners with a heartbeat in the last minute."),
	}
	r.MustRegister(b.entries, b.oldest, b.parked, b.runners, b.lacking)
	return b, nil
}

// Run reads until ctx ends. While Redis cannot be read there are no figures:
// old ones would look like good ones.
func (b *Backlog) Run(ctx context.Context) error {
	failing := false
	for ctx.Err() == nil {
		err := b.read(ctx)
		if err != nil && ctx.Err() == nil {
			b.forget()
			if !failing {
				b.Logger.Warn("the backlog cannot be read; its metrics are missing until it can", "error", err)
			}
		}
		failing = err != nil
		select {
		case <-time.After(b.Period):
		case <-ctx.Done():
		}
	}
	return nil
}

func (b *Backlog) forget() {
	for _, g := range []*prometheus.GaugeVec{b.entries, b.oldest, b.parked, b.runners, b.lacking} {
		g.Reset()
	}
}

func (b *Backlog) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.Period)
	defer cancel()
	installed, err := b.inspect.Functions(ctx)
	if err != nil {
		return err
	}
	for name := range b.types {
		if _, still := installed[name]; !still {
			delete(b.types, name)
			b.forget() // the others are set again below
		}
	}
	var subjects []inspect.Subject
	for name, version := range installed {
		if b.Functions != nil && !slices.Contains(b.Functions, name) {
			continue
		}
		types, err := b.reads(ctx, name, version)
		if err != nil {
			return err
		}
		subjects = append(subjects, inspect.Subject{Namespace: b.Store.Namespace(), Function: name, Types: types, Aged: true})
	}
	numbers, err := b.inspect.Survey(ctx, subjects)
	if err != nil {
		return err
	}
	for i := range numbers {
		if err := numbers[i].Err; err != nil {
			return err
		}
		b.show(subjects[i].Function, &numbers[i])
	}
	return nil
}

// show sets the gauges of a function.
func (b *Backlog) show(function string, n *inspect.Numbers) {
	b.entries.WithLabelValues(function, "unread").Set(float64(n.Unread))
	b.entries.WithLabelValues(function, "due").Set(float64(n.Due))
	b.oldest.WithLabelValues(function, "unread").Set(n.OldestUnread.Seconds())
	b.oldest.WithLabelValues(function, "due").Set(n.OldestDue.Seconds())
	b.parked.WithLabelValues(function).Set(float64(n.Waiting))
	b.lacking.WithLabelValues(function).Set(float64(n.Lacking.Runs))
	b.runners.WithLabelValues(function).Set(float64(n.Runners))
}

// reads returns the event types that a version of a function reads. A version
// never changes: it is looked up once.
func (b *Backlog) reads(ctx context.Context, function, version string) ([]string, error) {
	if known, ok := b.types[function]; ok && known.version == version {
		return known.types, nil
	}
	texts, err := b.inspect.PlanTexts(ctx, map[string]string{function: version})
	if err != nil {
		return nil, err
	}
	types, err := typesOf([]byte(texts[function]))
	if err != nil {
		return nil, fmt.Errorf("the stored version %s of %s cannot be read: %w", version, function, err)
	}
	b.types[function] = readTypes{version, types}
	return types, nil
}

// TotalBacklog returns how many unread events and due runs wait, over all
// functions that are installed, in a few round trips.
func TotalBacklog(ctx context.Context, c *store.Conn) (int64, error) {
	look := inspect.New(c)
	installed, err := look.Functions(ctx)
	if err != nil {
		return 0, err
	}
	texts, err := look.PlanTexts(ctx, installed)
	if err != nil {
		return 0, err
	}
	reads := make([]inspect.Reads, 0, len(texts))
	for name, text := range texts {
		types, err := typesOf([]byte(text))
		if err != nil {
			return 0, fmt.Errorf("the stored version %s of %s cannot be read: %w", installed[name], name, err)
		}
		reads = append(reads, inspect.Reads{Function: name, Types: types})
	}
	stats, err := look.StatsOf(ctx, reads)
	if err != nil {
		return 0, err
	}
	var total int64
	for i := range stats {
		total += stats[i].Backlog()
	}
	return total, nil
}

// typesOf returns the event types that a stored function reads.
func typesOf(text []byte) ([]string, error) {
	var spec v1alpha1.WildoutFunctionSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, err
	}
	return spec.Reads(), nil
}
