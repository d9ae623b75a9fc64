package audit

import (
	"context"
	"encoding/json"
	"time"

	"github.com/wildout/wildout/site/schema"
)

// drainBatch bounds how many entries one look at the fallback moves.
const drainBatch = 100

// Run moves entries from the fallback into the audit log until ctx is over,
// whichever runner put them there. It returns nil.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.DrainInterval)
	defer ticker.Stop()
	failing := false
	for {
		err := s.drain(ctx)
		if (err != nil) != failing && ctx.Err() == nil { // say it once, not at every tick
			failing = err != nil
			if failing {
				s.Logger.WarnContext(ctx, "audit entries wait in the fallback: it could not be drained, will try again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// drainAndLog is for the step that found the database answering again: its own
// entry is stored, so a failure here is not its failure.
func (s *Service) drainAndLog(ctx context.Context) {
	if err := s.drain(ctx); err != nil {
		s.Logger.WarnContext(ctx, "audit entries wait in the fallback: it could not be drained, will try again", "error", err)
	}
}

// drain empties the fallback as far as the database takes its entries.
func (s *Service) drain(ctx context.Context) error {
	for {
		// Before the look, so that an entry appended meanwhile sets it again.
		s.pending.Store(false)
		n, err := s.Fallback.Drain(ctx, drainBatch, s.restore)
		if n > 0 {
			s.Logger.InfoContext(ctx, "audit entries were moved from the fallback into the database", "entries", n)
		}
		if err != nil {
			s.pending.Store(true)
			return err
		}
		if n < drainBatch {
			return nil
		}
	}
}

// restore stores one entry of the fallback. An entry that is not ours goes to
// stderr: kept, it would block all behind it for ever.
func (s *Service) restore(ctx context.Context, entry []byte) error {
	var e Entry
	if err := json.Unmarshal(entry, &e); err != nil {
		s.print("the fallback held something that is not an audit entry; it was removed", entry, err)
		return nil
	}
	if err := e.check(); err != nil {
		s.print("the fallback held an audit entry that is not valid; it was removed", entry, err)
		return nil
	}
	return s.DB.Do(ctx, "store an audit entry of the fallback", func(tx *schema.Tx) error { return Insert(ctx, tx, e) })
}
