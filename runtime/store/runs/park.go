package runs

import (
	"context"
	"fmt"
	"time"

	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// Park is how a run is put aside.
type Park struct {
	Ref  *Ref
	Meta []byte // stored with the first park, and with Restate
	Due  time.Time
	Wake bool // put it back at once
	// Awaits are journal fields that must not be there yet.
	Awaits   []string
	Progress map[string][]byte
	Active   time.Duration
	// Queue is the concurrency limit that the run waits for, from 1; 0: none.
	Queue      int
	QueueValue string
	Front      bool // it waited before and keeps its place
	// Lacks is the code that the run waits for; nil: none.
	Lacks *run.Lack
	// Restate says that Meta is not what an earlier park stored.
	Restate bool
}

// ParkResult says what came of a Park.
type ParkResult string

const (
	// ParkOK means that the run is parked.
	ParkOK ParkResult = "ok"
	// ParkAgain means that something it waits for is there already; it goes on.
	ParkAgain ParkResult = "again"
	// ParkLost means that the run belongs to somebody else by now.
	ParkLost ParkResult = "lost"
)

// Park puts a run aside: state, wake-up and acknowledgement are one write.
func (c *Committer) Park(ctx context.Context, p Park) (ParkResult, error) {
	k, r := c.store.keys, p.Ref
	keys := []string{r.Stream, k.Run(r.Function, r.RunID), k.Timers(r.Function), k.Inbox(r.Function), k.Versions(r.Function), k.Cancels(r.Function), k.Lacking(r.Function)}
	member := ""
	if p.Queue > 0 {
		keys = append(keys, k.Queue(r.Function, p.Queue, p.QueueValue), k.Queued(r.Function))
		member = queuedMember(p.Queue, p.QueueValue)
	}
	meta := p.Meta
	if r.Parked && !p.Restate {
		meta = nil
	}
	lacks := ""
	if p.Lacks != nil {
		lacks = p.Lacks.Encode()
	}
	due := int64(0)
	if !p.Due.IsZero() {
		due = p.Due.UnixMilli()
	}
	args := []any{c.function, r.Entry, r.RunID, due, store.Flag(p.Wake), store.Flag(r.Inbox), meta, r.Version, member, store.Flag(p.Front), r.Runner, lacks, len(p.Awaits)}
	for _, path := range p.Awaits {
		args = append(args, path)
	}
	if p.Active > 0 {
		args = append(args, run.ActiveField, p.Active.Milliseconds())
	}
	for path, b := range p.Progress {
		args = append(args, run.ProgressField(path), b)
	}
	cmd, err := c.script(ctx, "park", keys, args...)
	if err != nil {
		return "", fmt.Errorf("park run %s: %w", r.RunID, err)
	}
	text, err := cmd.Text()
	return ParkResult(text), err
}

// Take takes over a parked run for an entry of a stream, the inbox or that of
// adopted runs, that the runner has; nil when the entry is stale.
func (c *Committer) Take(ctx context.Context, stream, runID, entry, runner string) (*run.Journal, error) {
	k := c.store.keys
	cmd, err := c.script(ctx, "take", []string{stream, k.Run(c.function, runID), k.Timers(c.function), k.Cancels(c.function), k.Lacking(c.function)}, c.function, entry, runID, runner)
	if err != nil {
		return nil, fmt.Errorf("take over run %s: %w", runID, err)
	}
	flat, err := cmd.StringSlice()
	if err != nil || len(flat) == 0 {
		return nil, nil //nolint:nilerr // a false answer is redis.Nil: the entry is stale
	}
	fields := make(map[string]string, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		fields[flat[i]] = flat[i+1]
	}
	return run.DecodeJournal(fields), nil
}

// Load reads the journal of a run; nil when there is none.
func (s *Store) Load(ctx context.Context, function, runID string) (*run.Journal, error) {
	fields, err := s.rdb.HGetAll(ctx, s.keys.Run(function, runID)).Result()
	if err != nil {
		return nil, fmt.Errorf("load run %s: %w", runID, store.Explain(err))
	}
	if len(fields) == 0 {
		return nil, nil
	}
	return run.DecodeJournal(fields), nil
}
