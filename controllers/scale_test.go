package controllers_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers"
	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/runs"
)

// elastic is a function that reads a/b, with these settings of its scaling.
func elastic(settings string) string {
	return simple("a/b") + "runner: {scaling: {max: 10, targetBacklog: 10, " + settings + "}}\n"
}

// runners is how many the Deployment of a function is asked for.
func runners(space, name string) func() int32 {
	return func() int32 {
		d := deployment(space, name)
		if d == nil {
			return -1
		}
		return *d.Spec.Replicas
	}
}

// asleep creates a function that has shown that it works, and has nothing to do.
func asleep(space, name, spec string) {
	GinkgoHelper()
	create(space, name, spec)
	rollOut(space, name)
	Eventually(runners(space, name), starts).Should(BeZero())
	rollOut(space, name)
	Eventually(cond(space, name, "RunnersAvailable")).Should(is("True", "ScaledToZero"))
}

func publish(redis *store.Conn, eventType string, n int) {
	GinkgoHelper()
	events := make([]*event.Event, n)
	for i := range events {
		events[i] = &event.Event{Type: eventType, Data: []byte(`{}`)}
	}
	Expect(redis.Publish(ctx, events...)).To(Succeed())
}

// consume reads all that there is of a stream and ends it: what runners do.
func consume(space, name string) {
	GinkgoHelper()
	redis := open(shared.URL(), space)
	reader := runs.New(redis).NewReader(name, "runner-1", store.FromBeginning)
	defer reader.Close()
	for _, stream := range []string{redis.Keys().Stream("a/b"), redis.Keys().Inbox(name)} {
		entries, err := reader.Read(ctx, []string{stream}, 10_000, 0)
		Expect(err).NotTo(HaveOccurred())
		for _, e := range entries {
			redisCommand(shared, "XACK", stream, name, e.ID)
		}
	}
}

