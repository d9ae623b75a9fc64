package inspect

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// Reads is a function and what it reads.
type Reads struct {
	Function string
	// Triggers are the event types that start runs, Types all that it reads.
	Triggers, Types []string
}

// OpenRun is a run that has not ended, as far as its place tells.
type OpenRun struct {
	Function, ID string
	// Status is Running, Waiting or Queued.
	Status run.Status
	// At is when it began, or when its event was published.
	At time.Time
	// Due is when a waiting run goes on by itself; nil: it is not known.
	Due *time.Time
	// Entry is the entry of the event's stream that starts it; "" where only
	// the journal, or the inbox, has it.
	Entry string
	// EventType and EventID are empty where only the journal knows them.
	EventType, EventID string
	// ReplayOf is the run whose event this one was started with again.
	ReplayOf string
}

// OpenQuery says which open runs to look for.
type OpenQuery struct {
	Functions []Reads
	// Running, Waiting and Queued say which states are asked for.
	Running, Waiting, Queued bool
	// Newest is the newest entry that counts for queued runs; "": no bound.
	Newest string
	// Most bounds the runs of one function that run or wait, MostQueued those
	// of one event type that are queued.
	Most, MostQueued int
}

// OpenRuns returns the runs that have not ended, in no order, and whether a
// function has more that run or wait than were asked for. Of the queued ones
// it returns the newest, of the waiting ones those that are due next. A run that passes from
// one place to another meanwhile may be there twice, or not.
func (s *Inspector) OpenRuns(ctx context.Context, q OpenQuery) (runs []OpenRun, more bool, err error) {
	o := &openReader{Inspector: s, ctx: ctx, q: &q}
	if err := o.places(); err != nil {
		return nil, false, fmt.Errorf("list the runs that have not ended: %w", err)
	}
	if err := o.entries(); err != nil {
		return nil, false, fmt.Errorf("list the runs that have not ended: %w", err)
	}
	return o.runs, o.more, nil
}

// openReader collects open runs in two round trips: where they are, and the
// stream entries that say which they are.
type openReader struct {
	*Inspector
	ctx   context.Context
	q     *OpenQuery
	runs  []OpenRun
	more  bool
	reads []openRead
}

// openRead is a part of a stream to be looked at for runs of a function.
type openRead struct {
	streamRange
	reads  *Reads
	status run.Status
}

