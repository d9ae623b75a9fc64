package timeline

import (
	"math"
	"slices"
	"time"
)

// How much of the width waiting may take in all, in percent, before it is
// drawn shorter than it is.
const mostIdle = 55

// widthOfIdle is what waiting gets when it is drawn shorter.
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
	if idle == total || idle/total*100 <= mostIdle {
		a.place(func(p piece) float64 { return float64(p.length()) / total * 100 })
		return a
	}
	// Each wait by the logarithm of its length: three days are longer than an
	// hour, and an hour can still be seen beside them.
	var logs float64
	for _, p := range a.pieces {
		if p.idle {
			logs += weight(p)
		}
	}
	scale := (100 - widthOfIdle) / (total - idle) // of what works
	a.place(func(p piece) float64 {
		if p.idle {
			return weight(p) / logs * widthOfIdle
		}
		return float64(p.length()) * scale
	})
	for i := range a.pieces {
		p := &a.pieces[i]
		p.short = p.idle && float64(p.length())*scale > 1.5*p.width
	}
	return a
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
		if b.to <= at {
			continue
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

// gaps are the pieces that are drawn shorter than they are.
func (a *axis) gaps() []Gap {
	var all []Gap
	for _, p := range a.pieces {
		if p.short {
			all = append(all, Gap{X: p.x, Width: p.width, Duration: p.length()})
		}
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
	for at := step; at < length-step/3; at += step {
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
