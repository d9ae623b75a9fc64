package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// keepChanges is how many changes are kept for those who come back.
	keepChanges = 1024
	// watcherRoom is how many changes a watcher may be behind.
	watcherRoom = 256
)

// Follow returns what changes from now on, until ctx ends or Serve does; then
// the channel is closed. Who does not keep up misses changes, and gets a Reset.
// All watchers of a process share one reader; without any it reads nothing.
func (s *Service) Follow(ctx context.Context, f Filter) (<-chan Change, error) {
	for _, kind := range f.Kinds {
		if !slices.Contains([]ChangeKind{RunChanged, EventPublished, FunctionChanged}, kind) {
			return nil, failf(http.StatusBadRequest, "kind is %q, want run, event or function", kind)
		}
	}
	w := &watcher{filter: f, changes: make(chan Change, watcherRoom+keepChanges)}
	if f.RunID != "" {
		run, err := s.findIn(ctx, f.Function, f.RunID)
		if err != nil {
			return nil, err
		}
		w.function = run.Function
	}
	if err := s.feed.enter(w); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { s.feed.leave(w) })
	return w.changes, nil
}

// watcher is somebody who follows.
type watcher struct {
	filter   Filter
	function string // with filter.RunID
	changes  chan Change
	lost     bool // it did not keep up
}

// fits says whether a change is for the watcher.
func (f *Filter) fits(c *Change) bool {
	if c.Kind == Reset {
		return true
	}
	if len(f.Kinds) > 0 && !slices.Contains(f.Kinds, c.Kind) {
		return false
	}
	switch {
	case c.Run != nil:
		return (f.RunID == "" || f.RunID == c.Run.ID) && (f.Function == "" || f.Function == c.Run.Function) && (f.EventType == "" || f.EventType == c.Run.EventType)
	case c.Event != nil:
		return f.RunID == "" && (f.EventType == "" || f.EventType == c.Event.Type)
	case c.Function != nil:
		return f.RunID == "" && (f.Function == "" || f.Function == c.Function.Name)
	}
	return false
}

// feed hands changes to watchers, and keeps the last ones.
type feed struct {
	*Service
	epoch string // tells the changes of this process from those of another

	mu       sync.Mutex
	watchers map[*watcher]bool
	kept     []Change
	seq      uint64 // of the last change
	closed   bool
	wake     chan struct{} // somebody came
}

func newFeed(s *Service) *feed {
	return &feed{Service: s, epoch: strconv.FormatInt(time.Now().UnixMilli(), 36), watchers: map[*watcher]bool{}, wake: make(chan struct{}, 1)}
}

// enter adds a watcher, with what it missed.
func (f *feed) enter(w *watcher) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return failf(http.StatusServiceUnavailable, "the console is stopping: connect again")
	}
	if missed, known := f.since(w.filter.After); known {
		for i := range missed {
			if w.filter.fits(&missed[i]) {
				w.changes <- missed[i] // there is room for all that are kept
			}
		}
	} else {
		w.changes <- Change{ID: f.id(f.seq), Kind: Reset}
	}
	f.watchers[w] = true
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return nil
}

// since returns the changes after one of them; false when it is not known.
func (f *feed) since(id string) ([]Change, bool) {
	if id == "" {
		return nil, true
	}
	epoch, text, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil || epoch != f.epoch || seq > f.seq || f.seq-seq > uint64(len(f.kept)) {
		return nil, false
	}
	return f.kept[len(f.kept)-int(f.seq-seq):], true
}

func (f *feed) id(seq uint64) string { return fmt.Sprintf("%s-%d", f.epoch, seq) }

func (f *feed) leave(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watchers[w] {
		delete(f.watchers, w)
		close(w.changes)
	}
}

// close lets all watchers go.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for w := range f.watchers {
		delete(f.watchers, w)
		close(w.changes)
	}
}

// watched says whether anybody follows, and which single runs.
func (f *feed) watched() (somebody bool, runs []RunRef) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		if ref := (RunRef{Function: w.function, ID: w.filter.RunID}); ref.ID != "" && !slices.Contains(runs, ref) {
			runs = append(runs, ref)
		}
	}
	return len(f.watchers) > 0, runs
}

// emit hands changes to all whom they concern.
func (f *feed) emit(changes []Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range changes {
		f.seq++
		c.ID = f.id(f.seq)
		f.kept = append(f.kept, c)
		for w := range f.watchers {
			if w.filter.fits(&c) {
				w.give(c)
			}
		}
	}
	if over := len(f.kept) - keepChanges; over > 0 {
		f.kept = slices.Delete(f.kept, 0, over)
	}
}

// give hands a change to a watcher if there is room.
func (w *watcher) give(c Change) {
	if w.lost {
		if len(w.changes) > watcherRoom/2 {
			return
		}
		w.lost = false
		c = Change{ID: c.ID, Kind: Reset}
	}
	select {
	case w.changes <- c:
	default:
		w.lost = true
	}
}

// run looks for changes as long as somebody follows, until ctx ends.
func (f *feed) run(ctx context.Context) {
	defer f.close()
	l := &lookout{feed: f}
	ticker := time.NewTicker(f.opts.FollowEvery)
	defer ticker.Stop()
	said := ""
	for {
		somebody, runs := f.watched()
		if !somebody {
			select {
			case <-ctx.Done():
				return
			case <-f.wake:
				continue
			}
		}
		err := l.look(ctx, runs, time.Now())
		if text := fmt.Sprint(err); err != nil && ctx.Err() == nil && text != said {
			f.log.Warn("changes cannot be read; trying again", "error", err)
			said = text
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
