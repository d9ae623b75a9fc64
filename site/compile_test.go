package domain

import (
	"testing"

	"github.com/wildout/wildout/runtime/plan"
)

func TestFunctionsCompile(t *testing.T) {
	reg := registry(t)
	known := func(name string) bool { _, ok := reg.Lookup(name); return ok }
	for name, function := range functions(t) {
		if _, err := plan.Compile(name, &function.Spec, plan.Options{KnownHandler: known}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
