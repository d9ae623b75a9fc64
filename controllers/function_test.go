package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/store/inspect"
)

var _ = Describe("A function", func() {
	var space string
	BeforeEach(func() { space = newSpace(shared.URL()) })

	It("gets its children, and is ready only once the runners are there", func() {
		create(space, "f", simple("a/b"))
		Eventually(cond(space, "f", "StreamsReady")).Should(is("True", "StreamsReady"))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "RollingOut"))
		Expect(cond(space, "f", "Reconciling")()).To(is("True", "RollingOut"))
		for _, child := range []client.Object{&corev1.ServiceAccount{}, &networkingv1.NetworkPolicy{}} {
			Expect(admin.Get(ctx, key(space, "f-runner"), child)).To(Succeed())
		}
		rollOut(space, "f")
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Ready", "1 of 1 runners are ready"))
		f := get(space, "f")
		Expect(cond(space, "f", "Reconciling")()).To(Equal("none"))
		Expect(cond(space, "f", "Stalled")()).To(Equal("none"))
		Expect(f.Status.ObservedGeneration).To(Equal(f.Generation))
		Expect(f.Status.Image).To(Equal(runnerImage))
		Expect(f.Status.Triggers).To(Equal("a/b"))
		Expect(f.Status.Version).NotTo(BeEmpty())
		Expect(f.Status.Replicas).To(BeEquivalentTo(1))
	})

	It("says InProgress before the operator has seen it", func() {
		f := create(space, "f", simple("a/b"))
		Expect(f.Status.ObservedGeneration).To(BeEquivalentTo(-1))
	})

	It("has pods that are within the restricted standard", func() {
		ready(space, "f", simple("a/b")) // the namespace enforces it
		addPod(space, "f", corev1.PodStatus{Phase: corev1.PodRunning})
	})

	It("is not ready for a moment of the old runners after a change", func() {
		ready(space, "f", simple("a/b"))
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) { s.Steps[0].Handler = "log.other" })
		generation := get(space, "f").Generation
		Eventually(func() int64 { return get(space, "f").Status.ObservedGeneration }).Should(Equal(generation))
		Consistently(cond(space, "f", "Ready"), "1s").Should(is("False", "RollingOut"))
		rollOut(space, "f")
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Ready"))
	})

	It("keeps an earlier manifest while a pod was made for it", func() {
		ready(space, "f", simple("a/b"))
		old := addPod(space, "f", corev1.PodStatus{Phase: corev1.PodRunning})
		manifests := func() int {
			var list corev1.ConfigMapList
			Expect(admin.List(ctx, &list, client.InNamespace(space), client.MatchingLabels{v1alpha1.LabelFunction: "f"})).To(Succeed())
			return len(list.Items)
		}
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) { s.Steps[0].Handler = "log.other" })
		Eventually(manifests).Should(Equal(2))
		rollOut(space, "f")
		Consistently(manifests, "1s").Should(Equal(2))
		removePod(old)
		Eventually(manifests).Should(Equal(1))
	})

	It("has no runners while it is suspended, and its groups stay", func() {
		ready(space, "f", simple("a/b"))
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) { s.Suspend = true })
		Eventually(func() int32 { return *deployment(space, "f").Spec.Replicas }).Should(BeZero())
		rollOut(space, "f")
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Suspended"))
		redis := open(shared.URL(), space)
		groups, err := inspect.New(redis).Groups(ctx, "a/b")
		Expect(err).NotTo(HaveOccurred())
		Expect(groups).To(HaveLen(1))
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) { s.Suspend = false })
		Eventually(func() int32 { return *deployment(space, "f").Spec.Replicas }).Should(BeEquivalentTo(1))
	})

	It("takes nothing over that is not its own", func() {
		foreign := &corev1.ServiceAccount{}
		foreign.Namespace, foreign.Name = space, "f-runner"
		Expect(admin.Create(ctx, foreign)).To(Succeed())
		create(space, "f", simple("a/b"))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "NameTaken", "ServiceAccount f-runner"))
		Expect(admin.Get(ctx, key(space, "f-runner"), foreign)).To(Succeed())
		Expect(foreign.Labels).To(BeEmpty())
	})

	It("repairs what somebody has changed or deleted", func() {
		ready(space, "f", simple("a/b"))
		d := deployment(space, "f")
		five := int32(5)
		d.Spec.Replicas = &five
		Expect(admin.Update(ctx, d)).To(Succeed())
		Eventually(func() int32 { return *deployment(space, "f").Spec.Replicas }).Should(BeEquivalentTo(1))
		Expect(admin.Delete(ctx, deployment(space, "f"))).To(Succeed())
		Eventually(func() any { return deployment(space, "f") }).ShouldNot(BeNil())
	})

	It("uses a ServiceAccount of its author, and drops its own", func() {
		ready(space, "f", simple("a/b"))
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) { s.Runner = &v1alpha1.Runner{ServiceAccountName: "theirs"} })
		Eventually(func() error { return admin.Get(ctx, key(space, "f-runner"), &corev1.ServiceAccount{}) }).ShouldNot(Succeed())
		Expect(deployment(space, "f").Spec.Template.Spec.ServiceAccountName).To(Equal("theirs"))
	})
})
