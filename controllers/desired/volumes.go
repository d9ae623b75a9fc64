package desired

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/wildout/wildout/api/v1alpha1"
)

// permitted are the kinds of volumes within the restricted Pod Security
// Standard, https://kubernetes.io/docs/concepts/security/pod-security-standards/.
// The operator keeps to it by itself, whatever a namespace enforces: who may
// create functions, but no pods, must not get a path of the node by them.
var permitted = []string{"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"}

// ownVolumes are the operator's, and ownPaths where they are mounted.
var (
	ownVolumes = []string{"function", "redis", "tmp"}
	ownPaths   = []string{manifestDir, redisDir, tmpDir}
)

// volumes adds the volumes of the function's author, and where they are mounted.
func volumes(settings Settings, r *v1alpha1.Runner, pod *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) error {
	var names []string
	for i, object := range r.Volumes {
		path := fmt.Sprintf("spec.runner.volumes[%d]", i)
		volume, err := read[corev1ac.VolumeApplyConfiguration](path, object)
		if err == nil {
			err = fault(path, volumeFault(settings, volume, object))
		}
		if err != nil {
			return err
		}
		names = append(names, *volume.Name)
		pod.WithVolumes(volume)
	}
	for i, object := range r.VolumeMounts {
		path := fmt.Sprintf("spec.runner.volumeMounts[%d]", i)
		mount, err := read[corev1ac.VolumeMountApplyConfiguration](path, object)
		if err == nil {
			err = fault(path, mountFault(mount, names))
		}
		if err != nil {
			return err
		}
		container.WithVolumeMounts(mount)
	}
	return nil
}

func fault(path string, err error) error {
	if err == nil {
		return nil
	}
	return &FieldError{path, err}
}

func volumeFault(settings Settings, volume *corev1ac.VolumeApplyConfiguration, object v1alpha1.Object) error {
	if volume.Name == nil || *volume.Name == "" {
		return errors.New("it has no name")
	}
	if slices.Contains(ownVolumes, *volume.Name) {
		return fmt.Errorf("the operator has a volume %s of its own: give this one another name", *volume.Name)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object.Raw, &fields); err != nil {
		return err
	}
	for kind := range fields {
		if kind != "name" && !slices.Contains(permitted, kind) {
			return fmt.Errorf("a volume of the kind %s is not within the restricted Pod Security Standard, which runners keep to: use one of %s", kind, strings.Join(permitted, ", "))
		}
	}
	if c := volume.CSI; c != nil && !slices.Contains(settings.CSIDrivers, deref(c.Driver)) {
		return fmt.Errorf("inline volumes of the CSI driver %q may reach what the function is not given: let whoever installed the operator permit it"+
			" (--runner-csi-drivers, manager.runnerCSIDrivers of the chart), or use a PersistentVolumeClaim", deref(c.Driver))
	}
	return projectedFault(fields["projected"])
}

// harmless are the sources of projected volumes that give a pod nothing that the
// other kinds do not.
var harmless = []string{"configMap", "secret", "downwardAPI", "clusterTrustBundle"}

// projectedFault looks at the sources of a projected volume, also at kinds that
// this program does not know: what gives a pod an identity is none of them.
func projectedFault(volume json.RawMessage) error {
	var projected struct {
		Sources []map[string]json.RawMessage `json:"sources"`
	}
	if len(volume) == 0 {
		return nil
	}
	if err := json.Unmarshal(volume, &projected); err != nil {
		return err
	}
	for _, source := range projected.Sources {
		for kind := range source {
			if !slices.Contains(harmless, kind) {
				return fmt.Errorf("no runner gets a token or a certificate of its own: remove %s, and put what the handler needs into a Secret", kind)
			}
		}
	}
	return nil
}

func mountFault(mount *corev1ac.VolumeMountApplyConfiguration, names []string) error {
	if mount.Name == nil || !slices.Contains(names, *mount.Name) {
		return fmt.Errorf("no entry of spec.runner.volumes has the name %q", deref(mount.Name))
	}
	at := deref(mount.MountPath)
	if !path.IsAbs(at) {
		return fmt.Errorf("mountPath is %q, and must begin with /", at)
	}
	for _, own := range ownPaths {
		if within(own, at) || within(at, own) && own != tmpDir || path.Clean(at) == own {
			return fmt.Errorf("mountPath %s would hide %s, which the operator mounts: choose another one, such as /etc/%s", at, own, *mount.Name)
		}
	}
	return nil
}

// within reports whether a path is a folder or below it.
func within(at, folder string) bool {
	at, folder = path.Clean(at), path.Clean(folder)
	return at == folder || strings.HasPrefix(at, strings.TrimSuffix(folder, "/")+"/")
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
