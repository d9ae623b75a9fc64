package controllers_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers"
)

// cluster does what the Deployment controller does, slowly, and sees how many
// Deployments have new runners that are not ready yet.
type cluster struct {
	space, image string // of the runners after the update

	mu sync.Mutex
	// done are those with the new runners; atOnce is the most that were under way.
	done, atOnce int
	// stuck are never ready.
	stuck map[string]bool
}

func (c *cluster) run(ctx context.Context) {
	defer GinkgoRecover()
	for ctx.Err() == nil {
		c.step()
		time.Sleep(50 * time.Millisecond)
	}
}

// step completes three Deployments of those that are under way.
func (c *cluster) step() {
	var all appsv1.DeploymentList
	Expect(admin.List(ctx, &all, client.InNamespace(c.space))).To(Succeed())
	var under []*appsv1.Deployment
	done, starting := 0, 0
	for i := range all.Items {
		d := &all.Items[i]
		n, s := *d.Spec.Replicas, d.Status
		isNew := d.Spec.Template.Spec.Containers[0].Image == c.image
		switch complete := s.ObservedGeneration == d.Generation && s.AvailableReplicas == n && s.UpdatedReplicas == n; {
		case complete && isNew:
			done++
		case !complete:
			under = append(under, d)
			if n > 0 { // the last one ends where it is 0
				starting++
			}
		}
	}
	c.mu.Lock()
	c.done, c.atOnce = done, max(c.atOnce, starting)
	stuck := c.stuck
	c.mu.Unlock()
	finished := 0
	for _, d := range under {
		if stuck[d.Name] || finished == 3 {
			continue
		}
		finished++
		n := *d.Spec.Replicas
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
			Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable"}}}
		_ = admin.Status().Update(ctx, d) // a conflict: the next time
	}
}

func (c *cluster) look() (done, atOnce int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done, c.atOnce
}

// startCluster looks after the Deployments of a namespace until it is stopped,
// or the test ends.
func startCluster(c *cluster) (stop func()) {
	run, cancel := context.WithCancel(ctx)
	var loop sync.WaitGroup
	loop.Go(func() { c.run(run) })
	stop = func() { cancel(); loop.Wait() }
	DeferCleanup(stop)
	return stop
}

var _ = Describe("An update of the operator", Serial, func() {
	const (
		functions = 200
		most      = 5
	)
	It("replaces the runners of some functions at a time, also where it is itself replaced meanwhile", func() {
		space := newSpace(shared.URL())
		before := &cluster{space: space, image: runnerImage}
		stop := startCluster(before)
		names := make([]string, functions)
		for i := range names {
			names[i] = fmt.Sprint("f", i)
			spec := simple("a/b")
			switch i % 10 {
			case 0:
				spec += "runner: {replicas: 3}"
			case 1: // none, and one is started to see
				spec += "runner: {scaling: {min: 0, max: 3, stabilizationWindow: 1s}}"
			}
			create(space, names[i], spec)
		}
		for _, name := range names {
			Eventually(cond(space, name, "Ready"), 2*time.Minute).Should(HavePrefix("True/"))
		}
		stop()

		after := &cluster{space: space, image: "wildout.test/runner:2", stuck: map[string]bool{"f7-runner": true}}
		newer := func(o *controllers.Options) { o.RunnerImage, o.MaxRollouts = after.image, most }
		theOne.stop()
		DeferCleanup(func() { restart() })
		theOne = startOperator(newer)
		startCluster(after)
		updated := func() int { done, _ := after.look(); return done }
		Eventually(updated, 2*time.Minute).Should(BeNumerically(">", functions/3))
		theOne.stop() // in the middle of it
		theOne = startOperator(newer)
		Eventually(updated, 4*time.Minute).Should(BeNumerically(">=", functions-1))
		Expect(cond(space, "f7", "Ready")()).To(is("False", "RollingOut"))
		_, atOnce := after.look()
		AddReportEntry("Deployments under way at once", atOnce)
		Expect(atOnce).To(BeNumerically("<=", most))
		Expect(atOnce).To(BeNumerically(">", 1))
		after.mu.Lock()
		after.stuck = nil
		after.mu.Unlock()
		Eventually(updated, time.Minute).Should(Equal(functions))
		for _, name := range names {
			Eventually(cond(space, name, "Ready"), time.Minute).Should(HavePrefix("True/"))
		}
	})

	It("lets what a person changes wait for nobody", func() {
		space := newSpace(shared.URL())
		ready(space, "busy", simple("a/b"))
		ready(space, "f", simple("a/b"))
		theOne.stop()
		DeferCleanup(func() { restart() })
		theOne = startOperator(func(o *controllers.Options) { o.RunnerImage, o.MaxRollouts = "wildout.test/runner:3", 1 })
		images := func() (all []string) {
			for _, name := range []string{"busy", "f"} {
				all = append(all, deployment(space, name).Spec.Template.Spec.Containers[0].Image)
			}
			return all
		}
		Eventually(images, starts).Should(ContainElement("wildout.test/runner:3"))
		Consistently(images, "2s").Should(ContainElement(runnerImage))
		waiting := "f"
		if images()[1] != runnerImage {
			waiting = "busy"
		}
		Eventually(cond(space, waiting, "Ready")).Should(is("True", "Ready", "when it is their turn"))
		edit(space, waiting, func(s *v1alpha1.WildoutFunctionSpec) { s.Steps[0].Handler = "log.other" })
		Eventually(images).ShouldNot(ContainElement(runnerImage))
	})
})
