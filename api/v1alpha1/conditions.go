package v1alpha1

// The conditions of a function and of an event type. Each carries the
// generation that it is about.
const (
	// ConditionReady sums up: the object does what its spec says.
	ConditionReady = "Ready"
	// ConditionAccepted: the spec can be run.
	ConditionAccepted = "Accepted"
	// ConditionStreamsReady: Redis can be trusted, and has the streams and
	// the consumer groups.
	ConditionStreamsReady = "StreamsReady"
	// ConditionPublished: the ConfigMap that gateways mount has the event type.
	ConditionPublished = "Published"
	// ConditionRunnersAvailable: all runners run, with the current spec.
	ConditionRunnersAvailable = "RunnersAvailable"
	// ConditionHealthy: most of the last runs ended well. It is about the
	// runs, and no part of Ready: bad events are no bad deployment.
	ConditionHealthy = "Healthy"
	// ConditionReconciling is there while the operator, or Kubernetes, works
	// on it (kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled is there while a person has to do something (kstatus).
	ConditionStalled = "Stalled"
)

// Reasons of Ready beside those of the conditions that it sums up.
const (
	ReasonReady = "Ready"
	// ReasonSuspended: the function reads nothing, as its spec says.
	ReasonSuspended = "Suspended"
	// ReasonProgressing: the change is under way.
	ReasonProgressing = "Progressing"
	// ReasonDeleting: the object goes.
	ReasonDeleting = "Deleting"
)

// Reasons of Accepted.
const (
	ReasonAccepted = "Accepted"
	// ReasonInvalidExpression: an expression does not compile.
	ReasonInvalidExpression = "InvalidExpression"
	// ReasonUnknownStep: a step is named that does not exist.
	ReasonUnknownStep = "UnknownStep"
	// ReasonInvalidSpec: another fault that the API server cannot see.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonInvalidRunner: spec.runner has something that no pod can have.
	ReasonInvalidRunner = "InvalidRunner"
	// ReasonInvalidSchema: the schema of an event type cannot be used.
	ReasonInvalidSchema = "InvalidSchema"
	// ReasonDuplicateType: another object declares the same event type.
	ReasonDuplicateType = "DuplicateType"
	// ReasonUndeclaredEventType: accepted, but events of a type that nobody
	// declares are not checked.
	ReasonUndeclaredEventType = "UndeclaredEventType"
	// ReasonNoSuchFunction: accepted, but it invokes a function that the
	// namespace does not have: the step waits until it does.
	ReasonNoSuchFunction = "NoSuchFunction"
)

// Reasons of StreamsReady.
const (
	ReasonStreamsReady = "StreamsReady"
	// ReasonConnecting: Redis was not asked yet.
	ReasonConnecting = "Connecting"
	// ReasonSecretNotFound: the Secret with the URL does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretForbidden: the operator may not read the Secret.
	ReasonSecretForbidden = "SecretForbidden"
	// ReasonSecretInvalid: the Secret has no URL that can be used.
	ReasonSecretInvalid = "SecretInvalid"
	// ReasonRedisUnreachable: Redis does not answer.
	ReasonRedisUnreachable = "RedisUnreachable"
	// ReasonAuthFailed: Redis refuses the user or the password.
	ReasonAuthFailed = "AuthFailed"
	// ReasonRedisRefuses: Redis answers, but does not do what it is asked.
	ReasonRedisRefuses = "RedisRefuses"
	// ReasonRedisNotAllowed: the operator may not connect to its address.
	ReasonRedisNotAllowed = "RedisNotAllowed"
	// ReasonRedisTooOld: the server is older than Redis 7.0.
	ReasonRedisTooOld = "RedisTooOld"
	// ReasonRedisReadOnly: the URL names a replica.
	ReasonRedisReadOnly = "RedisReadOnly"
	// ReasonUnsafeEviction: a full Redis would drop events and runs silently.
	ReasonUnsafeEviction = "UnsafeEviction"
	// ReasonNotDurable: a restart of Redis would lose everything.
	ReasonNotDurable = "NotDurable"
	// ReasonRedisFull: Redis is about to refuse writes.
	ReasonRedisFull = "RedisFull"
)

