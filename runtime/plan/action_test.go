package plan

import (
	"slices"
	"testing"
)

// TestKinds holds the table of actions against the types: a manifest with
// everything has each kind, and only pure ones compute.
func TestKinds(t *testing.T) {
	var found []Kind
	for _, step := range compileSpec(t, everything).Steps {
		kind := step.Action.Kind()
		if !slices.Contains(found, kind) {
			found = append(found, kind)
		}
		if _, pure := step.Action.(Pure); pure != kind.Pure() {
			t.Errorf("%s: its type is pure: %v, its line of the table: %v", kind, pure, kind.Pure())
		}
	}
	slices.Sort(found)
	want := Kinds()
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("kinds in the manifest: %v, in the table: %v", found, want)
	}
	for kind, want := range map[Kind]struct {
		verb           string
		waits, reaches bool
	}{
		KindHandler:      {"", false, true},
		KindSleep:        {"sleeps", true, false},
		KindWaitForEvent: {"waits for", true, false},
		KindSendEvent:    {"sends", false, true},
		KindInvoke:       {"invokes", true, true},
		KindAssert:       {"checks", false, false},
		KindSet:          {"computes", false, false},
		"dance":          {"", false, false},
	} {
		if kind.Verb() != want.verb || kind.Waits() != want.waits || kind.Reaches() != want.reaches {
			t.Errorf("%s: %q, waits %v, reaches others %v; want %+v", kind, kind.Verb(), kind.Waits(), kind.Reaches(), want)
		}
	}
}
