package desired

import (
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/wildout/wildout/api/v1alpha1"
)

// How a runner is set up: what its program is told, and what Kubernetes is.
const (
	containerName = "runner"
	listenPort    = 8080
	portName      = "http"
	manifestDir   = "/etc/wildout"
	redisDir      = "/etc/wildout-redis"
	tmpDir        = "/tmp"
)

// deployment runs the function. A change replaces the pods one after another,
// a new one first: the runs of one that leaves go on in the others.
func deployment(f *v1alpha1.WildoutFunction, template *corev1ac.PodTemplateSpecApplyConfiguration) *appsv1ac.DeploymentApplyConfiguration {
	return appsv1ac.Deployment(Name(f.Name), f.Namespace).
		WithLabels(labels(f.Name)).WithOwnerReferences(owner(f)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithRevisionHistoryLimit(1).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(f.Name))).
			WithStrategy(appsv1ac.DeploymentStrategy().WithType(appsv1.RollingUpdateDeploymentStrategyType).
				WithRollingUpdate(appsv1ac.RollingUpdateDeployment().
					WithMaxUnavailable(intstr.FromInt32(0)).WithMaxSurge(intstr.FromString("25%")))).
			WithTemplate(template))
}

// podTemplate is what the pods are made from, but for the annotation that
// changes with the content of the Secret.
func podTemplate(in *Input, configMap string) (*corev1ac.PodTemplateSpecApplyConfiguration, error) {
	f := in.Function
	pod, err := podSpec(in, configMap)
	if err != nil {
		return nil, err
	}
	podLabels, annotations := map[string]string{}, map[string]string{}
	if r := f.Spec.Runner; r != nil {
		if err := in.Settings.metadataFault(r); err != nil {
			return nil, err
		}
		maps.Copy(podLabels, r.PodLabels)
		maps.Copy(annotations, r.PodAnnotations)
	}
	maps.Copy(podLabels, labels(f.Name)) // the operator finds the pods by them
	annotations[AnnotationManifest] = configMap
	return corev1ac.PodTemplateSpec().WithLabels(podLabels).WithAnnotations(annotations).WithSpec(pod), nil
}

func podSpec(in *Input, configMap string) (*corev1ac.PodSpecApplyConfiguration, error) {
	container := corev1ac.Container().
		WithName(containerName).
		WithImage(Image(in.Function, in.Image)).
		WithPorts(corev1ac.ContainerPort().WithName(portName).WithContainerPort(listenPort).WithProtocol(corev1.ProtocolTCP)).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithSecurityContext(corev1ac.SecurityContext().
			WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))).
		WithReadinessProbe(probe("/readyz", 2, 2)).
		WithLivenessProbe(probe("/healthz", 10, 6)).
		WithVolumeMounts(
			corev1ac.VolumeMount().WithName("function").WithMountPath(manifestDir).WithReadOnly(true),
			corev1ac.VolumeMount().WithName("redis").WithMountPath(redisDir).WithReadOnly(true),
			corev1ac.VolumeMount().WithName("tmp").WithMountPath(tmpDir),
		)
	if in.Settings.PullPolicy != "" && !hasOwnImage(in.Function) {
		container.WithImagePullPolicy(in.Settings.PullPolicy)
	}
	stay, err := leaveIn(in.Function)
	if err != nil {
		return nil, err
	}
	pod := corev1ac.PodSpec().
		WithServiceAccountName(serviceAccount(in.Function)).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false). // hundreds of variables that nobody asked for
		WithTerminationGracePeriodSeconds(stay.pod).
		WithSecurityContext(podSecurity(in.Settings.User)).
		WithVolumes(
			corev1ac.Volume().WithName("function").WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(configMap)),
			redisVolume(in),
			corev1ac.Volume().WithName("tmp").WithEmptyDir(corev1ac.EmptyDirVolumeSource()),
		)
	container.WithEnv(ownEnv(in, stay)...)
	if err := passThrough(in, pod, container); err != nil {
		return nil, err
	}
	return pod.WithContainers(container), nil
}

// podSecurity is within the restricted Pod Security Standard. Without a user the
// cluster says which one it is, as OpenShift does for each namespace.
func podSecurity(user int64) *corev1ac.PodSecurityContextApplyConfiguration {
	security := corev1ac.PodSecurityContext().WithRunAsNonRoot(true).
		WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
	if user != 0 {
		security.WithRunAsUser(user).WithRunAsGroup(user).WithFSGroup(user)
	}
	return security
}

func redisVolume(in *Input) *corev1ac.VolumeApplyConfiguration {
	items := []*corev1ac.KeyToPathApplyConfiguration{corev1ac.KeyToPath().WithKey("url").WithPath("url")}
	if in.Content.HasCA() {
		items = append(items, corev1ac.KeyToPath().WithKey("ca.crt").WithPath("ca.crt"))
	}
	return corev1ac.Volume().WithName("redis").
		WithSecret(corev1ac.SecretVolumeSource().WithSecretName(in.Secret).WithDefaultMode(0o440).WithItems(items...))
}

func probe(path string, period, failures int32) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().
		WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString(portName))).
		WithPeriodSeconds(period).WithTimeoutSeconds(2).WithFailureThreshold(failures)
}

// ownEnv is what the operator tells a runner; the API refuses these names in
// spec.runner.env. All are set, if only to nothing: a variable of envFrom counts
// only where env has none of its name, and no Secret of that kind is to lead a
// runner to another Redis than the one that was looked at.
func ownEnv(in *Input, stay stay) []*corev1ac.EnvVarApplyConfiguration {
	authorities := ""
	if in.Content.HasCA() {
		authorities = redisDir + "/ca.crt"
	}
	variables := []*corev1ac.EnvVarApplyConfiguration{
		corev1ac.EnvVar().WithName("WILDOUT_NAMESPACE").WithValue(in.Function.Namespace),
		corev1ac.EnvVar().WithName("WILDOUT_MANIFEST").WithValue(manifestDir + "/" + ManifestKey),
		corev1ac.EnvVar().WithName("WILDOUT_REDIS_URL").WithValue(""),
		corev1ac.EnvVar().WithName("WILDOUT_REDIS_URL_FILE").WithValue(redisDir + "/url"),
		corev1ac.EnvVar().WithName("WILDOUT_REDIS_CA").WithValue(""),
		corev1ac.EnvVar().WithName("WILDOUT_REDIS_CA_FILE").WithValue(authorities),
		corev1ac.EnvVar().WithName("WILDOUT_LISTEN").WithValue(fmt.Sprintf(":%d", listenPort)),
	}
	if !stay.own {
		variables = append(variables, corev1ac.EnvVar().WithName(graceName).WithValue(stay.runs.String()))
	}
	return variables
}
