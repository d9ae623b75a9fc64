package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// figures is what was measured, in the order in which it was, as rows of a table.
type figures struct {
	head   string
	rows   [][2]string
	faults []error // promises that did not hold

	settled   bool
	settling  time.Duration
	lastWrite time.Time
}

func newFigures(o *options) *figures {
	return &figures{head: fmt.Sprintf("%d functions, %d event types, %d namespaces, %d fake nodes; %d cores; load average before %s",
		o.functions, o.types, o.namespaces, o.nodes, runtime.NumCPU(), load())}
}

// load is the load average of the last minute, five and fifteen minutes.
func load() string {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return "unknown"
	}
	l, err := fs.LoadAvg()
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.1f %.1f %.1f", l.Load1, l.Load5, l.Load15)
}

// print writes a table in Markdown.
func (f *figures) print(out io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, after %s.\n\n| | |\n|---|---|\n", f.head, load())
	for _, row := range f.rows {
		fmt.Fprintf(&text, "| %s | %s |\n", row[0], row[1])
	}
	if _, err := io.WriteString(out, text.String()); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}

// verdict says which promises did not hold.
func (f *figures) verdict() error { return errors.Join(f.faults...) }

func (f *figures) row(what, format string, args ...any) {
	f.rows = append(f.rows, [2]string{what, fmt.Sprintf(format, args...)})
}

func (f *figures) createdFigures(each []time.Duration, created, applied time.Duration, s spent, empty usage) {
	slices.Sort(each)
	f.row("all created", "after %s", round(created))
	f.row("last Deployment applied", "after %s", round(applied))
	f.row("all Ready", "after %s; each function p50 %s, p99 %s", round(s.length), round(percentile(each, 50)), round(percentile(each, 99)))
	f.row("requests of the operator for it", "%s, %.0f a second", counted(s.calls), perSecond(float64(s.calls.total()), s.length))
	f.row("operator", "%s CPU; %s RSS, %s before, %s at most", round(s.usage.CPU), size(s.usage.RSS), size(empty.RSS), size(s.usage.Peak))
}

func (f *figures) idleFigures(s spent, changed []string) {
	f.row("last write after that", "%s later", round(f.settling))
	f.row("idle: requests of the operator", "%s", rates(s.calls, s.length))
	f.row("idle: writes but for the Lease", "%d; objects changed: %d", s.calls.writes(), len(changed))
	f.row("idle: operator", "%s; %s RSS", cores(s.usage.CPU, s.length), size(s.usage.RSS))
	f.row("idle: Redis", "%.0f commands a second, %s", perSecond(s.effort.Commands, s.length), cores(s.effort.CPU, s.length))
	if !f.settled {
		f.faults = append(f.faults, errors.New("the operator did not stop writing before the idle cluster was measured: --settle says how long it may take"))
	}
	if n := s.calls.writes(); n > 0 {
		f.faults = append(f.faults, fmt.Errorf("the operator wrote %d times to an idle cluster: %s", n, counted(s.calls)))
	}
	if len(changed) > 0 {
		f.faults = append(f.faults, fmt.Errorf("%d objects changed in an idle cluster: %s", len(changed), first(changed)))
	}
}

func (f *figures) busyFigures(s spent, functions int, runs float64) {
	f.row(fmt.Sprintf("events into %d functions", functions), "%.0f runs a second", perSecond(runs, s.length))
	f.row("busy: requests of the operator", "%s", rates(s.calls, s.length))
	f.row("busy: operator", "%s; %s RSS", cores(s.usage.CPU, s.length), size(s.usage.RSS))
	f.row("busy: Redis, runners included", "%.0f commands a second, %s", perSecond(s.effort.Commands, s.length), cores(s.effort.CPU, s.length))
	if runs == 0 {
		f.faults = append(f.faults, errors.New("no run ended while events flowed"))
	}
}

func (f *figures) restartFigures(s spent, last time.Duration, changed []string) {
	f.row("restart: all reconciled", "after %s; last request after %s", round(s.length), round(last))
	f.row("restart: requests", "%s", counted(s.calls))
	f.row("restart: objects changed", "%d", len(changed))
	f.row("restart: operator", "%s CPU; %s RSS, %s at most", round(s.usage.CPU), size(s.usage.RSS), size(s.usage.Peak))
	if len(changed) > 0 {
		f.faults = append(f.faults, fmt.Errorf("a restart of the operator changed %d objects: %s", len(changed), first(changed)))
	}
}

func (f *figures) wakeFigures(each []time.Duration) {
	f.row("wake after a restart", "%d functions have a pod after p50 %s, at most %s", len(each), round(percentile(each, 50)), round(each[len(each)-1]))
}

func (f *figures) changeFigures(s spent) {
	f.row("another description of all: all Ready with it", "after %s", round(s.length))
	f.row("another description of all: requests", "%s", counted(s.calls))
}

func (f *figures) removeFigures(s spent) {
	f.row("all deleted", "after %s", round(s.length))
	f.row("deletion: requests", "%s", counted(s.calls))
	f.row("operator at most", "%s RSS", size(s.usage.Peak))
}

// counted are calls with their number, the most first.
func counted(c calls) string {
	return listed(c, func(n int) string { return fmt.Sprint(n) })
}

// rates are calls per second.
func rates(c calls, d time.Duration) string {
	return listed(c, func(n int) string { return fmt.Sprintf("%.2f", perSecond(float64(n), d)) + "/s" })
}

func listed(c calls, form func(int) string) string {
	kinds := slices.SortedFunc(maps.Keys(c), func(a, b call) int {
		return cmp.Or(c[b]-c[a], strings.Compare(a.Resource+a.Verb, b.Resource+b.Verb))
	})
	words := []string{form(c.total()) + " in all"}
	for _, k := range kinds {
		words = append(words, form(c[k])+" "+strings.TrimSpace(k.Verb+" "+k.Resource))
	}
	return strings.Join(words, ", ")
}

func first(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// percentile is the nearest rank of sorted durations.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

func perSecond(n float64, d time.Duration) float64 { return n / d.Seconds() }

func cores(cpu, d time.Duration) string {
	return fmt.Sprintf("%.1f %% of a core", 100*cpu.Seconds()/d.Seconds())
}

func size(bytes uint64) string { return fmt.Sprintf("%d MiB", bytes>>20) }

func round(d time.Duration) time.Duration {
	if d > 10*time.Second {
		return d.Round(time.Second)
	}
	return d.Round(10 * time.Millisecond)
}
