package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WildoutEventType declares an event type: the schema of its data and how long
// its events are kept.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=wevt,categories=wildout
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Events",type=integer,JSONPath=`.status.stream.length`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Subscribers",type=string,JSONPath=`.status.subscribers`,priority=1
// +kubebuilder:printcolumn:name="Oldest",type=date,JSONPath=`.status.stream.oldest`,priority=1
// +kubebuilder:selectablefield:JSONPath=`.spec.type`
type WildoutEventType struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What the events of this type look like.
	// +required
	Spec WildoutEventTypeSpec `json:"spec"`

	// What the operator made of it. Nobody else writes here.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status WildoutEventTypeStatus `json:"status,omitzero"`
}

// WildoutEventTypeList is a list of event types.
//
// +kubebuilder:object:root=true
type WildoutEventTypeList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []WildoutEventType `json:"items"`
}

// WildoutEventTypeSpec describes an event type.
type WildoutEventTypeSpec struct {
	// The name that events carry, such as user/registered. It cannot change.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cannot change: create another WildoutEventType"
	Type EventTypeName `json:"type"`

	// One sentence for the people who read it later.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// A JSON Schema (2020-12) of the data. Left out: any JSON object.
	// +optional
	// +kubebuilder:validation:Type=object
	Schema *JSON `json:"schema,omitempty"`

	// How long events are kept. What a function has not finished with is
	// never removed, whatever the limits say.
	// +optional
	// +kubebuilder:default={period: "72h"}
	Retention *Retention `json:"retention,omitempty"`

	// The Redis that holds the stream.
	// +optional
	Redis *Redis `json:"redis,omitempty"`
}

// Retention bounds how long events are kept.
type Retention struct {
	// By age.
	// +optional
	// +kubebuilder:default="72h"
	Period Duration `json:"period,omitempty"`

	// By size, in bytes, such as 1Gi or 500M. Left out: no limit.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$`
	// +kubebuilder:validation:XValidation:rule="self.matches('[1-9]')",message="must be more than 0"
	MaxBytes string `json:"maxBytes,omitempty"`
}
