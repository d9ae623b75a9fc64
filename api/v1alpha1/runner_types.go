package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// Redis says where events and runs are kept.
type Redis struct {
	// The Secret, in the same namespace, with the key `url`
	// (redis://user:password@host:6379/0) and, where its certificate is not
	// signed by a public authority, `ca.crt`. Left out: the one that the
	// operator is set up with.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName,omitempty"`

	// True: this Redis may forget what it holds when it restarts. Only for
	// trying out: accepted events and runs under way are lost with it.
	// +optional
	AllowVolatile bool `json:"allowVolatile,omitempty"`
}

// DeletionPolicy says what becomes of what a function has in Redis.
//
// +kubebuilder:validation:Enum=Delete;Retain
type DeletionPolicy string

const (
	// DeletionDelete removes consumer groups, runs, timers and history.
	DeletionDelete DeletionPolicy = "Delete"
	// DeletionRetain keeps them: a function of the same name goes on with them.
	DeletionRetain DeletionPolicy = "Retain"
)

// Runner describes the pods that run a function. What is an object of
// Kubernetes is written as in the spec of a pod, and checked by the operator.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.scaling)",message="scaling decides how many runners there are: for a fixed number, or one that kubectl scale, an HPA or KEDA sets, remove scaling and keep replicas",fieldPath=".replicas"
type Runner struct {
	// The image. Left out: the standard runner of this release.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[^\s]+$`
	Image string `json:"image,omitempty"`

	// How many runners there are. Left out: 1. This is what kubectl scale, an
	// HPA and KEDA set; an HPA needs it to be there.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Replicas *int32 `json:"replicas,omitempty"`

	// The operator decides how many runners there are, by what there is to do.
	// In place of replicas.
	// +optional
	Scaling *Scaling `json:"scaling,omitempty"`

	// What a runner asks for and may use at most. Left out: 50m CPU and 64Mi
	// memory, at most 256Mi.
	// +optional
	Resources *Resources `json:"resources,omitempty"`

	// How many seconds a pod that was told to leave gets before it is killed.
	// Runs go on for all of it but the last 15, in which what is left is handed
	// to other runners; the step that such a run was at begins again. Left out:
	// 35, or so long that the longest time-out that a step with a handler has of
	// its own fits, up to 615. The time-out of a step that has none, 5 minutes,
	// does not count.
	// +optional
	// +kubebuilder:validation:Minimum=20
	// +kubebuilder:validation:Maximum=86400
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`

	// Environment variables, such as the settings of the standard handlers
	// (WILDOUT_DATABASE_URL) and what expressions see as env (WILDOUT_ENV_…).
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:XValidation:rule="self.all(e, !(e.name in ['WILDOUT_REDIS_URL', 'WILDOUT_REDIS_URL_FILE', 'WILDOUT_REDIS_CA', 'WILDOUT_REDIS_CA_FILE', 'WILDOUT_NAMESPACE', 'WILDOUT_MANIFEST', 'WILDOUT_LISTEN']))",message="WILDOUT_REDIS_URL, WILDOUT_REDIS_URL_FILE, WILDOUT_REDIS_CA, WILDOUT_REDIS_CA_FILE, WILDOUT_NAMESPACE, WILDOUT_MANIFEST and WILDOUT_LISTEN are set by the operator"
	Env []EnvVar `json:"env,omitempty"`

	// Secrets and ConfigMaps whose keys become environment variables.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	EnvFrom []Object `json:"envFrom,omitempty"`

	// Volumes, such as Secrets and ConfigMaps that handlers read as files. Of the
	// kinds that the restricted Pod Security Standard permits, without tokens
	// and certificates of pods, and inline CSI volumes only of drivers that the
	// operator is set up with.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Volumes []Object `json:"volumes,omitempty"`

	// Where the volumes are mounted: not over /etc/wildout, /etc/wildout-redis
	// and /tmp, which the operator mounts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	VolumeMounts []Object `json:"volumeMounts,omitempty"`

	// The ServiceAccount. Left out: one without any right, made for the
	// function. No runner gets a token of it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// Labels that a node must have.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Taints of nodes that do not matter.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []Object `json:"tolerations,omitempty"`

	// Where a runner may, or should, be placed.
	// +optional
	Affinity *Object `json:"affinity,omitempty"`

	// How runners are spread. Left out: as the scheduler does it, over nodes and
	// zones where possible.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	TopologySpreadConstraints []Object `json:"topologySpreadConstraints,omitempty"`

	// Annotations of the pods: of names without a domain, and of those that the
	// operator is set up to permit.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`

	// Labels of the pods, beside the operator's own; as with podAnnotations.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	PodLabels map[string]string `json:"podLabels,omitempty"`

	// Secrets for pulling the image.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []SecretReference `json:"imagePullSecrets,omitempty"`
}

// Scaling bounds how many runners there are. The operator starts one for each
// targetBacklog of what there is to do: events that no runner has read, runs
// that runners have, and timers and cron ticks whose time has come.
//
// +kubebuilder:validation:XValidation:rule="self.min <= self.max",message="min must be at most max",fieldPath=".min"
type Scaling struct {
	// The fewest runners. With 0 there is none while there is nothing to do; an
	// event, a timer or a cron tick starts one.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Min int32 `json:"min"`

	// The most runners.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Max int32 `json:"max"`

	// How much one runner has to do before there is another one.
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	TargetBacklog int32 `json:"targetBacklog,omitempty"`

	// Runners end only when fewer were enough for this long. More are started
	// at once.
	// +optional
	// +kubebuilder:default="5m"
	StabilizationWindow Duration `json:"stabilizationWindow,omitempty"`
}

// Resources are amounts by resource, such as cpu and memory.
type Resources struct {
	// What is set aside for a runner.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Requests map[string]resource.Quantity `json:"requests,omitempty"`

	// What a runner may use at most.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Limits map[string]resource.Quantity `json:"limits,omitempty"`
}

// EnvVar is an environment variable.
//
// +kubebuilder:validation:XValidation:rule="!has(self.value) || !has(self.valueFrom)",message="a variable has a value or a valueFrom"
type EnvVar struct {
	// The name of the variable.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_.-]*$`
	Name string `json:"name"`

	// Its value.
	// +optional
	// +kubebuilder:validation:MaxLength=32768
	Value string `json:"value,omitempty"`

	// Where its value comes from, such as
	// {secretKeyRef: {name: database, key: url}}.
	// +optional
	ValueFrom *Object `json:"valueFrom,omitempty"`
}

// SecretReference names a Secret in the same namespace.
type SecretReference struct {
	// The name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}
