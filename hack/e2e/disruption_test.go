package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
)

var _ = Describe("A function", func() {
	It("loses nothing when a manager is killed again and again while it changes", func() {
		const eventType = "killing/tested"
		sender, redis := newSender(), openStore(home)
		key := apply(home, "killing", flowing(eventType, "runner: {replicas: 2}"))
		becomesReady(key)
		flow := startFlow(sender, redis, key, eventType, 100)
		for change := range 5 {
			apply(home, key.Name, flowing(eventType, fmt.Sprintf("runner: {replicas: %d}\ntimeout: %dm", 1+change%2, change+5)))
			// At another point of the reconcile each time.
			time.Sleep(time.Duration(change) * 15 * time.Millisecond)
			killPods(home, managerPods)
		}
		Eventually(state(key, v1alpha1.ConditionReady), time.Minute).Should(Equal("True/Ready"))
		d := deploymentOf(key)
		Expect(d.Status.UpdatedReplicas).To(Equal(int32(1)))
		flow.end(time.Minute)
		late := flow.lateness()
		report("managers killed", late)
		Expect(late[len(late)-1]).To(BeNumerically("<=", time.Second), "runners need no manager")
	})

	It("loses nothing when a node is lost, and is well again when its pods are elsewhere", Label("node"), func() {
		if set.stopNode == none {
			Skip("E2E_STOP_NODE=none: no node may be killed here")
		}
		const eventType = "node/lost"
		sender, redis := newSender(), openStore(home)
		key := apply(home, "node-lost", flowing(eventType, "runner: {replicas: 2}"))
		becomesReady(key)
		nodes := map[string]bool{}
		for _, pod := range runners(key) {
			nodes[pod.Spec.NodeName] = true
		}
		Expect(nodes).To(HaveLen(2), "runners are spread over the nodes")
		lost := ""
		for name := range nodes {
			lost = max(lost, name)
		}
		Expect(lost).NotTo(Equal(firstNode()), "Redis is there")

		flow := startFlow(sender, redis, key, eventType, 50)
		time.Sleep(5 * time.Second)
		back := sync.OnceFunc(func() { onNode(set.startNode, lost) })
		DeferCleanup(back)
		onNode(set.stopNode, lost)
		down := time.Now()
		Eventually(state(key, v1alpha1.ConditionRunnersAvailable), 90*time.Second).Should(HavePrefix("False/"))
		AddReportEntry("a lost node shows", time.Since(down).Round(time.Second).String())
		Eventually(state(key, v1alpha1.ConditionReady), 7*time.Minute).Should(Equal("True/Ready"))
		AddReportEntry("Ready again on the other node", time.Since(down).Round(time.Second).String())
		flow.end(time.Minute)
		report("a node lost", flow.lateness())

		back()
		Eventually(func() corev1.ConditionStatus { return nodeReady(lost) }, 2*time.Minute).Should(Equal(corev1.ConditionTrue))
		Eventually(state(key, v1alpha1.ConditionReady), 2*time.Minute).Should(Equal("True/Ready"))
	})
})

// killPods ends pods at once, with SIGKILL, and does not wait.
func killPods(namespace string, labels client.MatchingLabels) {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(kube.List(ctx, &pods, client.InNamespace(namespace), labels)).To(Succeed())
	Expect(pods.Items).NotTo(BeEmpty())
	for i := range pods.Items {
		Expect(client.IgnoreNotFound(kube.Delete(ctx, &pods.Items[i], client.GracePeriodSeconds(0)))).To(Succeed())
	}
}

// onNode runs a command of the settings.
func onNode(command, node string) {
	GinkgoHelper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Env = append(os.Environ(), "NODE="+node)
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s with NODE=%s: %s", command, node, out)
}

func nodeReady(name string) corev1.ConditionStatus {
	var node corev1.Node
	if err := kube.Get(ctx, client.ObjectKey{Name: name}, &node); err != nil {
		return corev1.ConditionUnknown
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return corev1.ConditionUnknown
}
