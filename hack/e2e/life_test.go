package e2e_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/runtime/store/inspect"
)

var _ = Describe("The life of a function", func() {
	It("goes from apply to delete; suspend loses nothing, and nothing is left in Redis", func() {
		const eventType = "life/tested"
		sender, redis := newSender(), openStore(home)
		spec := flowing(eventType, "runner: {replicas: 2}")
		key := apply(home, "life", spec)
		becomesReady(key)
		sendAll := func(part string) {
			for i := range 20 {
				sender.send(eventType, fmt.Sprintf("life-%s-%d-%d", part, GinkgoRandomSeed(), i), map[string]any{})
			}
		}
		succeeded := func() int64 {
			st, err := inspect.New(redis).Stats(ctx, key.Name, []string{eventType})
			Expect(err).NotTo(HaveOccurred())
			return st.Succeeded
		}
		sendAll("before")
		Eventually(succeeded).Should(Equal(int64(20)))

		By("suspended, it reads nothing")
		sendAll("during")
		apply(home, key.Name, spec+"\nsuspend: true")
		Eventually(state(key, v1alpha1.ConditionReady)).Should(Equal("True/Suspended"))
		Eventually(func() int { return len(runners(key)) }).Should(BeZero())
		sendAll("suspended")
		was := succeeded()
		Consistently(succeeded, 3*time.Second).Should(Equal(was))
		Eventually(func() int64 { return get(key).Status.Backlog }).Should(BeNumerically(">=", 20))

		By("resumed, it does all of it")
		apply(home, key.Name, spec)
		Eventually(succeeded).Should(Equal(int64(60)))
		becomesReady(key)
		Eventually(func() int64 { return get(key).Status.Runs.Succeeded }).Should(Equal(int64(60)))

		By("deleted, it leaves nothing in Redis")
		remove(key)
		groups, err := inspect.New(redis).Groups(ctx, eventType)
		Expect(err).NotTo(HaveOccurred())
		Expect(groups).To(BeEmpty())
		st, err := inspect.New(redis).Stats(ctx, key.Name, []string{eventType})
		Expect(err).NotTo(HaveOccurred())
		Expect(st.Succeeded).To(BeZero())
		Eventually(func() int { return len(runners(key)) }).Should(BeZero())
	})

	It("does not hang at its end when Redis is away", func() {
		const space = home + "-away"
		makeNamespace(space)
		DeferCleanup(removeNamespace, space)
		redis := startRedis(space)
		key := apply(space, "away", plain)
		becomesReady(key)
		redis.scale(0)
		Eventually(state(key, v1alpha1.ConditionReady)).Should(Equal("False/RedisUnreachable"))
		began := time.Now()
		remove(key)
		AddReportEntry("deleted without Redis", time.Since(began).Round(time.Second).String())
	})
})

var _ = Describe("The Redis of a function", func() {
	It("is judged: each fault shows within 30 s, and is gone within 30 s", func() {
		const space = home + "-redis"
		makeNamespace(space)
		DeferCleanup(removeNamespace, space)
		key := apply(space, "judge", plain)
		ready := func(want string) {
			GinkgoHelper()
			Eventually(state(key, v1alpha1.ConditionReady)).Should(Equal(want), func() string { return message(key, v1alpha1.ConditionReady) })
		}
		ready("False/SecretNotFound")
		redis := startRedis(space)
		ready("True/Ready")
		for _, fault := range []struct{ reason, bad, good string }{
			{"UnsafeEviction", "config set maxmemory-policy allkeys-lru", "config set maxmemory-policy noeviction"},
			{"NotDurable", "config set appendonly no", "config set appendonly yes"},
			{"RedisReadOnly", "replicaof 127.0.0.1 1", "replicaof no one"},
		} {
			By(fault.reason)
			redis.cli(fault.bad)
			ready("False/" + fault.reason)
			redis.cli(fault.good)
			ready("True/Ready")
		}
		By("RedisUnreachable")
		redis.scale(0)
		ready("False/RedisUnreachable")
		redis.scale(1)
		ready("True/Ready")
		By("SecretNotFound")
		redis.forget()
		ready("False/SecretNotFound")
		By("AuthFailed")
		redis.tell("another")
		ready("False/AuthFailed")
		redis.forget()
		redis.tell(redis.password)
		ready("True/Ready")
	})
})