var _ = Describe("Scaling", func() {
	var space string
	BeforeEach(func() { space = newSpace(shared.URL()) })

	It("starts one runner to see that it works, then none, and stays ready", func() {
		create(space, "f", elastic("stabilizationWindow: 1s"))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "RollingOut"))
		Expect(runners(space, "f")()).To(BeEquivalentTo(1))
		Consistently(runners(space, "f"), "2s").Should(BeEquivalentTo(1), "it has not shown that it works")
		template := deployment(space, "f").Spec.Template
		rollOut(space, "f")
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Ready", "1 of 1"))
		Eventually(runners(space, "f")).Should(BeZero())
		Consistently(cond(space, "f", "Ready"), "1s").Should(is("True", "Ready"))
		rollOut(space, "f")
		Eventually(cond(space, "f", "RunnersAvailable")).Should(is("True", "ScaledToZero", "starts one"))
		Eventually(func() int32 { return get(space, "f").Status.Replicas }).Should(BeZero())

		publish(open(shared.URL(), space), "a/b", 25)
		Eventually(runners(space, "f")).Should(BeEquivalentTo(3))
		Consistently(cond(space, "f", "Ready"), "1s").Should(is("True", "Ready"))
		Eventually(cond(space, "f", "RunnersAvailable")).Should(is("True", "ScalingUp", "0 of 3 runners are ready"))
		Eventually(func() int64 { return get(space, "f").Status.Backlog }).Should(BeEquivalentTo(25))
		rollOut(space, "f")
		Eventually(cond(space, "f", "RunnersAvailable")).Should(is("True", "RunnersAvailable", "3 of 3"))
		Expect(deployment(space, "f").Spec.Template).To(Equal(template), "no pod is replaced")
		Eventually(notes(space, "f")).Should(ConsistOf(HavePrefix("UndeclaredEventType: "),
			"Scaled: from 1 to 0 runners: backlog 0", "Scaled: from 0 to 3 runners: backlog 25"))
	})

	It("tells a new version that does not work, also where there is nothing to do", func() {
		asleep(space, "f", elastic("stabilizationWindow: 1s"))
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) { s.Steps[0].Handler = "log.wirte" })
		Eventually(runners(space, "f")).Should(BeEquivalentTo(1))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "RollingOut"))
		Eventually(notes(space, "f")).Should(ContainElement("Scaled: from 0 to 1 runners: one has to show that this version works"))
	})

	It("does not try anew for another password of Redis", func() {
		redis := servicetest.StartRedis(GinkgoTB(), servicetest.AppendFsync("everysec"))
		space := newSpace(redis.URL())
		asleep(space, "f", elastic("stabilizationWindow: 1s"))
		before := get(space, "f").Status.RolledOut
		setSecret(space, redis.URL()+"?dial_timeout=4s")
		Eventually(func() string { return get(space, "f").Status.RolledOut }).ShouldNot(Equal(before))
		Consistently(runners(space, "f"), "2s").Should(BeZero())
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Ready"))
		publish(open(redis.URL(), space), "a/b", 1)
		Eventually(runners(space, "f")).Should(BeEquivalentTo(1))
		Consistently(cond(space, "f", "Ready"), "1s").Should(is("True", "Ready"))
	})

	It("ends runners only when fewer were enough for a while", func() {
		ready(space, "f", elastic("stabilizationWindow: 3s, min: 1"))
		redis := open(shared.URL(), space)
		publish(redis, "a/b", 45)
		Eventually(runners(space, "f")).Should(BeEquivalentTo(5))
		rollOut(space, "f")
		consume(space, "f")
		quiet := time.Now()
		Consistently(runners(space, "f"), "2s").Should(BeEquivalentTo(5))
		Eventually(runners(space, "f")).Should(BeEquivalentTo(1))
		Expect(time.Since(quiet)).To(BeNumerically(">", 3*time.Second))
		publish(redis, "a/b", 1_000)
		Eventually(runners(space, "f")).Should(BeEquivalentTo(10), "and no more than max")
	})

	It("wakes for a timer, in time and not long before", func() {
		asleep(space, "f", elastic("stabilizationWindow: 1s"))
		due := time.Now().Add(6 * time.Second)
		redisCommand(shared, "ZADD", open(shared.URL(), space).Keys().Timers("f"), strconv.FormatInt(due.UnixMilli(), 10), "run-1")
		Consistently(runners(space, "f"), "2s").Should(BeZero())
		Eventually(runners(space, "f")).Should(BeEquivalentTo(1))
		Expect(time.Until(due)).To(BeNumerically(">", 0))
		Eventually(notes(space, "f")).Should(ContainElement(HavePrefix("Scaled: from 0 to 1 runners: a timer or cron tick is due at 20")))
	})

	It("wakes for a tick, and sees that a runner has made a schedule known", func() {
		key := open(shared.URL(), space).Keys().Cron("f")
		create(space, "f", strings.Replace(elastic("stabilizationWindow: 1s"), "{event: a/b}", "{cron: 0 3 * * *}", 1))
		rollOut(space, "f")
		Consistently(runners(space, "f"), "3s").Should(BeEquivalentTo(1), "no runner has made the schedule known")
		schedule := "TZ=UTC 0 3 * * *"
		redisCommand(shared, "HSET", key, schedule, strconv.FormatInt(time.Now().UnixMilli(), 10))
		if until := time.Until(nextAtThree()); until < 2*time.Minute {
			time.Sleep(until + time.Second)
		}
		Eventually(runners(space, "f")).Should(BeZero())
		redisCommand(shared, "HSET", key, schedule, strconv.FormatInt(time.Now().Add(-25*time.Hour).UnixMilli(), 10))
		Eventually(runners(space, "f")).Should(BeEquivalentTo(1), "a tick has come")
	})

	It("wakes for what runs of an earlier version wait for", func() {
		asleep(space, "f", elastic("stabilizationWindow: 1s"))
		redis := open(shared.URL(), space)
		_, err := runs.New(redis).RegisterWaits(ctx, "f", []runs.WaitPath{{EventType: "c/d", Match: "data.id"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(runs.New(redis).EnsureGroups(ctx, "f", store.FromBeginning, "c/d")).To(Succeed())
		publish(redis, "c/d", 1)
		Eventually(runners(space, "f")).Should(BeEquivalentTo(1))
	})

	It("lets suspend win, and goes on", func() {
		ready(space, "f", elastic("min: 2"))
		Expect(runners(space, "f")()).To(BeEquivalentTo(2))
		publish(open(shared.URL(), space), "a/b", 45)
		Eventually(runners(space, "f")).Should(BeEquivalentTo(5))
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) { s.Suspend = true })
		Eventually(runners(space, "f")).Should(BeZero())
		rollOut(space, "f")
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Suspended"))
		Consistently(runners(space, "f"), "2s").Should(BeZero())
		edit(space, "f", func(s *v1alpha1.WildoutFunctionSpec) { s.Suspend = false })
		Eventually(runners(space, "f")).Should(BeEquivalentTo(5))
	})

	It("starts no more runners than runs can be active", func() {
		ready(space, "f", elastic("min: 1")+"concurrency: [{limit: 2}]\n")
		publish(open(shared.URL(), space), "a/b", 100)
		Eventually(runners(space, "f")).Should(BeEquivalentTo(2))
		Consistently(runners(space, "f"), "1s").Should(BeEquivalentTo(2))
	})

	It("leaves the runners as they are while Redis is away", func() {
		redis := servicetest.StartRedis(GinkgoTB(), servicetest.AppendFsync("everysec"))
		space := newSpace(redis.URL())
		ready(space, "f", elastic("stabilizationWindow: 6s, min: 1"))
		publish(open(redis.URL(), space), "a/b", 45)
		Eventually(runners(space, "f")).Should(BeEquivalentTo(5))
		rollOut(space, "f")
		Eventually(func() int64 { return get(space, "f").Status.Backlog }).Should(BeEquivalentTo(45))
		redisCommand(redis, "XGROUP", "SETID", open(redis.URL(), space).Keys().Stream("a/b"), "f", "$")
		Eventually(func() int64 { return get(space, "f").Status.Backlog }).Should(BeZero())
		redis.Stop() // in the window in which fewer are enough
		Eventually(cond(space, "f", "Ready")).Should(is("False", "RedisUnreachable"))
		Consistently(runners(space, "f"), "7s").Should(BeEquivalentTo(5))
		redis.Start()
		back := time.Now()
		Eventually(runners(space, "f"), starts).Should(BeEquivalentTo(1))
		Expect(time.Since(back)).To(BeNumerically(">", 5*time.Second))
	})
})

