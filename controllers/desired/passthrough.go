package desired

import (
	"bytes"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/wildout/wildout/api/v1alpha1"
)

// FieldError is a fault of a field that holds an object of Kubernetes.
type FieldError struct {
	Path string // such as spec.runner.tolerations[0]
	Err  error
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: %v", e.Path, e.Err)
}

func (e *FieldError) Unwrap() error { return e.Err }

// passThrough adds what spec.runner says to the pod and its container.
func passThrough(in *Input, pod *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) error {
	r := in.Function.Spec.Runner
	if r == nil {
		r = &v1alpha1.Runner{}
	}
	container.WithResources(resources(r.Resources))
	if err := environment(r, container); err != nil {
		return err
	}
	if err := volumes(in.Settings, r, pod, container); err != nil {
		return err
	}
	if len(r.NodeSelector) > 0 {
		pod.WithNodeSelector(r.NodeSelector)
	}
	for _, name := range in.Settings.pullSecrets(r) {
		pod.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(name))
	}
	if r.Affinity != nil {
		affinity, err := read[corev1ac.AffinityApplyConfiguration]("spec.runner.affinity", *r.Affinity)
		if err != nil {
			return err
		}
		pod.WithAffinity(affinity)
	}
	for i, object := range r.Tolerations {
		toleration, err := read[corev1ac.TolerationApplyConfiguration](fmt.Sprintf("spec.runner.tolerations[%d]", i), object)
		if err != nil {
			return err
		}
		pod.WithTolerations(toleration)
	}
	return spread(in.Function.Name, r, pod)
}

// environment adds the variables of the function's author.
func environment(r *v1alpha1.Runner, container *corev1ac.ContainerApplyConfiguration) error {
	for i, v := range r.Env {
		variable := corev1ac.EnvVar().WithName(v.Name)
		if v.ValueFrom == nil {
			container.WithEnv(variable.WithValue(v.Value))
			continue
		}
		from, err := read[corev1ac.EnvVarSourceApplyConfiguration](fmt.Sprintf("spec.runner.env[%d].valueFrom", i), *v.ValueFrom)
		if err != nil {
			return err
		}
		container.WithEnv(variable.WithValueFrom(from))
	}
	for i, object := range r.EnvFrom {
		from, err := read[corev1ac.EnvFromSourceApplyConfiguration](fmt.Sprintf("spec.runner.envFrom[%d]", i), object)
		if err != nil {
			return err
		}
		container.WithEnvFrom(from)
	}
	return nil
}

// spread passes on how the runners of a function are kept apart. Left out it is
// for the scheduler, which spreads pods over nodes and zones by itself; a
// constraint of ours that named zones would do nothing at all where nodes have
// none (kubernetes/kubernetes: nodes without every key are left out of scoring).
func spread(function string, r *v1alpha1.Runner, pod *corev1ac.PodSpecApplyConfiguration) error {
	selector := metav1ac.LabelSelector().WithMatchLabels(Selector(function))
	for i, object := range r.TopologySpreadConstraints {
		constraint, err := read[corev1ac.TopologySpreadConstraintApplyConfiguration](fmt.Sprintf("spec.runner.topologySpreadConstraints[%d]", i), object)
		if err != nil {
			return err
		}
		if constraint.LabelSelector == nil { // it would count no pod at all
			constraint.LabelSelector = selector
		}
		pod.WithTopologySpreadConstraints(constraint)
	}
	return nil
}

// resources are what the author asks for, or what a runner needs by itself.
func resources(r *v1alpha1.Resources) *corev1ac.ResourceRequirementsApplyConfiguration {
	if r == nil {
		return corev1ac.ResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")}).
			WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")})
	}
	all := corev1ac.ResourceRequirements()
	if len(r.Requests) > 0 {
		all.WithRequests(amounts(r.Requests))
	}
	if len(r.Limits) > 0 {
		all.WithLimits(amounts(r.Limits))
	}
	return all
}

func amounts(of map[string]resource.Quantity) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, quantity := range of {
		list[corev1.ResourceName(name)] = quantity
	}
	return list
}

// read reads an object of Kubernetes strictly: what is misspelled is not lost.
func read[T any](path string, object v1alpha1.Object) (*T, error) {
	into := new(T)
	decoder := json.NewDecoder(bytes.NewReader(object.Raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return nil, &FieldError{path, fmt.Errorf("%w: write it as in the spec of a pod", err)}
	}
	return into, nil
}
