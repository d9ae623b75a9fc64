package main

import (
	"testing"

	"github.com/wildout/wildout/runtime/plan"
)

// What is measured is valid, and as mixed as the README says.
func TestManifests(t *testing.T) {
	o, err := parse([]string{"--functions=200", "--types=10", "--namespaces=5", "--busy=20"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	functions, err := o.manifests("session")
	if err != nil {
		t.Fatal(err)
	}
	types, err := o.eventTypes()
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	for i := range types {
		declared[types[i].Namespace+" "+string(types[i].Spec.Type)] = true
	}
	names := map[string]bool{}
	var cron, scaled int
	for i := range functions {
		f := &functions[i]
		names[f.Namespace+" "+f.Name] = true
		if _, err := plan.Compile(f.Name, &f.Spec, plan.Options{}); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if f.Spec.Runner.Scaling != nil {
			scaled++
		}
		for _, trigger := range f.Spec.Triggers {
			if trigger.Cron != "" {
				cron++
			} else if !declared[f.Namespace+" "+string(trigger.Event)] {
				t.Errorf("%s reads %s, which is not declared in its namespace", f.Name, trigger.Event)
			}
		}
	}
	if len(names) != 200 || len(declared) != 10 || cron != 20 || scaled != 40 {
		t.Errorf("%d functions, %d event types, %d with cron, %d with scaling; want 200, 10, 20, 40", len(names), len(declared), cron, scaled)
	}
}
