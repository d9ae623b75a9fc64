package console

import (
	"context"

	"github.com/wildout/wildout/runtime/store/inspect"
)

// source is a stream that is merged with others, from its newest entry on.
type source[T any] struct {
	// name tells the source from others where entries have the same id.
	name string
	// newest is the bound of the next read, as in XREVRANGE; "": none.
	newest string
	buffer []T
	places []position
	last   bool // there is nothing behind the buffer
}

// merge reads several streams as one list, the newest entry first. It reads a
// few entries of each at a time, and more of those that give more.
type merge[T any] struct {
	sources []*source[T]
	chunk   int
	// read reads up to count entries of each source, from its newest on.
	read func(ctx context.Context, sources []*source[T], count int) ([][]T, error)
	id   func(T) string
}

// largestChunk bounds one read of a source, in entries.
const largestChunk = 500

// peek returns the next entry and its place, without taking it; false: none.
func (m *merge[T]) peek(ctx context.Context) (from *source[T], at position, err error) {
	if err := m.fill(ctx); err != nil {
		return nil, at, err
	}
	for _, s := range m.sources {
		if len(s.buffer) > 0 && (from == nil || s.places[0].compare(at) > 0) {
			from, at = s, s.places[0]
		}
	}
	return from, at, nil
}

func (s *source[T]) take() T {
	first := s.buffer[0]
	s.buffer, s.places = s.buffer[1:], s.places[1:]
	return first
}

// fill reads on in the sources whose buffer is used up, in one round trip.
func (m *merge[T]) fill(ctx context.Context) error {
	var dry []*source[T]
	for _, s := range m.sources {
		if len(s.buffer) == 0 && !s.last {
			dry = append(dry, s)
		}
	}
	if len(dry) == 0 {
		return nil
	}
	found, err := m.read(ctx, dry, m.chunk)
	if err != nil {
		return err
	}
	for i, s := range dry {
		s.buffer, s.last = found[i], len(found[i]) < m.chunk
		s.places = make([]position, len(s.buffer))
		for j, entry := range s.buffer {
			s.places[j] = entryPosition(m.id(entry), s.name)
		}
		if n := len(s.places); n > 0 {
			s.newest = "(" + s.places[n-1].entry()
		}
	}
	m.chunk = min(2*m.chunk, largestChunk)
	return nil
}

// firstChunk is how much of each of n sources is read at first for a page.
func firstChunk(limit, n int) int {
	return min(max(2*limit/max(n, 1), 8), limit+1)
}

// mergeHistories merges the histories of functions; done and dead say which.
func (s *Service) mergeHistories(functions []*installed, done, dead bool, after *position, newest, oldest string, limit int) *merge[inspect.HistoryEntry] {
	m := &merge[inspect.HistoryEntry]{id: func(e inspect.HistoryEntry) string { return e.ID }}
	ranges := map[*source[inspect.HistoryEntry]]inspect.HistoryRange{}
	for _, f := range functions {
		for _, isDead := range []bool{false, true} {
			if isDead && !dead || !isDead && !done {
				continue
			}
			one := &source[inspect.HistoryEntry]{name: historyName(f.name, isDead), newest: newest}
			if after != nil {
				one.newest = after.before(one.name)
			}
			m.sources = append(m.sources, one)
			ranges[one] = inspect.HistoryRange{Function: f.name, Dead: isDead, Oldest: oldest}
		}
	}
	m.chunk = firstChunk(limit, len(m.sources))
	m.read = func(ctx context.Context, sources []*source[inspect.HistoryEntry], count int) ([][]inspect.HistoryEntry, error) {
		asked := make([]inspect.HistoryRange, len(sources))
		for i, one := range sources {
			asked[i] = ranges[one]
			asked[i].Newest, asked[i].Count = one.newest, count
		}
		return s.inspect.Histories(ctx, asked)
	}
	return m
}

func historyName(function string, dead bool) string {
	if dead {
		return "d" + function
	}
	return "e" + function
}
