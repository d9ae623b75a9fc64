package health

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// opinion is what a rule says.
type opinion struct {
	status  metav1.ConditionStatus
	reason  string
	message string
	// stalled: a person has to do something.
	stalled bool
	// unasked: nobody was asked yet.
	unasked bool
}

// rule looks at what is known and objects, or does not: nil.
type rule[T any] func(T) *opinion

// judge asks the rules in their order.
func judge[T any](known T, rules []rule[T], fine rule[T]) *opinion {
	for _, r := range rules {
		if o := r(known); o != nil {
			return o
		}
	}
	return fine(known)
}

// no is an objection that a person has to see to.
func no(reason, message string) *opinion {
	return &opinion{status: metav1.ConditionFalse, reason: reason, message: message, stalled: true}
}

// notYet is an objection that passes by itself.
func notYet(reason, message string) *opinion {
	return &opinion{status: metav1.ConditionFalse, reason: reason, message: message}
}

func unknown(reason, message string) *opinion {
	return &opinion{status: metav1.ConditionUnknown, reason: reason, message: message}
}

// unasked is unknown for now: the question is under way.
func unasked(reason, message string) *opinion {
	o := unknown(reason, message)
	o.unasked = true
	return o
}

func yes(reason, message string) *opinion {
	return &opinion{status: metav1.ConditionTrue, reason: reason, message: message}
}
