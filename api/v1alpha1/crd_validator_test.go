package v1alpha1_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// crdFolder holds what controller-gen made of this package.
const crdFolder = "../../config/crd"

// manifest is an object as the API server sees it.
type manifest = map[string]any

// apiServer does with a custom resource what an API server does, with the
// API server's own code and the generated CRDs.
type apiServer map[string]*kind

// kind is one custom resource definition, ready for use.
type kind struct {
	name    string
	schema  *schema.Structural
	openAPI validation.SchemaValidator
	rules   *cel.Validator
}

// newAPIServer reads the CRDs; it fails the test when an API server would
// refuse one: bad schema, a rule that does not compile or may cost too much.
func newAPIServer(t *testing.T) apiServer {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(crdFolder, "wildout.dev_*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no CRDs in %s (error %v): run make generate", crdFolder, err)
	}
	server := apiServer{}
	for _, path := range paths {
		crd, err := readCRD(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		k, err := newKind(crd)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		server[k.name] = k
	}
	return server
}

func readCRD(path string) (*apiextensions.CustomResourceDefinition, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(content, crd); err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	scheme.Default(crd)
	crd.Status.StoredVersions = []string{crd.Spec.Versions[0].Name} // the API server sets it
	internal := &apiextensions.CustomResourceDefinition{}
	if err := scheme.Convert(crd, internal, nil); err != nil {
		return nil, err
	}
	return internal, crdvalidation.ValidateCustomResourceDefinition(context.Background(), internal).ToAggregate()
}

func newKind(crd *apiextensions.CustomResourceDefinition) (*kind, error) {
	props, err := apiextensions.GetSchemaForVersion(crd, crd.Spec.Versions[0].Name)
	if err != nil {
		return nil, err
	}
	structural, err := schema.NewStructural(props.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	openAPI, _, err := validation.NewSchemaValidator(props.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
	if rules == nil {
		return nil, errors.New("it has no CEL rules")
	}
	return &kind{crd.Spec.Names.Kind, structural, openAPI, rules}, nil
}

// admit fills in the defaults of obj, as the API server does in place, and
// says what is wrong with it. Old is the object before an update, or nil.
func (s apiServer) admit(obj, old manifest) field.ErrorList {
	name := fmt.Sprint(obj["kind"])
	k, ok := s[name]
	if !ok {
		return field.ErrorList{field.NotSupported(field.NewPath("kind"), name, []string{"WildoutFunction", "WildoutEventType"})}
	}
	errs := k.unknownFields(obj)
	defaulting.PruneNonNullableNullsWithoutDefaults(obj, k.schema)
	defaulting.Default(obj, k.schema)
	if old == nil {
		errs = append(errs, validation.ValidateCustomResource(nil, obj, k.openAPI)...)
	} else {
		errs = append(errs, validation.ValidateCustomResourceUpdate(nil, obj, old, k.openAPI)...)
	}
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, k.schema, obj)...)
	var oldObject any // a typed nil would count as an old object
	if old != nil {
		oldObject = old
	}
	broken, _ := k.rules.Validate(context.Background(), nil, k.schema, obj, oldObject, celconfig.RuntimeCELCostBudget)
	return append(errs, broken...)
}

// unknownFields removes what the schema does not know: kubectl's strict
// validation makes errors of them.
func (k *kind) unknownFields(obj manifest) (errs field.ErrorList) {
	options := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(obj, k.schema, true, options) {
		errs = append(errs, field.Invalid(field.NewPath(path), nil, "unknown field"))
	}
	return errs
}
