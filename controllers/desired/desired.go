// Package desired says which Kubernetes objects a function is made of. It is
// pure: the same function and the same settings give the same objects, byte for
// byte. The package must not know what is there already.
package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/view"
)

// Labels and annotations that only this package sets.
const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	labelName      = "app.kubernetes.io/name"
	labelInstance  = "app.kubernetes.io/instance"
	labelComponent = "app.kubernetes.io/component"
	// ManagedBy is the value of app.kubernetes.io/managed-by.
	ManagedBy = "wildout"
	component = "runner"
	// AnnotationManifest is the ConfigMap that a pod was made for.
	AnnotationManifest = "wildout.dev/manifest"
	// AnnotationRedis changes with the Redis Secret, so that the pods do too.
	AnnotationRedis = "wildout.dev/redis"
	// AnnotationRollout, of a Deployment, is what its pods are made from
	// (Rollout.String).
	AnnotationRollout = "wildout.dev/rollout"
)

// ManifestKey is the key in the ConfigMap of a function.
const ManifestKey = "function.yaml"

// Input is what the objects of a function are made from.
type Input struct {
	Function *v1alpha1.WildoutFunction
	// Version is that of the function (plan.Plan.Hash).
	Version string
	// Reads are the event types that it reads, and since when.
	Reads []v1alpha1.ReadSince
	// Secret is the name of the Secret with the URL of Redis, Content what it
	// holds.
	Secret  string
	Content view.Content
	// Image is the standard runner's.
	Image    string
	Settings Settings
}

// Objects are the children of a function.
type Objects struct {
	// All are in the order in which they are applied: what a pod needs comes
	// before the Deployment.
	All []runtime.ApplyConfiguration
	// ConfigMap is the name of the one with the manifest.
	ConfigMap string
	// Deployment is the name of the Deployment.
	Deployment string
	// Image is the image of the runners.
	Image string
	// Rollout changes with what makes new pods.
	Rollout Rollout

	deployment *appsv1ac.DeploymentApplyConfiguration
}

// Scale says how many runners there shall be. They are all alike: to change
// their number makes no other pod a new one.
func (o *Objects) Scale(runners int32) { o.deployment.Spec.WithReplicas(runners) }

// Rollout is what the pods of a Deployment are made from.
type Rollout struct {
	// Pods is a digest of the pods, but for the content of the Secret.
	Pods string
	// Content stands for what the Secret holds.
	Content view.Content
}

// String is what a status keeps of it.
func (r Rollout) String() string { return r.Pods + "." + string(r.Content) }

// SamePods reports whether a Rollout that a status keeps was of the same pods,
// whatever the Secret held.
func (r Rollout) SamePods(kept string) bool { return strings.HasPrefix(kept, r.Pods+".") }

// Name is the name of a function's children, but for the ConfigMap.
func Name(function string) string { return function + "-runner" }

// Image returns the image of a function's runners.
func Image(f *v1alpha1.WildoutFunction, standard string) string {
	if hasOwnImage(f) {
		return f.Spec.Runner.Image
	}
	return standard
}

func hasOwnImage(f *v1alpha1.WildoutFunction) bool {
	return f.Spec.Runner != nil && f.Spec.Runner.Image != ""
}

// ConfigMap is the name of the ConfigMap with the manifest of a function.
func ConfigMap(f *v1alpha1.WildoutFunction, reads []v1alpha1.ReadSince) (string, error) {
	manifest, err := Manifest(f, reads)
	return f.Name + "-" + digest(manifest), err
}

// Children returns the objects of a function. The error is a *FieldError when
// spec.runner is at fault.
func Children(in Input) (*Objects, error) {
	manifest, err := Manifest(in.Function, in.Reads)
	if err != nil {
		return nil, err
	}
	configMap := in.Function.Name + "-" + digest(manifest)
	template, err := podTemplate(&in, configMap)
	if err != nil {
		return nil, err
	}
	pods, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("write the pods of %s: %w", in.Function.Name, err)
	}
	template.WithAnnotations(map[string]string{AnnotationRedis: string(in.Content)})
	objects := &Objects{ConfigMap: configMap, Deployment: Name(in.Function.Name), Image: Image(in.Function, in.Image),
		Rollout: Rollout{digest(string(pods)), in.Content}, deployment: deployment(in.Function, template)}
	objects.deployment.WithAnnotations(map[string]string{AnnotationRollout: objects.Rollout.String()})
	if serviceAccount(in.Function) == Name(in.Function.Name) {
		objects.All = append(objects.All, account(in.Function))
	}
	objects.All = append(objects.All, networkPolicy(in.Function, in.Settings.LinkLocal), configMapOf(&in, configMap, manifest))
	if mostRunners(in.Function) > 1 {
		objects.All = append(objects.All, budget(in.Function))
	}
	objects.All = append(objects.All, objects.deployment)
	return objects, nil
}

// Manifest is what a runner reads: the function without what only concerns its
// pods, so that a change of those alone makes no new version. It says since when
// the function reads what: a runner may be the first that reaches its Redis.
func Manifest(f *v1alpha1.WildoutFunction, reads []v1alpha1.ReadSince) (string, error) {
	spec := f.Spec.DeepCopy()
	// Suspended is a function without runners, and not a runner that idles.
	spec.Description, spec.Suspend, spec.Redis, spec.Runner, spec.DeletionPolicy = "", false, nil, nil, ""
	text, err := yaml.Marshal(struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metadata                      `json:"metadata"`
		Spec            *v1alpha1.WildoutFunctionSpec `json:"spec"`
	}{
		metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "WildoutFunction"},
		metadataOf(f, reads), spec,
	})
	if err != nil {
		return "", fmt.Errorf("write the manifest of %s: %w", f.Name, err)
	}
	return string(text), nil
}

// metadata is that of a manifest.
type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Created     string            `json:"creationTimestamp,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func metadataOf(f *v1alpha1.WildoutFunction, reads []v1alpha1.ReadSince) metadata {
	m := metadata{Name: f.Name, Namespace: f.Namespace}
	if f.CreationTimestamp.IsZero() {
		return m
	}
	m.Created = f.CreationTimestamp.UTC().Format(time.RFC3339)
	if text := v1alpha1.SinceText(f.CreationTimestamp.Time, reads); text != "" {
		m.Annotations = map[string]string{v1alpha1.AnnotationSince: text}
	}
	return m
}

// digest is the content address of a text: enough to tell the manifests of one
// function apart.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:10]
}

// Selector is the labels by which the pods of a function are found.
func Selector(function string) map[string]string {
	return map[string]string{labelManagedBy: ManagedBy, v1alpha1.LabelFunction: function}
}

func labels(function string) map[string]string {
	all := Selector(function)
	maps.Copy(all, map[string]string{labelName: "wildout-runner", labelInstance: function, labelComponent: component})
	return all
}

func owner(f *v1alpha1.WildoutFunction) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("WildoutFunction").
		WithName(f.Name).WithUID(f.UID).WithController(true).WithBlockOwnerDeletion(true)
}
