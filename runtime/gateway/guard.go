package gateway

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	// bodyGrace and bodyRate say how late a body may be: a client that is slower
	// holds a connection and nothing else, but not for long.
	bodyGrace = 5 * time.Second
	bodyRate  = 32 << 10 // bytes per second
	// bytesStep is how many bytes of the common bound are taken at a time.
	bytesStep = 16 << 10
	// bytesPerPlace is how large a request is that counts as one; a larger one
	// counts as several, so that what is under way is done in a bounded time.
	bytesPerPlace = 4 << 10
)

// Guard is what every way in needs around its handler: it counts requests under
// the name of the route, refuses them while the backend cannot take events, and
// bounds their bodies: in size, in time, and in the sum of what all requests
// hold at the time. Who has read the body to its end has one of the places for
// requests, until the handler returns. An error of reading is for Refuse.
func (g *Gateway) Guard(route string, next http.Handler) http.Handler {
	return g.opts.Metrics.Instrument(route, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refusal := g.pressure.refusal(); refusal != nil {
			g.opts.Metrics.Refused(RefusedLoad, 1)
			Refuse(w, refusal)
			return
		}
		if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
			g.opts.Metrics.Refused(RefusedForm, 1)
			Refuse(w, &Refusal{Status: http.StatusUnsupportedMediaType, Message: fmt.Sprintf("the body is compressed (%s): send it as it is", clip(coding))})
			return
		}
		b := &body{gateway: g, from: http.MaxBytesReader(w, r.Body, g.opts.MaxBodyBytes), conn: http.NewResponseController(w), began: time.Now()}
		defer b.release()
		r.Body = b
		next.ServeHTTP(w, r)
	}))
}

// body is the body of a request within its bounds.
type body struct {
	gateway *Gateway
	from    io.ReadCloser
	conn    *http.ResponseController
	began   time.Time
	read    int64 // bytes
	held    int64 // of the bytes of all requests
	places  int64 // among the requests; 0: has none yet
}

// Read implements io.Reader. Its errors are refusals, where they are ours.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.held <= b.read {
		if !b.gateway.bytes.TryAcquire(bytesStep) {
			return 0, busy()
		}
		b.held += bytesStep
	}
	p = p[:min(int64(len(p)), b.held-b.read)]
	if err := b.expect(b.began.Add(bodyGrace + time.Duration(b.read)*time.Second/bodyRate)); err != nil {
		return 0, err
	}
	n, err := b.from.Read(p)
	b.read += int64(n)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &Refusal{Status: http.StatusRequestTimeout, Message: "the body came too slowly: send it in one go"}
	case errors.Is(err, io.EOF):
		// What comes now is the next request; it is not late.
		if failed := b.expect(time.Time{}); failed != nil {
			err = failed
		} else if failed := b.enter(); failed != nil {
			err = failed
		}
	}
	return n, err
}

// expect sets the time by which more must have come. A connection that knows
// none is one of a test.
func (b *body) expect(at time.Time) error {
	if err := b.conn.SetReadDeadline(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// enter takes places among the requests that are worked on, according to how
// much work it is. Only a request that is there as a whole gets them: those who
// send slowly are in nobody's way.
func (b *body) enter() error {
	if b.places > 0 {
		return nil
	}
	most := max(1, int64(b.gateway.opts.MaxRequests)/4) // or the largest would never get in
	places := min(1+b.read/bytesPerPlace, most)
	if !b.gateway.requests.TryAcquire(places) {
		return busy()
	}
	b.places = places
	return nil
}

// busy refuses what is more than the gateway takes on at the same time.
func busy() *Refusal {
	return &Refusal{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Message: "the gateway has too many requests at this time, send the events again"}
}

// Close implements io.Closer.
func (b *body) Close() error { return b.from.Close() }

func (b *body) release() {
	b.gateway.bytes.Release(b.held)
	b.held = 0
	b.gateway.requests.Release(b.places)
}

// quietly logs what may happen thousands of times, once in a while.
type quietly struct {
	mu    sync.Mutex
	count int
	said  time.Time
}

// quietTime is how long a thing that was said is not said again.
const quietTime = 10 * time.Second

func (q *quietly) warn(log *slog.Logger, text string, args ...any) {
	q.mu.Lock()
	q.count++
	count := q.count
	now := time.Now()
	if now.Sub(q.said) < quietTime {
		q.mu.Unlock()
		return
	}
	q.said, q.count = now, 0
	q.mu.Unlock()
	log.Warn(text, append(args, "times", count)...)
}
