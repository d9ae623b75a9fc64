package e2e_test

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// What people do with a cluster while it works: they drain nodes, upgrade the
// operator and take that back, delete a function and apply it again.
var _ = Describe("The upkeep of a cluster", func() {
	It("drains a node whose only runner is not ready, as Redis is away", func() {
		const space = home + "-drain"
		makeNamespace(space)
		DeferCleanup(removeNamespace, space)
		redis := startRedis(space)
		key := apply(space, "drained", plain)
		becomesReady(key)
		redis.scale(0)
		Eventually(func() int32 { return deploymentOf(key).Status.ReadyReplicas }, time.Minute).Should(BeZero())
		pod := runners(key)[0]
		began := time.Now()
		eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: space}}
		Expect(kube.SubResource("eviction").Create(ctx, &pod, eviction)).To(Succeed())
		Eventually(func() bool {
			for _, there := range runners(key) {
				if there.UID == pod.UID {
					return false
				}
			}
			return true
		}, 2*time.Minute).Should(BeTrue())
		AddReportEntry("a runner that was not ready left its node", time.Since(began).Round(time.Second).String())
		redis.scale(1)
		Eventually(state(key, v1alpha1.ConditionReady), time.Minute).Should(Equal("True/Ready"))
	})

	It("upgrades the operator under many functions, some runners at a time, and takes it back", func() {
		functions, err := strconv.Atoi(cmp.Or(os.Getenv("E2E_FUNCTIONS"), "12"))
		Expect(err).NotTo(HaveOccurred(), "E2E_FUNCTIONS")
		const (
			most      = 3
			eventType = "upkeep/tested"
		)
		helm(append([]string{"upgrade"}, chart("--set", fmt.Sprint("manager.maxRollouts=", most))...)...)
		sender, redis := newSender(), openStore(home)
		flowing := apply(home, "upkeep", flowing(eventType, "runner: {resources: {requests: {cpu: 1m, memory: 16Mi}}}"))
		keys := []client.ObjectKey{flowing}
		for i := range functions - 1 {
			keys = append(keys, apply(home, fmt.Sprint("upkeep-", i), plain+"\nrunner: {resources: {requests: {cpu: 1m, memory: 16Mi}}}"))
		}
		DeferCleanup(func() {
			for _, key := range keys {
				remove(key)
			}
		})
		for _, key := range keys {
			Eventually(state(key, v1alpha1.ConditionReady), 5*time.Minute).Should(Equal("True/Ready"))
		}
		flow := startFlow(sender, redis, flowing, eventType, 20)
		replaced("an upgrade", keys, most, 65531, func() { // they run as another user: all pods are new ones
			helm(append([]string{"upgrade"}, chart("--set", fmt.Sprint("manager.maxRollouts=", most), "--set", "pods.user=65531")...)...)
		})
		replaced("a rollback", keys, most, 65532, func() { helm("rollback", release, "--wait", "--timeout", "3m") })
		flow.end(time.Minute)
		report("an upgrade of the operator, and back", flow.lateness())
	})

	It("runs each event once that came after a function was deleted and applied again", func() {
		const eventType = "again/tested"
		sender, redis := newSender(), openStore(home)
		key := apply(home, "again", flowing(eventType, ""))
		becomesReady(key)
		for i := range 10 {
			sender.send(eventType, fmt.Sprintf("again-first-%d-%d", GinkgoRandomSeed(), i), map[string]any{})
		}
		read := inspect.New(redis)
		succeeded := func() int64 {
			st, err := read.Stats(ctx, key.Name, []string{eventType})
			Expect(err).NotTo(HaveOccurred())
			return st.Succeeded
		}
		Eventually(succeeded).Should(Equal(int64(10)))
		remove(key)
		key = apply(home, "again", flowing(eventType, ""))
		becomesReady(key)
		ids := map[string]int{}
		for i := range 10 {
			id := fmt.Sprintf("again-second-%d-%d", GinkgoRandomSeed(), i)
			ids[id] = 0
			sender.send(eventType, id, map[string]any{})
		}
		Eventually(func() map[string]int {
			history, err := read.History(ctx, key.Name, 1000)
			Expect(err).NotTo(HaveOccurred())
			for id := range ids {
				ids[id] = 0
			}
			for _, r := range history {
				if _, ours := ids[r.EventID]; ours {
					ids[r.EventID]++
				}
			}
			return ids
		}).Should(HaveEach(1))
		remove(key)
	})
})

// replaced makes a change that gives all functions new runners, of a user, and
// sees how many get them at once.
func replaced(what string, keys []client.ObjectKey, most int, user int64, change func()) {
	GinkgoHelper()
	stop := make(chan struct{})
	var watching sync.WaitGroup
	atOnce := 0
	watching.Go(func() {
		defer GinkgoRecover()
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				atOnce = max(atOnce, underWay(user))
			}
		}
	})
	began := time.Now()
	change()
	for _, key := range keys {
		Eventually(func() bool { d := deploymentOf(key); return hasUser(d, user) && isComplete(d) }, 10*time.Minute).Should(BeTrue(), key.Name)
		Eventually(state(key, v1alpha1.ConditionReady), time.Minute).Should(Equal("True/Ready"))
	}
	close(stop)
	watching.Wait()
	AddReportEntry(what, fmt.Sprintf("%d functions had new runners after %s, %d at once at most", len(keys), time.Since(began).Round(time.Second), atOnce))
	Expect(atOnce).To(And(BeNumerically("<=", most), BeNumerically(">", 0)))
}

// underWay counts the functions with new runners that are not all there.
func underWay(user int64) (n int) {
	var all appsv1.DeploymentList
	Expect(kube.List(ctx, &all, client.InNamespace(home), client.MatchingLabels{"app.kubernetes.io/name": "wildout-runner"})).To(Succeed())
	for i := range all.Items {
		if hasUser(&all.Items[i], user) && !isComplete(&all.Items[i]) {
			n++
		}
	}
	return n
}

func hasUser(d *appsv1.Deployment, user int64) bool {
	s := d.Spec.Template.Spec.SecurityContext
	return s != nil && s.RunAsUser != nil && *s.RunAsUser == user
}

func isComplete(d *appsv1.Deployment) bool {
	s, n := &d.Status, *d.Spec.Replicas
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas >= n
}
