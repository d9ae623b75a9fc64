package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// Bounds on lists.
const (
	DefaultLimit = 50
	MaxLimit     = 1000
	// maxScan is how many runs of the history one page looks through.
	maxScan = 10_000
	// maxOpen is how many runs of one function that run or wait are looked at.
	maxOpen = 2000
)

// statuses are what RunQuery.Statuses may have.
var statuses = []run.Status{run.Queued, run.Running, run.Waiting, run.Succeeded, run.Failed, run.Cancelled, run.Rejected}

// validate reports what is wrong, as a *Problem, and fills in the limit.
func (q *RunQuery) validate() error {
	for _, st := range q.Statuses {
		if !slices.Contains(statuses, st) {
			return failf(http.StatusBadRequest, "status is %q, want succeeded, failed, cancelled, running, waiting, queued or rejected", st)
		}
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && q.Until.Before(q.Since) {
		return failf(http.StatusBadRequest, "until is before since: nothing lies between them")
	}
	return limitIn(&q.Limit)
}

func limitIn(limit *int) error {
	if *limit == 0 {
		*limit = DefaultLimit
	}
	if *limit < 1 || *limit > MaxLimit {
		return failf(http.StatusBadRequest, "limit is %d, want 1 to %d", *limit, MaxLimit)
	}
	return nil
}

// wants says whether runs in one of the states are asked for.
func (q *RunQuery) wants(states ...run.Status) bool {
	return len(q.Statuses) == 0 || slices.ContainsFunc(states, func(st run.Status) bool { return slices.Contains(q.Statuses, st) })
}

// Runs returns runs, the newest first. It reads a bounded part of the history.
func (s *Service) Runs(ctx context.Context, q RunQuery) (RunPage, error) {
	if err := q.validate(); err != nil {
		return RunPage{}, err
	}
	after, err := parseCursor(q.Cursor)
	if err != nil {
		return RunPage{}, err
	}
	functions, err := s.functions(ctx, q.Function)
	if err != nil {
		return RunPage{}, err
	}
	l := &lister{Service: s, q: &q, after: after, seen: map[string]bool{}, page: RunPage{Runs: []run.Record{}}}
	// The open runs are read first: one that ends meanwhile is found in the
	// history, and there it counts.
	if err := l.readOpen(ctx, functions); err != nil {
		return RunPage{}, err
	}
	err = l.fill(ctx, functions)
	return l.page, err
}

// lister makes one page.
type lister struct {
	*Service
	q     *RunQuery
	after *position // where the page begins; nil: at the newest
	open  []openItem
	seen  map[string]bool // runs of the page
	page  RunPage
	last  position // the last place that was looked at
}

// openItem is a run that has not ended, with its place in the list.
type openItem struct {
	run run.Record
	at  position
}

func openPosition(r *inspect.OpenRun) position {
	if r.Entry != "" {
		return entryPosition(r.Entry, "f"+r.Function+" "+r.EventType)
	}
	return position{ms: uint64(max(0, r.At.UnixMilli())), source: "f" + r.Function + " " + r.ID}
}

// readOpen collects the open runs that come after the cursor.
func (l *lister) readOpen(ctx context.Context, functions []*installed) error {
	q := l.q
	if q.Text != "" || !q.wants(run.Running, run.Waiting, run.Queued) {
		return nil // a run that has not ended has no error
	}
	ask := inspect.OpenQuery{Functions: readsOf(functions), Running: true, Waiting: q.wants(run.Waiting), Queued: q.wants(run.Queued),
		Most: maxOpen, MostQueued: q.Limit + 2} // the one of the cursor, and one to know of more
	if !q.Until.IsZero() {
		ask.Newest = strconv.FormatInt(max(0, q.Until.UnixMilli()), 10)
	}
	if l.after != nil {
		ask.Newest = l.after.entry()
	}
	runs, more, err := l.inspect.OpenRuns(ctx, ask)
	if err != nil {
		return err
	}
	if more {
		l.page.Partial = fmt.Sprintf("a function has more than %d runs that run or wait: of those that wait, only the ones that are due next are listed", maxOpen)
	}
	if q.EventID != "" && q.wants(run.Queued) {
		queued, err := l.backlogged(ctx, functions)
		if err != nil {
			return err
		}
		runs = append(runs, queued...)
	}
	runs = l.placed(runs)
	if q.EventType == "" && q.EventID == "" {
		runs = runs[:min(len(runs), q.Limit+1)]
	}
	briefs, err := l.inspect.Briefs(ctx, runs)
	if err != nil {
		return err
	}
	for i := range briefs {
		if q.fits(&briefs[i]) {
			l.open = append(l.open, openItem{briefs[i], openPosition(&runs[i])})
		}
	}
	return nil
}

// backlogged returns the runs that the event that is asked for will start,
// however much there is in the stream after it.
func (l *lister) backlogged(ctx context.Context, functions []*installed) (runs []inspect.OpenRun, err error) {
	entry, err := l.entry(ctx, l.q.EventType, l.q.EventID)
	if err != nil {
		if StatusOf(err) == http.StatusNotFound {
			return nil, nil
		}
		return nil, err
	}
	for _, f := range functions {
		if !triggeredBy(f, entry.Type) {
			continue
		}
		delivery, err := l.inspect.Delivery(ctx, f.name, entry.Type, entry.ID)
		if err != nil {
			return nil, err
		}
		if delivery == inspect.Unread {
			runs = append(runs, inspect.OpenRun{Function: f.name, ID: store.RunID(f.name, entry.Type, entry.ID), Status: Queued,
				At: event.EntryTime(entry.ID), Entry: entry.ID, EventType: entry.Type, EventID: l.q.EventID})
		}
	}
	return runs, nil
}

// placed returns the runs that belong on the page, in the order of the list,
// each once: a run that was found running is not waiting any more.
func (l *lister) placed(runs []inspect.OpenRun) []inspect.OpenRun {
	rank := map[run.Status]int{run.Running: 2, run.Waiting: 1}
	best := map[string]inspect.OpenRun{}
	for _, r := range runs {
		if known, there := best[r.ID]; !there || rank[r.Status] > rank[known.Status] {
			best[r.ID] = r
		}
	}
	runs = runs[:0]
	for _, r := range best {
		outside := !l.q.Since.IsZero() && r.At.Before(l.q.Since) || !l.q.Until.IsZero() && r.At.After(l.q.Until)
		if !outside && l.q.wants(r.Status) && (l.after == nil || openPosition(&r).compare(*l.after) < 0) {
			runs = append(runs, r)
		}
	}
	slices.SortFunc(runs, func(a, b inspect.OpenRun) int { return openPosition(&b).compare(openPosition(&a)) })
	return runs
}

// fill merges open runs and histories until the page is full, or enough has
// been looked through.
func (l *lister) fill(ctx context.Context, functions []*installed) error {
	q := l.q
	newest, oldest := l.bounds()
	ended := l.mergeHistories(functions, q.wants(run.Succeeded) && q.Text == "", q.wants(run.Failed, run.Cancelled, run.Rejected), l.after, newest, oldest, q.Limit)
	for scanned := 0; ; {
		from, at, err := ended.peek(ctx)
		if err != nil {
			return err
		}
		isOpen := len(l.open) > 0 && (from == nil || l.open[0].at.compare(at) > 0)
		if from == nil && !isOpen {
			return nil // this was all
		}
		if len(l.page.Runs) == q.Limit || scanned == maxScan {
			l.page.Next = l.last.cursor()
			back := time.UnixMilli(int64(l.last.ms)).UTC()
			l.page.Back = &back
			return nil
		}
		if isOpen {
			l.last = l.open[0].at
			l.add(l.open[0].run)
			l.open = l.open[1:]
			continue
		}
		l.last = at
		scanned++
		entry := from.take()
		if record, ok := l.decode(&entry); ok {
			l.add(record)
		}
	}
}

func (l *lister) add(record run.Record) {
	if !l.seen[record.ID] {
		l.page.Runs = append(l.page.Runs, record)
	}
	l.seen[record.ID] = true
}

// bounds returns the newest and the oldest entry of a history that count.
func (l *lister) bounds() (newest, oldest string) {
	since := l.q.Since
	// A run ends after the time in the id of its event.
	if at, ok := event.IDTime(l.q.EventID); ok && at.After(since) {
		since = at
	}
	if !since.IsZero() {
		oldest = strconv.FormatInt(max(0, since.UnixMilli()), 10)
	}
	if !l.q.Until.IsZero() {
		newest = strconv.FormatInt(max(0, l.q.Until.UnixMilli()), 10)
	}
	return newest, oldest
}

// decode reads an entry of the history if it may be what is asked for.
func (l *lister) decode(e *inspect.HistoryEntry) (record run.Record, ok bool) {
	if !l.q.mayFit(e.Text()) {
		return record, false
	}
	record, err := e.Record()
	if err != nil {
		l.log.Warn("history entry skipped", "function", e.Function, "entry", e.ID, "error", err)
		return record, false
	}
	return record, l.q.wants(record.Status) && l.q.fits(&record)
}

// Fits says whether a run is what is asked for, but for its time.
func (q *RunQuery) Fits(r *run.Record) bool { return q.wants(r.Status) && q.fits(r) }

// fits says whether a run has what is asked for, but for its state and time.
func (q *RunQuery) fits(r *run.Record) bool {
	return (q.EventType == "" || r.EventType == q.EventType) && (q.EventID == "" || r.EventID == q.EventID) &&
		(q.Text == "" || strings.Contains(strings.ToLower(r.Error), strings.ToLower(q.Text)))
}

// mayFit is fits on the JSON of an entry: false spares decoding it.
func (q *RunQuery) mayFit(text string) bool {
	for _, part := range []string{q.EventType, q.EventID} {
		if part != "" && plain(part) && !strings.Contains(text, part) {
			return false
		}
	}
	return q.Text == "" || !plain(q.Text) || strings.Contains(strings.ToLower(text), strings.ToLower(q.Text))
}

// plain says whether a text stands in JSON as it is.
func plain(text string) bool {
	quoted, err := json.Marshal(text)
	return err == nil && len(quoted) == len(text)+2 && !strings.ContainsFunc(text, func(r rune) bool { return r >= 0x7f })
}
