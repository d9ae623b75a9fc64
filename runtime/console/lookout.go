package console

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

const (
	// maxNews is how many entries of one stream one look takes; who has more
	// gets a Reset.
	maxNews = 200
	// maxTracked is how many runs are watched for their next state.
	maxTracked = 1000
	// resumeWithin is how long after the last look the next one goes on where
	// that ended.
	resumeWithin = 2 * time.Minute
	// overlap is how far back the first look goes.
	overlap = time.Second
	// surveyEvery is how many looks share what is known of functions, event
	// types and their numbers.
	surveyEvery = 4
	// patience is how long a run that was not found in any place is looked for.
	patience = 2 * time.Second
)

// lookout reads what changed. One goroutine owns it.
type lookout struct {
	*feed
	began     time.Time         // entries before it are no news
	lastLook  time.Time         // zero: never
	places    map[string]string // by source: the newest entry that was seen
	looks     int
	functions []*installed
	types     []string
	stats     map[string]inspect.Stats
	tracked   map[string]*tracked
	prints    map[string]string // of single runs that are followed
	news      []Change
	lossy     bool
}

// tracked is a run that has not ended, as it was told last.
type tracked struct {
	inspect.OpenRun
	seen time.Time // when it was found last
}

// look reads once and tells the watchers.
func (l *lookout) look(ctx context.Context, runs []RunRef, now time.Time) error {
	if l.lastLook.IsZero() || now.Sub(l.lastLook) > resumeWithin {
		if err := l.begin(ctx); err != nil {
			return err
		}
	}
	l.lastLook, l.news, l.lossy = now, nil, false
	if l.looks%surveyEvery == 0 {
		if err := l.survey(ctx); err != nil {
			return err
		}
	}
	l.looks++
	for _, step := range []func(context.Context) error{l.events, l.openRuns, l.endedRuns} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := l.single(ctx, runs); err != nil {
		return err
	}
	if l.lossy {
		l.news = append(l.news, Change{Kind: Reset})
	}
	l.emit(l.news)
	return nil
}

// begin forgets what was known: nobody looked for a while.
func (l *lookout) begin(ctx context.Context) error {
	now, err := l.inspect.Now(ctx)
	if err != nil {
		return err
	}
	// Whoever follows was told so a moment ago.
	l.began, l.places, l.tracked, l.prints, l.stats, l.looks = now.Add(-overlap), map[string]string{}, map[string]*tracked{}, map[string]string{}, nil, 0
	return nil
}

// survey reads what there is, and the numbers of the functions.
func (l *lookout) survey(ctx context.Context) (err error) {
	if l.functions, err = l.Service.functions(ctx, ""); err != nil {
		return err
	}
	if l.types, err = l.typesOf(ctx, l.functions); err != nil {
		return err
	}
	all, err := l.inspect.StatsOf(ctx, readsOf(l.functions))
	if err != nil {
		return err
	}
	stats := map[string]inspect.Stats{}
	for i, f := range l.functions {
		stats[f.name] = all[i]
		if before, known := l.stats[f.name]; l.stats != nil && (!known || before != all[i]) {
			l.news = append(l.news, Change{Kind: FunctionChanged, Function: &FunctionStats{f.name, all[i]}})
		}
	}
	l.stats = stats
	return nil
}

// place is the bound after which the entries of a source are news.
func (l *lookout) place(source string) string {
	if at, known := l.places[source]; known {
		return "(" + at
	}
	return strconv.FormatInt(l.began.UnixMilli(), 10)
}

// events tells new events, and notes the runs that they start.
func (l *lookout) events(ctx context.Context) error {
	ranges := make([]inspect.EventRange, len(l.types))
	for i, t := range l.types {
		ranges[i] = inspect.EventRange{Type: t, Oldest: l.place("v" + t), Count: maxNews}
	}
	found, err := l.inspect.Peek(ctx, ranges, previewBytes)
	if err != nil {
		return err
	}
	for i, list := range found {
		if len(list) == 0 {
			continue
		}
		l.places["v"+l.types[i]] = list[0].ID
		l.lossy = l.lossy || len(list) == maxNews
		for _, entry := range slices.Backward(list) {
			l.published(&entry)
		}
	}
	return nil
}

func (l *lookout) published(entry *inspect.Peeked) {
	e := summary(entry)
	l.news = append(l.news, Change{Kind: EventPublished, Event: &e})
	for _, f := range l.functions {
		if triggeredBy(f, e.Type) {
			l.track(&inspect.OpenRun{Function: f.name, ID: store.RunID(f.name, e.Type, entry.ID), Status: Queued,
				At: event.EntryTime(entry.ID), EventType: e.Type, EventID: e.ID})
		}
	}
}

