package controllers_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
)

// setRedis writes the whole Secret.
func setRedis(space string, data map[string]string) {
	GinkgoHelper()
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = space, "wildout-redis"
	Expect(admin.Delete(ctx, secret)).To(Or(Succeed(), MatchError(ContainSubstring("not found"))))
	secret.StringData = data
	Expect(admin.Create(ctx, secret)).To(Succeed())
}

// runPod does what a kubelet would with a pod of the Deployment: it puts the
// files where the volumes say, below a folder, and starts the standard runner
// with the environment.
func runPod(space, name string) {
	GinkgoHelper()
	root := GinkgoTB().TempDir()
	spec := deployment(space, name).Spec.Template.Spec
	for _, mount := range spec.Containers[0].VolumeMounts {
		folder := filepath.Join(root, mount.MountPath)
		Expect(os.MkdirAll(folder, 0o700)).To(Succeed())
		for _, volume := range spec.Volumes {
			if volume.Name != mount.Name {
				continue
			}
			if volume.ConfigMap != nil {
				config := &corev1.ConfigMap{}
				Expect(admin.Get(ctx, key(space, volume.ConfigMap.Name), config)).To(Succeed())
				for file, text := range config.Data {
					Expect(os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600)).To(Succeed())
				}
			}
			if volume.Secret != nil {
				secret := &corev1.Secret{}
				Expect(admin.Get(ctx, key(space, volume.Secret.SecretName), secret)).To(Succeed())
				for _, item := range volume.Secret.Items {
					Expect(os.WriteFile(filepath.Join(folder, item.Path), secret.Data[item.Key], 0o600)).To(Succeed())
				}
			}
		}
	}
	program := filepath.Join(root, "runner")
	out, err := exec.Command("go", "build", "-o", program, "../cmd/runner").CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	cmd := exec.Command(program)
	cmd.Env = []string{"WILDOUT_TERMINATION_LOG=" + filepath.Join(root, "termination-log")}
	for _, v := range spec.Containers[0].Env {
		value := v.Value
		if strings.HasPrefix(value, "/") {
			value = filepath.Join(root, value)
		}
		if v.Name == "WILDOUT_LISTEN" {
			value = fmt.Sprint("127.0.0.1:", servicetest.FreePort(GinkgoTB()))
		}
		cmd.Env = append(cmd.Env, v.Name+"="+value)
	}
	cmd.Stderr = logs()
	Expect(cmd.Start()).To(Succeed())
	DeferCleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
}

var _ = Describe("A Redis with TLS", func() {
	It("is trusted by the operator and the runners for the ca.crt in the Secret", func() {
		authority := servicetest.NewAuthority(GinkgoTB(), "ours")
		redis := servicetest.StartRedis(GinkgoTB(), servicetest.AppendFsync("everysec"), servicetest.Password("a"), servicetest.TLS(GinkgoTB(), authority))
		space := newSpace("")
		setRedis(space, map[string]string{"url": redis.URL()})
		create(space, "f", "triggers: [{event: a/b}]\nsteps: [{name: a, handler: log.write, with: {message: hello}}]\n")
		Eventually(cond(space, "f", "Ready")).Should(is("False", "RedisUnreachable", "authority that is not trusted", "ca.crt", "Secret"))

		setRedis(space, map[string]string{"url": redis.URL(), "ca.crt": string(servicetest.NewAuthority(GinkgoTB(), "another").CA)})
		Eventually(func() string { return annotation(space, "f") }, starts).Should(HaveSuffix("-ca"))
		before := annotation(space, "f")
		Consistently(cond(space, "f", "StreamsReady"), "1s").Should(is("False", "RedisUnreachable", "ca.crt"))

		setRedis(space, map[string]string{"url": redis.URL(), "ca.crt": "no certificate"})
		Eventually(cond(space, "f", "StreamsReady")).Should(is("False", "SecretInvalid", "no certificate in PEM"))
		setRedis(space, map[string]string{"url": strings.Replace(redis.URL(), "rediss:", "redis:", 1), "ca.crt": string(authority.CA)})
		Eventually(cond(space, "f", "StreamsReady")).Should(is("False", "SecretInvalid", "rediss://"))

		setRedis(space, map[string]string{"url": redis.URL(), "ca.crt": string(authority.CA)})
		Eventually(cond(space, "f", "StreamsReady")).Should(is("True", "StreamsReady"))
		Eventually(func() string { return annotation(space, "f") }).ShouldNot(Equal(before))

		runPod(space, "f")
		client, err := store.Open(store.Options{URL: redis.URL(), Namespace: space, CA: authority.CA})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(client.Close)
		Expect(client.Publish(ctx, &event.Event{Type: "a/b", Data: []byte(`{}`)})).To(Succeed())
		Eventually(func() *v1alpha1.RunCounts { return get(space, "f").Status.Runs }, 30*time.Second).Should(HaveField("Succeeded", BeEquivalentTo(1)))
	})

	It("that has none tells what to do", func() {
		space := newSpace(strings.Replace(shared.URL(), "redis:", "rediss:", 1))
		create(space, "f", simple("a/b"))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "RedisUnreachable", "does not answer in time", "no TLS at this port"))
	})

	It("that the URL takes for one without tells what to do", func() {
		redis := servicetest.StartRedis(GinkgoTB(), servicetest.TLS(GinkgoTB(), servicetest.NewAuthority(GinkgoTB(), "ours")))
		space := newSpace(strings.Replace(redis.URL(), "rediss:", "redis:", 1))
		create(space, "f", simple("a/b"))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "RedisUnreachable", "may want TLS"))
	})

	It("that is found by Sentinels is refused, with what to write instead", func() {
		space := newSpace("redis+sentinel://:secret@a:26379,b:26379/mymaster/0")
		create(space, "f", simple("a/b"))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "SecretInvalid", "Sentinels", "not supported"))
		Expect(cond(space, "f", "Ready")()).NotTo(ContainSubstring(":secret"))
	})
})

var _ = Describe("The password of Redis", func() {
	It("is changed in the Secret: the runners are replaced, and everything goes on", func() {
		redis := servicetest.StartRedis(GinkgoTB(), servicetest.AppendFsync("everysec"))
		space := newSpace(redis.URL())
		ready(space, "f", simple("a/b"))
		before := annotation(space, "f")
		redisCommand(redis, "CONFIG", "SET", "requirepass", "new")
		setSecret(space, strings.Replace(redis.URL(), "redis://", "redis://:new@", 1))
		Eventually(func() string { return annotation(space, "f") }).ShouldNot(Equal(before))
		Expect(annotation(space, "f")).NotTo(ContainSubstring("new"))
		rollOut(space, "f")
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Ready"))
		Consistently(cond(space, "f", "StreamsReady"), "1s").Should(is("True", "StreamsReady"))
	})
})

// annotation changes with the Secret; with the template the pods do.
func annotation(space, name string) string {
	GinkgoHelper()
	d := deployment(space, name)
	if d == nil {
		return ""
	}
	return d.Spec.Template.Annotations["wildout.dev/redis"]
}
