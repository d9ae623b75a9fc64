package plan

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // an image made from nothing has no time zones

	"github.com/netresearch/go-cron"
)

// wallSchedule gives the ticks of a cron expression in a time zone.
//
// An expression speaks of what a clock on the wall shows. Where the clock is put
// forward, times are left out: they are made up for by one tick, at the first
// moment after them. Where it is put back, times come twice: the first one counts.
// An expression that names no hours (`*` or `*/2`) misses no tick of its own when the
// clock is put forward, and one with `*` in its minutes or hours goes on through what comes
// twice: it asks for ticks at intervals, not at a time of the day.
type wallSchedule struct {
	*cron.SpecSchedule
	everyHour bool // it names no hours
	interval  bool // it names no minutes, or no hours
}

// cronFields takes the five standard fields and no @daily: that would be a
// second way to write the same. A day is one that either field names, if both do.
var cronFields = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom)

// parseSchedule reads an expression of five fields.
func parseSchedule(expression string, zone *time.Location) (*wallSchedule, error) {
	parsed, err := cronFields.Parse(expression)
	if err != nil {
		return nil, fmt.Errorf("parse a schedule: %w", err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("parse a schedule: it has become a %T", parsed)
	}
	spec.Location = zone
	fields := strings.Fields(expression)
	hours := strings.HasPrefix(fields[1], "*")
	return &wallSchedule{SpecSchedule: spec, everyHour: hours, interval: hours || strings.HasPrefix(fields[0], "*")}, nil
}

// searchYears is how far ahead a tick is looked for: from one 29 February to the
// next there may be eight.
const searchYears = 9

// Next implements Schedule. It goes from one change of the clock to the next:
// between them the wall is the time and a constant.
func (s *wallSchedule) Next(t time.Time) time.Time {
	at := t.Add(1).In(s.Location) // the first moment that counts
	last := at.AddDate(searchYears, 0, 0)
	for at.Before(last) {
		start, end := at.ZoneBounds()
		here := offset(at)
		from := wall(at, here)
		if !start.IsZero() {
			before := offset(start.Add(-1))
			if !start.Before(at) && s.makesUp(wall(start, before), wall(start, here)) {
				return start.In(t.Location())
			}
			if over := wall(start, before); !s.interval && over.After(from) {
				from = over // it has been before
			}
		}
		until := wall(last, here)
		if !end.IsZero() && end.Before(last) {
			until = wall(end, here)
		}
		if tick := s.find(from, until); !tick.IsZero() {
			return tick.Add(-here).In(t.Location())
		}
		if end.IsZero() {
			break
		}
		at = end
	}
	return time.Time{}
}

// makesUp says whether a tick lies in what the wall leaves out.
func (s *wallSchedule) makesUp(from, until time.Time) bool {
	return !s.everyHour && !s.find(from, until).IsZero()
}

// offset is how far the wall is ahead of UTC.
func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// wall is what a clock shows, as a time in UTC.
func wall(t time.Time, ahead time.Duration) time.Time { return t.UTC().Add(ahead) }

// find returns the first tick on the wall from a time on and before another; zero:
// there is none.
func (s *wallSchedule) find(from, until time.Time) time.Time {
	if over := from.Truncate(time.Minute); over.Before(from) {
		from = over.Add(time.Minute) // ticks are on whole minutes
	}
	day := from.Truncate(24 * time.Hour)
	for ; from.Before(until); from = day {
		if s.onDay(day) {
			if tick := s.inDay(from, day); !tick.IsZero() {
				if tick.Before(until) {
					return tick
				}
				return time.Time{}
			}
		}
		day = day.Add(24 * time.Hour)
	}
	return time.Time{}
}

// inDay returns the first tick of a day that fits, from a time of it on.
func (s *wallSchedule) inDay(from, day time.Time) time.Time {
	for hour := from.Hour(); hour < 24; hour++ {
		if !has(s.Hour, hour) {
			continue
		}
		minute := 0
		if hour == from.Hour() {
			minute = from.Minute()
		}
		for ; minute < 60; minute++ {
			if has(s.Minute, minute) {
				return day.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
			}
		}
	}
	return time.Time{}
}

// anyDay is the bit of a field that is `*`.
const anyDay = 63

func (s *wallSchedule) onDay(day time.Time) bool {
	if !has(s.Month, int(day.Month())) {
		return false
	}
	ofMonth := has(s.Dom, day.Day())
	ofWeek := has(s.Dow, int(day.Weekday()))
	if has(s.Dom, anyDay) || has(s.Dow, anyDay) {
		return ofMonth && ofWeek
	}
	return ofMonth || ofWeek
}

func has(bits uint64, n int) bool { return bits>>n&1 == 1 }
