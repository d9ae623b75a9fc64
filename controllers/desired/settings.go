package desired

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/wildout/wildout/api/v1alpha1"
)

// Settings are what whoever installs the operator decides for the runners of all
// functions.
type Settings struct {
	// PullPolicy is when the standard image is pulled; "": as Kubernetes does.
	PullPolicy corev1.PullPolicy
	// PullSecrets are names of Secrets for pulling images, in the namespaces of
	// the functions.
	PullSecrets []string
	// User is whom runners run as; 0: the cluster says it.
	User int64
	// LinkLocal: runners may connect to link-local addresses, where clouds give
	// credentials to whoever asks.
	LinkLocal bool
	// Metadata are the annotations and labels that spec.runner may give its
	// pods, beside names without a domain: whole names, or domains with a / at
	// their end; * is all. nil: DefaultMetadata.
	Metadata []string
	// CSIDrivers are the drivers of inline volumes that spec.runner may name.
	CSIDrivers []string
}

// DefaultMetadata are annotations and labels that change nothing about what a
// pod may do. Others do: they switch AppArmor off, have containers, Secrets or
// tokens of a cloud put in.
var DefaultMetadata = []string{
	"app.kubernetes.io/", "prometheus.io/", "cluster-autoscaler.kubernetes.io/", "karpenter.sh/", "descheduler.alpha.kubernetes.io/",
	"kubectl.kubernetes.io/restartedAt", "argocd.argoproj.io/",
}

// Validate reports what is wrong.
func (s *Settings) Validate() error {
	switch s.PullPolicy {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		return fmt.Errorf("the pull policy of runners is %q, want Always, IfNotPresent or Never", s.PullPolicy)
	}
	if s.User < 0 {
		return fmt.Errorf("the user of runners is %d, and must be more than 0, or 0 for the cluster to choose", s.User)
	}
	return nil
}

// metadataFault says which annotation or label a pod must not have.
func (s *Settings) metadataFault(r *v1alpha1.Runner) error {
	for _, field := range []struct {
		path string
		of   map[string]string
	}{{"spec.runner.podAnnotations", r.PodAnnotations}, {"spec.runner.podLabels", r.PodLabels}} {
		for _, name := range slices.Sorted(maps.Keys(field.of)) {
			if !s.permits(name) {
				return &FieldError{fmt.Sprintf("%s[%s]", field.path, name), errors.New("the operator does not let runners have it, as it may change what a pod is allowed:" +
					" leave it out, or let whoever installed the operator add it to --runner-metadata (manager.runnerMetadata of the chart)")}
			}
		}
	}
	return nil
}

func (s *Settings) permits(name string) bool {
	domain, _, qualified := strings.Cut(name, "/")
	if !qualified {
		return true
	}
	permitted := s.Metadata
	if permitted == nil {
		permitted = DefaultMetadata
	}
	return slices.ContainsFunc(permitted, func(p string) bool { return p == "*" || p == name || p == domain+"/" })
}

// pullSecrets are those of the operator and of the function, each once.
func (s *Settings) pullSecrets(r *v1alpha1.Runner) []string {
	names := slices.Clone(s.PullSecrets)
	for _, secret := range r.ImagePullSecrets {
		names = append(names, secret.Name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	return slices.Compact(names)
}
