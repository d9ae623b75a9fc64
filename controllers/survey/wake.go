package survey

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// Schedule is a cron trigger of a function.
type Schedule struct {
	// Cron is the identity of the schedule, as in inspect.Outlook.
	Cron string
	// Next returns the first tick after a time; zero: there is none.
	Next func(time.Time) time.Time
}

// Watch is what a Poller has to know of a function whose runners are as many as
// there is work for.
type Watch struct {
	// Wants is how many runners a function asks for with so much to do; nil:
	// it does not ask. It is called often, and must not block.
	Wants func(*view.Work, time.Time) int32
	// Decided is what it asked for when its runners were last decided on.
	// Another answer is told at once.
	Decided int32
	// Asleep: there are no runners. The Poller looks much more often whether
	// something has come.
	Asleep bool
}

// Watch says how a function that was made known is to be watched.
func (p *Poller) Watch(name types.NamespacedName, w Watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.functions[name]
	if f == nil {
		return
	}
	f.Watch = w
	if w.Wants != nil && w.Wants(p.known(f).Work, p.o.Now()) != w.Decided { // it has changed meanwhile
		f.fresh = true
		p.kick()
	}
}

// olderReads returns the types that only runs of earlier versions wait for.
func (l *found) olderReads() (older []string) {
	for _, t := range l.numbers.Outlook.Waits {
		if !slices.Contains(l.function.Types, t) {
			older = append(older, t)
		}
	}
	return older
}

// work is what there is to do; nil: nobody knows, or nobody scales by it.
func (l *found) work(now time.Time) *view.Work {
	n := &l.numbers
	if n.Err != nil || len(n.Missing) > 0 || n.Outlook.At.IsZero() {
		return nil
	}
	ticks, next := l.ahead(now)
	return &view.Work{Open: n.Unread + n.Pending + n.Due + ticks, Queued: n.Outlook.Queued > 0 || n.Lacking.Runs > 0, Next: next}
}

// ahead finds out how many cron ticks are due, and when something is next, by
// the local clock. A schedule that is not known in Redis is due: a runner has to
// make it known.
func (l *found) ahead(now time.Time) (ticks int64, next time.Time) {
	o := &l.numbers.Outlook
	next = o.NextDue
	for _, s := range l.function.Schedules {
		last, noted := o.Ticks[s.Cron]
		if !noted {
			ticks++
			continue
		}
		tick := s.Next(last)
		switch {
		case tick.IsZero():
		case !tick.After(o.At):
			ticks++
		case next.IsZero() || tick.Before(next):
			next = tick
		}
	}
	if !next.IsZero() {
		next = now.Add(next.Sub(o.At))
	}
	return ticks, next
}

// wake looks whether something has come for functions without runners, and
// looks at those for which it has.
func (p *Poller) wake(ctx context.Context, s *server) {
	names, sleepers := p.sleepers(s)
	if len(names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.patience())
	defer cancel()
	s.looking <- struct{}{}
	defer func() { <-s.looking }()
	_ = p.safely(func() error { // the look at all functions tells what is wrong
		news, err := haveNews(ctx, s, sleepers)
		if err != nil || !p.rouse(names, news) {
			return err
		}
		return p.lookAtFunctions(ctx, s, false)
	})
}

// haveNews asks which sleepers have something to read.
func haveNews(ctx context.Context, s *server, sleepers []inspect.Sleeper) ([]bool, error) {
	news := make([]bool, len(sleepers))
	err := inParts(len(sleepers), sleepersAtATime, func(from, to int) error {
		part, err := s.redis.HaveNews(ctx, sleepers[from:to])
		copy(news[from:to], part)
		return err
	}, func(i int, _ error) { news[i] = true }) // it has more than enough
	return news, err
}

// sleepers returns the functions of a server without runners.
func (p *Poller) sleepers(s *server) (names []types.NamespacedName, sleepers []inspect.Sleeper) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, f := range s.functionsAt() {
		if f.Asleep && f.view.Numbers != nil {
			names = append(names, name)
			sleepers = append(sleepers, f.sleeper())
		}
	}
	return names, sleepers
}

// rouse marks those functions that have news, or whose time has come. Until
// their runners are decided on anew they are looked at like others.
func (p *Poller) rouse(names []types.NamespacedName, news []bool) (some bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, name := range names {
		f := p.functions[name]
		if f != nil && f.Asleep && (news[i] || f.Wants(p.known(f).Work, p.o.Now()) > 0) {
			f.Asleep = false
			f.fresh = true
			some = true
		}
	}
	return some
}
