package engine

import (
	"fmt"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/run"
)

// The code of a handler may change under a run that waits. What the journal has
// of an operation is found by its name alone, so that something else under the
// same name would be given what is not its own: it is refused.

// What operations do that are over at once; those that wait say it themselves.
const (
	doesStep = "is a sub-step"
	doesSend = "sends events"
)

// deeds says of the operations below u what they do, by their paths.
func (u *unit) deeds() map[string]string {
	if len(u.subs) == 0 {
		return nil
	}
	all := make(map[string]string, len(u.subs))
	for _, sub := range u.subs {
		if op, ok := sub.node.action.(operation); ok {
			all[sub.path] = op.does()
		}
	}
	return all
}

// recall returns what the operation at path has come to, which does that.
func (s *subSteps) recall(path, does string) (r run.Result, known bool, err error) {
	r, known, err = s.known(path)
	if err != nil {
		return r, known, err
	}
	before, waited := s.a.before[path]
	switch {
	case waited:
	case !known:
		return r, false, nil
	case r.Kind == run.KindSend:
		before = doesSend
	default:
		before = doesStep
	}
	if before != does {
		return r, known, wildout.NonRetriable(fmt.Errorf("the run has an operation %s that %s, and its handler now asks for one of this name that %s: "+
			"two operations need two names, and so does one that was changed in the code while runs were under way", path, before, does))
	}
	return r, known, nil
}