// Reasons of Published.
const (
	ReasonPublished = "Published"
	// ReasonCatalogTooLarge: the event types of the namespace are more than a
	// ConfigMap takes.
	ReasonCatalogTooLarge = "CatalogTooLarge"
	// ReasonCatalogRefused: the API server does not take the ConfigMap.
	ReasonCatalogRefused = "CatalogRefused"
)

// Reasons why events are kept.
const (
	HoldBehind    = "Behind"
	HoldSuspended = "Suspended"
	HoldDeleted   = "Deleted"
	HoldRetained  = "Retained"
)

// Reasons of RunnersAvailable.
const (
	ReasonRunnersAvailable = "RunnersAvailable"
	// ReasonScaledToZero: there are no runners, as wanted.
	ReasonScaledToZero = "ScaledToZero"
	// ReasonScalingUp: available, and more runners of the same kind start.
	ReasonScalingUp = "ScalingUp"
	// ReasonRollingOut: runners start, or are replaced by those of the
	// current spec.
	ReasonRollingOut = "RollingOut"
	// ReasonRolloutStuck: that takes longer than it may.
	ReasonRolloutStuck = "RolloutStuck"
	// ReasonUnknownHandler: the image has no handler of that name.
	ReasonUnknownHandler = "UnknownHandler"
	// ReasonRunnerRefuses: the runner says that its settings are at fault.
	ReasonRunnerRefuses = "RunnerRefuses"
	// ReasonCrashLoop: the runner ends again and again.
	ReasonCrashLoop = "CrashLoop"
	// ReasonOutOfMemory: the runner takes more memory than its limit.
	ReasonOutOfMemory = "OutOfMemory"
	// ReasonImagePullFailed: the image cannot be had.
	ReasonImagePullFailed = "ImagePullFailed"
	// ReasonConfigNotFound: a Secret or a ConfigMap that spec.runner names is
	// missing.
	ReasonConfigNotFound = "ConfigNotFound"
	// ReasonUnschedulable: no node takes the runner.
	ReasonUnschedulable = "Unschedulable"
	// ReasonPodsForbidden: the cluster does not let the pods be made.
	ReasonPodsForbidden = "PodsForbidden"
	// ReasonNameTaken: an object that is not ours has the name of a child.
	ReasonNameTaken = "NameTaken"
	// ReasonRunnersUnready: runners run and are not ready.
	ReasonRunnersUnready = "RunnersUnready"
)

// Reasons of Healthy.
const (
	ReasonHealthy = "Healthy"
	// ReasonNoRuns: no run has ended yet, or none is remembered.
	ReasonNoRuns = "NoRuns"
	// ReasonHighFailureRate: half of the last runs failed, or more.
	ReasonHighFailureRate = "HighFailureRate"
	// ReasonRunnerLacksHandler: runs wait for a handler, or for a version of the
	// function, that no runner has.
	ReasonRunnerLacksHandler = "RunnerLacksHandler"
)

// What the operator puts on the objects that it makes.
const (
	// LabelFunction names the function that an object belongs to.
	LabelFunction = "wildout.dev/function"
	// LabelVersion is the version of the function in a ConfigMap.
	LabelVersion = "wildout.dev/version"
	// LabelEventTypes marks the ConfigMap with the event types of a namespace.
	LabelEventTypes = "wildout.dev/event-types"
	// LabelTombstones marks the ConfigMap with what was deleted while Redis was
	// away.
	LabelTombstones = "wildout.dev/tombstones"
	// Finalizer keeps an object until its part in Redis is gone.
	Finalizer = "wildout.dev/redis"
	// FieldOwner is who the operator is to server-side apply.
	FieldOwner = "wildout"
)
