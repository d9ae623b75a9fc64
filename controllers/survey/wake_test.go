package survey

import (
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/store"
)

// hourly ticks at each full hour.
func hourly(t time.Time) time.Time { return t.Truncate(time.Hour).Add(time.Hour) }

func TestAhead(t *testing.T) {
	const hour = time.Hour
	// By the server it is half past; our own clock is four seconds ahead.
	server := time.Date(2026, 7, 1, 12, 30, 0, 0, time.UTC)
	local := server.Add(4 * time.Second)
	at := server.Add
	for name, test := range map[string]struct {
		due   time.Time
		ticks map[string]time.Time // by schedule
		plan  []string
		next  time.Duration // 0: none; by the server
		open  int64
	}{
		"nothing":                             {open: 0},
		"a timer":                             {due: at(hour), next: hour},
		"a tick that was made":                {plan: []string{"h"}, ticks: map[string]time.Time{"h": at(-hour / 2)}, next: hour / 2},
		"a tick that was not made":            {plan: []string{"h"}, ticks: map[string]time.Time{"h": at(-hour)}, open: 1},
		"many that were not":                  {plan: []string{"h"}, ticks: map[string]time.Time{"h": at(-99 * hour)}, open: 1},
		"a schedule that is new":              {plan: []string{"h"}, open: 1},
		"a schedule without a tick":           {plan: []string{"never"}, ticks: map[string]time.Time{"never": at(0)}},
		"a tick that only our clock has seen": {plan: []string{"soon"}, ticks: map[string]time.Time{"soon": at(0)}, next: 2 * time.Second},
		"a schedule that is gone":             {ticks: map[string]time.Time{"h": at(-99 * hour)}},
		"the first of a timer and a tick":     {due: at(hour), plan: []string{"h"}, ticks: map[string]time.Time{"h": at(0)}, next: hour / 2},
		"the first of a tick and a timer":     {due: at(time.Minute), plan: []string{"h"}, ticks: map[string]time.Time{"h": at(0)}, next: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			f := found{numbers: &store.Numbers{Outlook: store.Outlook{At: server, NextDue: test.due, Ticks: test.ticks}}}
			for _, cron := range test.plan {
				f.function.Schedules = append(f.function.Schedules, Schedule{cron, map[string]func(time.Time) time.Time{
					"h":     hourly,
					"never": func(time.Time) time.Time { return time.Time{} },
					"soon":  func(time.Time) time.Time { return at(2 * time.Second) },
				}[cron]})
			}
			ticks, next := f.ahead(local)
			want := time.Time{}
			if test.next > 0 {
				want = local.Add(test.next)
			}
			if ticks != test.open || !next.Equal(want) {
				t.Errorf("%d ticks are due, and the next thing at %s; want %d, %s", ticks, next, test.open, want)
			}
		})
	}
}
