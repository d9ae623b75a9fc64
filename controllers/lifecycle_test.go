package controllers_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// versions are the resource versions of everything in a namespace: what is
// written changes one.
func versions(space string) map[string]string {
	GinkgoHelper()
	all := map[string]string{}
	for _, list := range []client.ObjectList{
		&v1alpha1.WildoutFunctionList{}, &v1alpha1.WildoutEventTypeList{}, &appsv1.DeploymentList{}, &corev1.ConfigMapList{},
		&corev1.ServiceAccountList{}, &networkingv1.NetworkPolicyList{}, &policyv1.PodDisruptionBudgetList{}, &eventsv1.EventList{},
	} {
		Expect(admin.List(ctx, list, client.InNamespace(space))).To(Succeed())
		Expect(meta.EachListItem(list, func(item runtime.Object) error {
			o := item.(client.Object)
			all[fmt.Sprintf("%T/%s", o, o.GetName())] = o.GetResourceVersion()
			return nil
		})).To(Succeed())
	}
	return all
}

var _ = Describe("The operator", Serial, func() {
	It("writes nothing when it begins anew, and nothing when nothing happens", func() {
		space := newSpace(shared.URL())
		Expect(admin.Create(ctx, eventType(space, "a-b", "a/b"))).To(Succeed())
		ready(space, "f", simple("a/b"))
		ready(space, "g", simple("a/b"))
		time.Sleep(2 * time.Second) // the numbers of the stream are written once more
		before := versions(space)
		Expect(len(before)).To(BeNumerically(">", 10))
		elsewhere := newSpace(shared.URL())
		for round := range 3 { // each operator that begins reconciles and applies everything
			restart()
			probe := fmt.Sprint("probe-", round)
			ready(elsewhere, probe, simple("a/b")) // it works: it has reconciled what was there
			time.Sleep(time.Second)
			Expect(versions(space)).To(Equal(before))
		}
	})

	It("loses its way nowhere when it is killed", func() {
		space := newSpace(shared.URL())
		for i := range 8 {
			create(space, fmt.Sprint("f", i), simple("a/b"))
			time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
			if i%3 == 2 {
				theOne.cancel() // in the middle of whatever it does
				Eventually(theOne.ended, 40*time.Second).Should(Receive())
				theOne = startOperator()
			}
		}
		for i := range 8 {
			rollOut(space, fmt.Sprint("f", i))
		}
		for i := range 8 {
			Eventually(cond(space, fmt.Sprint("f", i), "Ready")).Should(is("True", "Ready"))
		}
	})
})

