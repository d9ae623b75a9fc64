package health

import (
	"fmt"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/run"
)

// runsAreKnown: there is something to judge by.
func runsAreKnown(f *Facts) *verdict {
	switch {
	case f.View.Numbers == nil:
		return unasked(v1alpha1.ReasonNoRuns, "the runs are not known yet")
	case historyOff(f.Function):
		return unknown(v1alpha1.ReasonNoRuns, "spec.history.limit is 0: no run is remembered")
	case len(f.View.Ends.Runs) == 0:
		return unknown(v1alpha1.ReasonNoRuns, "no run has ended yet")
	}
	return nil
}

func historyOff(f *v1alpha1.WildoutFunction) bool {
	h := f.Spec.History
	return h != nil && h.Limit != nil && *h.Limit == 0
}

// runsEndWell: of the last runs fewer than half failed.
func runsEndWell(f *Facts) *verdict {
	runs := f.View.Ends.Runs
	failed := 0
	for i := range runs {
		if runs[i].Status == run.Failed || runs[i].Status == run.Rejected {
			failed++
		}
	}
	if 2*failed < len(runs) {
		return nil
	}
	last := f.View.Ends.LastFailure
	if last == nil { // older than what was read
		last = &run.Record{}
	}
	where := ""
	if last.ErrorStep != "" {
		where = ", in step " + last.ErrorStep
	}
	return no(v1alpha1.ReasonHighFailureRate, fmt.Sprintf("%d of the last %d runs failed; the latest, %s%s: %s", failed, len(runs), last.ID, where, last.Error))
}

func healthyFine(*Facts) *verdict {
	return yes(v1alpha1.ReasonHealthy, "most of the last runs ended well")
}
