package worker

import (
	"context"
	"sync"

	"github.com/wildout/wildout/runtime/store"
)

// begun has the entries that this runner works on.
type begun struct {
	mu      sync.Mutex
	entries map[[2]string]bool // by stream and id; false: ended
	looks   int                // rereads under way: meanwhile what ends stays listed
}

func entryKey(e store.Entry) [2]string { return [2]string{e.Stream, e.ID} }

// add reports whether the entry is new.
func (b *begun) add(e store.Entry) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.entries[entryKey(e)]; known {
		return false
	}
	if b.entries == nil {
		b.entries = map[[2]string]bool{}
	}
	b.entries[entryKey(e)] = true
	return true
}

func (b *begun) remove(e store.Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.looks > 0 {
		b.entries[entryKey(e)] = false
		return
	}
	delete(b.entries, entryKey(e))
}

// look calls fn and forgets nothing until it returns: what fn finds pending may
// have ended by the time that fn begins it.
func (b *begun) look(fn func()) {
	b.mu.Lock()
	b.looks++
	b.mu.Unlock()
	fn()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.looks--; b.looks > 0 {
		return
	}
	for key, active := range b.entries {
		if !active {
			delete(b.entries, key)
		}
	}
}

// reread begins what Redis has given to this runner and the runner does not
// know of, since the answer was lost on its way.
func (s *session) reread(ctx context.Context) {
	const page = 100
	s.begun.look(func() {
		for _, stream := range s.claims {
			for after := "0"; ; {
				entries, err := s.Store.Pending(ctx, s.Plan.Function, s.name, stream, after, page)
				if err != nil {
					s.missed.Store(true)
					s.log.Warn("could not look for entries whose delivery was lost; trying again", "stream", stream, "error", err)
					return
				}
				s.dispatchAs(entries, false, true)
				if len(entries) < page {
					break
				}
				after = entries[len(entries)-1].ID
			}
		}
	})
}
