package console

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/strictjson"
)

const (
	// heartbeat is less than what proxies wait for.
	heartbeat = 15 * time.Second
	// reconnect is how long a client waits before it connects again.
	reconnect = 2 * time.Second
	// writeWithin bounds one write to a client.
	writeWithin = 10 * time.Second
)

// ParseFilter reads the parameters kind (several with commas), function,
// eventType, run and after. The error is a *Problem.
func ParseFilter(v url.Values) (f Filter, err error) {
	if err := known(v, "kind", "function", "eventType", "run", "after"); err != nil {
		return f, err
	}
	f = Filter{Function: v.Get("function"), EventType: v.Get("eventType"), RunID: v.Get("run"), After: v.Get("after")}
	for _, list := range v["kind"] {
		for kind := range strings.SplitSeq(list, ",") {
			if kind != "" {
				f.Kinds = append(f.Kinds, ChangeKind(kind))
			}
		}
	}
	return f, nil
}

// getStream answers with server-sent events until the client leaves.
func (s *Service) getStream(w http.ResponseWriter, r *http.Request) {
	filter, err := ParseFilter(r.URL.Query())
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		filter.After = last // of a client that connects again
	}
	changes, err := s.Follow(r.Context(), filter)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the events back
	w.WriteHeader(http.StatusOK)
	out := &eventWriter{w, http.NewResponseController(w)}
	_ = out.control.SetReadDeadline(time.Time{}) // a stream may last longer than a request
	if out.write("retry: %d\n\n", reconnect.Milliseconds()) != nil {
		return
	}
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	for {
		select {
		case c, open := <-changes:
			if !open || out.change(&c) != nil {
				return
			}
		case <-beat.C:
			if out.write(": still here\n\n") != nil {
				return
			}
		}
	}
}

// eventWriter writes server-sent events.
type eventWriter struct {
	w       io.Writer
	control *http.ResponseController
}

func (o *eventWriter) change(c *Change) error {
	text, err := strictjson.Show(c, "")
	if err != nil {
		return err
	}
	return o.write("id: %s\nevent: %s\ndata: %s\n\n", c.ID, c.Kind, text)
}

func (o *eventWriter) write(format string, args ...any) error {
	_ = o.control.SetWriteDeadline(time.Now().Add(writeWithin)) // not every writer has one
	if _, err := fmt.Fprintf(o.w, format, args...); err != nil {
		return err
	}
	return o.control.Flush()
}
