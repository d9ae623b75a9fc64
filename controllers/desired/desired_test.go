package desired_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/runtime/plan"
)

var update = flag.Bool("update", false, "write the golden files")

// input is the input for the function of a sample.
func input(t *testing.T, file string) desired.Input {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	functions, _, err := plan.ReadManifests(file, text)
	if err != nil {
		t.Fatal(err)
	}
	f := &functions[0]
	f.Namespace, f.UID = "shop", "8a1c9a8e-0000-4000-8000-000000000001"
	p, err := plan.Compile(f.Name, &f.Spec, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return desired.Input{Function: f, Version: p.Hash, Secret: "wildout-redis", Content: "0123456789", Image: "wildout/runner:test",
		Settings: desired.Settings{User: 65532, CSIDrivers: []string{"e"}}}
}

func TestChildren(t *testing.T) {
	for name, test := range map[string]struct {
		set     func(in *desired.Input)
		runners int32
	}{
		"handler": {func(*desired.Input) {}, 2},
		"runner":  {func(in *desired.Input) { in.Secret, in.Content = "orders-redis", "0123456789-ca" }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, "../../config/samples/"+name+".yaml")
			test.set(&in)
			objects, err := desired.Children(in)
			if err != nil {
				t.Fatal(err)
			}
			objects.Scale(test.runners)
			golden(t, name, objects.All...)
		})
	}
}

func TestEventTypes(t *testing.T) {
	var types []v1alpha1.WildoutEventType
	for _, file := range []string{"../../config/samples/event-type.yaml", "../../config/samples/event-type-redis.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, found, err := plan.ReadManifests(file, text)
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, found...)
	}
	object, err := desired.EventTypes("shop", types, nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "event-types", object)
	for file, text := range object.Data {
		if _, read, err := plan.ReadManifests(file, []byte(text)); err != nil || len(read) != 1 {
			t.Errorf("the gateway cannot read %s: %v", file, err)
		}
	}
	if none, err := desired.EventTypes("shop", nil, nil); none != nil || err != nil {
		t.Errorf("without event types: %v, %v", none, err)
	}
}

// What a runner reads is what the author wrote: the same version.
func TestRunnerReadsTheSameVersion(t *testing.T) {
	for _, pattern := range []string{"../../config/samples/*.yaml", "../../config/functions/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal("no samples", err)
		}
		for _, file := range files {
			if base := filepath.Base(file); base == "kustomization.yaml" || strings.HasPrefix(base, "event-type") {
				continue
			}
			in := input(t, file)
			text, err := desired.Manifest(in.Function)
			if err != nil {
				t.Fatal(err)
			}
			read, _, err := plan.ReadManifests("function.yaml", []byte(text))
			if err != nil || len(read) != 1 {
				t.Errorf("%s: a runner cannot read\n%s\n%v", file, text, err)
				continue
			}
			p, err := plan.Compile(read[0].Name, &read[0].Spec, plan.Options{})
			if err != nil || p.Hash != in.Version {
				t.Errorf("%s: a runner compiles it to %v (%v), want version %s", file, p, err, in.Version)
			}
		}
	}
}

// What concerns the pods alone makes no new manifest.
func TestPodsAreNoVersion(t *testing.T) {
	in := input(t, "../../config/samples/handler.yaml")
	before, err := desired.Manifest(in.Function)
	if err != nil {
		t.Fatal(err)
	}
	in.Function.Spec.Suspend, in.Function.Spec.Description = true, "other words"
	in.Function.Spec.Runner = &v1alpha1.Runner{Image: "other"}
	in.Function.Spec.Redis = &v1alpha1.Redis{SecretName: "other"}
	after, err := desired.Manifest(in.Function)
	if err != nil || before != after {
		t.Errorf("%v\n%s\nbecame\n%s", err, before, after)
	}
}

// A rollout is what replaces pods, and nothing else is one.
func TestRollout(t *testing.T) {
	rollout := func(change func(in *desired.Input)) desired.Rollout {
		in := input(t, "../../config/samples/handler.yaml")
		change(&in)
		objects, err := desired.Children(in)
		if err != nil {
			t.Fatal(err)
		}
		return objects.Rollout
	}
	before := rollout(func(*desired.Input) {})
	for name, test := range map[string]struct {
		change       func(in *desired.Input)
		same, asPods bool
	}{
		"scaling": {func(in *desired.Input) {
			in.Function.Spec.Runner = &v1alpha1.Runner{Scaling: &v1alpha1.Scaling{Max: 7}}
		}, true, true},
		"suspended": {func(in *desired.Input) { in.Function.Spec.Suspend = true }, true, true},
		"password":  {func(in *desired.Input) { in.Content = "another" }, false, true},
		"authority": {func(in *desired.Input) { in.Content += "-ca" }, false, false},
		"image":     {func(in *desired.Input) { in.Image += "2" }, false, false},
		"manifest":  {func(in *desired.Input) { in.Function.Spec.Timeout = "1m" }, false, false},
		"pods": {func(in *desired.Input) {
			in.Function.Spec.Runner = &v1alpha1.Runner{PodLabels: map[string]string{"a": "b"}}
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			after := rollout(test.change)
			if (after == before) != test.same || after.SamePods(before.String()) != test.asPods {
				t.Errorf("%s became %s", before, after)
			}
		})
	}
	if before.SamePods("") {
		t.Error("what was never rolled out has the same pods")
	}
}