// nextAtThree is the next tick of 0 3 * * *, before which a function is awake.
func nextAtThree() time.Time {
	now := time.Now().UTC()
	at := time.Date(now.Year(), now.Month(), now.Day(), 3, 0, 0, 0, time.UTC)
	if at.Before(now) {
		at = at.Add(24 * time.Hour)
	}
	return at
}

var _ = Describe("The scale subresource", func() {
	var space string
	BeforeEach(func() { space = newSpace(shared.URL()) })
	read := func(name string) (*autoscalingv1.Scale, error) {
		scale := &autoscalingv1.Scale{}
		return scale, admin.SubResource("scale").Get(ctx, get(space, name), scale)
	}
	// patch is what kubectl scale does.
	patch := func(name string, n int) error {
		f := get(space, name)
		return admin.SubResource("scale").Patch(ctx, f, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n)))
	}

	It("is the way of kubectl, an HPA and KEDA", func() {
		ready(space, "f", simple("a/b")+"runner: {replicas: 2}")
		scale, err := read("f")
		Expect(err).NotTo(HaveOccurred())
		Expect(scale.Spec.Replicas).To(BeEquivalentTo(2))
		Expect(scale.Status.Replicas).To(BeEquivalentTo(2))
		Expect(scale.Status.Selector).To(Equal(metav1.FormatLabelSelector(deployment(space, "f").Spec.Selector)))

		template := deployment(space, "f").Spec.Template
		scale.Spec.Replicas = 4 // what an HPA does
		Expect(admin.SubResource("scale").Update(ctx, get(space, "f"), client.WithSubResourceBody(scale))).To(Succeed())
		Eventually(runners(space, "f")).Should(BeEquivalentTo(4))
		Eventually(cond(space, "f", "RunnersAvailable")).Should(is("True", "ScalingUp", "2 of 4 runners are ready"))
		Eventually(cond(space, "f", "Ready")).Should(is("True", "Ready"))
		rollOut(space, "f")
		Eventually(cond(space, "f", "RunnersAvailable")).Should(is("True", "RunnersAvailable", "4 of 4"))
		Expect(patch("f", 0)).To(Succeed())
		Eventually(runners(space, "f")).Should(BeZero())
		Consistently(cond(space, "f", "Ready"), "1s").Should(is("True", "Ready"))
		publish(open(shared.URL(), space), "a/b", 3)
		Consistently(runners(space, "f"), "1s").Should(BeZero(), "it is not the operator who decides")
		Expect(deployment(space, "f").Spec.Template).To(Equal(template))
	})

	It("needs the replicas to be there, for an HPA", func() {
		ready(space, "f", simple("a/b"))
		_, err := read("f")
		Expect(err).To(MatchError(ContainSubstring(".spec.runner.replicas")))
		Expect(patch("f", 3)).To(Succeed(), "kubectl scale adds them")
		Eventually(runners(space, "f")).Should(BeEquivalentTo(3))
		_, err = read("f")
		Expect(err).NotTo(HaveOccurred())
	})

	It("is refused where the operator decides", func() {
		ready(space, "f", elastic("min: 1"))
		err := patch("f", 3)
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
		Expect(err).To(MatchError(ContainSubstring("scaling decides how many runners there are")))
		Consistently(runners(space, "f"), "1s").Should(BeEquivalentTo(1))
	})

	It("of the Deployment is not the way: it is set back, and not all the time", func() {
		ready(space, "f", elastic("min: 2"))
		override := func() {
			GinkgoHelper()
			scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 7}}
			Expect(admin.SubResource("scale").Update(ctx, deployment(space, "f"), client.WithSubResourceBody(scale))).To(Succeed())
		}
		override()
		Eventually(runners(space, "f")).Should(BeEquivalentTo(2))
		Eventually(notes(space, "f")).Should(ContainElement(And(HavePrefix("ReplicasSetBack: "), ContainSubstring("kubectl scale wildoutfunction f"))))
		time.Sleep(500 * time.Millisecond)
		override()
		Eventually(cond(space, "f", "RunnersAvailable")).Should(is("True", "RunnersAvailable", "somebody else sets the replicas of Deployment f-runner to 7"))
		before := deployment(space, "f").Generation
		Consistently(runners(space, "f"), "2s").Should(BeEquivalentTo(7))
		Expect(deployment(space, "f").Generation).To(Equal(before))
		publish(open(shared.URL(), space), "a/b", 25)
		Eventually(runners(space, "f")).Should(BeEquivalentTo(3), "what there is to do counts at once")
	})
})

