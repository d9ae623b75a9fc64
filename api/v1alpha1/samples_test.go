package v1alpha1_test

import (
	"bufio"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

const (
	sampleFolder  = "../../config/samples"
	invalidFolder = sampleFolder + "/invalid"
)

// sample is a manifest in a file.
type sample struct {
	manifest manifest
	content  []byte
	// directives are the leading comments of the form "# name: value".
	directives map[string][]string
}

func readManifests(t *testing.T, folder string) map[string]sample {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]sample{}
	for _, path := range paths {
		name := filepath.Base(path)
		if name == "kustomization.yaml" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := sample{content: content, directives: directives(content)}
		decode(t, content, &s.manifest)
		samples[name] = s
	}
	if len(samples) == 0 {
		t.Fatalf("no manifests in %s", folder)
	}
	return samples
}

// oldManifest returns the object that s is an update of, or nil.
func oldManifest(t *testing.T, s sample) manifest {
	t.Helper()
	names := s.directives["update-of"]
	if names == nil {
		return nil
	}
	old, ok := readManifests(t, sampleFolder)[names[0]]
	if !ok {
		t.Fatalf("update-of: there is no %s in %s", names[0], sampleFolder)
	}
	return old.manifest
}

func directives(content []byte) map[string][]string {
	found := map[string][]string{}
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		comment, ok := strings.CutPrefix(lines.Text(), "# ")
		if !ok {
			break
		}
		if name, value, ok := strings.Cut(comment, ": "); ok {
			found[name] = append(found[name], value)
		}
	}
	return found
}

// decode reads YAML as the API server does: whole numbers are int64.
func decode(t *testing.T, content []byte, into *manifest) {
	t.Helper()
	text, err := yaml.YAMLToJSONStrict(content)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s\n%v", content, err)
	}
}

// dropFalse removes what a Go type does not print because it is the same as
// leaving it out.
func dropFalse(m manifest) {
	spec := m["spec"].(manifest)
	maps.DeleteFunc(spec, func(_ string, value any) bool { return value == false })
}
