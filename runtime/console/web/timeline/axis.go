package timeline

import (
	"math"
	"slices"
	"time"
)

// How much of the width waiting may take in all, in percent, before it is
// drawn shorter than it is.
const mostIdle = 55

// widthOfIdle is what waiting gets at least when it is drawn shorter, in percent.
const widthOfIdle = 42

// axis maps times to percent. It is linear in pieces: where something works,
// and where everything waits.
type axis struct {
	start  time.Time
	pieces []piece
}

// piece is a stretch of the axis with one scale.
type piece struct {
	from, to time.Duration // since the start
	x, width float64
	idle     bool
	short    bool // drawn shorter than it is
}

func (p piece) length() time.Duration { return p.to - p.from }

func newAxis(start, end time.Time, rows []Row) *axis {
	a := &axis{start: start, pieces: cut(start, max(end.Sub(start), time.Millisecond), rows)}
	var idle, total float64
	for _, p := range a.pieces {
		total += float64(p.length())
		if p.idle {
			idle += float64(p.length())
		}
	}
	if idle/total*100 <= mostIdle {
		a.place(func(p piece) float64 { return float64(p.length()) / total * 100 })
		return a
	}
	// Each wait by the logarithm of its length: three days are longer than an
	// hour, and an hour can still be seen beside them.
	a.split(start, rows)
	var logs float64
	for _, p := range a.pieces {
		if p.idle {
			logs += weight(p)
		}
	}
	busy := roomOfBusy(total - idle)
	room, scale := 100-busy, 0.0
	if busy > 0 {
		scale = busy / (total - idle)
	}
	a.place(func(p piece) float64 {
		if p.idle {
			return weight(p) / logs * room
		}
		return float64(p.length()) * scale
	})
	a.mark(scale, total)
	return a
}

// roomOfBusy is the room for what works between the waits, in percent: less for
// a few milliseconds than for a second, from which on it gets all there is.
func roomOfBusy(nanoseconds float64) float64 {
	const most, full = 100 - widthOfIdle, float64(time.Second / time.Millisecond)
	return most * min(1, math.Log2(1+nanoseconds/float64(time.Millisecond))/math.Log2(1+full))
}

// mark says which pieces are drawn much shorter than those with the finest
// scale, in percent per nanosecond: that of what works, or else of the shortest
// wait. A moment between two steps is no gap, whatever its scale.
func (a *axis) mark(finest, total float64) {
	if finest == 0 {
		for _, p := range a.pieces {
			finest = max(finest, p.width/float64(p.length()))
		}
	}
	for i := range a.pieces {
		p := &a.pieces[i]
		length := float64(p.length())
		p.short = p.idle && length*finest > 2.5*p.width && length > total/1000
	}
}

// split cuts the pieces in which everything waits where a wait begins or ends:
// each has a length of its own.
func (a *axis) split(start time.Time, rows []Row) {
	var at []time.Duration
	for i := range rows {
		for _, s := range rows[i].Segments {
			at = append(at, s.Start.Sub(start), s.End.Sub(start))
		}
	}
	slices.Sort(at)
	var all []piece
	for _, p := range a.pieces {
		for _, d := range at {
			if p.idle && d > p.from && d < p.to {
				all = append(all, piece{from: p.from, to: d, idle: true})
				p.from = d
			}
		}
		all = append(all, p)
	}
	a.pieces = all
}

func weight(p piece) float64 { return math.Log2(2 + float64(p.length())/float64(10*time.Millisecond)) }

// place gives each piece its width, in percent.
func (a *axis) place(width func(piece) float64) {
	x := 0.0
	for i := range a.pieces {
		a.pieces[i].x, a.pieces[i].width = x, width(a.pieces[i])
		x += a.pieces[i].width
	}
}

// cut divides the time of a run into pieces in which something works, and
// pieces in which everything waits.
func cut(start time.Time, length time.Duration, rows []Row) []piece {
	var busy []piece
	for i := range rows {
		for _, s := range rows[i].Segments {
			if s.Kind == Work || s.Kind == Fault && s.Attempt > 0 || s.Kind == Live {
				busy = append(busy, piece{from: s.Start.Sub(start), to: s.End.Sub(start)})
			}
		}
	}
	slices.SortFunc(busy, func(a, b piece) int { return int(a.from - b.from) })
	var all []piece
	var at time.Duration
	for _, b := range busy {
		b.to = min(b.to, length)
		if b.to <= at || b.to <= b.from {
			continue // it has no length of its own
		}
		if b.from > at {
			all = append(all, piece{from: at, to: b.from, idle: true})
			at = b.from
		}
		all = append(all, piece{from: at, to: b.to})
		at = b.to
	}
	if at < length {
		all = append(all, piece{from: at, to: length, idle: true})
	}
	return all
}

// at returns the place of a time, in percent.
func (a *axis) at(t time.Time) float64 {
	d := t.Sub(a.start)
	for _, p := range a.pieces {
		if d <= p.to {
			return p.x + p.width*max(0, float64(d-p.from))/float64(p.length())
		}
	}
	return 100
}

// gaps are the stretches that are drawn shorter than they are.
func (a *axis) gaps() []Gap {
	var all []Gap
	after := -1 // the piece behind the last gap
	for i, p := range a.pieces {
		switch {
		case !p.short:
			continue
		case after == i:
			last := &all[len(all)-1]
			last.Width, last.Duration = last.Width+p.width, last.Duration+p.length()
		default:
			all = append(all, Gap{X: p.x, Width: p.width, Duration: p.length()})
		}
		after = i + 1
	}
	return all
}

// ticks are round times where the axis is linear throughout; else the ends of
// the gaps, and of the axis.
func (a *axis) ticks() []Tick {
	length := a.pieces[len(a.pieces)-1].to
	if len(a.gaps()) > 0 {
		return a.gapTicks(length)
	}
	step := roundStep(length / 5)
	ticks := []Tick{{0, 0}}
	for at := step; at < length-step/2; at += step {
		ticks = append(ticks, Tick{a.at(a.start.Add(at)), at})
	}
	return append(ticks, Tick{100, length})
}

// tickDistance is how near two labels may be, in percent.
const tickDistance = 13

func (a *axis) gapTicks(length time.Duration) []Tick {
	ticks := []Tick{{0, 0}}
	add := func(x float64, at time.Duration) {
		if x-ticks[len(ticks)-1].X >= tickDistance && 100-x >= tickDistance {
			ticks = append(ticks, Tick{x, at})
		}
	}
	for _, p := range a.pieces {
		if p.short {
			add(p.x, p.from)
			add(p.x+p.width, p.to)
		}
	}
	return append(ticks, Tick{100, length})
}

// steps are the distances between ticks that read well, in milliseconds.
var steps = []int64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000,
	60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000}

// roundStep is the smallest of steps that is not below d, or whole days.
func roundStep(d time.Duration) time.Duration {
	for _, ms := range steps {
		if s := time.Duration(ms) * time.Millisecond; s >= d {
			return s
		}
	}
	const day = 24 * time.Hour
	return (d + day).Truncate(day)
}
