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
}

var runRules = []rule[*runs]{runsAreKnown, runsEndWell}

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

// runsEndWell: of the last runs fewer than half failed.
func runsEndWell(r *runs) *opinion {
	if 2*r.Runs.Failed < r.Runs.Ended {
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
	return yes(v1alpha1.ReasonHealthy, "most of the last runs ended well")
}
