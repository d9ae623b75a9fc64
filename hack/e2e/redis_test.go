package e2e_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ownRedis is a Redis of a spec's own, to be made worse.
type ownRedis struct {
	namespace string
	password  string
}

// startRedis makes one with its Secret.
func startRedis(namespace string) *ownRedis {
	GinkgoHelper()
	r := &ownRedis{namespace, "secret"}
	labels := map[string]string{"app": "redis"}
	meta := metav1.ObjectMeta{Name: "redis", Namespace: namespace, Labels: labels}
	Expect(kube.Create(ctx, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Selector: labels, Ports: []corev1.ServicePort{{Port: 6379, TargetPort: intstr.FromInt32(6379)}}}})).To(Succeed())
	Expect(kube.Create(ctx, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To(int64(1)),
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To(int64(65532)), FSGroup: ptr.To(int64(65532)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			Containers: []corev1.Container{{
				Name: "redis", Image: set.redis, ImagePullPolicy: corev1.PullIfNotPresent,
				Command:      []string{"redis-server", "--requirepass", r.password, "--appendonly", "yes", "--save", "", "--dir", "/data"},
				Ports:        []corev1.ContainerPort{{ContainerPort: 6379}},
				VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: ptr.To(false),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
		}}}})).To(Succeed())
	r.tell(r.password)
	Eventually(func() error { _, err := readyPod(ctx, namespace, labels); return err }, time.Minute).Should(Succeed())
	return r
}

// tell writes the Secret.
func (r *ownRedis) tell(password string) {
	GinkgoHelper()
	Expect(kube.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "wildout-redis", Namespace: r.namespace},
		StringData: map[string]string{"url": "redis://:" + password + "@redis:6379/0"}})).To(Succeed())
}

// forget removes the Secret.
func (r *ownRedis) forget() {
	GinkgoHelper()
	Expect(kube.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "wildout-redis", Namespace: r.namespace}})).To(Succeed())
}

func (r *ownRedis) scale(replicas int32) {
	GinkgoHelper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "redis", Namespace: r.namespace}}
	Expect(kube.Get(ctx, client.ObjectKeyFromObject(d), d)).To(Succeed())
	before := d.DeepCopy()
	d.Spec.Replicas = &replicas
	Expect(kube.Patch(ctx, d, client.MergeFrom(before))).To(Succeed())
}

// cli runs a command in the pod, as whoever has its password.
func (r *ownRedis) cli(command string) {
	GinkgoHelper()
	args := []string{"exec", "--namespace", r.namespace, "deployment/redis", "--", "redis-cli", "-e", "--no-auth-warning", "-a", r.password}
	execute(".", "kubectl", append(args, strings.Fields(command)...)...)
}