var _ = Describe("A new operator", Serial, func() {
	It("takes no runner away that it has not seen to be idle for a while", func() {
		space := newSpace(shared.URL())
		ready(space, "f", elastic("stabilizationWindow: 5s, min: 1"))
		publish(open(shared.URL(), space), "a/b", 45)
		Eventually(runners(space, "f")).Should(BeEquivalentTo(5))
		rollOut(space, "f")
		consume(space, "f")
		time.Sleep(3 * time.Second)
		theOne.stop()
		began := time.Now()
		theOne = startOperator()
		Eventually(runners(space, "f"), starts).Should(BeEquivalentTo(1))
		Expect(time.Since(began)).To(BeNumerically(">", 5*time.Second))
	})
})

var _ = Describe("What decides the number of runners", Serial, func() {
	It("waits for no status to be written", func() {
		theOne.stop()
		theOne = startOperator(func(o *controllers.Options) { o.StatusInterval = time.Hour })
		DeferCleanup(restart)
		space := newSpace(shared.URL())
		ready(space, "f", elastic("stabilizationWindow: 2s, min: 1"))
		publish(open(shared.URL(), space), "a/b", 45)
		Eventually(runners(space, "f")).Should(BeEquivalentTo(5))
		rollOut(space, "f")
		consume(space, "f")
		Eventually(runners(space, "f")).Should(BeEquivalentTo(1))
		asleep(space, "g", strings.ReplaceAll(elastic("stabilizationWindow: 1s"), "a/b", "c/d"))
	})
})

// How long it takes from an event to the patch of the Deployment. The look at
// all functions, every five seconds, has no part in it.
var _ = Describe("A function at zero", Serial, func() {
	It("wakes at once", func() {
		theOne.stop()
		theOne = startOperator(func(o *controllers.Options) { o.PollInterval, o.WakeInterval = time.Hour, 0 })
		DeferCleanup(restart)
		space := newSpace(shared.URL())
		redis := open(shared.URL(), space)
		spec := elastic("stabilizationWindow: 1s")
		asleep(space, "f", spec)
		asleep(space, "g", strings.ReplaceAll(spec, "a/b", "c/d"))

		began := time.Now()
		publish(redis, "a/b", 1)
		Eventually(runners(space, "f"), soon, "5ms").Should(BeEquivalentTo(1))
		AddReportEntry("from an event to the Deployment", time.Since(began))
		Consistently(runners(space, "g"), "500ms").Should(BeZero(), "it does not read that")

		redisCommand(shared, "XADD", redis.Keys().Inbox("g"), "*", "run", "r-1") // a child has ended, a cancel, a replay
		Eventually(runners(space, "g"), soon, "5ms").Should(BeEquivalentTo(1))
	})
})
