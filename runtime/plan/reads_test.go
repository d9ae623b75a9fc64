package plan

import (
	"errors"
	"slices"
	"testing"
)

// What is read is said of a spec and of a plan alike, each type once.
func TestReads(t *testing.T) {
	spec := readSpec(t, `
triggers: [{event: a/b}, {cron: "0 3 * * *"}, {event: c/d}, {event: a/b}]
steps:
- {name: one, waitForEvent: {event: e/f, timeout: 1h}}
- {name: two, set: 1}
- {name: three, waitForEvent: {event: c/d, timeout: 1h}}
onFailure: [{name: four, waitForEvent: {event: g/h, timeout: 1h}}, {name: five, waitForEvent: {event: e/f, timeout: 1h}}]
`)
	got := ReadsOf(spec)
	if want := []string{"a/b", "c/d"}; !slices.Equal(got.Triggers, want) {
		t.Errorf("triggers %v, want %v", got.Triggers, want)
	}
	if want := []string{"e/f", "c/d", "g/h"}; !slices.Equal(got.Waits, want) {
		t.Errorf("waits %v, want %v", got.Waits, want)
	}
	if want := []string{"a/b", "c/d", "e/f", "g/h"}; !slices.Equal(got.Types(), want) {
		t.Errorf("reads %v, want %v", got.Types(), want)
	}
	p := compileSpec(t, everything)
	if got, want := p.Reads().Types(), []string{"user/registered", "user/active"}; !slices.Equal(got, want) {
		t.Errorf("a plan reads %v, want %v", got, want)
	}
}

// Who decides on a fault does so by its reason.
func TestReasons(t *testing.T) {
	known := func(name string) bool { return name == "log.write" }
	for name, test := range map[string]struct {
		spec string
		want Reason
	}{
		"a field":            {on("- {name: a, set: 1, timeout: soon}"), Invalid},
		"syntax":             {on("- {name: a, set: 1, if: 'event.'}"), InvalidExpression},
		"a name":             {on("- {name: a, set: 1, if: evnt.id == ''}"), InvalidExpression},
		"a hyphen":           {on("- {name: a, set: 1, if: event.data.a-b == 1}"), InvalidExpression},
		"a type":             {on("- {name: a, set: 1, if: '1'}"), InvalidExpression},
		"a template":         {on("- {name: a, set: '${event.id'}"), InvalidExpression},
		"a later step":       {on("- {name: a, set: '${steps.b.output}'}\n- {name: b, set: 1}"), InvalidExpression},
		"a step, in needs":   {on("- {name: a, set: 1, needs: [b]}"), UnknownStep},
		"a step, in a value": {on("- {name: a, set: '${steps.b.output}'}"), UnknownStep},
		"a handler":          {on("- {name: a, handler: log.wright}"), UnknownHandler},
		"no name of one":     {on("- {name: a, handler: Log}"), Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile("f", readSpec(t, test.spec), Options{KnownHandler: known})
			var faults Errors
			if !errors.As(err, &faults) || faults[0].Reason != test.want {
				t.Fatalf("got %v, want a fault of reason %d", err, test.want)
			}
			for reason := Invalid; reason <= UnknownHandler; reason++ {
				if faults.Has(reason) != (reason == test.want) {
					t.Errorf("it has reason %d: %v", reason, faults.Has(reason))
				}
			}
		})
	}
}
