package worker

import (
	"context"
	"slices"
	"sync"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/store"
)

// lookbacks look through streams for what came before a wait. All waits of a
// runner share one look at a time over a stream, and all looks the bytes that are
// read at once: hundreds of runs that wake together read a stream once, and hold
// one page of it.
type lookbacks struct {
	store journals
	check func() error // of the lease: who lost it looks no further
	page  chan struct{}

	mu    sync.Mutex
	looks map[string]*look // by event type; a look is there while its goroutine is
}

// look is one look over a stream.
type look struct{ waiting []*question }

// question asks for the first event in a part of a stream that fits.
type question struct {
	eventType   string
	after, upTo string
	match       string // the path whose value must be value; "": any event
	at          *plan.Path
	value       string
	fits        func(*event.Event) bool

	answer chan answer
}

type answer struct {
	found *event.Event
	err   error
}

func newLookbacks(s journals, check func() error) *lookbacks {
	return &lookbacks{store: s, check: check, page: make(chan struct{}, 1), looks: map[string]*look{}}
}

// look answers a question; nil: nothing fits.
func (l *lookbacks) look(q *question) (*event.Event, error) {
	if store.CompareEntries(q.after, q.upTo) >= 0 {
		return nil, nil
	}
	q.answer = make(chan answer, 1)
	l.mu.Lock()
	under := l.looks[q.eventType]
	if under == nil {
		under = &look{}
		l.looks[q.eventType] = under
		go l.run(q.eventType, under)
	}
	under.waiting = append(under.waiting, q)
	l.mu.Unlock()
	a := <-q.answer
	return a.found, a.err
}

// run looks through a stream until nobody asks any more.
func (l *lookbacks) run(eventType string, under *look) {
	pass := &pass{lookbacks: l, eventType: eventType, look: under, count: firstCount}
	for pass.begin() {
		for pass.open > 0 {
			pass.join()
			if err := pass.page(); err != nil {
				pass.fail(err)
			}
		}
	}
}

// Bounds of a page.
const (
	pageBytes  = 1 << 20 // about what a page is to have
	firstCount = 16      // entries of the first page, of which nobody knows how large they are
	maxCount   = 1000
)

// pass goes through a stream once, from the oldest entry that anybody asks about.
// Its goroutine alone uses it.
type pass struct {
	*lookbacks
	eventType string
	look      *look
	count     int
	after     string
	upTo      string
	// asked are the open questions, by path and value: an event is read once, and
	// only those are asked that it may answer.
	asked map[string]*asked
	open  int
}

type asked struct {
	at      *plan.Path // nil: any event
	byValue map[string][]*question
}

// begin takes the questions that wait; false: there are none, and the look is over.
func (p *pass) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.look.waiting) == 0 {
		delete(p.looks, p.eventType)
		return false
	}
	p.asked = map[string]*asked{}
	p.open = 0
	p.after = p.look.waiting[0].after
	p.upTo = ""
	for _, q := range p.look.waiting {
		if store.CompareEntries(q.after, p.after) < 0 {
			p.after = q.after
		}
		p.add(q)
	}
	p.look.waiting = nil
	return true
}

// join takes in those who came later, and ask about nothing that was passed.
func (p *pass) join() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look.waiting = slices.DeleteFunc(p.look.waiting, func(q *question) bool {
		if store.CompareEntries(q.after, p.after) < 0 {
			return false
		}
		p.add(q)
		return true
	})
}

func (p *pass) add(q *question) {
	if p.asked[q.match] == nil {
		p.asked[q.match] = &asked{at: q.at, byValue: map[string][]*question{}}
	}
	of := p.asked[q.match]
	of.byValue[q.value] = append(of.byValue[q.value], q)
	p.open++
	if p.upTo == "" || store.CompareEntries(q.upTo, p.upTo) > 0 {
		p.upTo = q.upTo
	}
}

// page reads one page and answers what it can.
func (p *pass) page() error {
	p.lookbacks.page <- struct{}{}
	defer func() { <-p.lookbacks.page }()
	if err := p.check(); err != nil {
		return err
	}
	entries, err := p.store.Between(context.Background(), p.eventType, p.after, p.upTo, p.count)
	if err != nil {
		return err
	}
	bytes := 0
	for i := range entries {
		bytes += size(&entries[i])
		p.show(&entries[i])
	}
	if len(entries) < p.count {
		p.after = p.upTo // there is no more
	} else {
		p.after = entries[len(entries)-1].ID
		p.count = max(1, min(maxCount, 2*p.count, pageBytes/max(1, bytes/len(entries))))
	}
	p.settle(func(q *question) (answer, bool) { return answer{}, store.CompareEntries(q.upTo, p.after) <= 0 })
	return nil
}

// show asks those whom an entry may concern.
func (p *pass) show(entry *store.Entry) {
	e, err := entry.Event()
	if err != nil {
		return // a malformed event is no event to wait for
	}
	for _, of := range p.asked {
		value := ""
		if of.at != nil {
			var ok bool
			if value, ok = of.at.Lookup(&e); !ok {
				continue
			}
		}
		for _, q := range of.byValue[value] {
			if store.CompareEntries(entry.ID, q.after) > 0 && store.CompareEntries(entry.ID, q.upTo) <= 0 && q.fits(&e) {
				found := e
				q.answer <- answer{found: &found}
				of.drop(value, q)
				p.open--
			}
		}
	}
}

// drop forgets a question. The list is made anew: somebody may be going through it.
func (a *asked) drop(value string, q *question) {
	left := slices.DeleteFunc(slices.Clone(a.byValue[value]), func(other *question) bool { return other == q })
	if len(left) == 0 {
		delete(a.byValue, value)
		return
	}
	a.byValue[value] = left
}

// settle answers the questions of which done says how.
func (p *pass) settle(done func(*question) (answer, bool)) {
	for _, of := range p.asked {
		for value, list := range of.byValue {
			for _, q := range list {
				if a, ok := done(q); ok {
					q.answer <- a
					of.drop(value, q)
					p.open--
				}
			}
		}
	}
}

// fail tells everybody that it could not be looked.
func (p *pass) fail(err error) {
	p.settle(func(*question) (answer, bool) { return answer{err: err}, true })
}

// size is about how many bytes an entry has.
func size(e *store.Entry) int {
	n := 64
	for name, value := range e.Fields {
		text, _ := value.(string)
		n += len(name) + len(text)
	}
	return n
}
