package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// zones change their clocks in as many ways as there are: by an hour in the night, at
// midnight, by half an hour, before midnight, around Ramadan, never.
var zones = []string{
	"Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Santiago", "America/Havana", "America/Asuncion", "Africa/Cairo",
	"Africa/Casablanca", "Asia/Beirut", "Asia/Tehran", "Asia/Gaza", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Norfolk", "UTC",
}

var expressions = []string{
	"30 2 * * *", "0 0 * * *", "15 0 * * 0", "15 0 * * 7", "0 3 * * 1-5", "0,30 1-3 * * *", "45 23 * * *", "59 23 31 12 *", "0 0 1 * *",
	"0 2 29 2 *", "10 0 13 * 5", "5 2 */2 * *", "0 2,3 * * sun", "*/15 * * * *", "0 * * * *", "*/20 2 * * *", "*/15 0-4 * * *", "30 */2 * * *", "7 1/3 * * *",
}

// oracle knows an expression by what it matches, minute by minute: nothing of it
// is computed ahead.
type oracle struct {
	minute, hour, dom, month, dow func(int) bool
	expression                    [5]string
}

func newOracle(expression string) *oracle {
	o := &oracle{expression: [5]string(strings.Fields(expression))}
	o.minute = matcher(o.expression[0], 59)
	o.hour = matcher(o.expression[1], 23)
	o.dom = matcher(o.expression[2], 31)
	o.month = matcher(o.expression[3], 12)
	dow := matcher(strings.ReplaceAll(o.expression[4], "sun", "0"), 7)
	o.dow = func(n int) bool { return dow(n) || n == 0 && dow(7) && o.expression[4] != "*" }
	return o
}

func matcher(field string, most int) func(int) bool {
	values := map[int]bool{}
	for part := range strings.SplitSeq(field, ",") {
		span, step, stepped := strings.Cut(part, "/")
		low, high, ranged := strings.Cut(span, "-")
		first, _ := strconv.Atoi(low) // "*" is 0: the lowest
		last := first
		switch {
		case ranged:
			last, _ = strconv.Atoi(high)
		case span == "*" || stepped:
			last = most
		}
		if span == "*" && most == 31 {
			first = 1
		}
		by := 1
		if stepped {
			by, _ = strconv.Atoi(step)
		}
		for n := first; n <= last; n += by {
			values[n] = true
		}
	}
	return func(n int) bool { return values[n] }
}

// wants says whether a clock that shows t asks for a tick. The fields of t are read as
// they stand.
func (o *oracle) wants(t time.Time) bool {
	if !o.minute(t.Minute()) || !o.hour(t.Hour()) || !o.month(int(t.Month())) {
		return false
	}
	dom, dow := o.dom(t.Day()), o.dow(int(t.Weekday()))
	if o.expression[2] == "*" || o.expression[4] == "*" {
		return dom && dow
	}
	return dom || dow
}

// film is what a clock shows in each minute of a span, as times of UTC. Its first
// picture is that of the minute before.
func film(from, until time.Time, zone *time.Location) (pictures []time.Time) {
	for t := from.Add(-time.Minute); t.Before(until); t = t.Add(time.Minute) {
		l := t.In(zone)
		pictures = append(pictures, time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC))
	}
	return pictures
}

// ticks goes through all minutes of a film, as somebody would who watches a clock
// and ticks off what it has shown.
func (o *oracle) ticks(from time.Time, film []time.Time) (all []time.Time) {
	fixedHour := !strings.HasPrefix(o.expression[1], "*")
	fixed := fixedHour && !strings.HasPrefix(o.expression[0], "*")
	furthest := film[0] // what it has shown
	for i, now := range film[1:] {
		tick := o.wants(now) && (!fixed || now.After(furthest))
		if fixedHour {
			for missed := furthest.Add(time.Minute); missed.Before(now); missed = missed.Add(time.Minute) {
				tick = tick || o.wants(missed)
			}
		}
		if tick {
			all = append(all, from.Add(time.Duration(i)*time.Minute))
		}
		if now.After(furthest) {
			furthest = now
		}
	}
	return all
}

