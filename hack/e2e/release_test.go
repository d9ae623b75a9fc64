package e2e_test

import (
	"path/filepath"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
)

var _ = Describe("The release", func() {
	It("is upgraded with runs in flight: none is lost", func() {
		const eventType = "upgrade/tested"
		sender, redis := newSender(), openStore(home)
		key := apply(home, "upgrade", flowing(eventType, "runner: {replicas: 2}"))
		becomesReady(key)
		before := deploymentOf(key).Spec.Template.Spec.Containers[0].Image
		flow := startFlow(sender, redis, key, eventType, 100)
		time.Sleep(3 * time.Second)
		By("every program is another one: all pods but that of Redis are replaced")
		if set.load != "" {
			set.tag += "-next"
			buildImages()
		}
		began := time.Now()
		helm(append([]string{"upgrade"}, chart("--set", "manager.logLevel=debug")...)...)
		if set.load != "" {
			Eventually(func() string { return deploymentOf(key).Spec.Template.Spec.Containers[0].Image }).ShouldNot(Equal(before))
		}
		Eventually(state(key, v1alpha1.ConditionReady), time.Minute).Should(Equal("True/Ready"))
		Eventually(func() int { return len(runners(key)) }, time.Minute).Should(Equal(2))
		AddReportEntry("the upgrade took", time.Since(began).Round(100*time.Millisecond).String())
		time.Sleep(2 * time.Second)
		flow.end(time.Minute)
		late := flow.lateness()
		report("an upgrade", late)
		Expect(late[len(late)-1]).To(BeNumerically("<=", time.Second))
	})
})

// uninstall takes the release away while a function is still there, and looks
// at what is left: nothing but what crds.keep says.
func uninstall() {
	GinkgoHelper()
	key := apply(home, "orphan", plain)
	becomesReady(key)
	helm("uninstall", release, "--wait", "--timeout", "4m")
	Expect(kinds("wildout.dev")).To(HaveLen(2), "crds.keep is true")
	Expect(get(key).Spec.Triggers).NotTo(BeEmpty(), "and so the function is there")

	By("it is deleted, without an operator, and its children go with it")
	Expect(kube.Delete(ctx, get(key))).To(Succeed())
	Eventually(func() error { return kube.Get(ctx, key, &v1alpha1.WildoutFunction{}) }).ShouldNot(Succeed())
	Eventually(leftovers, 2*time.Minute, time.Second).Should(BeEmpty())
	removeNamespace(home)
	Expect(client.IgnoreNotFound(kube.Delete(ctx, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: volume}}))).To(Succeed())
}

// kinds are the names of the custom resource definitions of a group.
func kinds(group string) (names []string) {
	GinkgoHelper()
	var definitions apiextensionsv1.CustomResourceDefinitionList
	Expect(kube.List(ctx, &definitions)).To(Succeed())
	for i := range definitions.Items {
		if definitions.Items[i].Spec.Group == group {
			names = append(names, definitions.Items[i].Name)
		}
	}
	return names
}

// leftovers are the objects of any kind that the release or its functions made
// and that are still there.
func leftovers() []string {
	GinkgoHelper()
	all := []string{}
	known, err := discovered()
	Expect(err).NotTo(HaveOccurred())
	for _, kind := range known {
		for _, labels := range []client.MatchingLabels{
			{"app.kubernetes.io/instance": release, "app.kubernetes.io/part-of": "wildout"},
			{"app.kubernetes.io/managed-by": "wildout"},
		} {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(kind)
			if err := kube.List(ctx, list, labels); err != nil {
				continue // not everything can be listed
			}
			for i := range list.Items {
				all = append(all, kind.Kind+" "+filepath.Join(list.Items[i].Namespace, list.Items[i].Name))
			}
		}
	}
	return all
}

// discovered are all kinds of objects that the cluster can list.
func discovered() (kinds []schema.GroupVersionKind, err error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	lists, err := client.ServerPreferredResources()
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") && r.Kind != "CustomResourceDefinition" {
				kinds = append(kinds, gv.WithKind(r.Kind))
			}
		}
	}
	return kinds, err
}
