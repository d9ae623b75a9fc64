package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/internal/scenarios"
	"github.com/wildout/wildout/runtime/plan"
)

// runnerPods are the runners of a site: the pods that the operator makes of
// the functions.
type runnerPods struct {
	namespace string
	changes   scenarios.Changes
}

// Start applies what the chart wildout-functions has, changed, with n runners
// each, and waits until all are Ready.
func (r *runnerPods) Start(n int) {
	GinkgoHelper()
	functions, eventTypes, err := plan.ReadManifests("charts/wildout-functions", []byte(renderFunctions(r.namespace, n)))
	Expect(err).NotTo(HaveOccurred())
	Expect(functions).To(HaveLen(len(scenarios.Triggers)))
	for i := range eventTypes {
		eventTypes[i].Namespace = r.namespace
		Expect(kube.Create(ctx, &eventTypes[i])).To(Succeed())
	}
	for i := range functions {
		f := &functions[i]
		f.Namespace = r.namespace
		Expect(r.changes.Apply(&f.Spec)).To(Succeed())
		Expect(kube.Create(ctx, f)).To(Succeed())
	}
	DeferCleanup(r.remove)
	Eventually(func() string { return unready(r.namespace) }, 4*time.Minute).Should(BeEmpty(), "all functions are to be Ready")
}

// renderFunctions is what `helm install charts/wildout-functions` would apply.
func renderFunctions(namespace string, replicas int) string {
	GinkgoHelper()
	hooks := fmt.Sprintf("http://%s.%s.svc:%d/hooks/", servicesName, namespace, controlPort)
	values, err := json.Marshal(map[string]any{
		"siteName": scenarios.SiteName, "adminEmail": scenarios.Admin,
		"alerts":            map[string]any{"contacts": []string{scenarios.Guard}, "webhookURL": hooks + "security"},
		"listings":          map[string]any{"webhookURL": hooks + "events"},
		"allowPrivateCIDRs": []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"}, // where Services of clusters are
		"runner": map[string]any{
			"image": set.image("mortal"), "replicas": replicas,
			"resources": map[string]any{"requests": map[string]any{"cpu": "10m", "memory": "32Mi"}, "limits": map[string]any{"memory": "256Mi"}},
		},
	})
	Expect(err).NotTo(HaveOccurred())
	file, err := filepath.Abs(filepath.Join(GinkgoT().TempDir(), "values.json"))
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(file, values, 0o600)).To(Succeed())
	return execute(repository, filepath.Join("bin", "helm4"), "template", "functions", "charts/wildout-functions", "--namespace", namespace, "--values", file)
}

// unready says which functions of a namespace are not Ready, and why.
func unready(namespace string) string {
	var all v1alpha1.WildoutFunctionList
	if err := kube.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return err.Error()
	}
	var left []string
	for i := range all.Items {
		f := &all.Items[i]
		if why := state(client.ObjectKeyFromObject(f), v1alpha1.ConditionReady)(); !strings.HasPrefix(why, "True/") {
			left = append(left, f.Name+": "+why)
		}
	}
	return strings.Join(left, "; ")
}

// remove deletes what was applied while Redis can still be reached from its
// namespace, so that the operator clears what that has there.
func (r *runnerPods) remove() {
	GinkgoHelper()
	if set.keep {
		return
	}
	inside := client.InNamespace(r.namespace)
	Expect(kube.DeleteAllOf(ctx, &v1alpha1.WildoutFunction{}, inside)).To(Succeed())
	Expect(kube.DeleteAllOf(ctx, &v1alpha1.WildoutEventType{}, inside)).To(Succeed())
	Eventually(func() (int, error) {
		var functions v1alpha1.WildoutFunctionList
		var eventTypes v1alpha1.WildoutEventTypeList
		err := errors.Join(kube.List(ctx, &functions, inside), kube.List(ctx, &eventTypes, inside))
		return len(functions.Items) + len(eventTypes.Items), err
	}, 2*time.Minute).Should(BeZero(), "the functions and the event types are to be gone")
}

// pods are those that work.
func (r *runnerPods) pods() (all []corev1.Pod) {
	GinkgoHelper()
	var list corev1.PodList
	Expect(kube.List(ctx, &list, client.InNamespace(r.namespace), client.HasLabels{v1alpha1.LabelFunction})).To(Succeed())
	for i := range list.Items {
		if ready(&list.Items[i]) {
			all = append(all, list.Items[i])
		}
	}
	return all
}

// Kill deletes the pod of a runner, one that is at work if there is one. The
// image makes that a SIGKILL (hack/images/site); the Deployment makes another
// pod.
func (r *runnerPods) Kill(atWork func() []string) scenarios.Death {
	GinkgoHelper()
	pods := r.pods()
	Expect(pods).NotTo(BeEmpty(), "no runner is ready")
	rand.Shuffle(len(pods), func(i, j int) { pods[i], pods[j] = pods[j], pods[i] })
	consumers := atWork()
	victim := &pods[max(0, slices.IndexFunc(pods, func(pod corev1.Pod) bool {
		return slices.ContainsFunc(consumers, func(name string) bool { return strings.HasPrefix(name, pod.Name+"-") })
	}))]
	Expect(kube.Delete(ctx, victim, client.GracePeriodSeconds(1))).To(Succeed())
	var at time.Time
	Eventually(func() bool {
		var now corev1.Pod
		err := kube.Get(ctx, client.ObjectKeyFromObject(victim), &now)
		at = time.Now()
		return apierrors.IsNotFound(err) || err == nil && len(now.Status.ContainerStatuses) > 0 && now.Status.ContainerStatuses[0].State.Terminated != nil
	}, time.Minute, 50*time.Millisecond).Should(BeTrue(), "the pod %s is to be gone", victim.Name)
	return scenarios.Death{Runner: victim.Name, At: at}
}

// Logs are the ends of the logs, without the lines of runs that went well: they
// would push those that matter out.
func (r *runnerPods) Logs() map[string]string {
	GinkgoHelper()
	clients, err := kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	lines, all := int64(500), map[string]string{}
	for _, pod := range r.pods() {
		text, err := clients.CoreV1().Pods(r.namespace).GetLogs(pod.Name, &corev1.PodLogOptions{TailLines: &lines}).DoRaw(ctx)
		if err != nil {
			text = []byte(err.Error())
		}
		var kept []string
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, `"level":"INFO"`) {
				kept = append(kept, line)
			}
		}
		log := strings.Join(kept, "")
		all[pod.Name] = log[max(0, len(log)-8<<10):]
	}
	return all
}
