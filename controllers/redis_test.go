package controllers_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
)

var _ = Describe("The condition StreamsReady", func() {
	durable := servicetest.AppendFsync("everysec")

	It("asks for the Secret, and clears", func() {
		space := newSpace("")
		create(space, "f", simple("a/b"))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "SecretNotFound", "kubectl", "wildout-redis", space))
		Expect(cond(space, "f", "Stalled")()).To(is("True", "SecretNotFound"))
		setSecret(space, shared.URL())
		Eventually(cond(space, "f", "StreamsReady")).Should(is("True", "StreamsReady"))
		setSecret(space, "redis//nowhere")
		Eventually(cond(space, "f", "StreamsReady")).Should(is("False", "SecretInvalid", "redis://"))
	})

	It("says which Secrets it may not read", func() {
		space := newSpace("")
		create(space, "f", simple("a/b")+"redis: {secretName: other}")
		Eventually(cond(space, "f", "StreamsReady")).Should(is("False", "SecretForbidden", "other"))
	})

	It("tells a wrong password, and clears", func() {
		redis := servicetest.StartRedis(GinkgoTB(), durable, servicetest.Password("right"))
		space := newSpace(strings.Replace(redis.URL(), "right", "wrong", 1))
		create(space, "f", simple("a/b"))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "AuthFailed", "password"))
		setSecret(space, redis.URL())
		Eventually(cond(space, "f", "StreamsReady")).Should(is("True", "StreamsReady"))
	})

	It("tells that Redis is away, and clears", func() {
		redis := servicetest.StartRedis(GinkgoTB(), durable)
		space := newSpace(redis.URL())
		ready(space, "f", simple("a/b"))
		redis.Stop()
		Eventually(cond(space, "f", "Ready")).Should(is("False", "RedisUnreachable"))
		Expect(cond(space, "f", "Stalled")()).To(Equal("none"))
		Eventually(notes(space, "f")).Should(ContainElement(HavePrefix("RedisUnreachable: ")))
		redis.Start()
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Ready"))
	})

	It("tells that Redis hangs, and clears", func() {
		redis := servicetest.StartRedis(GinkgoTB(), durable)
		space := newSpace(redis.URL())
		ready(space, "f", simple("a/b"))
		redis.Pause()
		Eventually(cond(space, "f", "Ready"), 30*time.Second).Should(is("False", "RedisUnreachable"))
		redis.Resume()
		Eventually(cond(space, "f", "Ready"), 30*time.Second).Should(is("True", "Ready"))
	})

	It("refuses a Redis that evicts or forgets, unless it may forget", func() {
		redis := servicetest.StartRedis(GinkgoTB())
		space := newSpace(redis.URL())
		create(space, "f", simple("a/b"))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "NotDurable", "appendonly", "allowVolatile"))
		create(space, "g", simple("a/b")+"redis: {allowVolatile: true}")
		Eventually(cond(space, "g", "StreamsReady")).Should(is("True", "StreamsReady", "loses them"))
		redisCommand(redis, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
		Eventually(cond(space, "g", "Ready")).Should(is("False", "UnsafeEviction", "noeviction"))
		redisCommand(redis, "CONFIG", "SET", "maxmemory-policy", "noeviction")
		redisCommand(redis, "CONFIG", "SET", "appendonly", "yes")
		Eventually(cond(space, "f", "StreamsReady")).Should(is("True", "StreamsReady"))
		redisCommand(redis, "CONFIG", "SET", "maxmemory", "1mb")
		Eventually(cond(space, "f", "StreamsReady")).Should(is("False", "RedisFull", "maxmemory"))
		redisCommand(redis, "CONFIG", "SET", "maxmemory", "0")
		Eventually(cond(space, "f", "StreamsReady")).Should(is("True", "StreamsReady"))
	})

	It("tells of an event type that is declared for another Redis, and clears", func() {
		space := newSpace(shared.URL())
		other := servicetest.StartRedis(GinkgoTB(), durable)
		grantSecret(space, "other-redis", other.URL())
		t := eventType(space, "a-b", "a/b")
		t.Spec.Redis = &v1alpha1.Redis{SecretName: "other-redis"}
		Expect(admin.Create(ctx, t)).To(Succeed())
		create(space, "f", simple("a/b"))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "RedisMismatch", "WildoutEventType a-b", "other-redis", "wildout-redis"))
		grantSecret(space, "other-redis", shared.URL()) // the same, in other words
		Eventually(cond(space, "f", "StreamsReady")).Should(is("True", "StreamsReady"))
	})

	It("makes a group that somebody has deleted", func() {
		space := newSpace(shared.URL())
		create(space, "f", simple("a/b"))
		redis := open(shared.URL(), space)
		groups := func() int {
			all, err := inspect.New(redis).Groups(ctx, "a/b")
			Expect(err).NotTo(HaveOccurred())
			return len(all)
		}
		Eventually(groups).Should(Equal(1))
		redisCommand(shared, "XGROUP", "DESTROY", redis.Keys().Stream("a/b"), "f")
		Eventually(groups).Should(Equal(1))
	})

	It("drops the group of a trigger that was removed, once nothing is pending", func() {
		space := newSpace(shared.URL())
		ready(space, "f", "triggers: [{event: a/b}, {event: c/d}]\nsteps: [{name: a, handler: log.write}]\n")
		redis := open(shared.URL(), space)
		Expect(redis.Publish(ctx, &event.Event{Type: "c/d", Data: []byte(`{}`)})).To(Succeed())
		reader := runs.New(redis).NewReader("f", "runner-1", store.FromBeginning)
		DeferCleanup(reader.Close)
		entries, err := reader.Read(ctx, []string{redis.Keys().Stream("c/d")}, 1, 0)
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(HaveLen(1))
		groups := func() int {
			all, err := inspect.New(redis).Groups(ctx, "c/d")
			Expect(err).NotTo(HaveOccurred())
			return len(all)
		}
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) { s.Triggers = s.Triggers[:1] })
		Eventually(func() string { return get(space, "f").Status.Triggers }).Should(Equal("a/b"))
		rollOut(space, "f")
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Ready"))
		Consistently(groups, "1s").Should(Equal(1))
		redisCommand(shared, "XACK", redis.Keys().Stream("c/d"), "f", entries[0].ID)
		Eventually(groups).Should(BeZero())
	})
})

