package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "wildout.dev", Version: "v1alpha1"}

// SchemeBuilder collects the kinds of this package; AddToScheme registers them.
var (
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	AddToScheme   = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&WildoutFunction{}, &WildoutFunctionList{},
		&WildoutEventType{}, &WildoutEventTypeList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
