// Package console is what people and programs look through, and act through:
// functions, runs, events, what an event started; send, cancel, replay. Its
// Service is used in process by the web page, and by others over the HTTP API
// on top of it, for which there is a Client. It shows what Redis has and must
// not know how a run is carried out.
package console

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/acts"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// Options are what a Service needs.
type Options struct {
	// Store is where everything is read.
	Store *store.Conn
	// Authorize returns nil if whoever the context belongs to may act, else an
	// error that says what would allow it. Nil: nobody may; it is read-only.
	Authorize func(ctx context.Context, a Action) error
	// Who names whoever the context belongs to, for the line of the log that each
	// act leaves. Nil: nobody is known.
	Who func(ctx context.Context) string
	// Send checks and publishes events, and sets their ids: the gateway's way
	// in. Nil: events cannot be sent from here.
	Send func(ctx context.Context, events []*event.Event) error
	// Types returns the event types that are declared, of which Type,
	// Description and Schema count. Nil: none is known.
	Types func() []EventType
	// SampleEvery is the time between two samples: 5 s by default.
	SampleEvery time.Duration
	// FollowEvery is the time between two looks while somebody follows: 250 ms
	// by default.
	FollowEvery time.Duration
	// Logger gets what goes wrong. Nil: slog.Default().
	Logger *slog.Logger
}

// Validate reports what is missing, and fills in the defaults.
func (o *Options) Validate() error {
	if o.Store == nil {
		return errors.New("console: no store")
	}
	if o.SampleEvery < 0 || o.FollowEvery < 0 {
		return errors.New("console: SampleEvery and FollowEvery must not be negative")
	}
	if o.SampleEvery == 0 {
		o.SampleEvery = 5 * time.Second
	}
	if o.FollowEvery == 0 {
		o.FollowEvery = 250 * time.Millisecond
	}
	if o.Authorize == nil {
		o.Authorize = readOnly
	}
	if o.Who == nil {
		o.Who = func(context.Context) string { return "" }
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// Service answers what people ask. It is safe for use by many goroutines.
type Service struct {
	opts     Options
	inspect  *inspect.Inspector
	acts     *acts.Acts
	log      *slog.Logger
	plans    planCache
	compiled compiledCache
	samples  *sampler
	feed     *feed
	// heartbeat is the time between two signs of life of a stream.
	heartbeat time.Duration
}

// New returns a Service. Samples and Follow need its Serve.
func New(o Options) (*Service, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Service{opts: o, inspect: inspect.New(o.Store), acts: acts.New(o.Store), log: o.Logger, heartbeat: heartbeat}
	s.samples = newSampler(s)
	s.feed = newFeed(s)
	return s, nil
}

// Serve measures for Samples, and reads for those who Follow, until ctx ends.
func (s *Service) Serve(ctx context.Context) error {
	done := make(chan struct{})
	go func() { defer close(done); s.samples.run(ctx) }()
	s.feed.run(ctx)
	<-done
	return nil
}
