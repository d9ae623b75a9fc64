package security

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wildout/wildout/runtime/strictjson"
	"github.com/wildout/wildout/site/audit"
	"github.com/wildout/wildout/site/input"
)

// Rule says which audit entries are alarming. An entry matches when any of the
// conditions on its action or its details holds.
type Rule struct {
	// Type is the type of the alert, such as multiple_failed_logins.
	Type string `json:"type"`
	// Severity is LOW, MEDIUM or HIGH.
	Severity string `json:"severity"`

	// Actions match when the action is one of them.
	Actions []string `json:"actions"`
	// Contains match when the action contains one of them.
	Contains []string `json:"contains"`
	// Prefixes match when the action starts with one of them.
	Prefixes []string `json:"prefixes"`
	// CountAbove matches when details.count is greater; left out: never.
	CountAbove *float64 `json:"countAbove"`

	// Threshold is the number of entries of one user within Window that raise
	// the alert, one per user and window. Left out: every entry raises one.
	// With a threshold the rule matches by Actions only.
	Threshold int            `json:"threshold"`
	Window    input.Duration `json:"window"`
}

// Validate names what is wrong with the rule.
func (r Rule) Validate() error {
	var faults []error
	if r.Type == "" {
		faults = append(faults, errors.New("type is missing"))
	}
	if !slices.Contains([]string{"LOW", "MEDIUM", "HIGH"}, r.Severity) {
		faults = append(faults, fmt.Errorf("severity %q is not LOW, MEDIUM or HIGH", r.Severity))
	}
	byText := len(r.Contains)+len(r.Prefixes) > 0 || r.CountAbove != nil
	switch {
	case !byText && len(r.Actions) == 0:
		faults = append(faults, errors.New("no condition: set actions, contains, prefixes or countAbove"))
	case r.Threshold != 0 && byText:
		faults = append(faults, errors.New("a rule with a threshold matches by actions only"))
	}
	if r.Threshold < 0 || (r.Threshold > 0) != (r.Window > 0) {
		faults = append(faults, errors.New("threshold and window belong together, both above 0"))
	}
	if len(faults) > 0 {
		return fmt.Errorf("rule %q: %w", r.Type, errors.Join(faults...))
	}
	return nil
}

// matches reports whether the entry is one that the rule is about.
func (r Rule) matches(e audit.Entry) bool {
	return slices.Contains(r.Actions, e.Action) ||
		slices.ContainsFunc(r.Contains, func(part string) bool { return strings.Contains(e.Action, part) }) ||
		slices.ContainsFunc(r.Prefixes, func(prefix string) bool { return strings.HasPrefix(e.Action, prefix) }) ||
		r.CountAbove != nil && countOf(e) > *r.CountAbove
}

// countOf returns details.count, or 0 when that is not a number.
func countOf(e audit.Entry) float64 {
	var details struct {
		Count any `json:"count"`
	}
	if strictjson.Unmarshal(e.Details, &details) != nil {
		return 0
	}
	count, _ := details.Count.(float64)
	return count
}