// track notes where a run is, and tells it if that is new.
func (l *lookout) track(r *inspect.OpenRun) {
	t := l.tracked[r.ID]
	switch {
	case t == nil && len(l.tracked) >= maxTracked:
		return // a Reset would not help: there are just too many at once
	case t == nil:
		t = &tracked{}
		l.tracked[r.ID] = t
	case t.Status == r.Status && sameTime(t.Due, r.Due):
		t.seen = l.lastLook
		return
	}
	if r.EventID == "" {
		r.EventID, r.EventType = t.EventID, t.EventType
	}
	t.OpenRun, t.seen = *r, l.lastLook
	l.tell(&run.Record{ID: r.ID, Function: r.Function, Status: r.Status, EventID: r.EventID, EventType: r.EventType, StartedAt: r.At, WaitsFor: r.Due})
}

func sameTime(a, b *time.Time) bool {
	return a == b || a != nil && b != nil && a.Equal(*b)
}

func (l *lookout) tell(r *run.Record) {
	l.news = append(l.news, Change{Kind: RunChanged, Run: r})
}

// openRuns tells which runs run, and which of those that were told wait now.
func (l *lookout) openRuns(ctx context.Context) error {
	running, _, err := l.inspect.OpenRuns(ctx, inspect.OpenQuery{Functions: readsOf(l.functions), Running: true, Most: maxNews})
	if err != nil {
		return err
	}
	atWork := map[string]bool{}
	for i := range running {
		atWork[running[i].ID] = true
		l.track(&running[i])
	}
	var others []inspect.OpenRun
	for id, t := range l.tracked {
		if !atWork[id] {
			others = append(others, t.OpenRun)
		}
	}
	parked, err := l.inspect.Parked(ctx, others)
	if err != nil {
		return err
	}
	for i := range others {
		if parked[i] {
			l.track(&others[i])
		}
	}
	return l.missing(ctx)
}

// maxMissing bounds the runs of one look of which it is asked what became of
// them.
const maxMissing = 20

// missing tells of events that started no run, and forgets runs that are in no
// place any more.
func (l *lookout) missing(ctx context.Context) error {
	asked := 0
	for id, t := range l.tracked {
		switch {
		case l.lastLook.Sub(t.seen) < patience:
			continue
		case t.Status == run.Waiting || t.EventID == "":
			delete(l.tracked, id)
			continue
		case asked == maxMissing:
			continue
		}
		asked++
		t.seen = l.lastLook // ask again after a while
		detail, err := l.EventRuns(ctx, t.EventType, t.EventID)
		if err != nil {
			delete(l.tracked, id) // the event has left its stream
			continue
		}
		for i := range detail.Runs {
			r := &detail.Runs[i]
			if r.ID != id {
				continue
			}
			// A runner may have had the event for a moment: Running, not Queued.
			if r.Status == Filtered {
				l.tell(r)
			}
			if r.Status == Filtered || t.Status != Queued {
				delete(l.tracked, id)
			}
		}
	}
	return nil
}

// endedRuns tells what is new in the histories.
func (l *lookout) endedRuns(ctx context.Context) error {
	var ranges []inspect.HistoryRange
	for _, f := range l.functions {
		for _, dead := range []bool{false, true} {
			ranges = append(ranges, inspect.HistoryRange{Function: f.name, Dead: dead, Oldest: l.place(historyName(f.name, dead)), Count: maxNews})
		}
	}
	histories, err := l.inspect.Histories(ctx, ranges)
	if err != nil {
		return err
	}
	for i, list := range histories {
		if len(list) == 0 {
			continue
		}
		l.places[historyName(ranges[i].Function, ranges[i].Dead)] = list[0].ID
		l.lossy = l.lossy || len(list) == maxNews
		for _, entry := range slices.Backward(list) {
			record, err := entry.Record()
			if err != nil {
				continue // whoever lists the runs says so
			}
			delete(l.tracked, record.ID)
			l.tell(&record)
		}
	}
	return nil
}

// single tells of runs that are followed for themselves whenever a step of
// them has moved.
func (l *lookout) single(ctx context.Context, runs []RunRef) error {
	for _, ref := range runs {
		r, err := l.inspect.Unended(ctx, ref.Function, ref.ID)
		if err != nil {
			return err
		}
		if r == nil {
			continue // it has ended, and is told as such
		}
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if before := l.prints[ref.ID]; before != string(text) {
			l.prints[ref.ID] = string(text)
			l.tell(r)
		}
	}
	return nil
}
