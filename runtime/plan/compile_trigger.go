package plan

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
)

func (c *compiler) triggers(triggers []v1alpha1.Trigger) []Trigger {
	out := make([]Trigger, len(triggers))
	for i := range triggers {
		t, path := &triggers[i], fmt.Sprintf("spec.triggers[%d]", i)
		for j := range i {
			if triggers[j] == *t {
				c.errorf(path, "is the same as spec.triggers[%d]", j)
				break
			}
		}
		switch {
		case t.Event == "" && t.Cron == "":
			c.errorf(path, "has neither event nor cron: write one of them")
		case t.Event != "" && t.Cron != "":
			c.errorf(path, "has both event and cron: make two triggers of it")
		}
		if t.If != "" && t.Event == "" {
			c.errorf(path+".if", "belongs to event, and this trigger has none")
		}
		if t.TimeZone != "" && t.Cron == "" {
			c.errorf(path+".timeZone", "belongs to cron, and this trigger has none")
		}
		if t.Event != "" {
			c.eventType(path+".event", t.Event)
			out[i].Event = string(t.Event)
			out[i].If = c.condition(site{path: path + ".if", vars: eventVars}, t.If, wantBool)
		}
		if t.Cron != "" {
			out[i].Schedule, out[i].Cron = c.schedule(path, t)
		}
	}
	return out
}

func (c *compiler) startFrom(s v1alpha1.StartFrom) {
	if _, _, err := s.Parse(); err != nil {
		c.errorf("spec.startFrom", "%v", err)
	}
}

// scheduleFrom is where the search for the first tick begins. It is fixed, so
// that a manifest is valid or not whatever the date.
var scheduleFrom = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

func (c *compiler) schedule(path string, t *v1alpha1.Trigger) (Schedule, string) {
	zone := t.TimeZone
	if zone == "" {
		zone = "UTC"
	}
	location, err := time.LoadLocation(zone)
	switch {
	case !c.length(path+".timeZone", zone, 64):
		return nil, ""
	case zone == "Local":
		c.errorf(path+".timeZone", "Local is the zone of whatever machine the runner is on: name one, such as Europe/Berlin")
		return nil, ""
	case err != nil || !zoneText.MatchString(zone):
		c.errorf(path+".timeZone", "there is no time zone %q: write an IANA name such as Europe/Berlin", zone)
		return nil, ""
	case !c.length(path+".cron", t.Cron, 128):
		return nil, ""
	case strings.Contains(t.Cron, "TZ="):
		c.errorf(path+".cron", "holds a time zone: write it in timeZone")
		return nil, ""
	}
	if !cronText.MatchString(t.Cron) {
		c.errorf(path+".cron", "%q is no schedule: it must have five fields (minute, hour, day of month, month, day of week), such as 0 3 * * *", t.Cron)
		return nil, ""
	}
	expression := strings.Join(strings.Fields(t.Cron), " ")
	parsed, err := parseSchedule(expression, location)
	if err != nil {
		c.errorf(path+".cron", "%q is no schedule: %v", t.Cron, errors.Unwrap(err))
		return nil, ""
	}
	if parsed.Next(scheduleFrom).IsZero() {
		c.errorf(path+".cron", "%q never happens: there is no such date", t.Cron)
		return nil, ""
	}
	return parsed, "TZ=" + zone + " " + expression
}
