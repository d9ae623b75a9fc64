package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/wildout/wildout/runtime/engine"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store/runs"
)

// A run is finished by the code that it began with, or waits for it: the image of
// a version may change, and runners of several images and releases are at work
// side by side while one is rolled out or back. What this runner has no code for
// it parks, with what is lacking; any runner that has it takes it up with one of
// its next heartbeats.

// unread parks a run that this runner cannot read; all that it can do is to end
// it. Another error than that is returned: Redis, for example, is tried again.
func (p *processor) unread(o *ownedRun, d delivery, why error) error {
	var missing *unreadable
	if !errors.As(why, &missing) {
		return why
	}
	o.Ref.Version = missing.version
	o.Identity.Version = missing.version
	lack := &run.Lack{Version: missing.version, Format: missing.format}
	if err := p.lookForCancel(o, d); err != nil {
		return err
	}
	if o.cancel.Asked() {
		out := engine.Outcome{Kind: engine.Cancelled, Failure: &run.Failure{Message: o.cancel.Reason()}}
		return p.admission.End(background, &o.Run, outcomeOf(&out))
	}
	d.decided()
	p.lacking(o, lack, why)
	_, err := port{p}.park(background, &o.Run, runs.Park{Lacks: lack})
	return err
}

// readable says whether this release reads a journal.
func readable(j *run.Journal, runID, version string) error {
	if j.Format <= run.Format {
		return nil
	}
	return &unreadable{version: version, format: j.Format, err: fmt.Errorf("the journal of run %s has format %d, and this release reads formats up to %d", runID, j.Format, run.Format)}
}

// lacking tells that a run waits for code.
func (p *processor) lacking(o *ownedRun, lack *run.Lack, why error) {
	attrs := append(o.about(), "reason", lack.Reason(), "needs", lack.String(), "version", o.Ref.Version, "has", p.Handlers.Names())
	if why != nil {
		attrs = append(attrs, "error", why)
	}
	p.log.Warn("run waits for code that this runner does not have: deploy an image that has it, or cancel the run", attrs...)
}

// adopt takes up runs that wait for code that this runner has.
func (r *recoverer) adopt(ctx context.Context) {
	can := map[string]bool{} // by what is lacking
	for cursor := uint64(0); ctx.Err() == nil; {
		page, next, err := r.Store.Lacking(ctx, r.Plan.Function, cursor)
		if err != nil {
			r.log.Warn("could not look for runs that wait for code; trying again", "error", err)
			return
		}
		var mine []runs.Lacking
		for _, l := range page {
			code := l.Code.Encode()
			if _, known := can[code]; !known {
				can[code] = r.processor.has(ctx, l.Code)
			}
			if can[code] {
				mine = append(mine, l)
			}
		}
		if err := r.adoptAll(ctx, mine); err != nil {
			r.missed.Store(true) // the answer may have been lost, and not the runs
			r.log.Warn("could not take up runs that waited for code; trying again", "error", err)
			return
		}
		if cursor = next; cursor == 0 {
			return
		}
	}
}

// adoptAll takes up runs, as places are free.
func (r *recoverer) adoptAll(ctx context.Context, all []runs.Lacking) error {
	for len(all) > 0 {
		n := min(r.processor.places.wait(ctx), claimed, len(all))
		if n == 0 {
			return nil
		}
		entries, err := r.Store.Adopt(ctx, r.Plan.Function, r.name, r.Lease, all[:n])
		if err != nil {
			return err
		}
		all = all[n:]
		r.processor.take(entries, false, nil)
	}
	return nil
}

// has reports whether this runner has the code that a run waits for.
func (p *processor) has(ctx context.Context, l *run.Lack) bool {
	if l.Format > run.Format {
		return false
	}
	here := len(l.Handlers) == 0
	for _, name := range l.Handlers {
		_, registered := p.Handlers.Lookup(name)
		here = here || registered
	}
	if !here || l.Version == "" {
		return here
	}
	_, err := p.plans.get(ctx, l.Version)
	return err == nil
}
