package health

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/plan"
)

// specCompiles: expressions, step names, whatever the API server cannot check.
func specCompiles(f *Facts) *verdict {
	if f.SpecErr == nil {
		return nil
	}
	var faults plan.Errors
	if !errors.As(f.SpecErr, &faults) {
		return no(v1alpha1.ReasonInvalidRunner, f.SpecErr.Error())
	}
	reason := v1alpha1.ReasonInvalidSpec
	for _, fault := range faults {
		switch {
		case strings.HasPrefix(fault.Message, "there is no step "):
			reason = v1alpha1.ReasonUnknownStep
		case fault.Source != "":
			reason = v1alpha1.ReasonInvalidExpression
		default:
			continue
		}
		break
	}
	return no(reason, faults.Error())
}

// childrenAreValid: what the API server says about what spec.runner becomes.
func childrenAreValid(f *Facts) *verdict {
	if !apierrors.IsInvalid(f.ApplyErr) && !apierrors.IsBadRequest(f.ApplyErr) {
		return nil
	}
	return no(v1alpha1.ReasonInvalidRunner, "spec.runner has something that the API server refuses: "+f.ApplyErr.Error())
}

func acceptedFine(f *Facts) *verdict {
	if len(f.Undeclared) > 0 {
		return yes(v1alpha1.ReasonUndeclaredEventType, fmt.Sprintf(
			"no WildoutEventType declares %s: its events are not checked, and a gateway that runs --strict refuses them", strings.Join(f.Undeclared, ", ")))
	}
	return yes(v1alpha1.ReasonAccepted, "the spec compiles")
}