// grantSecret makes a Secret with the URL of a Redis, or changes it, and lets the
// operator read it.
func grantSecret(space, name, url string) {
	GinkgoHelper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: space}, StringData: map[string]string{"url": url}}
	err := admin.Create(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		err = admin.Update(ctx, secret)
	}
	Expect(err).NotTo(HaveOccurred())
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: space}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{name}, Verbs: []string{"get"}}}}
	Expect(client.IgnoreAlreadyExists(admin.Create(ctx, role))).To(Succeed())
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: space},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "wildout-manager", Namespace: systemEnv}}}
	Expect(client.IgnoreAlreadyExists(admin.Create(ctx, binding))).To(Succeed())
}

var _ = Describe("The numbers of a status", func() {
	It("follow Redis", func() {
		space := newSpace(shared.URL())
		ready(space, "f", simple("a/b"))
		redis := open(shared.URL(), space)
		for range 7 {
			Expect(redis.Publish(ctx, &event.Event{Type: "a/b", Data: []byte(`{}`)})).To(Succeed())
		}
		Eventually(func() int64 { return get(space, "f").Status.Backlog }).Should(BeEquivalentTo(7))
	})

	It("tell runs whose code the image does not have, and that they have gone on", func() {
		space := newSpace(shared.URL())
		ready(space, "f", simple("a/b"))
		redis := open(shared.URL(), space)
		end(redis, "f", 1, run.Succeeded)
		Eventually(cond(space, "f", "Healthy")).Should(is("True", "Healthy"))
		image := get(space, "f").Status.Image
		lacking := redis.Keys().Lacking("f")
		redisCommand(shared, "HSET", lacking, "01J", (&run.Lack{Handlers: []string{"old.send"}, Version: "3f2a"}).Encode())
		Eventually(cond(space, "f", "Healthy")).Should(is("False", "RunnerLacksHandler", "1 run waits", "handler old.send of version 3f2a", image, "wildout runs cancel --function f"))
		Expect(cond(space, "f", "Ready")()).To(is("True", "RunnerLacksHandler"))
		Eventually(notes(space, "f")).Should(ContainElement(HavePrefix("RunnerLacksHandler: 1 run waits")))
		redisCommand(shared, "HDEL", lacking, "01J")
		Eventually(cond(space, "f", "Healthy")).Should(is("True", "Healthy"))
	})

	It("tell failing runs, and that they have stopped failing", func() {
		space := newSpace(shared.URL())
		ready(space, "f", simple("a/b"))
		Eventually(cond(space, "f", "Healthy")).Should(is("Unknown", "NoRuns"))
		redis := open(shared.URL(), space)
		end(redis, "f", 3, run.Failed)
		Eventually(cond(space, "f", "Healthy")).Should(is("False", "HighFailureRate", "3 of the last 3", "the database is gone", "in step a"))
		Expect(cond(space, "f", "Ready")()).To(is("True", "HighFailureRate"))
		failure := get(space, "f").Status.LastFailure
		Expect(failure.Step).To(Equal("a"))
		Expect(failure.Message).To(ContainSubstring("the database is gone"))
		end(redis, "f", 4, run.Succeeded)
		Eventually(cond(space, "f", "Healthy")).Should(is("True", "Healthy"))
		Eventually(func() int64 { return get(space, "f").Status.Runs.Failed }).Should(BeEquivalentTo(3))
		Expect(get(space, "f").Status.Runs.Succeeded).To(BeEquivalentTo(4))
		Expect(get(space, "f").Status.LastRunTime.Time).To(BeTemporally("~", time.Now(), time.Minute))
	})
})

// end ends runs of a function as a runner would.
func end(redis *store.Conn, function string, n int, status run.Status) {
	GinkgoHelper()
	const runner = "runner-1"
	_, err := runs.New(redis).Beat(ctx, function, runner, time.Minute, true)
	Expect(err).NotTo(HaveOccurred())
	committer := runs.New(redis).NewCommitter(function, runs.HistoryLimits{Done: 100, Dead: 100}, nil)
	defer committer.Close()
	reader := runs.New(redis).NewReader(function, runner, store.FromBeginning)
	defer reader.Close()
	for range n {
		Expect(redis.Publish(ctx, &event.Event{Type: "a/b", Data: []byte(`{}`)})).To(Succeed())
		entries, err := reader.Read(ctx, []string{redis.Keys().Stream("a/b")}, 1, 0)
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(HaveLen(1))
		id := store.RunID(function, "a/b", entries[0].ID)
		now := time.Now()
		record := &run.Record{ID: id, Function: function, Status: status, StartedAt: now, EndedAt: &now}
		if status == run.Failed {
			record.Error, record.ErrorStep = "the database is gone", "a"
		}
		counted, err := committer.Finish(ctx, runs.Finish{Failed: status == run.Failed, Record: run.AppendRecord(nil, record),
			Ref: &runs.Ref{Function: function, RunID: id, Stream: entries[0].Stream, Entry: entries[0].ID, Runner: runner, Version: "v1"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(counted).To(BeTrue())
	}
}
