package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDoubts(t *testing.T) {
	function := func(name, invoked string) string {
		return "apiVersion: wildout.dev/v1alpha1\nkind: WildoutFunction\nmetadata: {name: " + name + "}\nspec:\n  triggers: [{event: a}]\n" +
			"  steps: [{name: call, invoke: {function: " + invoked + "}}]\n"
	}
	file := filepath.Join(t.TempDir(), "f.yaml")
	text := function("first", "second") + "---\n" + function("second", "third")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := Load([]string{file}, nil)
	if err != nil || len(set.Faults) > 0 {
		t.Fatal(err, set.Faults)
	}
	if len(set.Doubts) != 1 || !strings.Contains(set.Doubts[0].Error(), "function second invokes third") {
		t.Errorf("doubts: %v", set.Doubts)
	}
}
