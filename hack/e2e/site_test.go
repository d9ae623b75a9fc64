package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/runtime/store"
)

// The pods of the release.
var (
	redisPods   = client.MatchingLabels{"app.kubernetes.io/instance": release, "app.kubernetes.io/component": "redis"}
	gatewayPods = client.MatchingLabels{"app.kubernetes.io/instance": release, "app.kubernetes.io/component": "gateway"}
	managerPods = client.MatchingLabels{"app.kubernetes.io/instance": release, "app.kubernetes.io/component": "manager"}
)

// secret reads a key of a Secret.
func secret(namespace, name, key string) string {
	GinkgoHelper()
	var s corev1.Secret
	Expect(kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &s)).To(Succeed())
	Expect(s.Data).To(HaveKey(key))
	return string(s.Data[key])
}

// openStore looks into the Redis of the release, as it is for a namespace.
func openStore(namespace string) *store.Conn {
	GinkgoHelper()
	address, err := url.Parse(secret(home, "wildout-redis", "url"))
	Expect(err).NotTo(HaveOccurred())
	address.Host = forward(home, redisPods, 6379)
	s, err := store.Open(store.Options{URL: address.String(), Namespace: namespace, Logger: slog.New(slog.DiscardHandler)})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	return s
}

// sender publishes through the gateway.
type sender struct{ url string }

func newSender() sender {
	GinkgoHelper()
	return sender{fmt.Sprintf("http://%s/e/%s", forward(home, gatewayPods, 8288), secret(home, release+"-gateway-key", "key"))}
}

// send publishes an event, and tries again until it is taken: its id makes it
// one.
func (s sender) send(eventType, id string, data any) {
	GinkgoHelper()
	body, err := json.Marshal(map[string]any{"name": eventType, "id": id, "data": data})
	Expect(err).NotTo(HaveOccurred())
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if err = s.post(body); err == nil {
			return
		}
		if time.Now().After(end) {
			Fail(fmt.Sprintf("the gateway does not take event %s: %v", id, err))
		}
	}
}

var httpClient = &http.Client{Timeout: 5 * time.Second}

func (s sender) post(body []byte) error {
	response, err := httpClient.Post(s.url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return err
}

// apply makes a function of a spec in YAML, and removes it with the spec's end.
func apply(namespace, name, spec string) client.ObjectKey {
	GinkgoHelper()
	f := &v1alpha1.WildoutFunction{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "WildoutFunction"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	Expect(yaml.UnmarshalStrict([]byte(spec), &f.Spec)).To(Succeed())
	existed := kube.Get(ctx, client.ObjectKeyFromObject(f), &v1alpha1.WildoutFunction{}) == nil
	if existed {
		now := &v1alpha1.WildoutFunction{}
		Eventually(func() error {
			if err := kube.Get(ctx, client.ObjectKeyFromObject(f), now); err != nil {
				return err
			}
			now.Spec = f.Spec
			return kube.Update(ctx, now)
		}).Should(Succeed())
		return client.ObjectKeyFromObject(f)
	}
	Expect(kube.Create(ctx, f)).To(Succeed())
	key := client.ObjectKeyFromObject(f)
	DeferCleanup(func() { remove(key) })
	return key
}

func remove(key client.ObjectKey) {
	GinkgoHelper()
	f := &v1alpha1.WildoutFunction{ObjectMeta: metav1.ObjectMeta{Name: key.Name, Namespace: key.Namespace}}
	Expect(client.IgnoreNotFound(kube.Delete(ctx, f))).To(Succeed())
	Eventually(func() error { return kube.Get(ctx, key, f) }, 90*time.Second).ShouldNot(Succeed(), "%s is to be gone", key)
}

func get(key client.ObjectKey) *v1alpha1.WildoutFunction {
	GinkgoHelper()
	f := &v1alpha1.WildoutFunction{}
	Expect(kube.Get(ctx, key, f)).To(Succeed())
	return f
}

// state is a condition in one line: "True/Reason", "" when it is of an earlier
// generation, or not there.
func state(key client.ObjectKey, condition string) func() string {
	return func() string {
		f := &v1alpha1.WildoutFunction{}
		if err := kube.Get(ctx, key, f); err != nil {
			return err.Error()
		}
		for _, c := range f.Status.Conditions {
			if c.Type == condition && c.ObservedGeneration == f.Generation {
				return fmt.Sprintf("%s/%s", c.Status, c.Reason)
			}
		}
		return ""
	}
}

// message is what a condition says.
func message(key client.ObjectKey, condition string) string {
	GinkgoHelper()
	for _, c := range get(key).Status.Conditions {
		if c.Type == condition {
			return c.Message
		}
	}
	return ""
}

// becomesReady waits until a function is Ready, and has its runners.
func becomesReady(key client.ObjectKey) {
	GinkgoHelper()
	Eventually(state(key, v1alpha1.ConditionReady), time.Minute).Should(HavePrefix("True/"), func() string { return message(key, v1alpha1.ConditionReady) })
}

// runners are the pods of a function that have not ended.
func runners(key client.ObjectKey) []corev1.Pod {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(kube.List(ctx, &pods, client.InNamespace(key.Namespace), client.MatchingLabels{v1alpha1.LabelFunction: key.Name})).To(Succeed())
	return pods.Items
}

func deploymentOf(key client.ObjectKey) *appsv1.Deployment {
	GinkgoHelper()
	d := &appsv1.Deployment{}
	Expect(kube.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: desired.Name(key.Name)}, d)).To(Succeed())
	return d
}
