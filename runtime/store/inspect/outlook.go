package inspect

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wildout/wildout/runtime/store"
)

// Outlook is what a function has before it: what decides how many runners there
// shall be, and when there shall be one again.
type Outlook struct {
	// At is when it was, by the clock of the server.
	At time.Time
	// NextDue is when the next timer is due; zero: there is none.
	NextDue time.Time
	// Queued counts the values of concurrency limits for which runs wait.
	Queued int64
	// Ticks are the last ticks of cron schedules, by plan.Trigger.Cron.
	Ticks map[string]time.Time
	// Waits are the event types that runs of any version may wait for: the
	// function reads them, too.
	Waits []string
	// Read is how far the function has read its streams: the last entry.
	Read map[string]string
}

// note keeps how far a stream was read, where that was asked for.
func (o *Outlook) note(stream, entry string) {
	if o.Read != nil {
		o.Read[stream] = entry
	}
}

// outlookReader are the commands that ask for an Outlook.
type outlookReader struct {
	queued *redis.IntCmd
	ticks  *redis.MapStringStringCmd
	waits  *redis.StringSliceCmd
}

func askOutlook(ctx context.Context, pipe redis.Pipeliner, k store.Keys, function string) *outlookReader {
	return &outlookReader{pipe.SCard(ctx, k.Queued(function)),
		pipe.HGetAll(ctx, k.Cron(function)), pipe.HKeys(ctx, k.Waits(function))}
}

// read fills in the outlook.
func (r *outlookReader) read(n *Numbers, now time.Time) {
	n.Err = errors.Join(n.Err, store.Explain(errors.Join(r.queued.Err(), r.ticks.Err(), r.waits.Err())))
	o := &n.Outlook
	o.At = now
	o.Queued = r.queued.Val()
	o.Ticks = map[string]time.Time{}
	o.Read = map[string]string{}
	for schedule, tick := range r.ticks.Val() {
		if ms, err := strconv.ParseInt(tick, 10, 64); err == nil {
			o.Ticks[schedule] = time.UnixMilli(ms)
		}
	}
	for _, field := range r.waits.Val() {
		if t, _, _ := strings.Cut(field, " "); !slices.Contains(o.Waits, t) {
			o.Waits = append(o.Waits, t)
		}
	}
	slices.Sort(o.Waits)
}
