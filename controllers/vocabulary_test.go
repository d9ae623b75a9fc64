package controllers_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/store"
)

func functionList() *v1alpha1.WildoutFunctionList { return &v1alpha1.WildoutFunctionList{} }

// documents splits a file at the lines ---.
func documents(text []byte) (all [][]byte) {
	for part := range strings.SplitSeq("\n"+string(text), "\n---") {
		all = append(all, []byte(part))
	}
	return all
}

// key names an object.
func key(space, name string) client.ObjectKey { return client.ObjectKey{Namespace: space, Name: name} }

// create creates a function whose spec is the YAML.
func create(space, name, spec string) *v1alpha1.WildoutFunction {
	GinkgoHelper()
	f := &v1alpha1.WildoutFunction{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: space}}
	Expect(yaml.UnmarshalStrict([]byte(spec), &f.Spec)).To(Succeed())
	Expect(admin.Create(ctx, f)).To(Succeed())
	return f
}

// simple is the spec of a function that reads an event type.
func simple(eventType string) string {
	return fmt.Sprintf("triggers: [{event: %s}]\nsteps: [{name: a, handler: log.write}]\n", eventType)
}

// get reads a function.
func get(space, name string) *v1alpha1.WildoutFunction {
	GinkgoHelper()
	f := &v1alpha1.WildoutFunction{}
	Expect(admin.Get(ctx, key(space, name), f)).To(Succeed())
	return f
}

// edit changes the spec of a function.
func edit(space, name string, change func(*v1alpha1.WildoutFunctionSpec)) {
	GinkgoHelper()
	Eventually(func() error {
		f := get(space, name)
		change(&f.Spec)
		return admin.Update(ctx, f)
	}).Should(Succeed())
}

// cond reads a condition of a function as "Status/Reason: message".
func cond(space, name, kind string) func() string {
	return func() string {
		f := &v1alpha1.WildoutFunction{}
		if err := admin.Get(ctx, key(space, name), f); err != nil {
			return err.Error()
		}
		return show(f.Status.Conditions, kind, f.Generation)
	}
}

func show(conditions []metav1.Condition, kind string, generation int64) string {
	c := meta.FindStatusCondition(conditions, kind)
	if c == nil {
		return "none"
	}
	if c.ObservedGeneration != generation {
		return fmt.Sprintf("stale: of generation %d", c.ObservedGeneration)
	}
	return fmt.Sprintf("%s/%s: %s", c.Status, c.Reason, c.Message)
}

// is matches a condition as cond shows it: status, reason, and parts of the message.
func is(status, reason string, parts ...string) types.GomegaMatcher {
	all := []types.GomegaMatcher{HavePrefix(status + "/" + reason + ":")}
	for _, part := range parts {
		all = append(all, ContainSubstring(part))
	}
	return And(all...)
}

// deployment reads the Deployment of a function, nil when there is none.
func deployment(space, name string) *appsv1.Deployment {
	GinkgoHelper()
	d := &appsv1.Deployment{}
	err := admin.Get(ctx, key(space, name+"-runner"), d)
	if apierrors.IsNotFound(err) {
		return nil
	}
	Expect(err).NotTo(HaveOccurred())
	return d
}

// rollOut does what the Deployment controller would, once the operator has
// acted on the current spec: all runners are there.
func rollOut(space, name string) {
	GinkgoHelper()
	Eventually(func() bool { f := get(space, name); return f.Status.ObservedGeneration == f.Generation }, starts).Should(BeTrue())
	Eventually(func() *appsv1.Deployment { return deployment(space, name) }, starts).ShouldNot(BeNil())
	Eventually(func() error {
		d := deployment(space, name)
		n := *d.Spec.Replicas
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
		return admin.Status().Update(ctx, d)
	}).Should(Succeed())
}

// addPod does what the ReplicaSet controller would, and the kubelet: a pod of
// the Deployment's template with that status.
func addPod(space, name string, status corev1.PodStatus) *corev1.Pod {
	GinkgoHelper()
	template := deployment(space, name).Spec.Template
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-", Namespace: space, Labels: template.Labels, Annotations: template.Annotations}, Spec: template.Spec}
	Expect(admin.Create(ctx, pod)).To(Succeed())
	pod.Status = status
	Expect(admin.Status().Update(ctx, pod)).To(Succeed())
	return pod
}

func removePod(pod *corev1.Pod) {
	GinkgoHelper()
	Expect(admin.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
}

// ready creates a function, and its runners come up.
func ready(space, name, spec string) {
	GinkgoHelper()
	create(space, name, spec)
	rollOut(space, name)
	Eventually(cond(space, name, "Ready")).Should(is("True", "Ready"))
}

// open opens Redis for a namespace.
func open(url, space string) *store.Conn {
	GinkgoHelper()
	s, err := store.Open(store.Options{URL: url, Namespace: space})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	return s
}

// notes are the Events about an object, as "reason: note".
func notes(space, name string) func() []string {
	return func() (all []string) {
		var list eventsv1.EventList
		if err := admin.List(ctx, &list, client.InNamespace(space)); err != nil {
			return []string{err.Error()}
		}
		for _, e := range list.Items {
			if e.Regarding.Name == name {
				all = append(all, e.Reason+": "+e.Note)
			}
		}
		return all
	}
}

// redisCommand sends one command to Redis. Only the store imports a client.
func redisCommand(redis *servicetest.Redis, words ...string) string {
	GinkgoHelper()
	conn, err := net.DialTimeout("tcp", redis.Addr, time.Second)
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	Expect(conn.SetDeadline(time.Now().Add(5 * time.Second))).To(Succeed())
	request := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		request += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	_, err = conn.Write([]byte(request))
	Expect(err).NotTo(HaveOccurred())
	reply, err := bufio.NewReader(conn).ReadString('\n')
	Expect(err).NotTo(HaveOccurred())
	Expect(reply).NotTo(HavePrefix("-"))
	return strings.TrimSpace(reply)
}