var _ = Describe("Deletion", func() {
	// keys counts what a function has in Redis.
	keys := func(redis *servicetest.Redis, space string) int {
		var n int
		reply := redisCommand(redis, "EVAL", fmt.Sprintf("return #redis.call('KEYS', 'wo:{%s.0}:fn:*')", space), "0")
		_, err := fmt.Sscanf(reply, ":%d", &n)
		Expect(err).NotTo(HaveOccurred())
		return n
	}
	gone := func(space, name string) func() bool {
		return func() bool {
			return apierrors.IsNotFound(admin.Get(ctx, key(space, name), &v1alpha1.WildoutFunction{}))
		}
	}
	remove := func(space, name string) {
		GinkgoHelper()
		Expect(admin.Delete(ctx, get(space, name))).To(Succeed())
	}

	It("removes groups and keys", func() {
		space := newSpace(shared.URL())
		ready(space, "f", simple("a/b"))
		redis := open(shared.URL(), space)
		Expect(redis.Publish(ctx, &event.Event{Type: "a/b", Data: []byte(`{}`)})).To(Succeed())
		Expect(keys(shared, space)).To(BeNumerically(">", 0))
		remove(space, "f")
		Eventually(gone(space, "f")).Should(BeTrue())
		Expect(keys(shared, space)).To(BeZero())
		Expect(inspect.New(redis).Groups(ctx, "a/b")).To(BeEmpty())
		Consistently(func() int { return keys(shared, space) }, "1s").Should(BeZero())
	})

	It("cleans up though the Secret has gone first, as with a namespace", func() {
		space := newSpace(shared.URL())
		Expect(admin.Create(ctx, eventType(space, "a-b", "a/b"))).To(Succeed())
		ready(space, "f", simple("a/b"))
		redis := open(shared.URL(), space)
		Expect(redis.Publish(ctx, &event.Event{Type: "a/b", Data: []byte(`{}`)})).To(Succeed())
		addPod(space, "f", corev1.PodStatus{Phase: corev1.PodRunning})
		Expect(admin.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "wildout-redis", Namespace: space}})).To(Succeed())
		Eventually(cond(space, "f", "Ready")).Should(is("False", "SecretNotFound"))
		Expect(admin.Delete(ctx, eventType(space, "a-b", "a/b"))).To(Succeed())
		remove(space, "f")
		time.Sleep(2 * time.Second) // nobody uses the Secret meanwhile
		Expect(admin.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(space), client.GracePeriodSeconds(0))).To(Succeed())
		Eventually(gone(space, "f")).Should(BeTrue())
		Eventually(func() bool {
			return apierrors.IsNotFound(admin.Get(ctx, key(space, "a-b"), &v1alpha1.WildoutEventType{}))
		}).Should(BeTrue())
		Expect(keys(shared, space)).To(BeZero())
		Expect(redisCommand(shared, "EXISTS", redis.Keys().Stream("a/b"))).To(Equal(":0"), "the stream goes with its last reader")
	})

	It("removes a stream whose event type is still being deleted", func() {
		space := newSpace(shared.URL())
		declared := eventType(space, "a-b", "a/b")
		declared.Finalizers = []string{"example.com/somebody-else"}
		Expect(admin.Create(ctx, declared)).To(Succeed())
		ready(space, "f", simple("a/b"))
		redis := open(shared.URL(), space)
		Expect(redis.Publish(ctx, &event.Event{Type: "a/b", Data: []byte(`{}`)})).To(Succeed())
		Expect(admin.Delete(ctx, declared)).To(Succeed())
		finalizers := func() []string {
			Expect(admin.Get(ctx, key(space, "a-b"), declared)).To(Succeed())
			return declared.Finalizers
		}
		Eventually(finalizers).Should(HaveLen(1), "the operator has left the stream to its reader")
		Eventually(func() string { return show(declared.Status.Conditions, "Ready", declared.Generation) }).Should(is("False", "Deleting"))
		DeferCleanup(func() {
			declared.Finalizers = nil
			Expect(admin.Update(ctx, declared)).To(Succeed())
		})
		remove(space, "f")
		Eventually(gone(space, "f")).Should(BeTrue())
		Expect(redisCommand(shared, "EXISTS", redis.Keys().Stream("a/b"))).To(Equal(":0"))
	})

	It("waits for the runners, and not for ever", func() {
		space := newSpace(shared.URL())
		ready(space, "f", simple("a/b"))
		addPod(space, "f", corev1.PodStatus{Phase: corev1.PodRunning})
		remove(space, "f")
		Eventually(func() any { return deployment(space, "f") }).Should(BeNil())
		Consistently(gone(space, "f"), "2s").Should(BeFalse())
		Eventually(gone(space, "f")).Should(BeTrue())
		Expect(keys(shared, space)).To(BeZero())
	})

	It("keeps what is to be retained", func() {
		space := newSpace(shared.URL())
		ready(space, "f", simple("a/b")+"deletionPolicy: Retain")
		before := keys(shared, space)
		Expect(before).To(BeNumerically(">", 0))
		remove(space, "f")
		Eventually(gone(space, "f")).Should(BeTrue())
		Expect(keys(shared, space)).To(Equal(before))
	})

	It("ends, with an Event, when Redis is gone", func() {
		redis := servicetest.StartRedis(GinkgoTB(), servicetest.AppendFsync("everysec"))
		space := newSpace(redis.URL())
		ready(space, "f", simple("a/b"))
		redis.Kill()
		remove(space, "f")
		Eventually(gone(space, "f"), 30*time.Second).Should(BeTrue())
		Eventually(notes(space, "f")).Should(ContainElement(And(HavePrefix("RedisNotCleaned: "), ContainSubstring("wo:{"+space))))
	})

	It("that gave up leaves nothing in Redis once that is back, whichever operator there is then", Serial, func() {
		redis := servicetest.StartRedis(GinkgoTB(), servicetest.AppendFsync("always"))
		space := newSpace(redis.URL())
		Expect(admin.Create(ctx, eventType(space, "c-d", "c/d"))).To(Succeed())
		for _, name := range []string{"f", "g", "again"} {
			ready(space, name, simple("a/b"))
		}
		tombstones := func() (keys []string) {
			var c corev1.ConfigMap
			if err := admin.Get(ctx, key(space, "wildout-tombstones"), &c); err != nil {
				return nil
			}
			for name := range c.Data {
				keys = append(keys, name)
			}
			return keys
		}
		redis.Kill()
		Expect(admin.Delete(ctx, eventType(space, "c-d", "c/d"))).To(Succeed())
		for _, name := range []string{"f", "again"} {
			remove(space, name)
			Eventually(gone(space, name), 60*time.Second).Should(BeTrue())
		}
		Eventually(tombstones).Should(ConsistOf("function.f", "function.again", "event-type.c-d"))
		restart()
		create(space, "again", simple("a/b")) // what it had is its own again
		Eventually(tombstones, starts).Should(ConsistOf("function.f", "event-type.c-d"))
		redis.Start()
		Eventually(tombstones, starts).Should(BeEmpty())
		groups := func() (names []string) {
			all, err := inspect.New(open(redis.URL(), space)).Groups(ctx, "a/b")
			Expect(err).NotTo(HaveOccurred())
			for _, g := range all {
				names = append(names, g.Name)
			}
			return names
		}
		Eventually(groups).Should(ConsistOf("g", "again"))
		Expect(redisCommand(redis, "EXISTS", open(redis.URL(), space).Keys().Stream("c/d"))).To(Equal(":0"))
	})

	It("ends when the Secret is gone", func() {
		space := newSpace("")
		create(space, "f", simple("a/b"))
		Eventually(cond(space, "f", "Ready")).Should(is("False", "SecretNotFound"))
		remove(space, "f")
		Eventually(gone(space, "f"), 30*time.Second).Should(BeTrue())
	})
})

