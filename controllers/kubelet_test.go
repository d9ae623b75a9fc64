package controllers_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// kubelet runs the runners of a function: as processes, as many as the
// Deployment is asked for, with the manifest that its pods mount.
type kubelet struct {
	space, name, program, dir string
	running                   []*process
}

// process is a runner.
type process struct {
	cmd  *exec.Cmd
	addr string
}

// startKubelet looks after the runners of a function until the test ends.
func startKubelet(space, name string) {
	GinkgoHelper()
	k := &kubelet{space: space, name: name, dir: GinkgoT().TempDir()}
	k.program = filepath.Join(k.dir, "runner")
	output, err := exec.Command("go", "build", "-o", k.program, "../cmd/runner").CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(output))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(stopped)
		for {
			select {
			case <-stop:
				k.scale(0)
				return
			case <-time.After(20 * time.Millisecond):
				k.sync()
			}
		}
	}()
	DeferCleanup(func() { close(stop); <-stopped })
}

// sync does what the Deployment controller and a node do.
func (k *kubelet) sync() {
	d := deployment(k.space, k.name)
	if d == nil {
		return
	}
	var manifest corev1.ConfigMap
	Expect(admin.Get(ctx, key(k.space, d.Spec.Template.Annotations["wildout.dev/manifest"]), &manifest)).To(Succeed())
	file := filepath.Join(k.dir, "function.yaml")
	Expect(os.WriteFile(file+".new", []byte(manifest.Data["function.yaml"]), 0o600)).To(Succeed())
	Expect(os.Rename(file+".new", file)).To(Succeed()) // a runner that starts now reads all of one
	k.scale(int(*d.Spec.Replicas))
	status := appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: int32(len(k.running)), UpdatedReplicas: int32(len(k.running))}
	for _, p := range k.running {
		if p.isReady() {
			status.ReadyReplicas++
			status.AvailableReplicas++
		}
	}
	if d.Status.ObservedGeneration != status.ObservedGeneration || d.Status.Replicas != status.Replicas || d.Status.AvailableReplicas != status.AvailableReplicas {
		d.Status = status
		_ = admin.Status().Update(ctx, d) // a conflict: the next time
	}
}

func (k *kubelet) scale(n int) {
	for len(k.running) < n {
		p := &process{exec.Command(k.program), fmt.Sprint("127.0.0.1:", servicetest.FreePort(GinkgoTB()))}
		p.cmd.Env = append(os.Environ(), "WILDOUT_NAMESPACE="+k.space, "WILDOUT_MANIFEST="+filepath.Join(k.dir, "function.yaml"),
			"WILDOUT_REDIS_URL="+shared.URL(), "WILDOUT_LISTEN="+p.addr)
		p.cmd.Stderr = logs()
		Expect(p.cmd.Start()).To(Succeed())
		k.running = append(k.running, p)
	}
	for len(k.running) > n {
		p := k.running[len(k.running)-1]
		k.running = k.running[:len(k.running)-1]
		Expect(p.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
		Expect(p.cmd.Wait()).To(Succeed())
	}
}

func (p *process) isReady() bool {
	response, err := http.Get("http://" + p.addr + "/readyz")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

var _ = Describe("A function at zero with real runners", func() {
	It("handles an event, and each cron tick once, and goes to sleep again", func() {
		if until := time.Until(nextAtThree()); until < 2*time.Minute { // before which it is awake
			time.Sleep(until + time.Second)
		}
		space := newSpace(shared.URL())
		redis := open(shared.URL(), space)
		spec := strings.Replace(elastic("stabilizationWindow: 1s"), "{event: a/b}", "{event: a/b}, {cron: 0 3 * * *}", 1)
		create(space, "f", strings.Replace(spec, "handler: log.write", "handler: log.write, with: {message: awake}", 1))
		startKubelet(space, "f")
		succeeded := func() int64 {
			stats, err := inspect.New(redis).Stats(ctx, "f", []string{"a/b"})
			Expect(err).NotTo(HaveOccurred())
			return stats.Succeeded
		}
		sleeps := func() {
			GinkgoHelper()
			Eventually(runners(space, "f"), starts).Should(BeZero())
			Eventually(cond(space, "f", "RunnersAvailable"), starts).Should(is("True", "ScaledToZero"))
			Eventually(func() int32 { return deployment(space, "f").Status.Replicas }, starts).Should(BeZero())
		}
		sleeps()
		Expect(succeeded()).To(BeZero())

		began := time.Now()
		publish(redis, "a/b", 1)
		Eventually(succeeded, starts, "5ms").Should(BeEquivalentTo(1))
		AddReportEntry("from an event to the end of its run", time.Since(began))
		sleeps()

		// Two ticks ago, by the schedule: those that were missed are one run.
		yesterday := strconv.FormatInt(time.Now().Add(-49*time.Hour).UnixMilli(), 10)
		redisCommand(shared, "HSET", redis.Keys().Cron("f"), "TZ=UTC 0 3 * * *", yesterday)
		Eventually(succeeded, starts).Should(BeEquivalentTo(2))
		sleeps()
		Consistently(runners(space, "f"), "1s").Should(BeZero())
		Expect(succeeded()).To(BeEquivalentTo(2))
	})
})
