package e2e_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// makeNamespace makes a namespace that takes only pods within the restricted
// standard.
func makeNamespace(name string) {
	GinkgoHelper()
	makeNamespaceOf(name, "restricted")
}

func makeNamespaceOf(name, standard string) {
	GinkgoHelper()
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": standard, "wildout.dev/e2e": "true"}}}
	Eventually(func() error { // an earlier one of that name may be going still
		err := kube.Create(ctx, n.DeepCopy())
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		var there corev1.Namespace
		if err := kube.Get(ctx, client.ObjectKeyFromObject(n), &there); err != nil || there.DeletionTimestamp.IsZero() {
			return err
		}
		return apierrors.NewConflict(corev1.Resource("namespaces"), name, nil)
	}, time.Minute).Should(Succeed())
}

func removeNamespace(name string) {
	GinkgoHelper()
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	Expect(client.IgnoreNotFound(kube.Delete(ctx, n))).To(Succeed())
	Eventually(func() bool {
		return apierrors.IsNotFound(kube.Get(ctx, client.ObjectKeyFromObject(n), n))
	}, 2*time.Minute).Should(BeTrue(), "the namespace %s is to be gone", name)
}

// A volume for Redis where the cluster makes none by itself: a folder of the
// node that holds the control plane's place, the first by name.
const volume = "wildout-e2e-redis"

var volumeFolder = fmt.Sprintf("/var/lib/wildout-e2e/%d", time.Now().Unix())

// firstNode is where what must survive the loss of another node is.
func firstNode() string {
	GinkgoHelper()
	var nodes corev1.NodeList
	Expect(kube.List(ctx, &nodes)).To(Succeed())
	Expect(nodes.Items).NotTo(BeEmpty())
	name := nodes.Items[0].Name
	for i := range nodes.Items {
		name = min(name, nodes.Items[i].Name)
	}
	return name
}

// makeVolume makes a volume for the claim of the embedded Redis, unless the
// cluster has a default StorageClass.
func makeVolume(namespace string) {
	GinkgoHelper()
	const claim = "data-" + release + "-redis-0"
	if kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: claim}, &corev1.PersistentVolumeClaim{}) == nil {
		return // of an earlier run that was kept
	}
	var classes storagev1.StorageClassList
	Expect(kube.List(ctx, &classes)).To(Succeed())
	for i := range classes.Items {
		if classes.Items[i].Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			return
		}
	}
	node := firstNode()
	makeFolder(node)
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: volume, Labels: map[string]string{"wildout.dev/e2e": "true"}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: volumeFolder}},
			ClaimRef:                      &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: namespace, Name: claim},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}}}}}},
		},
	}
	Expect(client.IgnoreNotFound(kube.Delete(ctx, v.DeepCopy()))).To(Succeed())
	Eventually(func() error { return kube.Create(ctx, v.DeepCopy()) }, time.Minute).Should(Succeed())
}

// makeFolder makes an empty folder on a node, by a pod that mounts it.
func makeFolder(node string) {
	GinkgoHelper()
	const space = home + "-setup"
	makeNamespaceOf(space, "privileged")
	defer removeNamespace(space)
	create := corev1.HostPathDirectoryOrCreate
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "folder", Namespace: space},
		Spec: corev1.PodSpec{
			NodeName: node, RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{Name: "folder", Image: set.redis, ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{"redis-server", "--version"}, VolumeMounts: []corev1.VolumeMount{{Name: "folder", MountPath: "/folder"}}}},
			Volumes: []corev1.Volume{{Name: "folder", VolumeSource: corev1.VolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: volumeFolder, Type: &create}}}},
		},
	}
	// The account that a controller makes may not be there yet.
	Eventually(func() error { return client.IgnoreAlreadyExists(kube.Create(ctx, pod.DeepCopy())) }).Should(Succeed())
	Eventually(func() corev1.PodPhase {
		_ = kube.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		return pod.Status.Phase
	}, time.Minute).Should(Equal(corev1.PodSucceeded), "the pod that makes %s on %s", volumeFolder, node)
}
