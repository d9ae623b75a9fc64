package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wildout/wildout/api/v1alpha1"
)

// What kubectl drain, and an upgrade of a cluster, do to a pod.
func evict(pod *corev1.Pod) error {
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}}
	return admin.SubResource("eviction").Create(ctx, pod, eviction)
}

var _ = Describe("A drain", func() {
	unready := corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}}
	budget := func(space string) error {
		return admin.Get(ctx, key(space, "f-runner"), &policyv1.PodDisruptionBudget{})
	}

	It("takes runners that are not ready, as all are while Redis is away", func() {
		space := newSpace(shared.URL())
		create(space, "f", simple("a/b")+"runner: {replicas: 3}")
		rollOut(space, "f")
		Eventually(func() error { return budget(space) }).Should(Succeed())
		pod := addPod(space, "f", unready)
		// What the controller of budgets writes where no runner is ready.
		pdb := &policyv1.PodDisruptionBudget{}
		Expect(admin.Get(ctx, key(space, "f-runner"), pdb)).To(Succeed())
		pdb.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: pdb.Generation, ExpectedPods: 3, DesiredHealthy: 2}
		Expect(admin.Status().Update(ctx, pdb)).To(Succeed())
		Expect(evict(pod)).To(Succeed())
		ready := addPod(space, "f", corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}})
		Expect(apierrors.IsTooManyRequests(evict(ready))).To(BeTrue(), "one that works is protected")
	})

	It("finds no budget where there is one runner, also one of an earlier operator", func() {
		space := newSpace(shared.URL())
		create(space, "f", simple("a/b")+"runner: {replicas: 2}")
		Eventually(func() error { return budget(space) }).Should(Succeed())
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) { *s.Runner.Replicas = 1 })
		Eventually(func() bool { return apierrors.IsNotFound(budget(space)) }).Should(BeTrue())
		Expect(evict(addPod(space, "f", unready))).To(Succeed())
	})
})
