package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	services = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	pods     = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	secrets  = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// component is a part of an installation that answers HTTP, as the chart wildout
// has it.
type component struct {
	name string // the label app.kubernetes.io/component
	// The Secret with the credential is a volume of the pods, as the chart makes
	// it or as its values name it.
	volume, key string
	// missing says what to do where there is none; hidden, where its Secret may
	// not be read; keyless, where it has no such Secret.
	missing, hidden, keyless string
}

var (
	consolePart = component{"console", "tokens", "tokens",
		"install it (helm upgrade … --set console.enabled=true), name another namespace with -n, or say with --url where one answers",
		"ask for a token, and set $WILDOUT_TOKEN",
		"it knows people only from the proxy in front of it: say with --url where that answers"}
	gatewayPart = component{"gateway", "default-sender", "key",
		"install it (helm upgrade … --set gateway.enabled=true), name another namespace with -n, or say with --gateway where one answers",
		"ask for a key, and set $WILDOUT_EVENT_KEY",
		"it has no default sender: set $WILDOUT_EVENT_KEY to the key of another one"}
)

// front is the way to a component.
type front struct {
	component
	cluster *Cluster
	service *corev1.Service
}

// find looks for the Service of a component.
func (c *Cluster) find(ctx context.Context, part component) (*front, error) {
	selector := labels.Set{"app.kubernetes.io/part-of": "wildout", "app.kubernetes.io/component": part.name}
	found, err := List[corev1.Service](ctx, c, services, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 0:
		return nil, &Error{Missing, fmt.Errorf("there is no %s in the namespace %s: %s", part.name, c.Namespace, part.missing)}
	case 1:
		return &front{part, c, &found[0]}, nil
	}
	var names []string
	for i := range found {
		names = append(names, found[i].Name)
	}
	slices.Sort(names)
	return nil, &Error{Other, fmt.Errorf("there are several in the namespace %s (%s): forward the port of one (kubectl port-forward) and name it with --url and --gateway", c.Namespace, strings.Join(names, ", "))}
}

// scheme is https where the component serves it.
func (f *front) scheme() string {
	if app := f.service.Spec.Ports[0].AppProtocol; app != nil && *app == "https" {
		return "https"
	}
	return "http"
}

// pod returns a pod that is ready, and the number of its port.
func (f *front) pod(ctx context.Context) (*corev1.Pod, int32, error) {
	found, err := List[corev1.Pod](ctx, f.cluster, pods, metav1.ListOptions{LabelSelector: labels.Set(f.service.Spec.Selector).String()})
	if err != nil {
		return nil, 0, err
	}
	for i := range found {
		if port := portNamed(&found[i], f.service.Spec.Ports[0].TargetPort.StrVal); port != 0 && isReady(&found[i]) {
			return &found[i], port, nil
		}
	}
	return nil, 0, &Error{Unreachable, fmt.Errorf("no pod of the Service %s is ready: kubectl -n %s get pods -l app.kubernetes.io/component=%s",
		f.service.Name, f.cluster.Namespace, f.name)}
}

func isReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func portNamed(pod *corev1.Pod, name string) int32 {
	for i := range pod.Spec.Containers {
		for _, port := range pod.Spec.Containers[i].Ports {
			if port.Name == name {
				return port.ContainerPort
			}
		}
	}
	return 0
}

// credential reads the token or the key from the Secret, as far as the user may.
func (f *front) credential(ctx context.Context) (string, error) {
	pod, _, err := f.pod(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == f.volume && v.Secret != nil })
	if i < 0 {
		return "", &Error{Forbidden, fmt.Errorf("the %s in the namespace %s has no credential to offer: %s", f.name, f.cluster.Namespace, f.keyless)}
	}
	name := pod.Spec.Volumes[i].Secret.SecretName
	secret, err := Get[corev1.Secret](ctx, f.cluster, secrets, name)
	if KindOf(err) == Forbidden && err != nil {
		return "", &Error{Forbidden, fmt.Errorf("the %s asks for a credential, and you may not read the Secret %s of the namespace %s: %s", f.name, name, f.cluster.Namespace, f.hidden)}
	}
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(secret.Data[f.key])) { // the first of several
		if line = strings.TrimSpace(line); line != "" {
			return line, nil
		}
	}
	return "", &Error{Missing, fmt.Errorf("the Secret %s of the namespace %s has nothing in its key %s", name, f.cluster.Namespace, f.key)}
}
