package observe

import (
	"bytes"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wildout/wildout/api/v1alpha1"
)

// readsSince says since when a function reads its event types: as its status
// knows it, which keeps it; else since it was created, or came to be what it is.
func readsSince(f *v1alpha1.WildoutFunction) []v1alpha1.ReadSince {
	known := map[v1alpha1.EventTypeName]metav1.Time{}
	for _, r := range f.Status.Reads {
		known[r.Event] = r.Since
	}
	var reads []v1alpha1.ReadSince
	for _, t := range f.Spec.Reads() {
		name := v1alpha1.EventTypeName(t)
		since, ok := known[name]
		if !ok {
			since = specSince(f)
		}
		reads = append(reads, v1alpha1.ReadSince{Event: name, Since: since})
	}
	return reads
}

// specSince is when somebody last changed triggers or steps of a function, as the
// API server noted it; it is never before that.
func specSince(f *v1alpha1.WildoutFunction) metav1.Time {
	since := f.CreationTimestamp
	if f.Generation <= 1 {
		return since
	}
	for _, entry := range f.ManagedFields {
		if entry.Time == nil || entry.FieldsV1 == nil || entry.Subresource != "" {
			continue
		}
		fields := entry.FieldsV1.GetRawBytes()
		if (bytes.Contains(fields, []byte(`"f:triggers"`)) || bytes.Contains(fields, []byte(`"f:steps"`))) && entry.Time.After(since.Time) {
			since = *entry.Time
		}
	}
	return since
}
