package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/wildout/wildout/api/v1alpha1"
)

func waiting(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "runner", Image: runnerImage, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

// crashed is a container that ended and is about to be started again.
func crashed(reason string, code int32, message string) corev1.ContainerStatus {
	s := waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container")
	s.RestartCount = 3
	s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}
	return s
}

var _ = Describe("The condition RunnersAvailable", func() {
	DescribeTable("tells what the pods are stuck on, and clears",
		func(container corev1.ContainerStatus, reason string, words ...string) {
			space := newSpace(shared.URL())
			ready(space, "f", simple("a/b"))
			pod := addPod(space, "f", corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{container}})
			Eventually(cond(space, "f", "Ready")).Should(is("False", reason, words...))
			Expect(cond(space, "f", "RunnersAvailable")()).To(is("False", reason, words...))
			Expect(cond(space, "f", "Stalled")()).To(is("True", reason))
			Eventually(notes(space, "f")).Should(ContainElement(HavePrefix(reason + ": ")))
			removePod(pod)
			Eventually(cond(space, "f", "Ready")).Should(is("True", "Ready"))
		},
		Entry("a bad image", waiting("ImagePullBackOff", `Back-off pulling image "wildout.test/runner:1"`), "ImagePullFailed", "spec.runner.image", runnerImage),
		Entry("a missing Secret", waiting("CreateContainerConfigError", `secret "orders-database" not found`), "ConfigNotFound", `secret "orders-database" not found`),
		Entry("an unknown handler", crashed("Error", v1alpha1.ExitUnknownHandler, "function f cannot run:\nspec.steps[0].handler: the runner has no handler \"log.wirte\": correct the name, or use a runner image that registers it"),
			"UnknownHandler", "log.wirte", "spec.steps[0].handler"),
		Entry("settings that are missing", crashed("Error", v1alpha1.ExitBadSettings, "function f cannot run:\nthe handler email.send needs an SMTP server (WILDOUT_SMTP_URL)"), "RunnerRefuses", "WILDOUT_SMTP_URL"),
		Entry("a crash loop", crashed("Error", 1, "panic: index out of range"), "CrashLoop", "4 times", "panic: index out of range"),
		Entry("too little memory", crashed("OOMKilled", 137, ""), "OutOfMemory", "resources.limits.memory"),
	)

	It("tells what keeps pods from being made, and clears", func() {
		space := newSpace(shared.URL())
		ready(space, "f", simple("a/b"))
		d := deployment(space, "f")
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota: team"}}
		Expect(admin.Status().Update(ctx, d)).To(Succeed())
		Eventually(cond(space, "f", "Ready")).Should(is("False", "PodsForbidden", "exceeded quota: team"))
		rollOut(space, "f")
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Ready"))
	})

	It("tells that no node takes the runner", func() {
		space := newSpace(shared.URL())
		ready(space, "f", simple("a/b"))
		addPod(space, "f", corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes are available"}}})
		Eventually(cond(space, "f", "Ready")).Should(is("False", "Unschedulable", "0/3 nodes"))
	})

	It("tells what the API server refuses in spec.runner, and clears", func() {
		space := newSpace(shared.URL())
		ready(space, "f", simple("a/b"))
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) {
			s.Runner = &v1alpha1.Runner{Tolerations: []v1alpha1.Object{{Raw: []byte(`{"key": "a", "operator": "Sometimes"}`)}}}
		})
		Eventually(cond(space, "f", "Ready")).Should(is("False", "InvalidRunner", "Sometimes", "tolerations[0].operator"))
		Expect(cond(space, "f", "Accepted")()).To(is("False", "InvalidRunner"))
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) {
			s.Runner.Tolerations[0].Raw = []byte(`{"key": "a", "operater": "Exists"}`)
		})
		Eventually(cond(space, "f", "Ready")).Should(is("False", "InvalidRunner", "operater", "spec.runner.tolerations[0]"))
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) { s.Runner = nil })
		rollOut(space, "f")
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Ready"))
	})
})
