package desired

import (
	"fmt"
	"slices"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
)

const (
	// graceName is the variable that says how long runs may go on after SIGTERM.
	graceName = "WILDOUT_GRACE"
	// handOver is how long a runner takes, after that, to park and hand back
	// what is left: twice five seconds at most, and some to end.
	handOver = 15 * time.Second
	// shortest and longest bound what is chosen where nobody has said how long
	// runs may go on. Longer than that, a drain of a node is given up by many
	// tools.
	shortest = 20 * time.Second
	longest  = 10 * time.Minute
)

// stay is how long a runner stays once it was told to leave.
type stay struct {
	// runs is how long runs may go on, pod when it is killed, in seconds.
	runs time.Duration
	pod  int64
	// own: spec.runner.env says how long runs may go on.
	own bool
}

// leaveIn says how long a runner stays: as spec.runner says, or so long that a
// step that has a time-out of its own can end. A pod that is killed before its
// runs were handed back costs them their lease.
func leaveIn(f *v1alpha1.WildoutFunction) (stay, error) {
	r := f.Spec.Runner
	if r == nil {
		r = &v1alpha1.Runner{}
	}
	own, at := ownGrace(r)
	switch seconds := r.TerminationGracePeriodSeconds; {
	case seconds != nil && at >= 0 && own > time.Duration(*seconds)*time.Second-handOver:
		return stay{}, &FieldError{fmt.Sprintf("spec.runner.env[%d]", at), fmt.Errorf(
			"%s is %s, and the pod is killed after %d seconds (terminationGracePeriodSeconds), of which a runner needs %s to hand back what is left: remove the variable",
			graceName, own, *seconds, handOver)}
	case seconds != nil:
		return stay{time.Duration(*seconds)*time.Second - handOver, *seconds, at >= 0}, nil
	case at >= 0:
		return stay{own, inSeconds(own + handOver), true}, nil
	}
	runs := min(max(shortest, longestStep(f)), longest)
	return stay{runs, inSeconds(runs + handOver), false}, nil
}

func inSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// ownGrace is what spec.runner.env says, and where; -1: nothing. What cannot be
// read is for the runner to tell.
func ownGrace(r *v1alpha1.Runner) (grace time.Duration, at int) {
	at = slices.IndexFunc(r.Env, func(v v1alpha1.EnvVar) bool { return v.Name == graceName })
	if at < 0 {
		return 0, at
	}
	grace, err := time.ParseDuration(r.Env[at].Value)
	if err != nil || grace < 0 {
		grace = shortest
	}
	return grace, at
}

// longestStep is the longest time-out that a step with a handler has of its own.
// Other steps hold no runner.
func longestStep(f *v1alpha1.WildoutFunction) (longest time.Duration) {
	for _, steps := range [][]v1alpha1.Step{f.Spec.Steps, f.Spec.OnFailure} {
		for i := range steps {
			if steps[i].Handler == "" {
				continue
			}
			if timeout, err := steps[i].Timeout.Parse(); err == nil {
				longest = max(longest, timeout)
			}
		}
	}
	return longest
}
