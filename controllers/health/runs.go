package health

import (
	"fmt"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/view"
)

// runs are what Healthy is about.
type runs struct {
	view.Function
	history *v1alpha1.History
	// name is that of the function, image that of its runners.
	name, image string
}

var runRules = []rule[*runs]{runsAreUnderstood, runsAreKnown, runsEndWell}

// runsAreUnderstood: the runners have the code of all runs, also of those that began
// with an earlier version of the function, or of the image.
func runsAreUnderstood(r *runs) *opinion {
	if r.Numbers == nil || r.Numbers.Lacking == 0 {
		return nil
	}
	count := fmt.Sprintf("%d runs wait", r.Numbers.Lacking)
	if r.Numbers.Lacking == 1 {
		count = "1 run waits"
	}
	image := "the image of the runners"
	if r.image != "" {
		image += ", " + r.image + ","
	}
	return no(v1alpha1.ReasonRunnerLacksHandler, fmt.Sprintf("%s for code that %s does not have: %s; deploy an image that has it, such as the one before, and they go on; or end them with "+
		"wildout runs cancel --function %s --status waiting", count, image, r.Numbers.Code, r.name))
}

// runsAreKnown: there is something to judge by.
func runsAreKnown(r *runs) *opinion {
	switch {
	case r.Numbers == nil:
		return unasked(v1alpha1.ReasonNoRuns, "the runs are not known yet")
	case r.history != nil && r.history.Limit != nil && *r.history.Limit == 0:
		return unknown(v1alpha1.ReasonNoRuns, "spec.history.limit is 0: no run is remembered")
	case r.Runs.Ended == 0:
		return unknown(v1alpha1.ReasonNoRuns, "no run has ended yet")
	}
	return nil
}

// fewest is how many failed runs are no accident any more.
const fewest = 3

// runsEndWell: of the last runs fewer than half failed, or too few to tell. Where
// fewer are remembered, all of them tell.
func runsEndWell(r *runs) *opinion {
	enough := fewest
	if r.history != nil && r.history.Limit != nil {
		enough = min(enough, int(*r.history.Limit))
	}
	if 2*r.Runs.Failed < r.Runs.Ended || r.Runs.Failed < enough {
		return nil
	}
	words := fmt.Sprintf("%d of the last %d runs failed", r.Runs.Failed, r.Runs.Ended)
	if last := r.Runs.LastFailure; last != nil {
		where := ""
		if last.Step != "" {
			where = ", in step " + last.Step
		}
		words += fmt.Sprintf("; the latest, %s%s: %s", last.RunID, where, last.Message)
	}
	return no(v1alpha1.ReasonHighFailureRate, words)
}

func healthyFine(*runs) *opinion {
	return yes(v1alpha1.ReasonHealthy, "most of the last runs ended well, or too few have ended to tell")
}
