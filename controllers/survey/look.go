package survey

import (
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// lastRuns is how many of the last runs say whether a function is healthy.
const lastRuns = 20

// found is what a look finds about one function.
type found struct {
	function Function
	reads    []string
	// before are the numbers of the look before; nil: there was none.
	before  *view.Numbers
	numbers inspect.Numbers
	runs    view.Runs
	// err is what went wrong with this function alone.
	err error
}

func (l *found) subject() inspect.Subject {
	return inspect.Subject{Namespace: l.function.Name.Namespace, Function: l.function.Name.Name, Types: l.reads, Scaled: l.function.Scaled}
}

// ran reports whether a run has ended since the look before.
func (l *found) ran() bool {
	return l.before == nil || l.before.Succeeded != l.numbers.Succeeded || l.before.Failed != l.numbers.Failed
}

// lookAtFunctions reads the numbers of the functions of a server, makes the
// groups that are missing, drops those that are not needed any more, and tells
// what has changed.
func (p *Poller) lookAtFunctions(ctx context.Context, s *server, all bool) error {
	looked := p.functionsOf(s, all)
	if err := lookAtNumbers(ctx, s, looked); err != nil {
		return err
	}
	for i := range looked {
		l := &looked[i]
		if l.err == nil {
			l.err = p.mendGroups(ctx, s, l)
		}
	}
	if err := lookAtRuns(ctx, s, looked); err != nil {
		return err
	}
	p.keep(looked)
	return nil
}

// lookAtNumbers reads the numbers of functions.
func lookAtNumbers(ctx context.Context, s *server, looked []found) error {
	subjects := make([]inspect.Subject, len(looked))
	for i := range looked {
		subjects[i] = looked[i].subject()
	}
	return inParts(len(looked), functionsAtATime, func(from, to int) error {
		numbers, err := s.redis.Survey(ctx, subjects[from:to])
		for i := range numbers {
			looked[from+i].numbers = numbers[i]
		}
		return err
	}, func(i int, err error) {
		looked[i].err = err
		looked[i].numbers.Err = err
	})
}

// functionsOf returns the functions of a server, with what is known of them:
// all, or those that were not looked at yet.
func (p *Poller) functionsOf(s *server, all bool) []found {
	p.mu.Lock()
	defer p.mu.Unlock()
	var looked []found
	for _, f := range s.functionsAt() {
		if all || f.fresh {
			looked = append(looked, found{function: f.Function, reads: f.reads(), before: f.view.Numbers, runs: f.view.Runs})
		}
	}
	return looked
}

// lookAtRuns reads the last runs of those functions of which one has ended.
func lookAtRuns(ctx context.Context, s *server, looked []found) error {
	var ran []*found
	var subjects []inspect.Subject
	for i := range looked {
		if looked[i].ran() {
			ran = append(ran, &looked[i])
			subjects = append(subjects, looked[i].subject())
		}
	}
	return inParts(len(ran), endsAtATime, func(from, to int) error {
		ends, err := s.redis.LastEnds(ctx, subjects[from:to], lastRuns)
		for i := range ends {
			ran[from+i].runs = runsOf(ends[i])
		}
		return err
	}, func(i int, err error) { ran[i].err = err })
}

// mendGroups makes what is missing, and drops what only earlier versions read.
func (p *Poller) mendGroups(ctx context.Context, s *server, l *found) error {
	f, n := l.function, &l.numbers
	if len(n.Missing) == 0 && (!f.Settled || len(n.Gone) == 0) {
		return nil
	}
	if !p.follows(f.Name) {
		return nil
	}
	if len(n.Missing) > 0 {
		if err := s.redis.CreateGroups(ctx, l.subject(), f.Origin, n.Missing); err != nil {
			return err
		}
		n.Missing = nil
	}
	if !f.Settled {
		return nil
	}
	here := s.redis.In(f.Name.Namespace)
	for _, t := range n.Gone {
		dropped, err := here.DropGroup(ctx, f.Name.Name, t)
		if err != nil {
			return err
		}
		if dropped {
			p.o.Logger.Info("the function does not read this event type any more: its consumer group is gone", "function", f.Name, "type", t)
		}
	}
	return nil
}

// keep stores what was found and tells what has changed: words at once,
// numbers at most every NumbersInterval.
func (p *Poller) keep(looked []found) { p.tell(p.keepAll(looked), nil) }

// keepAll stores what was found, and returns of whom to tell.
func (p *Poller) keepAll(looked []found) (tell []types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.o.Now()
	for i := range looked {
		l := &looked[i]
		f := p.functions[l.function.Name]
		if f == nil || f.Secret != l.function.Secret {
			continue // it is gone, or another one by now
		}
		trouble := p.trouble(l.err, f.view.GroupTrouble, "function", f.Name)
		if f.keep(l, trouble, now, p.o.NumbersInterval) {
			tell = append(tell, l.function.Name)
		}
		if f.fresh { // it has changed during the look
			p.kick()
		}
	}
	return tell
}

// keep stores what was found, and reports whether to tell it.
func (f *function) keep(l *found, trouble *view.Trouble, now time.Time, interval time.Duration) (news bool) {
	numbers := numbersOf(&l.numbers)
	news = f.fresh || f.view.Numbers == nil || trouble != f.view.GroupTrouble || f.view.Numbers.Ungrouped != numbers.Ungrouped ||
		f.view.Numbers.Code != numbers.Code ||
		!sameNumbers(&f.told, numbers) && now.Sub(f.toldAt) >= interval
	f.view.Numbers = numbers
	f.view.Runs = l.runs
	f.view.GroupTrouble = trouble
	f.view.Work = l.work(now)
	f.read = l.numbers.Outlook.Read
	f.leaving = l.numbers.Runners > 0
	f.older = l.olderReads()
	f.fresh = !slices.Equal(f.reads(), l.reads) || f.Settled != l.function.Settled || f.Scaled != l.function.Scaled
	if f.Wants != nil {
		wants := f.Wants(f.view.Work, now)
		news = news || wants != f.Decided
		f.Decided = wants
	}
	if news {
		f.told = *numbers
		f.toldAt = now
	}
	return news
}

// sameNumbers compares the numbers that people see change.
func sameNumbers(a, b *view.Numbers) bool {
	return a.Unread == b.Unread && a.Due == b.Due && a.Pending == b.Pending && a.Waiting == b.Waiting &&
		a.Succeeded == b.Succeeded && a.Failed == b.Failed && a.Lacking == b.Lacking && maps.Equal(a.ByVersion, b.ByVersion)
}
