package controllers_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers"
)

var _ = Describe("An operator that takes over", Serial, func() {
	var space string
	BeforeEach(func() { space = newSpace(shared.URL()) })

	// policy is the NetworkPolicy of a function, which nothing else shows.
	policy := func(name string) *networkingv1.NetworkPolicy {
		GinkgoHelper()
		p := &networkingv1.NetworkPolicy{}
		Expect(admin.Get(ctx, key(space, name+"-runner"), p)).To(Succeed())
		return p
	}
	types := func(name string) func() []networkingv1.PolicyType {
		return func() []networkingv1.PolicyType { return policy(name).Spec.PolicyTypes }
	}
	// opened lets everything in, and returns what was there before.
	opened := func(name string) []networkingv1.PolicyType {
		GinkgoHelper()
		p := policy(name)
		before := p.Spec.PolicyTypes
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		Expect(admin.Update(ctx, p)).To(Succeed())
		return before
	}
	takeOver := func(window time.Duration, change ...func(*controllers.Options)) {
		GinkgoHelper()
		theOne = startOperator(append(change, func(o *controllers.Options) { o.TakeoverWindow = window })...)
		DeferCleanup(restart)
	}

	It("does first what cannot wait", func() {
		for _, name := range []string{"idle", "woken", "changed", "torn"} {
			asleep(space, name, elastic("stabilizationWindow: 1s"))
		}
		theOne.stop()
		opened("idle")
		publish(open(shared.URL(), space), "a/b", 5)
		consume(space, "idle")
		consume(space, "changed")
		consume(space, "torn")
		edit(space, "changed", func(s *v1alpha1.WildoutFunctionSpec) { s.Steps[0].Handler = "log.other" })
		Expect(admin.Delete(ctx, policy("torn"))).To(Succeed())

		takeOver(time.Hour)
		Eventually(runners(space, "woken"), starts).Should(BeEquivalentTo(1), "it has work")
		Eventually(runners(space, "changed")).Should(BeEquivalentTo(1), "its spec was changed")
		Eventually(func() error { return admin.Get(ctx, key(space, "torn-runner"), &networkingv1.NetworkPolicy{}) }).Should(Succeed(), "a child was missing")
		Consistently(types("idle"), "2s").Should(HaveLen(1), "all that is known of it is as it shall be")
		Expect(cond(space, "idle", "Ready")()).To(is("True", "Ready"))
		publish(open(shared.URL(), space), "a/b", 1)
		Eventually(runners(space, "idle")).Should(BeEquivalentTo(1))
		Eventually(types("idle")).Should(HaveLen(2), "who changes one child applies all")
	})

	It("applies all in its time", func() {
		ready(space, "f", simple("a/b"))
		theOne.stop()
		before := opened("f")
		takeOver(3 * time.Second)
		Eventually(types("f"), starts).Should(Equal(before))
		Expect(cond(space, "f", "Ready")()).To(is("True", "Ready"))
	})

	It("has another runner image", func() {
		ready(space, "f", simple("a/b"))
		theOne.stop()
		takeOver(time.Hour, func(o *controllers.Options) { o.RunnerImage = "wildout.test/runner:2" })
		Eventually(func() string { return deployment(space, "f").Spec.Template.Spec.Containers[0].Image }, starts).Should(Equal("wildout.test/runner:2"))
	})
})
