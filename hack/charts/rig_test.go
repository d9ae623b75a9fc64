package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

const repository = "../.."

// kubeVersion is the oldest that the charts are for. Helm, when it is built with
// go build, takes another one that is too old for anything.
const kubeVersion = "1.31.0"

var helms = []string{"helm3", "helm4"}

// chart is a folder with the files of values that are tried with it.
type chart struct {
	name   string
	values []string // "": the defaults
}

var allCharts = []chart{
	{"wildout", []string{"", "values-dev.yaml", "values-staging.yaml", "values-production.yaml"}},
	{"wildout-functions", []string{""}},
}

func (c chart) folder() string { return filepath.Join(repository, "charts", c.name) }

// args are the arguments that name the chart and the values.
func (c chart) args(values string, more ...string) []string {
	all := []string{c.folder()}
	if values != "" {
		all = append(all, "--values", filepath.Join(c.folder(), values))
	}
	return append(all, more...)
}

// fixed are values in place of what a Job would make.
func (c chart) fixed() []string {
	if c.name != "wildout" {
		return nil
	}
	const secret = "0123456789abcdef"
	return []string{"--set-string", "redis.embedded.password=" + secret, "--set-string", "gateway.defaultSender.key=" + secret, "--set-string", "console.token=" + secret}
}

// tool is a program of bin/.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(repository, "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make bin/%s", err, name)
	}
	return path
}

// execute runs a tool and returns what it writes to its standard output.
func execute(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(tool(t, name), args...)
	// Nothing of the person who runs the tests.
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home, "KUBECONFIG=")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String(), nil
}

func mustExecute(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := execute(t, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// object is one of Kubernetes.
type object map[string]any

func (o object) kind() string { return o["kind"].(string) }

func (o object) name() string { return text(o, "metadata", "name") }

// isHook: Helm makes it at some moment, and it is no part of the release.
func isHook(o object) bool { return at(o, "metadata", "annotations", "helm.sh/hook") != nil }

// id tells the objects of a release apart.
func (o object) id() string { return o.kind() + "/" + o.name() }

func (o object) String() string {
	encoded, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}

// at returns a field, nil when there is none. Numbers are those of lists.
func at(from any, path ...any) any {
	for _, step := range path {
		switch here := from.(type) {
		case object:
			from = here[step.(string)]
		case map[string]any:
			from = here[step.(string)]
		case []any:
			if i := step.(int); i < len(here) {
				from = here[i]
			} else {
				return nil
			}
		default:
			return nil
		}
	}
	return from
}

func text(from any, path ...any) string {
	s, _ := at(from, path...).(string)
	return s
}

func items(from any, path ...any) []any {
	list, _ := at(from, path...).([]any)
	return list
}

// decode reads manifests.
func decode(t testing.TB, manifests string) (objects []object) {
	t.Helper()
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 1<<20)
	for {
		var o object
		err := decoder.Decode(&o)
		if err != nil && err.Error() == "EOF" {
			return objects
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, manifests)
		}
		if len(o) > 0 {
			objects = append(objects, o)
		}
	}
}

// render is `helm template` with the release wildout in the namespace shop.
func render(t testing.TB, helm string, c chart, values string, more ...string) []object {
	t.Helper()
	args := append([]string{"template", c.name}, c.args(values, append(c.fixed(), more...)...)...)
	return decode(t, mustExecute(t, helm, append(args, "--namespace", "shop", "--kube-version", kubeVersion)...))
}

// find returns the only object of that kind and name.
func find(t testing.TB, objects []object, id string) object {
	t.Helper()
	i := slices.IndexFunc(objects, func(o object) bool { return o.id() == id })
	if i < 0 {
		t.Fatalf("there is no %s among %v", id, ids(objects))
	}
	return objects[i]
}

func ids(objects []object) (all []string) {
	for _, o := range objects {
		all = append(all, o.id())
	}
	slices.Sort(all)
	return all
}

// podSpec is that of a workload, nil for other objects.
func podSpec(o object) map[string]any {
	spec, _ := at(o, "spec", "template", "spec").(map[string]any)
	return spec
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if reflect.DeepEqual(normal(t, got), normal(t, want)) {
		return
	}
	encode := func(v any) string {
		encoded, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded)
	}
	t.Errorf("%s is\n%s\nwant\n%s", what, encode(got), encode(want))
}

// normal is a value as JSON has it: one type for all numbers.
func normal(t testing.TB, v any) (n any) {
	t.Helper()
	encoded, err := json.Marshal(v)
	if err := errors.Join(err, json.Unmarshal(encoded, &n)); err != nil {
		t.Fatal(err)
	}
	return n
}