// places asks for the timers, for what is pending, and for how far the groups
// have read.
func (o *openReader) places() error {
	pipe := o.rdb.Pipeline()
	timers := make([]*redis.ZSliceCmd, len(o.q.Functions))
	pending := make([][]*redis.XPendingExtCmd, len(o.q.Functions))
	groups := map[string]*redis.XInfoGroupsCmd{}
	most := int64(o.q.Most)
	for i := range o.q.Functions {
		f := &o.q.Functions[i]
		if o.q.Waiting {
			timers[i] = pipe.ZRangeWithScores(o.ctx, o.keys.Timers(f.Function), 0, most)
		}
		for _, stream := range streamsOf(o.keys, f.Function, f.Types) {
			if o.q.Running {
				pending[i] = append(pending[i], pipe.XPendingExt(o.ctx, &redis.XPendingExtArgs{Stream: stream, Group: f.Function, Start: "-", End: "+", Count: most}))
			}
			if groups[stream] == nil && (o.q.Queued || o.q.Waiting) {
				groups[stream] = pipe.XInfoGroups(o.ctx, stream)
			}
		}
	}
	_, _ = pipe.Exec(o.ctx) // each command has its own error; a missing group is none
	for i := range o.q.Functions {
		f := &o.q.Functions[i]
		if err := o.waiting(f, timers[i]); err != nil {
			return err
		}
		for n, stream := range streamsOf(o.keys, f.Function, f.Types) {
			if o.q.Running {
				if err := o.pending(f, stream, pending[i][n]); err != nil {
					return err
				}
			}
			if err := o.unread(f, stream, groups[stream]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *openReader) waiting(f *Reads, timers *redis.ZSliceCmd) error {
	if timers == nil {
		return nil
	}
	members, err := timers.Result()
	if err != nil {
		return store.Explain(err)
	}
	if len(members) > o.q.Most {
		members, o.more = members[:o.q.Most], true
	}
	for _, m := range members {
		id, _ := m.Member.(string)
		at, _ := event.IDTime(id)
		parked := OpenRun{Function: f.Function, ID: id, Status: run.Waiting, At: at}
		if m.Score < noDue {
			due := time.UnixMilli(int64(m.Score)).UTC()
			parked.Due = &due
		}
		o.runs = append(o.runs, parked)
	}
	return nil
}

// noDue is below the score of a timer that never fires (park.lua).
const noDue = 8e15

func (o *openReader) pending(f *Reads, stream string, cmd *redis.XPendingExtCmd) error {
	entries, err := cmd.Result()
	if store.FaultOf(err) == store.NoGroup {
		return nil
	}
	if err != nil {
		return store.Explain(err)
	}
	o.more = o.more || len(entries) == o.q.Most
	for _, p := range entries {
		o.reads = append(o.reads, openRead{streamRange{stream, p.ID, p.ID, 1}, f, run.Running})
	}
	return nil
}

// unread notes the part of a stream that a group has not read: runs to be. In
// the inbox there are parked runs too that were woken.
func (o *openReader) unread(f *Reads, stream string, cmd *redis.XInfoGroupsCmd) error {
	if cmd == nil {
		return nil
	}
	eventType := o.keys.StreamType(stream)
	if eventType != "" && (!o.q.Queued || !slices.Contains(f.Triggers, eventType)) {
		return nil
	}
	groups, err := cmd.Result()
	if store.FaultOf(err) == store.NoGroup {
		return nil
	}
	if err != nil {
		return store.Explain(err)
	}
	newest := ""
	if eventType != "" {
		newest = o.q.Newest
	}
	for _, g := range groups {
		if g.Name == f.Function && g.Lag != 0 {
			o.reads = append(o.reads, openRead{streamRange{stream, newest, "(" + g.LastDeliveredID, o.q.MostQueued}, f, run.Queued})
		}
	}
	return nil
}

// entries reads the stream entries and makes runs of them.
func (o *openReader) entries() error {
	ranges := make([]streamRange, len(o.reads))
	for i := range o.reads {
		ranges[i] = o.reads[i].streamRange
	}
	found, err := o.peek(o.ctx, ranges, 0)
	if err != nil {
		return err
	}
	for i, list := range found {
		read := &o.reads[i]
		for j := range list {
			if open, ok := o.open(read, &list[j]); ok {
				o.runs = append(o.runs, open)
			}
		}
	}
	return nil
}

// open is what an entry of a stream says of a run.
func (o *openReader) open(read *openRead, e *Peeked) (OpenRun, bool) {
	f := read.reads
	open := OpenRun{Function: f.Function, Status: read.status, At: event.EntryTime(e.ID)}
	if e.Type != "" {
		if !slices.Contains(f.Triggers, e.Type) {
			return open, false // it is read for those that wait
		}
		open.ID = store.RunID(f.Function, e.Type, e.ID)
		open.Entry = e.ID
		open.EventType = e.Type
		if open.EventID = e.Field(event.FieldID); open.EventID == "" {
			open.EventID = event.EntryID(e.Type, e.ID)
		}
		return open, true
	}
	if woken := e.Field("run"); woken != "" {
		open.ID = woken
		if open.Status == run.Queued {
			open.Status = run.Waiting // it was woken and is about to go on
		}
		if at, ok := event.IDTime(woken); ok {
			open.At = at
		}
	} else {
		open.ID = e.Field("start")
		open.ReplayOf = e.Field("replay")
	}
	asked := open.Status == run.Running || open.Status == run.Waiting && o.q.Waiting || open.Status == run.Queued && o.q.Queued
	return open, open.ID != "" && asked
}
