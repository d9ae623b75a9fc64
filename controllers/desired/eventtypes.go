package desired

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/api/v1alpha1"
)

// EventTypesName is the name of the ConfigMap with the event types of a
// namespace, which the gateway mounts.
const EventTypesName = "wildout-event-types"

// MaxEventTypes is the most that the manifests of all event types of a namespace
// may have together, in bytes: a ConfigMap takes 1 MiB.
const MaxEventTypes = 1 << 20

// EventTypeFile is the key of an event type in that ConfigMap.
func EventTypeFile(t *v1alpha1.WildoutEventType) string { return t.Name + ".yaml" }

// EventTypes returns the ConfigMap with the manifests of event types, one file
// for each, nil when there is none. All of them own it: it goes with the last.
// Those that are kept, by name, stay as they were.
func EventTypes(namespace string, types []v1alpha1.WildoutEventType, kept map[string]string) (*corev1ac.ConfigMapApplyConfiguration, error) {
	if len(types) == 0 {
		return nil, nil
	}
	types = slices.Clone(types)
	slices.SortFunc(types, func(a, b v1alpha1.WildoutEventType) int { return cmp.Compare(a.Name, b.Name) })
	data := map[string]string{}
	object := corev1ac.ConfigMap(EventTypesName, namespace).
		WithLabels(map[string]string{labelManagedBy: ManagedBy, v1alpha1.LabelEventTypes: "true"})
	for _, t := range types {
		text, err := yaml.Marshal(struct {
			metav1.TypeMeta `json:",inline"`
			Metadata        map[string]string              `json:"metadata"`
			Spec            *v1alpha1.WildoutEventTypeSpec `json:"spec"`
		}{
			metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "WildoutEventType"},
			map[string]string{"name": t.Name, "namespace": t.Namespace}, &t.Spec,
		})
		if err != nil {
			return nil, fmt.Errorf("write the manifest of %s: %w", t.Name, err)
		}
		data[EventTypeFile(&t)] = string(text)
		if was, ok := kept[t.Name]; ok {
			data[EventTypeFile(&t)] = was
		}
		object.WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("WildoutEventType").WithName(t.Name).WithUID(t.UID))
	}
	return object.WithData(data), nil
}
