package main

import (
	"os"
	"testing"
)

// maxSize is how large a stripped runner may be, in bytes; it has 35 MB. What is
// added to it is multiplied by the number of functions on every node.
const maxSize = 38e6

// What makes a runner jump by a quarter is a call of reflect's MethodByName
// with a name that the linker does not know, as in text/template: then every
// method of every type stays in. This finds who does:
//
//	go build -o /dev/null -ldflags=-dumpdep ./cmd/runner 2>&1 | grep ReflectMethod
func TestARunnerIsSmall(t *testing.T) {
	for name, file := range map[string]string{"the standard runner": program, "the runner of the documentation": example} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s has %.1f MB", name, float64(info.Size())/1e6)
		if info.Size() > maxSize {
			t.Errorf("%s has %.1f MB, want less than %.0f MB: see what it links (go list -deps, go tool nm -size -sort size)", name, float64(info.Size())/1e6, maxSize/1e6)
		}
	}
}
