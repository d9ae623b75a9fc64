package desired

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/wildout/wildout/api/v1alpha1"
)

// account is the ServiceAccount of the runners: a name without any right, and
// no token of it in any pod.
func account(f *v1alpha1.WildoutFunction) *corev1ac.ServiceAccountApplyConfiguration {
	return corev1ac.ServiceAccount(Name(f.Name), f.Namespace).
		WithLabels(labels(f.Name)).WithOwnerReferences(owner(f)).
		WithAutomountServiceAccountToken(false)
}

func serviceAccount(f *v1alpha1.WildoutFunction) string {
	if r := f.Spec.Runner; r != nil && r.ServiceAccountName != "" {
		return r.ServiceAccountName
	}
	return Name(f.Name)
}

// configMapOf holds the manifest. It never changes: another manifest has
// another name, so that a pod of an earlier version that starts again reads
// what it was made for.
func configMapOf(in *Input, name, manifest string) *corev1ac.ConfigMapApplyConfiguration {
	all := labels(in.Function.Name)
	all[v1alpha1.LabelVersion] = in.Version
	return corev1ac.ConfigMap(name, in.Function.Namespace).
		WithLabels(all).WithOwnerReferences(owner(in.Function)).
		WithImmutable(true).WithData(map[string]string{ManifestKey: manifest})
}

// mostRunners is how many runners there may be.
func mostRunners(f *v1alpha1.WildoutFunction) int32 {
	switch r := f.Spec.Runner; {
	case r != nil && r.Scaling != nil:
		return r.Scaling.Max
	case r != nil && r.Replicas != nil:
		return *r.Replicas
	}
	return 1
}

// budget lets nodes be drained one runner of a function at a time: the runs of
// one that leaves go on in the others. Where there is never more than one it
// would protect nothing. A runner that is not ready, as all are while Redis is
// away, never stands in the way of a drain.
func budget(f *v1alpha1.WildoutFunction) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return policyv1ac.PodDisruptionBudget(Name(f.Name), f.Namespace).
		WithLabels(labels(f.Name)).WithOwnerReferences(owner(f)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(f.Name))))
}

// networkPolicy lets nothing in but probes and metrics. Out of a runner goes
// what its handlers need, which only its author knows; what no handler needs
// are the addresses where clouds give credentials to whoever asks, unless the
// operator is set up for handlers that do (linkLocal). Some clusters have their
// DNS there too.
func networkPolicy(f *v1alpha1.WildoutFunction, linkLocal bool) *networkingv1ac.NetworkPolicyApplyConfiguration {
	port := func(protocol corev1.Protocol, number int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
		return networkingv1ac.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt32(number))
	}
	var all []*networkingv1ac.NetworkPolicyPeerApplyConfiguration
	block := func(cidr string, except ...string) *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
		return networkingv1ac.NetworkPolicyPeer().WithIPBlock(networkingv1ac.IPBlock().WithCIDR(cidr).WithExcept(except...))
	}
	if linkLocal {
		all = append(all, block("0.0.0.0/0"), block("::/0"))
	} else {
		all = append(all, block("0.0.0.0/0", "169.254.0.0/16"), block("::/0", "fd00:ec2::254/128", "fe80::/10"))
	}
	return networkingv1ac.NetworkPolicy(Name(f.Name), f.Namespace).
		WithLabels(labels(f.Name)).WithOwnerReferences(owner(f)).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(f.Name))).
			WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
			WithIngress(networkingv1ac.NetworkPolicyIngressRule().WithPorts(port(corev1.ProtocolTCP, listenPort))).
			WithEgress(
				networkingv1ac.NetworkPolicyEgressRule().WithPorts(port(corev1.ProtocolUDP, 53), port(corev1.ProtocolTCP, 53)),
				networkingv1ac.NetworkPolicyEgressRule().WithTo(all...),
			))
}