func TestFaultsOfTheRunner(t *testing.T) {
	for path, runner := range map[string]string{
		"spec.runner.affinity":                     `{affinity: {podAfinity: {}}}`,
		"spec.runner.tolerations[1]":               `{tolerations: [{key: a}, {key: 7}]}`,
		"spec.runner.env[0].valueFrom":             `{env: [{name: A, valueFrom: {secretRef: {name: b}}}]}`,
		"spec.runner.envFrom[0]":                   `{envFrom: [{secret: b}]}`,
		"spec.runner.topologySpreadConstraints[0]": `{topologySpreadConstraints: [{maxSkew: many}]}`,
		"spec.runner.volumes[0]":                   `{volumes: [{name: a, secret: {name: b}}]}`,
		"spec.runner.volumes[1]":                   `{volumes: [{name: a, emptyDir: {}}, {name: b, hostPath: {path: /}}]}`,
		"spec.runner.volumeMounts[0]":              `{volumes: [{name: a, emptyDir: {}}], volumeMounts: [{name: b, mountPath: /a}]}`,
	} {
		t.Run(path, func(t *testing.T) {
			in := input(t, "../../config/samples/handler.yaml")
			in.Function.Spec.Runner = &v1alpha1.Runner{}
			if err := yaml.Unmarshal([]byte(runner), in.Function.Spec.Runner); err != nil {
				t.Fatal(err)
			}
			var fault *desired.FieldError
			if _, err := desired.Children(in); !errors.As(err, &fault) || fault.Path != path {
				t.Errorf("got %v, want a fault of %s", err, path)
			}
		})
	}
}

// What is the operator's own, or not within the restricted standard, is refused
// with words that help.
func TestVolumes(t *testing.T) {
	const volume = `volumes: [{name: a, emptyDir: {}}], `
	for name, test := range map[string]struct{ runner, want string }{
		"a secret":         {`{volumes: [{name: a, secret: {secretName: b, items: [{key: c, path: d}]}}], volumeMounts: [{name: a, mountPath: /etc/signing, readOnly: true}]}`, ""},
		"any kind":         {`{volumes: [{name: a, configMap: {name: b}}, {name: c, persistentVolumeClaim: {claimName: c}}, {name: d, csi: {driver: e}}, {name: e, projected: {sources: [{secret: {name: f}}]}}, {name: g}]}`, ""},
		"in /tmp":          {`{` + volume + `volumeMounts: [{name: a, mountPath: /tmp/cache}]}`, ""},
		"a similar path":   {`{` + volume + `volumeMounts: [{name: a, mountPath: /etc/wildout-more}]}`, ""},
		"no name":          {`{volumes: [{emptyDir: {}}]}`, "it has no name"},
		"our name":         {`{volumes: [{name: redis, emptyDir: {}}]}`, "the operator has a volume redis of its own"},
		"the node":         {`{volumes: [{name: a, hostPath: {path: /etc}}]}`, "hostPath is not within the restricted"},
		"a disk":           {`{volumes: [{name: a, nfs: {server: b, path: /}}]}`, "nfs is not within the restricted"},
		"a token":          {`{volumes: [{name: a, projected: {sources: [{serviceAccountToken: {path: token}}]}}]}`, "no runner gets a token"},
		"a certificate":    {`{volumes: [{name: a, projected: {sources: [{podCertificate: {signerName: b/c}}]}}]}`, "remove podCertificate"},
		"a driver":         {`{volumes: [{name: a, csi: {driver: secrets.example.com}}]}`, `CSI driver "secrets.example.com"`},
		"our volume":       {`{volumeMounts: [{name: redis, mountPath: /a}]}`, `no entry of spec.runner.volumes has the name "redis"`},
		"no path":          {`{` + volume + `volumeMounts: [{name: a}]}`, "must begin with /"},
		"a relative path":  {`{` + volume + `volumeMounts: [{name: a, mountPath: etc}]}`, "must begin with /"},
		"our path":         {`{` + volume + `volumeMounts: [{name: a, mountPath: /etc/wildout/}]}`, "would hide /etc/wildout"},
		"below our path":   {`{` + volume + `volumeMounts: [{name: a, mountPath: /etc/wildout-redis/more}]}`, "would hide /etc/wildout-redis"},
		"above our path":   {`{` + volume + `volumeMounts: [{name: a, mountPath: /etc}]}`, "would hide /etc/wildout"},
		"above everything": {`{` + volume + `volumeMounts: [{name: a, mountPath: /x/..}]}`, "would hide"},
		"over /tmp":        {`{` + volume + `volumeMounts: [{name: a, mountPath: /tmp}]}`, "would hide /tmp"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, "../../config/samples/handler.yaml")
			in.Function.Spec.Runner = &v1alpha1.Runner{}
			if err := yaml.Unmarshal([]byte(test.runner), in.Function.Spec.Runner); err != nil {
				t.Fatal(err)
			}
			_, err := desired.Children(in)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// golden compares objects with testdata/<name>.golden.yaml.
func golden(t *testing.T, name string, objects ...runtime.ApplyConfiguration) {
	t.Helper()
	var got strings.Builder
	for _, object := range objects {
		encoded, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.JSONToYAML(encoded)
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString("---\n" + string(text))
	}
	file := filepath.Join("testdata", name+".golden.yaml")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("%s differs; look at the new text and run with -update when it is better. Got:\n%s", file, got.String())
	}
}
