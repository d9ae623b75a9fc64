package plan

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/wildout/wildout/runtime/event"
)

// TestVariablesOfOtherSites evaluates what only waitForEvent.if and onFailure
// can see.
func TestVariablesOfOtherSites(t *testing.T) {
	p := compileSpec(t, on(`- {name: main, set: 1}
- name: seen
  waitForEvent: {event: b, timeout: 1h, if: async.data.id == event.data.id && async.type != event.type && async != event && event == event}
onFailure:
- {name: tell, set: "${error}"}
- {name: again, set: "${error.step + ': ' + error.message + ' ' + string(steps.main.attempts)}"}`))
	s := testScope()
	s.Async = &event.Event{ID: "e2", Type: "user/active", Data: json.RawMessage(`{"id": 9007199254740993}`)}
	if ok, err := p.Steps[1].Action.(*WaitForEvent).If.Bool(s); err != nil || !ok {
		t.Errorf("waitForEvent.if: %v, %v", ok, err)
	}
	s.Async = &event.Event{ID: "e3", Type: "user/active", Data: json.RawMessage(`{"id": 9007199254740992}`)}
	if ok, err := p.Steps[1].Action.(*WaitForEvent).If.Bool(s); err != nil || ok {
		t.Errorf("waitForEvent.if on another id: %v, %v", ok, err)
	}
	s.Error = &ErrorVar{Message: "no host", Step: "main", Attempts: 4}
	if got, err := p.OnFailure[0].Action.Input().JSON(s); err != nil || string(got) != `{"message":"no host","step":"main","attempts":4}` {
		t.Errorf("error: %s, %v", got, err)
	}
	if got, err := p.OnFailure[1].Action.Input().JSON(s); err != nil || string(got) != `"main: no host 0"` {
		t.Errorf("fields of error: %s, %v", got, err)
	}
}

// TestDynamicRecords reads variables where the compiler does not know the type.
func TestDynamicRecords(t *testing.T) {
	s := testScope()
	for tree, want := range map[string]string{
		`"${dyn(event).type}"`: `"user/registered"`,
		`"${[has(dyn(event).source), has(dyn(event).subject), has(dyn(event).bogus)]}"`: `[true,false,false]`,
		`"${dyn(steps['the-second'])['error']}"`:                                        `"it broke"`,
		`"${[event, event].all(e, e.data.count == 120)}"`:                               `true`,
		`"${[run == run, dyn(run) == dyn(event), type(run) == type(event)]}"`:           `[true,false,false]`,
		`"${[dyn(event.data)['userId'], 'userId' in event.data, 1 in event.data]}"`:     `["u1",true,false]`,
	} {
		if got, err := valueOf(t, tree).JSON(s); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", tree, got, err, want)
		}
	}
	if _, err := valueOf(t, `"${dyn(event).bogus}"`).JSON(s); err == nil || !strings.Contains(err.Error(), "no such field") {
		t.Errorf("an unknown field: %v", err)
	}
}

// TestKeysThatAreTwice proves that an object with a key that is there twice is
// refused, and not one of the two chosen.
func TestKeysThatAreTwice(t *testing.T) {
	for _, fields := range []int{2, wideObject + 5} {
		var b strings.Builder
		for i := range fields {
			fmt.Fprintf(&b, `"k%d": %d, `, i, i)
		}
		s := &Scope{Event: &event.Event{Data: json.RawMessage("{" + b.String() + `"\u006b1": 8}`)}}
		for _, tree := range []string{`"${event.data.k0}"`, `"${event.data.k1 + 0}"`, `"${size(event.data)}"`, `"${event.data}"`} {
			got, err := valueOf(t, tree).JSON(s)
			if err == nil || !strings.Contains(err.Error(), `the name "k1" is there twice`) {
				t.Errorf("%d fields, %s: got %s, %v", fields, tree, got, err)
			}
		}
	}
}
