package view

import (
	"slices"
	"time"
)

// Function is what is known of a function.
type Function struct {
	Redis
	// Numbers are nil before the first look.
	Numbers *Numbers
	// Work is what there is to do; nil: nobody knows.
	Work *Work
	// Runs are those that ended last.
	Runs Runs
	// GroupTrouble is what went wrong with this function alone, such as a
	// consumer group that could not be made.
	GroupTrouble *Trouble
}

// Numbers are what is counted of a function.
type Numbers struct {
	// Unread counts entries that no runner has read, Due timers whose time has
	// come, Pending entries that runners have, Waiting runs that are parked.
	Unread, Due, Pending, Waiting int64
	// Succeeded and Failed count runs since the function was made.
	Succeeded, Failed int64
	// ByVersion counts the parked runs by the version that they began with.
	ByVersion map[string]int64
	// Lacking counts the parked runs that wait for code that no runner has, Code
	// says which, in words.
	Lacking int64
	Code    string
	// Ungrouped: a consumer group is not there yet.
	Ungrouped bool
}

// Backlog is what is to be done now.
func (n *Numbers) Backlog() int64 { return n.Unread + n.Due }

// Work is what a function has before it: what its runners are scaled by.
type Work struct {
	// Open counts entries that no runner has read, those that runners have, and
	// timers and cron ticks whose time has come.
	Open int64
	// Queued: runs wait for a slot. A runner gives it to them.
	Queued bool
	// Next is when the next timer or tick is due, by the local clock; zero:
	// there is none.
	Next time.Time
}

// Runs are the last runs of a function that ended.
type Runs struct {
	// Ended is how many were looked at, Failed how many of them failed.
	Ended, Failed int
	// LastEnd is when the last one ended.
	LastEnd time.Time
	// LastFailure is the last one that failed, which may be older than those
	// that were looked at; nil: none is remembered.
	LastFailure *Failure
}

// Failure is a run that failed.
type Failure struct {
	RunID string
	// Step is where; "": the run as a whole.
	Step    string
	Message string
	At      time.Time
}

// EventType is what is known of an event type.
type EventType struct {
	Redis
	// Stream is nil before the first look.
	Stream *Stream
	// StreamTrouble is what went wrong with this stream alone.
	StreamTrouble *Trouble
}

// Stream is a stream in numbers.
type Stream struct {
	Length, Bytes int64
	// Oldest and Newest are when the first and the last event were published;
	// zero: there is none.
	Oldest, Newest time.Time
	// Holders are the consumer groups that keep events longer than they were to
	// be kept, by name.
	Holders []Holder
}

// Same reports whether two are the same.
func (s *Stream) Same(other *Stream) bool {
	return s.Length == other.Length && s.Bytes == other.Bytes && s.Oldest.Equal(other.Oldest) && s.Newest.Equal(other.Newest) && slices.Equal(s.Holders, other.Holders)
}

// Holder is a consumer group that keeps events.
type Holder struct {
	Function string
	// Since is when the oldest event that it needs was published.
	Since time.Time
}
