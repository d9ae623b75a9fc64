package store

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// Keys names the keys of one partition of one namespace. All share a hash
// tag, so that a script may touch any of them together, on a cluster too.
type Keys struct{ prefix string }

// NewKeys returns the keys of a namespace.
func NewKeys(namespace string) Keys {
	return Keys{"wo:{" + namespace + ".0}:"}
}

// Stream is the stream of an event type.
func (k Keys) Stream(eventType string) string { return k.prefix + "ev:" + eventType }

// Stood is a hash: function → the last entry that was given to a group of it on
// the stream of an event type, which is gone.
func (k Keys) Stood(eventType string) string { return k.prefix + "stood:" + eventType }

// EventID remembers that an event with this id was published.
func (k Keys) EventID(eventType, id string) string {
	return k.prefix + "id:" + eventType + ":" + shorten(id)
}

// Seed remembers that a request with this seed was published.
func (k Keys) Seed(seed string) string { return k.prefix + "seed:" + shorten(seed) }

// SenderRate is the GCRA state of a sender's rate.
func (k Keys) SenderRate(sender string) string { return k.prefix + "sender:" + shorten(sender) }

// Types is a hash: event type → retention.
func (k Keys) Types() string { return k.prefix + "types" }

// Published is the set of the event types that were published through a Conn.
func (k Keys) Published() string { return k.prefix + "published" }

// Functions is a hash: function → the version that is installed.
func (k Keys) Functions() string { return k.prefix + "functions" }

// Function is what all keys of one function begin with.
func (k Keys) Function(function string) string { return k.fn(function, "") }

func (k Keys) fn(function, rest string) string { return k.prefix + "fn:" + function + ":" + rest }

// Inbox is the stream of what is addressed to one function alone.
func (k Keys) Inbox(function string) string { return k.fn(function, "in") }

// Run is the journal of a run.
func (k Keys) Run(function, id string) string { return k.fn(function, "run:"+id) }

// Timers is a sorted set: due time in ms → run.
func (k Keys) Timers(function string) string { return k.fn(function, "timers") }

// Wait is the set of runs that wait for an event with a matched value.
func (k Keys) Wait(function, eventType, match, value string) string {
	return k.fn(function, "wait:"+eventType+":"+digest(match+"\x00"+value))
}

// Waits is a hash: event type + match → the paths that runs of any version
// wait on; it says for which values an arriving event is looked up.
func (k Keys) Waits(function string) string { return k.fn(function, "waits") }

// RateLimit is the GCRA state of a rate limit.
func (k Keys) RateLimit(function, value string) string { return k.fn(function, "rate:"+shorten(value)) }

// Throttle is the GCRA state of a throttle.
func (k Keys) Throttle(function, value string) string { return k.fn(function, "limit:"+shorten(value)) }

// Window is a sorted set of the last begins under a throttle with a sliding
// window, by their time in µs.
func (k Keys) Window(function, value string) string { return k.fn(function, "window:"+shorten(value)) }

// Planned is a sorted set of the runs that wait for a start of a throttle, in
// the order in which they get one.
func (k Keys) Planned(function, value string) string {
	return k.fn(function, "planned:"+shorten(value))
}

// Slots is a hash: runner → the slots that it holds of concurrency limit n.
func (k Keys) Slots(function string, n int, value string) string {
	return k.fn(function, "slots:"+strconv.Itoa(n)+":"+shorten(value))
}

// Queue is the list of runs that wait for a slot.
func (k Keys) Queue(function string, n int, value string) string {
	return k.fn(function, "queue:"+strconv.Itoa(n)+":"+shorten(value))
}

// Queued is the set of the values that have a queue, as limit number + value.
func (k Keys) Queued(function string) string { return k.fn(function, "queued") }

// Lacking is a hash: parked run → the code that it waits for, see run.Lack.
func (k Keys) Lacking(function string) string { return k.fn(function, "lacking") }

// Adopted is the stream of the runs that were taken up by runners with the code
// that they had waited for. Nobody reads it as it comes: a runner takes only what
// it put there itself.
func (k Keys) Adopted(function string) string { return k.fn(function, "adopted") }

// Idempotency holds the run that took an idempotency key, and its outcome.
func (k Keys) Idempotency(function, value string) string {
	return k.fn(function, "once:"+shorten(value))
}

// Followers is the set of runs that want the outcome of the run that holds an
// idempotency key.
func (k Keys) Followers(function, value string) string {
	return k.fn(function, "followers:"+shorten(value))
}

// Done is the history of runs that ended well.
func (k Keys) Done(function string) string { return k.fn(function, "done") }

// Dead is the history of runs that failed, and of entries that are no event.
func (k Keys) Dead(function string) string { return k.fn(function, "dead") }

// Plans is a hash: version → the function as it was then.
func (k Keys) Plans(function string) string { return k.fn(function, "plans") }

// Versions is a hash: version → parked runs that began with it.
func (k Keys) Versions(function string) string { return k.fn(function, "versions") }

// Replaced is a hash: version → when another one was installed, in ms.
func (k Keys) Replaced(function string) string { return k.fn(function, "replaced") }

// Reads is the set of the event types that any version of the function read.
func (k Keys) Reads(function string) string { return k.fn(function, "reads") }

// Runners is a sorted set: last heartbeat in ms → runner.
func (k Keys) Runners(function string) string { return k.fn(function, "runners") }

// Left is a stream with the runner that left last: who waits for its share of a
// limit looks at once.
func (k Keys) Left(function string) string { return k.fn(function, "left") }

// Leases is a hash: runner → how long it may be silent, in ms.
func (k Keys) Leases(function string) string { return k.fn(function, "leases") }

// Cron is a hash: schedule → its last tick in ms.
func (k Keys) Cron(function string) string { return k.fn(function, "cron") }

// Cancels is a hash: run whose end was asked for → when, and the reason.
func (k Keys) Cancels(function string) string { return k.fn(function, "cancels") }

// Replay remembers for a while that a replay was started.
func (k Keys) Replay(function, runID string) string { return k.fn(function, "replay:"+runID) }

// Counters is a hash of totals: finished, failed, cancelled, dropped, duplicate.
func (k Keys) Counters(function string) string { return k.fn(function, "counters") }

// Fallback is a stream of entries that another database could not take.
func (k Keys) Fallback(name string) string { return k.prefix + "fallback:" + name }

// StreamType returns the event type of a stream key, or "" for an inbox.
func (k Keys) StreamType(key string) string {
	if t, ok := strings.CutPrefix(key, k.prefix+"ev:"); ok {
		return t
	}
	return ""
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:10])
}

// shorten keeps short values readable in the key and bounds the others.
func shorten(s string) string {
	if len(s) <= 64 {
		return s
	}
	return "#" + digest(s)
}
