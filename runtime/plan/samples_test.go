package plan_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wildout/wildout/runtime/plan"
)

// expectation is the first line of a wrong manifest, such as
// "# expect-plan: spec.steps[0].if: is not a condition".
var expectation = regexp.MustCompile(`(?m)^# expect(-plan)?: ([^ ]+): (.*)$`)

func TestSamplesCompile(t *testing.T) {
	for _, pattern := range []string{"../../config/samples/*.yaml", "../../config/functions/*.yaml", "../../config/event-types/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files (%v)", pattern, err)
		}
		for _, file := range files {
			if filepath.Base(file) == "kustomization.yaml" {
				continue
			}
			t.Run(filepath.Base(file), func(t *testing.T) {
				if err := compileFile(t, file); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// What the API server refuses, `wildout validate` must refuse too: it has no
// API server. Only what needs the earlier version of an object is left out.
func TestWrongSamplesAreRefused(t *testing.T) {
	files, err := filepath.Glob("../../config/samples/invalid/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no wrong samples (%v)", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "# update-of:") {
				return // right by itself, wrong as an update
			}
			err = compileFile(t, file)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range expectation.FindAllStringSubmatch(string(text), -1) {
				if want[1] == "" {
					continue // the words are the API server's
				}
				if !hasFault(err, want[2], want[3]) {
					t.Errorf("want %s: …%s…, got:\n%v", want[2], want[3], err)
				}
			}
		})
	}
}

func compileFile(t *testing.T, file string) error {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	functions, _, err := plan.ReadManifests(filepath.Base(file), text)
	if err != nil {
		return err
	}
	for i := range functions {
		if _, err := plan.Compile(functions[i].Name, &functions[i].Spec, plan.Options{}); err != nil {
			return err
		}
	}
	return nil
}

func hasFault(err error, path, part string) bool {
	var faults plan.Errors
	if !errors.As(err, &faults) {
		return strings.Contains(err.Error(), path) && strings.Contains(err.Error(), part)
	}
	for _, f := range faults {
		if f.Path == path && strings.Contains(f.Error(), part) {
			return true
		}
	}
	return false
}
