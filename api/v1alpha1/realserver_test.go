package v1alpha1_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/wildout/wildout/internal/servicetest"
)

// realServer is an API server with our CRDs, as a cluster has it. It stands
// beside apiServer, which is quick, and shows that the two agree.
type realServer struct {
	*servicetest.Kubernetes
	paths map[string]string // of the objects of a kind
}

func TestRealAPIServer(t *testing.T) {
	server, inProcess := startRealServer(t), newAPIServer(t)
	for _, folder := range []string{sampleFolder, "../../config/functions", "../../config/event-types"} {
		for name, sample := range readManifests(t, folder) {
			t.Run("accepts "+filepath.Base(folder)+"/"+name, func(t *testing.T) {
				admitted, refused := server.create(t, sample.manifest)
				if refused != nil {
					t.Fatal(refused.Message)
				}
				inProcess.admit(sample.manifest, nil)
				if !reflect.DeepEqual(admitted["spec"], sample.manifest["spec"]) {
					t.Errorf("with its defaults it is\n%v, want\n%v", admitted["spec"], sample.manifest["spec"])
				}
			})
		}
	}
	for name, wrong := range readManifests(t, invalidFolder) {
		t.Run("judges invalid/"+name, func(t *testing.T) {
			var refused *metav1.Status
			if old := oldManifest(t, wrong); old != nil {
				refused = server.update(t, old, wrong.manifest)
			} else {
				_, refused = server.create(t, wrong.manifest)
			}
			expected := wrong.directives["expect"]
			for _, expect := range expected {
				if refused == nil || !says(refused, expect) {
					t.Errorf("no error %q in: %+v", expect, refused)
				}
			}
			if len(expected) == 0 && refused != nil {
				t.Errorf("it is refused: %s", refused.Message)
			}
		})
	}
}

// startRealServer installs the CRDs; it fails the test when they are refused,
// or are not served within a few seconds.
func startRealServer(t *testing.T) *realServer {
	t.Helper()
	server := &realServer{servicetest.StartKubernetes(t), map[string]string{}}
	const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	for name, definition := range readManifests(t, crdFolder) {
		code, answer := server.Call(http.MethodPost, definitions, definition.manifest)
		if code != http.StatusCreated {
			t.Fatalf("the API server refuses %s: %s", name, answer)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		parse(t, answer, &crd)
		for deadline := time.Now().Add(10 * time.Second); !served(t, name, &crd); {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not served: %+v", name, crd.Status.Conditions)
			}
			time.Sleep(20 * time.Millisecond)
			_, answer = server.Call(http.MethodGet, definitions+"/"+crd.Name, nil)
			parse(t, answer, &crd)
		}
		server.paths[crd.Spec.Names.Kind] = fmt.Sprintf("/apis/%s/%s/namespaces/default/%s",
			crd.Spec.Group, crd.Spec.Versions[0].Name, crd.Spec.Names.Plural)
	}
	return server
}

func served(t *testing.T, name string, crd *apiextensionsv1.CustomResourceDefinition) (established bool) {
	t.Helper()
	for _, c := range crd.Status.Conditions {
		switch {
		case c.Type == apiextensionsv1.NonStructuralSchema && c.Status == apiextensionsv1.ConditionTrue,
			c.Type == apiextensionsv1.NamesAccepted && c.Status == apiextensionsv1.ConditionFalse:
			t.Fatalf("%s: %s: %s", name, c.Type, c.Message)
		case c.Type == apiextensionsv1.Established:
			established = c.Status == apiextensionsv1.ConditionTrue
		}
	}
	return established
}

// The server keeps nothing, and is as strict as kubectl makes it.
const dryRun = "?dryRun=All&fieldValidation=Strict"

// create returns the object as the server would keep it, or why it refuses it.
func (r *realServer) create(t *testing.T, object manifest) (admitted manifest, refused *metav1.Status) {
	t.Helper()
	code, answer := r.Call(http.MethodPost, r.path(t, object)+dryRun, object)
	if code == http.StatusCreated {
		parse(t, answer, &admitted)
		return admitted, nil
	}
	refused = &metav1.Status{}
	parse(t, answer, refused)
	return nil, refused
}

// update creates the old object and returns why the server refuses to make
// object of it, or nil.
func (r *realServer) update(t *testing.T, old, object manifest) *metav1.Status {
	t.Helper()
	code, answer := r.Call(http.MethodPost, r.path(t, old), old)
	if code != http.StatusCreated {
		t.Fatalf("create it as it was: %s", answer)
	}
	var created manifest
	parse(t, answer, &created)
	self := r.path(t, old) + "/" + created["metadata"].(manifest)["name"].(string)
	defer r.Call(http.MethodDelete, self, nil)

	created["spec"] = object["spec"] // with the name and the version that it has
	code, answer = r.Call(http.MethodPut, self+dryRun, created)
	if code == http.StatusOK {
		return nil
	}
	refused := &metav1.Status{}
	parse(t, answer, refused)
	return refused
}

func (r *realServer) path(t *testing.T, object manifest) string {
	t.Helper()
	path, ok := r.paths[fmt.Sprint(object["kind"])]
	if !ok {
		t.Fatalf("no CRD for the kind %v", object["kind"])
	}
	return path
}

// says reports whether the server names the field with that part of a message:
// "<field>: <part>", or "<part>" for the object as a whole.
func says(refused *metav1.Status, expect string) bool {
	path, part, ok := strings.Cut(expect, ": ")
	if !ok {
		path, part = "<nil>", expect
	}
	if refused.Details == nil || len(refused.Details.Causes) == 0 {
		// Unknown fields are found before validation, and are one text.
		return strings.Contains(refused.Message, fmt.Sprintf("%s %q", part, path))
	}
	for _, cause := range refused.Details.Causes {
		if cause.Field == path && strings.Contains(cause.Message, part) {
			return true
		}
	}
	return false
}

// parse decodes JSON, whole numbers as int64.
func parse(t *testing.T, content []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", content, err)
	}
}
