package plan

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	cels "cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
)

// Bounds on one call of a function. Cost is counted after a call has returned:
// out of an event that is within its limits some functions can make gigabytes,
// or compare for minutes, in a single call. A text that a call makes has the
// bound of a value.
const (
	// maxElements is the longest list that a call makes.
	maxElements = 100_000
	// maxComparisons is how many pairs of elements a call compares, and
	// maxSearch how many pairs of characters.
	maxComparisons = 4_000_000
	maxSearch      = 100_000_000
)

// guards say by overload why a call with these arguments would be too much.
var guards = map[string]func(args []ref.Val) error{
	"string_replace_string_string":     replaceGuard,
	"string_replace_string_string_int": replaceGuard,
	"list_join":                        joinGuard,
	"list_join_string":                 joinGuard,
	"string_format":                    formatGuard,
	"string_split_string":              splitGuard,
	"string_split_string_int":          splitGuard,
	"string_index_of_string":           searchGuard,
	"string_index_of_string_int":       searchGuard,
	"string_last_index_of_string":      searchGuard,
	"string_last_index_of_string_int":  searchGuard,
	"list_flatten":                     flattenGuard,
	"list_flatten_int":                 flattenGuard,
	"list_distinct":                    pairsGuard,
	"list_sets_contains_list":          pairsGuard,
	"list_sets_equivalent_list":        pairsGuard,
	"list_sets_intersects_list":        pairsGuard,
	"list_hasAll_list":                 pairsGuard,
	"list_hasAny_list":                 pairsGuard,
	"list_hasExactly_list":             pairsGuard,
	"list_hasOnly_list":                pairsGuard,
}

// libraries are the functions that expressions have beside the standard ones.
func libraries() []cel.EnvOption {
	return []cel.EnvOption{ext.Strings(), ext.Math(), ext.Sets(), ext.Lists(ext.ListsMaxRangeSize(maxRange))}
}

// boundedCalls puts the guards before the functions that they are for.
func boundedCalls() cel.EnvOption {
	return func(e *cel.Env) (*cel.Env, error) {
		plain, err := cel.NewEnv(libraries()...)
		if err != nil {
			return nil, err
		}
		done := 0
		for name, function := range plain.Functions() {
			bindings, err := function.Bindings()
			if err != nil {
				return nil, err
			}
			for _, overload := range function.OverloadDecls() {
				guard := guards[overload.ID()]
				if guard == nil {
					continue
				}
				call := callOf(bindings, overload.ID())
				if call == nil {
					return nil, fmt.Errorf("the function %s of CEL has no implementation of %s", name, overload.ID())
				}
				declare := cel.Overload
				if overload.IsMemberFunction() {
					declare = cel.MemberOverload
				}
				if e, err = cel.Function(name, declare(overload.ID(), overload.ArgTypes(), overload.ResultType(), cel.FunctionBinding(guarded(name, guard, call))))(e); err != nil {
					return nil, err
				}
				done++
			}
		}
		if done != len(guards) {
			return nil, errors.New("a function of CEL that is bounded is not there")
		}
		return cel.CostModel(charged("string_format"), charged("strings_quote"))(e)
	}
}

func guarded(name string, guard func([]ref.Val) error, call func(...ref.Val) ref.Val) func(...ref.Val) ref.Val {
	return func(args ...ref.Val) ref.Val {
		if err := guard(args); err != nil {
			return types.NewErr("%s %v", name, err)
		}
		return call(args...)
	}
}

// callOf returns the implementation of an overload.
func callOf(bindings []*cels.Overload, id string) func(...ref.Val) ref.Val {
	for _, b := range bindings {
		switch {
		case b.Operator != id:
		case b.Function != nil:
			return b.Function
		case b.Unary != nil:
			return func(args ...ref.Val) ref.Val { return b.Unary(args[0]) }
		case b.Binary != nil:
			return func(args ...ref.Val) ref.Val { return b.Binary(args[0], args[1]) }
		}
	}
	return nil
}

// costs charges for what cel-go takes to be done in no time: calls that go through
// a whole text or list, or copy it. Where the types are not known before, as in
// event.data, cel-go does not know which form of a function is called, and charges
// none: that is told by the name.
func costs() []cel.ProgramOption {
	flat := func(_ []ref.Val, result ref.Val) *uint64 { return units(count(result)) }
	return []cel.ProgramOption{
		cel.CostLimit(maxCost), cel.CostTracking(copies{}),
		cel.CostTrackerOptions(cost.OverloadTracker("list_flatten", flat), cost.OverloadTracker("list_flatten_int", flat)),
	}
}

type copies struct{}

// CallCost implements cost.ActualCostEstimator. Nil: cel-go knows it.
func (copies) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	switch function {
	case "reverse", "bytes", "string", operators.Add:
		if list, isList := result.(traits.Lister); isList && function == "reverse" {
			return units(count(list))
		}
		switch result.(type) {
		case types.String, types.Bytes:
			return units(length(result) / 10)
		}
	case operators.In:
		if list, isList := args[1].(traits.Lister); isList {
			return units(count(list))
		}
	}
	return nil
}

func units(n int) *uint64 {
	u := uint64(1 + n)
	return &u
}
