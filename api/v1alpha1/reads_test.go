package v1alpha1

import (
	"reflect"
	"testing"
)

// TestEventTypesOfAFunction has each type once, in the order of the manifest,
// whatever the steps of onFailure repeat.
func TestEventTypesOfAFunction(t *testing.T) {
	wait := func(event EventTypeName, match string) Step {
		return Step{WaitForEvent: &WaitForEvent{Event: event, Match: match}}
	}
	spec := WildoutFunctionSpec{
		Triggers:  []Trigger{{Event: "a"}, {Cron: "* * * * *"}, {Event: "b"}, {Event: "a", If: "true"}},
		Steps:     []Step{wait("c", "data.id"), {Handler: "x"}, wait("a", ""), {SendEvent: []SendEvent{{Name: "d"}, {Name: "e"}}}},
		OnFailure: []Step{wait("c", ""), wait("c", "data.id"), {SendEvent: []SendEvent{{Name: "d"}, {Name: "f"}}}},
	}
	for name, got := range map[string]struct{ got, want any }{
		"triggered": {spec.Triggered(), []string{"a", "b"}},
		"awaited":   {spec.Awaited(), []AwaitedEvent{{"c", "data.id"}, {"a", ""}, {"c", ""}}},
		"reads":     {spec.Reads(), []string{"a", "b", "c"}},
		"sends":     {spec.Sends(), []string{"d", "e", "f"}},
	} {
		if !reflect.DeepEqual(got.got, got.want) {
			t.Errorf("%s: got %v, want %v", name, got.got, got.want)
		}
	}
}
