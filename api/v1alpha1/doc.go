// Package v1alpha1 holds the custom resources of wildout: what a user writes
// (WildoutFunction, WildoutEventType), its defaults and the rules that an API
// server can check by itself. It knows neither Redis nor a cluster client, so
// that a runner, the CLI and the operator can all read a manifest the same way.
//
// +kubebuilder:object:generate=true
// +groupName=wildout.dev
package v1alpha1