var _ = Describe("An event type", func() {
	typeCond := func(space, name, kind string) func() string {
		return func() string {
			t := &v1alpha1.WildoutEventType{}
			if err := admin.Get(ctx, key(space, name), t); err != nil {
				return err.Error()
			}
			return show(t.Status.Conditions, kind, t.Generation)
		}
	}
	catalog := func(space string) func() []string {
		return func() (files []string) {
			var c corev1.ConfigMap
			if err := admin.Get(ctx, key(space, "wildout-event-types"), &c); err != nil {
				return nil
			}
			for name := range c.Data {
				files = append(files, name)
			}
			return files
		}
	}

	It("has its stream before anybody publishes, and tells how large it is", func() {
		space := newSpace(shared.URL())
		Expect(admin.Create(ctx, eventType(space, "a-b", "a/b"))).To(Succeed())
		Eventually(typeCond(space, "a-b", "Ready")).Should(is("True", "Ready"))
		redis := open(shared.URL(), space)
		Expect(redisCommand(shared, "EXISTS", redis.Keys().Stream("a/b"))).To(Equal(":1"))
		retention, err := redis.Retention(ctx, "a/b")
		Expect(err).NotTo(HaveOccurred())
		Expect(retention.Period).To(Equal(2 * time.Hour))
		Expect(retention.MaxBytes).To(BeEquivalentTo(1 << 20))
		Expect(redis.Publish(ctx, &event.Event{Type: "a/b", Data: []byte(`{}`)})).To(Succeed())
		create(space, "f", simple("a/b"))
		Eventually(func(g Gomega) {
			t := &v1alpha1.WildoutEventType{}
			g.Expect(admin.Get(ctx, key(space, "a-b"), t)).To(Succeed())
			g.Expect(t.Status.Subscribers).To(Equal([]string{"f"}))
			g.Expect(t.Status.Stream).NotTo(BeNil())
			g.Expect(t.Status.Stream.Length).To(BeEquivalentTo(1))
			g.Expect(t.Status.Stream.Bytes).To(BeNumerically(">", 0))
			g.Expect(t.Status.Stream.Newest).NotTo(BeNil())
		}).Should(Succeed())
		Eventually(catalog(space)).Should(ConsistOf("a-b.yaml"))
	})

	It("that nobody declares is a warning and no failure", func() {
		space := newSpace(shared.URL())
		ready(space, "f", simple("a/b"))
		Expect(cond(space, "f", "Accepted")()).To(is("True", "UndeclaredEventType", "a/b"))
		Expect(admin.Create(ctx, eventType(space, "a-b", "a/b"))).To(Succeed())
		Eventually(cond(space, "f", "Accepted")).Should(is("True", "Accepted"))
		Expect(cond(space, "f", "Ready")()).To(is("True", "Ready"))
	})

	It("that nobody declares is told beside a function that is not there", func() {
		space := newSpace(shared.URL())
		create(space, "f", "triggers: [{event: a/b}]\nsteps: [{name: call, invoke: {function: g}}]\n")
		Eventually(cond(space, "f", "Accepted")).Should(is("True", "NoSuchFunction", "it invokes g", "a/b"))
		Eventually(notes(space, "f")).Should(ContainElement(HavePrefix("NoSuchFunction: ")))
		create(space, "g", simple("a/b"))
		Eventually(cond(space, "f", "Accepted")).Should(is("True", "UndeclaredEventType"))
		Expect(admin.Delete(ctx, get(space, "g"))).To(Succeed())
		Eventually(cond(space, "f", "Accepted")).Should(is("True", "NoSuchFunction", "it invokes g"))
	})

	It("counts once, and the second takes over when the first goes", func() {
		space := newSpace(shared.URL())
		Expect(admin.Create(ctx, eventType(space, "a-b", "a/b"))).To(Succeed())
		Eventually(typeCond(space, "a-b", "Ready")).Should(is("True", "Ready"))
		time.Sleep(time.Second) // creation times have seconds
		Expect(admin.Create(ctx, eventType(space, "a-a", "a/b"))).To(Succeed())
		Eventually(typeCond(space, "a-a", "Ready")).Should(is("False", "DuplicateType", "a-b"))
		Expect(admin.Delete(ctx, eventType(space, "a-b", "a/b"))).To(Succeed())
		Eventually(typeCond(space, "a-a", "Ready")).Should(is("True", "Ready"))
		Eventually(catalog(space)).Should(ConsistOf("a-a.yaml"))
	})

	It("with a schema that cannot be used says so, and does not reach the gateway", func() {
		space := newSpace(shared.URL())
		Expect(admin.Create(ctx, eventType(space, "a-b", "a/b"))).To(Succeed())
		wrong := eventType(space, "c-d", "c/d")
		wrong.Spec.Schema = &v1alpha1.JSON{Raw: []byte(`{"type": "objekt"}`)}
		Expect(admin.Create(ctx, wrong)).To(Succeed())
		Eventually(typeCond(space, "c-d", "Ready")).Should(is("False", "InvalidSchema", "spec.schema"))
		Eventually(catalog(space)).Should(ConsistOf("a-b.yaml"))
	})

	It("with a schema that is broken later keeps the one that it had, with the gateway", func() {
		space := newSpace(shared.URL())
		t := eventType(space, "a-b", "a/b")
		t.Spec.Schema = &v1alpha1.JSON{Raw: []byte(`{"type": "object", "required": ["good"]}`)}
		Expect(admin.Create(ctx, t)).To(Succeed())
		Eventually(typeCond(space, "a-b", "Published")).Should(is("True", "Published"))
		setSchema := func(schema string) {
			Eventually(func() error {
				Expect(admin.Get(ctx, key(space, "a-b"), t)).To(Succeed())
				t.Spec.Schema = &v1alpha1.JSON{Raw: []byte(schema)}
				return admin.Update(ctx, t)
			}).Should(Succeed())
		}
		content := func() string {
			var c corev1.ConfigMap
			Expect(admin.Get(ctx, key(space, "wildout-event-types"), &c)).To(Succeed())
			return c.Data["a-b.yaml"]
		}
		setSchema(`{"type": "objekt"}`)
		Eventually(typeCond(space, "a-b", "Published")).Should(is("False", "InvalidSchema", "go on with the schema"))
		Expect(typeCond(space, "a-b", "Ready")()).To(is("False", "InvalidSchema", "spec.schema"))
		Expect(content()).To(ContainSubstring("good"))
		// Another one makes the ConfigMap anew.
		Expect(admin.Create(ctx, eventType(space, "c-d", "c/d"))).To(Succeed())
		Eventually(catalog(space)).Should(ConsistOf("a-b.yaml", "c-d.yaml"))
		Expect(content()).To(ContainSubstring("good"))
		setSchema(`{"type": "object", "required": ["better"]}`)
		Eventually(typeCond(space, "a-b", "Ready")).Should(is("True", "Ready"))
		Expect(content()).To(ContainSubstring("better"))
	})

	It("is not ready where the gateway cannot have it", func() {
		space := newSpace(shared.URL())
		foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "wildout-event-types", Namespace: space}}
		Expect(admin.Create(ctx, foreign)).To(Succeed())
		Expect(admin.Create(ctx, eventType(space, "a-b", "a/b"))).To(Succeed())
		Eventually(typeCond(space, "a-b", "Ready")).Should(is("False", "NameTaken", "wildout-event-types"))
		Expect(admin.Delete(ctx, foreign)).To(Succeed())
		Eventually(func() error { // whoever changes anything has it looked at again
			t := &v1alpha1.WildoutEventType{}
			Expect(admin.Get(ctx, key(space, "a-b"), t)).To(Succeed())
			t.Spec.Description = "again"
			return admin.Update(ctx, t)
		}).Should(Succeed())
		Eventually(typeCond(space, "a-b", "Ready")).Should(is("True", "Ready"))

		large := eventType(space, "c-d", "c/d")
		large.Spec.Schema = &v1alpha1.JSON{Raw: fmt.Appendf(nil, `{"type": "object", "description": %q}`, strings.Repeat("x", 400_000))}
		Expect(admin.Create(ctx, large)).To(Succeed())
		Eventually(typeCond(space, "c-d", "Ready")).Should(is("True", "Ready"))
		second := large.DeepCopy()
		second.ObjectMeta = metav1.ObjectMeta{Name: "g-h", Namespace: space}
		second.Spec.Type = "g/h"
		Expect(admin.Create(ctx, second)).To(Succeed())
		Eventually(typeCond(space, "g-h", "Ready")).Should(is("True", "Ready"))
		larger := large.DeepCopy()
		larger.ObjectMeta = metav1.ObjectMeta{Name: "e-f", Namespace: space}
		larger.Spec.Type = "e/f"
		Expect(admin.Create(ctx, larger)).To(Succeed())
		Eventually(typeCond(space, "e-f", "Ready")).Should(is("False", "CatalogTooLarge", "shorten schemas"))
		Expect(typeCond(space, "c-d", "Ready")()).To(is("True", "Ready"))
	})

	It("tells whose groups keep events longer than they were to be kept", func() {
		space := newSpace(shared.URL())
		redis := open(shared.URL(), space)
		t := eventType(space, "a-b", "a/b")
		t.Spec.Retention.Period = "1s"
		Expect(admin.Create(ctx, t)).To(Succeed())
		ready(space, "behind", simple("a/b"))
		create(space, "asleep", simple("a/b")+"suspend: true")
		Eventually(cond(space, "asleep", "StreamsReady")).Should(is("True", "StreamsReady"))
		redisCommand(shared, "XGROUP", "CREATE", redis.Keys().Stream("a/b"), "left", "0")
		for range 3 {
			Expect(redis.Publish(ctx, &event.Event{Type: "a/b", Data: []byte(`{}`)})).To(Succeed())
		}
		held := func() (all []string) {
			Expect(admin.Get(ctx, key(space, "a-b"), t)).To(Succeed())
			for _, h := range t.Status.HeldBy {
				Expect(h.Since).NotTo(BeNil())
				all = append(all, h.Function+": "+h.Reason)
			}
			return all
		}
		Eventually(held).Should(ConsistOf("asleep: Suspended", "behind: Behind", "left: Retained"))
		redisCommand(shared, "XGROUP", "DESTROY", redis.Keys().Stream("a/b"), "left")
		redisCommand(shared, "XGROUP", "SETID", redis.Keys().Stream("a/b"), "behind", "$")
		Eventually(held).Should(ConsistOf("asleep: Suspended"))
	})

	It("that is deleted takes its stream along, unless a function reads it", func() {
		space := newSpace(shared.URL())
		redis := open(shared.URL(), space)
		for _, name := range []string{"a", "b"} {
			Expect(admin.Create(ctx, eventType(space, name, name+"/x"))).To(Succeed())
			Eventually(typeCond(space, name, "Ready")).Should(is("True", "Ready"))
		}
		ready(space, "f", simple("b/x"))
		for _, name := range []string{"a", "b"} {
			Expect(admin.Delete(ctx, eventType(space, name, name+"/x"))).To(Succeed())
			Eventually(typeCond(space, name, "Ready")).Should(ContainSubstring("not found"))
		}
		Expect(redisCommand(shared, "EXISTS", redis.Keys().Stream("a/x"))).To(Equal(":0"))
		Expect(redisCommand(shared, "EXISTS", redis.Keys().Stream("b/x"))).To(Equal(":1"))
		Eventually(catalog(space)).Should(BeEmpty())
	})
})

// eventType is an event type with a retention.
func eventType(space, name, of string) *v1alpha1.WildoutEventType {
	t := &v1alpha1.WildoutEventType{}
	t.Namespace, t.Name = space, name
	t.Spec.Type = v1alpha1.EventTypeName(of)
	t.Spec.Retention = &v1alpha1.Retention{Period: "2h", MaxBytes: "1Mi"}
	t.Spec.Schema = &v1alpha1.JSON{Raw: []byte(`{"type": "object"}`)}
	return t
}
