package plan

import (
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Sleep does nothing for a time, or until one.
type Sleep struct {
	For   time.Duration
	Until *Value // nil: For counts, from when the step begins
	text  string // as it was written
}

// Kind implements Action.
func (*Sleep) Kind() Kind { return KindSleep }

// Does implements Action.
func (a *Sleep) Does() string {
	switch {
	case a.Until != nil:
		return "until " + a.text
	case a.text == "":
		return a.For.String()
	}
	return a.text
}

// Input implements Action: a sleep is given nothing.
func (*Sleep) Input() *Value { return nil }

func hasSleep(s *v1alpha1.Step) bool      { return s.Sleep != "" }
func hasSleepUntil(s *v1alpha1.Step) bool { return s.SleepUntil != "" }

func (c *compiler) sleep(at site, s *v1alpha1.Step) Action {
	return &Sleep{For: c.duration(at.path+".sleep", s.Sleep), text: string(s.Sleep)}
}

func (c *compiler) sleepUntil(at site, s *v1alpha1.Step) Action {
	text := string(s.SleepUntil)
	return &Sleep{Until: c.instant(at.at(at.path+".sleepUntil"), text), text: text}
}
