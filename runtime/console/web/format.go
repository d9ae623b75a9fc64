package web

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/console/web/timeline"
	"github.com/wildout/wildout/runtime/run"
)

// functionMap is what templates may call.
func functionMap(a assets) template.FuncMap {
	return template.FuncMap{
		"asset": func(name string) string { return a.links[name] },
		"ago":   func(v any) string { return ago(timeOf(v), time.Now()) },
		"exact": func(v any) string { return timeOf(v).UTC().Format("2006-01-02 15:04:05.000 UTC") },
		"rfc3339": func(v any) string {
			return timeOf(v).UTC().Format("2006-01-02T15:04:05.000Z07:00")
		},
		"upper": upper, "duration": duration, "tick": tick, "count": count, "bytes": byteSize,
		"short": func(s string) string { return s[:min(12, len(s))] },
		"tail":  func(s string) string { return "…" + s[max(0, len(s)-8):] },
		"pct":   percent, "wide": func(x float64) string { return percent(max(x, .25)) }, "anchor": anchor, "hatch": hatch, "segment": segment,
		"highlight": highlight, "join": func(all []string) string { return strings.Join(all, ", ") },
		"status": runStatus, "stepStatus": stepStatus,
		"open":    func(r run.Record) bool { return r.Status == run.Running || r.Status == run.Waiting },
		"subline": subline, "took": took, "order": order, "eventName": eventName,
		"stepView":      newStepView,
		"noFunctions":   func() emptyState { return noFunctions },
		"noRuns":        func() emptyState { return noRuns },
		"noSubscribers": func() emptyState { return noSubscribers },
		"noMails":       func() emptyState { return noMails },
	}
}

// emptyState is what stands where there is nothing: what it means, and the
// command that changes it.
type emptyState struct{ Title, Text, Command string }

var (
	noFunctions   = emptyState{"No functions yet", "A function is here once a runner has started it.", "wildout dev config/functions"}
	noRuns        = emptyState{"No runs yet", "A run begins when an event comes for a function.", "wildout send user/registered --data '{\"userId\":\"u1\",\"email\":\"u1@example.com\"}'"}
	noneFit       = emptyState{"No run fits", "Other filters may show some.", ""}
	noEvents      = emptyState{"No events yet", "Send one from here, or from a shell.", "wildout send TYPE --data '{}'"}
	noSubscribers = emptyState{"Nothing", "No function has a trigger for this event type. Functions that wait for it in a step are not listed here.", ""}
	noMails       = emptyState{"No mails yet", "What a function sends to the SMTP server of `wildout dev` is kept here.", "wildout send email/send --data '{\"to\":\"you@example.com\",\"subject\":\"Hello\",\"body\":\"Hi\"}'"}
	noSteps       = emptyState{"No steps yet", "No step of the run has begun.", ""}
)

// sign is a state as it is shown: a colour, a shape and a word.
type sign struct{ Class, Icon, Text string }

func runStatus(s run.Status) sign {
	name := string(s)
	icon := name
	switch s {
	case run.Rejected:
		icon = "failed"
	case run.Queued:
		icon = "pending"
	case run.Skipped, console.Filtered:
		icon = "never"
	}
	return sign{name, icon, upper(name)}
}

func stepStatus(s run.StepStatus) sign {
	switch s {
	case run.StepOK:
		return sign{"ok", "succeeded", "Succeeded"}
	case run.StepPending:
		return sign{"pending", "pending", "Not begun"}
	case timeline.Never:
		return sign{"never", "never", "Not reached"}
	}
	return sign{string(s), string(s), upper(string(s))}
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func timeOf(v any) time.Time {
	switch t := v.(type) {
	case time.Time:
		return t
	case *time.Time:
		if t != nil {
			return *t
		}
	}
	return time.Time{}
}

const day = 24 * time.Hour

// ago says when t is, seen from now; console.js says it in the same words.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "–"
	}
	d := now.Sub(t)
	if d < 0 {
		return "in " + rough(-d)
	}
	if d < time.Second {
		return "now"
	}
	return rough(d) + " ago"
}

func rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(1, int(d/time.Second)))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 2*day:
		return fmt.Sprintf("%d h", int(d/time.Hour))
	}
	return fmt.Sprintf("%d d", int(d/day))
}

// duration writes a length of time with two units at most.
func duration(d time.Duration) string {
	two := func(n, m time.Duration, unit, small string) string {
		if m == 0 {
			return fmt.Sprintf("%d %s", n, unit)
		}
		return fmt.Sprintf("%d %s %d %s", n, unit, m, small)
	}
	switch {
	case d < 0:
		return "–"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return two(d/time.Minute, d%time.Minute/time.Second, "min", "s")
	case d < day:
		return two(d/time.Hour, d%time.Hour/time.Minute, "h", "min")
	}
	return two(d/day, d%day/time.Hour, "d", "h")
}

// tick writes a place on an axis: the start is 0.
func tick(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return duration(d)
}

// count writes a number with thin spaces between thousands.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func byteSize(n int) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// percent writes a place for an attribute of SVG: the policy of the page
// forbids style attributes.
func percent(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) + "%" }

// anchor keeps a label at an end of the axis inside of it.
func anchor(x float64) string {
	switch {
	case x < 3:
		return "start"
	case x > 97:
		return "end"
	}
	return "middle"
}

func hatch(k timeline.SegmentKind) string {
	switch k {
	case timeline.Wait:
		return "url(#hatch-wait)"
	case timeline.Retry:
		return "url(#hatch-retry)"
	}
	return ""
}

// segment says what a stretch of a row is.
func segment(s timeline.Segment) string {
	what := map[timeline.SegmentKind]string{timeline.Wait: "waited", timeline.Retry: "pause before the next attempt", timeline.Ahead: "goes on in"}[s.Kind]
	if s.Attempt > 0 {
		what = fmt.Sprintf("attempt %d", s.Attempt)
		if s.Kind == timeline.Fault {
			what += " failed"
		}
	} else if s.Kind == timeline.Fault {
		what = "failed"
	}
	return what + ", " + duration(s.Duration())
}

// eventName is the name of an event type; runs that runs started have none
// that says anything.
func eventName(eventType string) string {
	if eventType == "wildout/function.invoked" {
		return "invoked by a run"
	}
	return eventType
}

// order is the time that a run has in lists.
func order(r run.Record) time.Time {
	if r.EndedAt != nil {
		return *r.EndedAt
	}
	return r.StartedAt
}

// took is how long a run took, or has been there.
func took(r run.Record) string {
	switch {
	case r.EndedAt != nil:
		return duration(r.EndedAt.Sub(r.StartedAt))
	case r.Status == run.Running || r.Status == run.Waiting:
		return rough(max(time.Since(r.StartedAt), 0)) + " so far"
	}
	return ""
}

// line is the second line of a run in a list.
type line struct {
	Text, Title string
	Bad         bool
}

func subline(r run.Record) *line {
	switch {
	case r.Error != "":
		text := r.Error
		if r.ErrorStep != "" && !strings.HasPrefix(text, r.ErrorStep) {
			text = r.ErrorStep + ": " + text
		}
		return &line{clip(text, 300), clip(text, 2000), r.Status != run.Cancelled}
	case r.Status == run.Waiting && r.WaitsFor != nil:
		step := ""
		for _, s := range r.Steps {
			if s.Status == "waiting" {
				step = s.Name + ", "
			}
		}
		return &line{Text: step + "goes on " + ago(*r.WaitsFor, time.Now()), Title: r.WaitsFor.UTC().Format(time.RFC3339)}
	case r.Status == run.Waiting:
		return &line{Text: "waits for something to arrive"}
	case r.ReplayOf != "":
		return &line{Text: "a replay"}
	}
	return nil
}

// clip cuts a text at a letter.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
