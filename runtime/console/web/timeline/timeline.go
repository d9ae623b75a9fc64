// Package timeline lays a run out as a waterfall: a row for each step, with
// segments for its attempts and its waits, placed on an axis on which a wait
// of days and a step of milliseconds can both be seen. It is pure: it must not
// know where runs come from, nor how rows are drawn.
package timeline

import (
	"time"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
)

// Never is the state of a row whose run has ended without this step.
const Never run.StepStatus = "never"

// SegmentKind is what a stretch of a row shows.
type SegmentKind string

// The kinds of segments.
const (
	// Work is an attempt that ended well.
	Work SegmentKind = "work"
	// Fault is an attempt that failed.
	Fault SegmentKind = "fault"
	// Live is an attempt that goes on.
	Live SegmentKind = "live"
	// Wait is a sleep, a wait for an event or for another run.
	Wait SegmentKind = "wait"
	// Retry is the wait between two attempts.
	Retry SegmentKind = "retry"
	// Ahead is the part of a wait that is in the future.
	Ahead SegmentKind = "ahead"
)

// Segment is a stretch of time in a row.
type Segment struct {
	Kind       SegmentKind
	Start, End time.Time
	// Attempt counts from 1; 0 for waits.
	Attempt int
	// Error of an attempt that failed.
	Error string
	// X and Width are in percent of the axis.
	X, Width float64
}

// Duration of the segment.
func (s Segment) Duration() time.Duration { return s.End.Sub(s.Start) }

// Row is a step of the run.
type Row struct {
	console.Step
	State run.StepStatus
	// Depth is 0 for a step, 1 for an element of a forEach or a sub-step.
	Depth int
	// OnFailure says that the step is there for the case that the run fails.
	OnFailure bool
	Segments  []Segment
	// Offset is from the start of the run to that of the step.
	Offset time.Duration
	// Length is from the start of the first attempt to the end of the step, or
	// to now.
	Length time.Duration
}

// Began reports whether the step has a place on the axis.
func (r *Row) Began() bool { return len(r.Segments) > 0 }

// Retried reports whether there was more than one attempt.
func (r *Row) Retried() bool { return r.Attempts > 1 || len(r.Tries) > 0 }

// Timeline is a run laid out.
type Timeline struct {
	Rows []Row
	// More is how many elements of lists are left out.
	More       int
	Start, End time.Time
	// Ticks are labelled places on the axis, Gaps stretches that are drawn
	// shorter than they are.
	Ticks []Tick
	Gaps  []Gap
	// Now is the place of now, in percent; negative when the run has ended.
	Now float64
}

// Tick is a labelled place on the axis.
type Tick struct {
	X  float64
	At time.Duration // since the start of the run
}

// Gap is a stretch of nothing but waiting that is drawn shorter than it is.
type Gap struct {
	X, Width float64
	Duration time.Duration
}

// Build lays a run out as it is at a time.
func Build(run *console.RunDetail, now time.Time) *Timeline {
	t := &Timeline{Start: run.StartedAt, End: now, Now: -1}
	ended := run.EndedAt != nil
	if ended {
		t.End = *run.EndedAt
	}
	t.Rows, t.More = rows(run, t.End, ended)
	for i := range t.Rows {
		for _, s := range t.Rows[i].Segments {
			t.Start, t.End = earlier(t.Start, s.Start), later(t.End, s.End)
		}
	}
	axis := newAxis(t.Start, t.End, t.Rows)
	for i := range t.Rows {
		r := &t.Rows[i]
		for j := range r.Segments {
			s := &r.Segments[j]
			s.X = axis.at(s.Start)
			s.Width = axis.at(s.End) - s.X
		}
	}
	t.Ticks, t.Gaps = axis.ticks(), axis.gaps()
	if !ended {
		t.Now = axis.at(now)
	}
	return t
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
