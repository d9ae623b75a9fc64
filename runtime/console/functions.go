package console

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wildout/wildout/runtime/store"
)

// spec is what the console reads of a stored function.
type spec struct {
	Triggers []struct {
		Event string `json:"event"`
		Cron  string `json:"cron"`
	} `json:"triggers"`
	Steps []struct {
		Name         string `json:"name"`
		WaitForEvent *struct {
			Event string `json:"event"`
		} `json:"waitForEvent"`
	} `json:"steps"`
}

// installed is a function as it is stored.
type installed struct {
	name, version string
	spec          spec
}

// reads returns the event types of the function's triggers and waits.
func (f *installed) reads() []string {
	types := f.triggers()
	for _, step := range f.spec.Steps {
		if w := step.WaitForEvent; w != nil && !slices.Contains(types, w.Event) {
			types = append(types, w.Event)
		}
	}
	return types
}

func (f *installed) triggers() []string {
	var types []string
	for _, t := range f.spec.Triggers {
		if t.Event != "" && !slices.Contains(types, t.Event) {
			types = append(types, t.Event)
		}
	}
	return types
}

// sort puts the steps of a run that has not ended, of which the journal knows
// only the times, into the order of the function where those are equal.
func (f *installed) sort(r *store.Record) {
	place := func(s store.RecordStep) int {
		for i := range f.spec.Steps {
			if f.spec.Steps[i].Name == s.Name {
				return i
			}
		}
		return len(f.spec.Steps)
	}
	slices.SortStableFunc(r.Steps, func(a, b store.RecordStep) int {
		if a.Start == nil || b.Start == nil || a.Start.Equal(*b.Start) {
			return cmp.Compare(place(a), place(b))
		}
		return a.Start.Compare(*b.Start)
	})
}

// functions returns the installed functions by name; all, or the one asked for.
func (c *Console) functions(ctx context.Context, only string) ([]installed, error) {
	versions, err := c.store.Functions(ctx)
	if err != nil {
		return nil, err
	}
	var all []installed
	for name, version := range versions {
		if only != "" && name != only {
			continue
		}
		plans, err := c.store.Plans(ctx, name)
		if err != nil {
			return nil, err
		}
		f := installed{name: name, version: version}
		if err := json.Unmarshal([]byte(plans[version]), &f.spec); err != nil {
			return nil, fmt.Errorf("the stored version %s of %s cannot be read: %w", version, name, err)
		}
		all = append(all, f)
	}
	if only != "" && len(all) == 0 {
		return nil, failf(http.StatusNotFound, "there is no function %q", only)
	}
	slices.SortFunc(all, func(a, b installed) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

func (c *Console) getFunctions(r *http.Request) (any, error) {
	all, err := c.functions(r.Context(), "")
	if err != nil {
		return nil, err
	}
	out := make([]Function, 0, len(all))
	for _, f := range all {
		stats, err := c.store.Stats(r.Context(), f.name, f.reads())
		if err != nil {
			return nil, err
		}
		shown := Function{Name: f.name, Version: f.version, Triggers: f.triggers(), Stats: stats}
		for _, t := range f.spec.Triggers {
			if t.Cron != "" {
				shown.Triggers = append(shown.Triggers, "cron "+t.Cron)
			}
		}
		out = append(out, shown)
	}
	return out, nil
}

// Backlog returns how many events and due runs wait, over all functions.
func Backlog(ctx context.Context, s *store.Store) (int64, error) {
	c := &Console{store: s}
	all, err := c.functions(ctx, "")
	if err != nil {
		return 0, err
	}
	var backlog int64
	for _, f := range all {
		stats, err := s.Stats(ctx, f.name, f.reads())
		if err != nil {
			return 0, err
		}
		backlog += stats.Backlog()
	}
	return backlog, nil
}
