package health

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/plan"
)

// Spec is what is known of the spec of a function.
type Spec struct {
	// Fault is why it does not compile, RunnerFault why its spec.runner gives
	// no pods; nil: it does.
	Fault, RunnerFault error
	// Undeclared are event types that it names and nobody declares.
	Undeclared []string
	// Absent are functions that it invokes and that are not there.
	Absent []string
}

// acceptance is what Accepted is about.
type acceptance struct {
	Spec
	refusal *Refusal
}

var specRules = []rule[*acceptance]{specCompiles, runnerIsValid, childrenAreValid}

// specCompiles: expressions, step names, whatever the API server cannot check.
func specCompiles(a *acceptance) *opinion {
	if a.Fault == nil {
		return nil
	}
	reason := v1alpha1.ReasonInvalidSpec
	var faults plan.Errors
	if errors.As(a.Fault, &faults) {
		reason = reasonOf(faults)
	}
	return no(reason, a.Fault.Error())
}

// reasonOf is the reason of the first fault that has one of its own.
func reasonOf(faults plan.Errors) string {
	for _, fault := range faults {
		switch fault.Reason {
		case plan.UnknownStep:
			return v1alpha1.ReasonUnknownStep
		case plan.InvalidExpression:
			return v1alpha1.ReasonInvalidExpression
		case plan.Invalid, plan.UnknownHandler:
		}
	}
	return v1alpha1.ReasonInvalidSpec
}

// runnerIsValid: what the operator says about spec.runner.
func runnerIsValid(a *acceptance) *opinion {
	if a.RunnerFault == nil {
		return nil
	}
	return no(v1alpha1.ReasonInvalidRunner, a.RunnerFault.Error())
}

// childrenAreValid: what the API server says about what spec.runner becomes.
func childrenAreValid(a *acceptance) *opinion {
	if a.refusal == nil || a.refusal.Why != Invalid {
		return nil
	}
	return no(v1alpha1.ReasonInvalidRunner, "spec.runner has something that the API server refuses: "+a.refusal.Error())
}

// acceptedFine warns of what may be right: it may be applied later.
func acceptedFine(a *acceptance) *opinion {
	var words []string
	reason := v1alpha1.ReasonAccepted
	if len(a.Undeclared) > 0 {
		reason = v1alpha1.ReasonUndeclaredEventType
		words = append(words, fmt.Sprintf(
			"no WildoutEventType declares %s: its events are not checked, and a gateway that runs --strict refuses them", strings.Join(a.Undeclared, ", ")))
	}
	if len(a.Absent) > 0 {
		reason = v1alpha1.ReasonNoSuchFunction
		words = append(words, fmt.Sprintf(
			"it invokes %s, which this namespace does not have: the step waits until it does; correct the name, or apply the function", strings.Join(a.Absent, ", ")))
	}
	if len(words) == 0 {
		return yes(reason, "the spec compiles")
	}
	return yes(reason, strings.Join(words, "; "))
}
