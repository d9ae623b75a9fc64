package web

import (
	"context"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
)

// live answers with the stream of a page.
func (s *Site) live(w http.ResponseWriter, r *http.Request) {
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer s.streams.Add(-1)
	ctx, cancel := context.WithTimeout(r.Context(), maxStream)
	defer cancel()
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	p, err := s.livePage(r)
	var changes <-chan console.Change
	if err == nil {
		changes, err = s.source.Follow(ctx, p.filter)
	}
	if err != nil {
		http.Error(w, err.Error(), console.StatusOf(err))
		return
	}
	st := &stream{w, http.NewResponseController(w), maphash.MakeSeed(), map[string]uint64{}}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	_ = st.rc.SetReadDeadline(time.Time{}) // the server's is for the request
	if st.write([]byte("retry: 1000\n: hello\n\n")) != nil {
		return
	}
	if err := p.follow(ctx, st, changes); err != nil && ctx.Err() == nil {
		s.log.Debug("the stream of a page ended", "path", r.URL.Path, "error", err)
	}
}

// livePage is how a page is kept up to date.
type livePage struct {
	filter console.Filter
	// wants says whether a change concerns the page; nil: all do.
	wants func(*console.Change) bool
	// each sends what one change brings; nil: changes are only a reason to
	// render.
	each func(*stream, *console.Change) error
	// render sends the page as it is; nil: changes say everything.
	render func(context.Context, *stream) error
	// pause is the shortest time between two renderings, every the longest.
	pause, every time.Duration
}

// follow sends until the stream ends.
func (p *livePage) follow(ctx context.Context, st *stream, changes <-chan console.Change) error {
	due := time.NewTimer(p.pause) // what changed since the page was rendered
	defer due.Stop()
	beat := time.NewTicker(keepAlive)
	defer beat.Stop()
	waiting := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if err := st.write([]byte(": still here\n\n")); err != nil {
				return err
			}
		case c, ok := <-changes:
			switch {
			case !ok:
				return nil
			case c.Kind == console.Reset, p.each == nil:
				if (p.wants == nil || c.Kind == console.Reset || p.wants(&c)) && !waiting && p.render != nil {
					waiting = true
					due.Reset(p.pause)
				}
			default:
				if err := p.each(st, &c); err != nil {
					return err
				}
			}
		case <-due.C:
			waiting = false
			if p.render == nil {
				continue
			}
			if err := p.render(ctx, st); err != nil {
				if console.StatusOf(err) != http.StatusServiceUnavailable {
					return err
				}
			}
			if p.every > 0 {
				due.Reset(p.every)
			}
		}
	}
}

// livePage finds out what to send from the address of a stream.
func (s *Site) livePage(r *http.Request) (*livePage, error) {
	values, user := r.URL.Query(), userOf(r.Context())
	after := r.Header.Get("Last-Event-ID")
	switch r.PathValue("page") {
	case "overview":
		return &livePage{pause: time.Second, every: 5 * time.Second, render: s.renderOverview}, nil
	case "functions":
		return &livePage{pause: time.Second, every: 5 * time.Second, render: s.renderFunctions}, nil
	case "mails":
		if s.opts.Mails == nil {
			break
		}
		return &livePage{pause: time.Second, every: time.Second, render: func(_ context.Context, st *stream) error {
			return s.sendPart(st, "mails", "mail-table", "mails", s.loadMails())
		}}, nil
	case "runs":
		return s.liveRuns(r, after)
	case "run":
		id := values.Get("id")
		return &livePage{filter: console.Filter{Kinds: []console.ChangeKind{console.RunChanged}, RunID: id}, pause: 150 * time.Millisecond, every: time.Second,
			render: func(ctx context.Context, st *stream) error {
				b, err := s.loadRun(ctx, id, user)
				if err != nil {
					return err
				}
				return s.sendPart(st, "run", "run", "run", b)
			}}, nil
	case "events":
		return s.liveEvents(values.Get("type"), after), nil
	case "event":
		return s.liveEvent(values.Get("type"), values.Get("id")), nil
	}
	return nil, &console.Problem{Status: http.StatusNotFound, Text: "there is no such stream"}
}

