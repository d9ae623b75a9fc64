package worker

import (
	"sync"
	"sync/atomic"

	"github.com/wildout/wildout/runtime/store"
)

// begun has the entries that this runner works on.
type begun struct {
	mu      sync.Mutex
	entries map[[2]string]*work // by stream and id
	looks   int                 // rereads under way: meanwhile what ends stays listed
}

// work is what is done about an entry.
type work struct {
	run   atomic.Pointer[ownedRun] // nil until it is known
	ended bool                     // guarded by begun.mu
	// places is where the entry has its place; nil: it has none. The goroutine
	// that processes the entry writes it.
	places *gate
	// suspect: it was begun often, and is tried alone. Who takes the entry writes it.
	suspect bool
}

func entryKey(e store.Entry) [2]string { return [2]string{e.Stream, e.ID} }

// add lists an entry; nil means that it is there already.
func (b *begun) add(e store.Entry) *work {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.entries[entryKey(e)]; known {
		return nil
	}
	if b.entries == nil {
		b.entries = map[[2]string]*work{}
	}
	w := &work{}
	b.entries[entryKey(e)] = w
	return w
}

// runs returns the runs that are under way, by id.
func (b *begun) runs() map[string]*ownedRun {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[string]*ownedRun, len(b.entries))
	for _, w := range b.entries {
		if l := w.run.Load(); l != nil && !w.ended {
			all[l.Ref.RunID] = l
		}
	}
	return all
}

// idle reports whether there is nothing to work on.
func (b *begun) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.entries) == 0
}

func (b *begun) remove(e store.Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.looks > 0 {
		if w := b.entries[entryKey(e)]; w != nil {
			w.ended = true
		}
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
	for key, w := range b.entries {
		if w.ended {
			delete(b.entries, key)
		}
	}
}