func TestScheduleAgainstOracle(t *testing.T) {
	from := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	until := from.AddDate(10, 0, 0)
	for _, name := range zones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			schedules := make([]*wallSchedule, len(expressions))
			for i, expression := range expressions {
				if schedules[i], err = parseSchedule(expression, zone); err != nil {
					t.Fatal(err)
				}
			}
			// Where the clock is not changed every day is like another.
			for _, span := range spans(zone, from, until) {
				shows := film(span[0], span[1], zone)
				for i, expression := range expressions {
					var got []time.Time
					for at := schedules[i].Next(span[0].Add(-1)); !at.IsZero() && at.Before(span[1]); at = schedules[i].Next(at) {
						got = append(got, at.UTC())
					}
					if want := newOracle(expression).ticks(span[0], shows); !slices.Equal(got, want) {
						t.Fatalf("%s from %s to %s:\n got %s\nwant %s", expression, span[0].In(zone), span[1].In(zone), shown(got, zone), shown(want, zone))
					}
				}
			}
		})
	}
}

// spans are five days around each change of the clock, and every New Year and end of February.
func spans(zone *time.Location, from, until time.Time) (all [][2]time.Time) {
	around := func(t time.Time) {
		day := t.UTC().Truncate(24 * time.Hour)
		all = append(all, [2]time.Time{day.Add(-48 * time.Hour), day.Add(72 * time.Hour)})
	}
	for at := from; at.Before(until); {
		_, end := at.In(zone).ZoneBounds()
		if end.IsZero() || !end.Before(until) {
			break
		}
		around(end)
		at = end
	}
	for year := from.Year(); year < until.Year(); year++ {
		around(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))
		around(time.Date(year, 3, 1, 0, 0, 0, 0, time.UTC))
	}
	return all
}

func shown(all []time.Time, zone *time.Location) string {
	var b strings.Builder
	for _, t := range all[:min(len(all), 30)] {
		fmt.Fprint(&b, t.In(zone).Format(" Mon 02.01.06 15:04 -07;"))
	}
	return b.String()
}

// The cases that people met, written out.
func TestScheduleWhereClocksChange(t *testing.T) {
	for name, tc := range map[string]struct {
		expression, zone string
		after            string
		want             []string
	}{
		"a time that is left out":           {"30 2 * * *", "Europe/Berlin", "2027-03-27T00:00:00Z", []string{"2027-03-27T02:30:00+01:00", "2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"}},
		"a time that comes twice":           {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		"asked between the two":             {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", []string{"2026-10-26T02:30:00+01:00"}},
		"midnight is left out in Cairo":     {"0 0 * * *", "Africa/Cairo", "2026-04-22T23:00:00Z", []string{"2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"}},
		"midnight is left out in Beirut":    {"0 0 * * *", "Asia/Beirut", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00+03:00", "2026-03-30T00:00:00+03:00"}},
		"midnight is left out in Santiago":  {"0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", []string{"2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"}},
		"a Sunday that begins late":         {"15 0 * * 0", "Asia/Beirut", "2026-03-23T00:00:00Z", []string{"2026-03-29T01:00:00+03:00", "2026-04-05T00:15:00+03:00"}},
		"7 is Sunday":                       {"15 0 * * 7", "Asia/Beirut", "2026-03-23T00:00:00Z", []string{"2026-03-29T01:00:00+03:00", "2026-04-05T00:15:00+03:00"}},
		"5-7 is the end of a week":          {"0 9 * * 5-7", "UTC", "2026-01-01T12:00:00Z", []string{"2026-01-02T09:00:00Z", "2026-01-03T09:00:00Z", "2026-01-04T09:00:00Z", "2026-01-09T09:00:00Z"}},
		"several that are left out are one": {"0,30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", []string{"2027-03-28T03:00:00+02:00", "2027-03-29T02:00:00+02:00"}},
		"quarters follow the clock":         {"*/30 * * * *", "Europe/Berlin", "2026-10-24T23:59:00Z", []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:00:00+01:00"}},
		"hours follow the clock":            {"0 * * * *", "Europe/Berlin", "2027-03-27T23:59:00Z", []string{"2027-03-28T01:00:00+01:00", "2027-03-28T03:00:00+02:00"}},
		"half an hour is left out":          {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", []string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
		"a day is left out":                 {"0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", []string{"2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"}},
		"a leap day after eight years":      {"0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
	} {
		zone, err := time.LoadLocation(tc.zone)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseSchedule(tc.expression, zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, tc.after)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tc.want {
			at = s.Next(at)
			if got := at.In(zone).Format(time.RFC3339); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
	}
}

func BenchmarkScheduleNext(b *testing.B) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	s, err := parseSchedule("0 0 29 2 *", zone)
	if err != nil {
		b.Fatal(err)
	}
	from := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	for b.Loop() {
		s.Next(from)
	}
}