// sendPart renders a part of a page and sends it if it changed.
func (s *Site) sendPart(st *stream, page, name, key string, data any) error {
	html, err := s.pages.fragment(page, name, data)
	if err != nil {
		return err
	}
	return st.send(key, "", html)
}

func (s *Site) renderOverview(ctx context.Context, st *stream) error {
	b, err := s.loadOverview(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{"tiles", "charts", "trouble", "latest"} {
		if err := s.sendPart(st, "overview", name, name, b); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) renderFunctions(ctx context.Context, st *stream) error {
	all, err := s.loadFunctions(ctx)
	if err != nil {
		return err
	}
	for _, f := range all {
		if err := s.sendPart(st, "functions", "function-row", f.Name, f); err != nil {
			return err
		}
	}
	return nil
}

// liveRuns sends the rows of runs that change. After a gap it sends the first
// page anew: the page knows which rows it has.
func (s *Site) liveRuns(r *http.Request, after string) (*livePage, error) {
	q, err := runQuery(r.URL.Query(), time.Now())
	if err != nil {
		return nil, err
	}
	if isID(q.Text) {
		q.EventID, q.Text = q.Text, ""
	}
	p := &livePage{filter: console.Filter{Kinds: []console.ChangeKind{console.RunChanged}, Function: q.Function, EventType: q.EventType, After: after}, pause: 200 * time.Millisecond}
	p.each = func(st *stream, c *console.Change) error {
		if c.Run == nil {
			return nil
		}
		return s.sendRow(st, c.ID, runRow{*c.Run, !fits(&q, c.Run)})
	}
	p.render = func(ctx context.Context, st *stream) error {
		page, err := s.source.Runs(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Runs {
			if err := s.sendRow(st, "", runRow{page.Runs[i], false}); err != nil {
				return err
			}
		}
		return nil
	}
	return p, nil
}

// runRow is a run in a list. One that no longer fits the filters is changed
// where it is shown, and comes in nowhere.
type runRow struct {
	run.Record
	Known bool
}

func (s *Site) sendRow(st *stream, id string, row runRow) error {
	html, err := s.pages.fragment("runs", "live-run-row", row)
	if err != nil {
		return err
	}
	return st.send("", id, html)
}

// fits reports whether a run passes the filters that Follow does not know.
func fits(q *console.RunQuery, r *run.Record) bool {
	return (q.EventID == "" || q.EventID == r.EventID) && (len(q.Statuses) == 0 || slices.Contains(q.Statuses, r.Status)) &&
		(q.Text == "" || strings.Contains(strings.ToLower(r.Error), strings.ToLower(q.Text)))
}

func (s *Site) liveEvents(eventType, after string) *livePage {
	p := &livePage{filter: console.Filter{Kinds: []console.ChangeKind{console.EventPublished}, EventType: eventType, After: after}, pause: 200 * time.Millisecond}
	row := func(st *stream, id string, e *console.EventSummary) error {
		html, err := s.pages.fragment("events", "event-row", *e)
		if err != nil {
			return err
		}
		return st.send("", id, html)
	}
	p.each = func(st *stream, c *console.Change) error {
		if c.Event == nil {
			return nil
		}
		return row(st, c.ID, c.Event)
	}
	p.render = func(ctx context.Context, st *stream) error {
		page, err := s.source.Events(ctx, console.EventQuery{Type: eventType, Limit: pageSize})
		if err != nil {
			return err
		}
		for i := range page.Events {
			if err := row(st, "", &page.Events[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return p
}

// liveEvent renders what an event started when one of those runs changes.
func (s *Site) liveEvent(eventType, id string) *livePage {
	return &livePage{
		filter: console.Filter{Kinds: []console.ChangeKind{console.RunChanged}, EventType: eventType},
		wants:  func(c *console.Change) bool { return c.Run != nil && c.Run.EventID == id },
		pause:  200 * time.Millisecond, every: 5 * time.Second,
		render: func(ctx context.Context, st *stream) error {
			b, err := s.loadEvent(ctx, eventType, id)
			if err != nil {
				return err
			}
			return s.sendPart(st, "event", "started", "started", b)
		},
	}
}
