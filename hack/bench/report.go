package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// A report is one session: what was measured, under which conditions.
type report struct {
	AppendFsync          string          `json:"appendfsync"`
	Redis                string          `json:"redis"`
	Go                   string          `json:"go"`
	CPUs                 int             `json:"cpus"`
	Rounds               int             `json:"rounds"`
	LightEventsPerSecond int             `json:"lightEventsPerSecond"`
	LightSeconds         float64         `json:"lightSeconds"`
	Systems              []*systemReport `json:"systems"`
}

// A systemReport is one contender's part.
type systemReport struct {
	Name         string        `json:"name"`
	RunsPerDrain int           `json:"runsPerDrain"`
	Kinds        []*kindReport `json:"kinds"`
	Memory       memory        `json:"bytesInRedis"`
}

// A kindReport is about runs with so many steps. Drain and Light are medians,
// figure by figure; Drains and Lights are what they are medians of.
type kindReport struct {
	Steps  int     `json:"steps"`
	Drain  drain   `json:"drain"`
	Light  light   `json:"light"`
	Drains []drain `json:"drainRounds"`
	Lights []light `json:"lightRounds"`
}

func (r *systemReport) kind(steps int) *kindReport {
	for _, k := range r.Kinds {
		if k.Steps == steps {
			return k
		}
	}
	return nil
}

// summarise sets each round in relation to raw's round and fills in the
// medians.
func (rep *report) summarise() {
	raw := rep.system(rawSystem{}.Name())
	for _, s := range rep.Systems {
		for _, k := range s.Kinds {
			if raw != nil {
				k.relateTo(raw.kind(k.Steps))
			}
			k.Drain = medianDrain(k.Drains)
			k.Light = light{
				P50: medianOf(k.Lights, func(l light) float64 { return l.P50 }),
				P99: medianOf(k.Lights, func(l light) float64 { return l.P99 }),
			}
		}
	}
}

func (rep *report) system(name string) *systemReport {
	for _, s := range rep.Systems {
		if s.Name == name {
			return s
		}
	}
	return nil
}

func (k *kindReport) relateTo(raw *kindReport) {
	for i := range k.Drains {
		k.Drains[i].RatioToRaw = k.Drains[i].RunsPerSecond / raw.Drains[i].RunsPerSecond
	}
}

func medianDrain(rounds []drain) drain {
	of := func(figure func(drain) float64) float64 { return medianOf(rounds, figure) }
	d := drain{
		RunsPerSecond:  of(func(d drain) float64 { return d.RunsPerSecond }),
		RatioToRaw:     of(func(d drain) float64 { return d.RatioToRaw }),
		SentPerRun:     of(func(d drain) float64 { return d.SentPerRun }),
		ExecutedPerRun: of(func(d drain) float64 { return d.ExecutedPerRun }),
		ServerCPU:      of(func(d drain) float64 { return d.ServerCPU }),
		WorkerCPU:      of(func(d drain) float64 { return d.WorkerCPU }),
		Executed:       map[string]float64{},
	}
	for _, round := range rounds {
		for name := range round.Executed {
			d.Executed[name] = of(func(d drain) float64 { return d.Executed[name] })
		}
	}
	return d
}

func medianOf[T any](rounds []T, figure func(T) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = figure(r)
	}
	return median(values)
}

func (rep *report) writeJSON(out io.Writer) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(rep)
}

func (rep *report) writeTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "\nRedis %s, appendfsync %s, %s, %d CPUs shared by server and worker, median of %d round(s)\n\n",
		rep.Redis, rep.AppendFsync, rep.Go, rep.CPUs, rep.Rounds)

	fmt.Fprintln(w, "backlog\tsteps\truns/s\t÷ raw\tcommands sent/run\texecuted/run\tserver CPU s/1000\tworker CPU s/1000\t")
	rep.eachKind(func(s *systemReport, k *kindReport) {
		d := k.Drain
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%s\t%s\t%.3f\t%.4f\t%.4f\t\n",
			s.Name, k.Steps, d.RunsPerSecond, orUnknown(d.RatioToRaw), orUnknown(d.SentPerRun), d.ExecutedPerRun, d.ServerCPU, d.WorkerCPU)
	})
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d events/s for %.0f s, published → finished\n", rep.LightEventsPerSecond, rep.LightSeconds)
	fmt.Fprintln(w, "light load\tsteps\tp50 ms\tp99 ms\t")
	rep.eachKind(func(s *systemReport, k *kindReport) {
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t\n", s.Name, k.Steps, k.Light.P50, k.Light.P99)
	})
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nbytes in Redis\tpending event over its payload\tsleeping run\tfinished run\t")
	for _, s := range rep.Systems {
		m := s.Memory
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", s.Name, orDash(m.PendingOverPayload), orDash(m.Sleeping), orDash(m.Finished))
	}
	return w.Flush()
}

func (rep *report) eachKind(f func(*systemReport, *kindReport)) {
	for _, steps := range stepCounts {
		for _, s := range rep.Systems {
			f(s, s.kind(steps))
		}
	}
}

// orUnknown shows a figure that no system can have as 0.
func orUnknown(r float64) string {
	if r == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f", r)
}

func orDash(b *float64) string {
	if b == nil {
		return "–"
	}
	return fmt.Sprintf("%.0f", *b)
}
