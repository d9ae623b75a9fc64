package health_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/health"
	"github.com/wildout/wildout/controllers/survey"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
)

// fine are the facts of a function that is all right.
func fine() *health.Facts {
	f := &v1alpha1.WildoutFunction{ObjectMeta: metav1.ObjectMeta{Name: "f", Namespace: "shop", Generation: 3}}
	ended := time.Unix(1_700_000_000, 0)
	return &health.Facts{
		Function: f, Secret: "wildout-redis", Replicas: 2, Generation: 5, Now: ended,
		View: survey.View{
			Server:  survey.Server{Secret: survey.Secret{Problem: survey.Fine, Hash: "0"}, Asked: true, State: durable()},
			Numbers: &store.Numbers{},
			Ends:    store.Ends{Runs: []run.Record{{ID: "r1", Status: run.Succeeded, EndedAt: &ended}}},
		},
		Deployment: &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "f-runner", Namespace: "shop", Generation: 5},
			Status: appsv1.DeploymentStatus{ObservedGeneration: 5, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}},
	}
}

func durable() store.Server {
	return store.Server{Version: "7.2.4", EvictionPolicy: "noeviction", AppendOnly: true}
}

// answer is an error that Redis has answered.
type answer string

func (a answer) Error() string { return string(a) }

// RedisError marks it as one.
func (answer) RedisError() {}

// pod is a runner with that container.
func pod(c corev1.ContainerStatus) corev1.Pod {
	return corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{c}}}
}

func ended(code int32, words string) corev1.ContainerStatus {
	c := corev1.ContainerStatus{Image: "img"}
	c.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
	c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: code, Message: words}
	return c
}

// Each case breaks one thing; want is the condition that tells it, and what
// Ready and kstatus make of it.
func TestConditions(t *testing.T) {
	stalled, reconciling := v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling
	for name, test := range map[string]struct {
		breaks func(*health.Facts)
		kind   string // the condition that tells it
		want   string // status/reason
		words  string // part of its message
		ready  string // status of Ready; "": as want
		beside string // Stalled, Reconciling or none
	}{
		"all is well": {func(*health.Facts) {}, "Ready", "True/Ready", "2 of 2", "", ""},
		"bad expression": {func(f *health.Facts) {
			f.SpecErr = plan.Errors{{Path: "spec.steps[0].if", Message: "undeclared reference", Source: "evnt.data", Column: 1}}
		}, "Accepted", "False/InvalidExpression", "spec.steps[0].if", "", stalled},
		"unknown step in an expression": {func(f *health.Facts) {
			f.SpecErr = plan.Errors{{Path: "spec.output", Message: `there is no step "x"`, Source: "steps.x.output", Column: 1}}
		}, "Accepted", "False/UnknownStep", "spec.output", "", stalled},
		"another fault": {func(f *health.Facts) {
			f.SpecErr = plan.Errors{{Path: "spec.triggers[0].timeZone", Message: "is no time zone"}}
		}, "Accepted", "False/InvalidSpec", "spec.triggers[0].timeZone", "", stalled},
		"fault of the runner": {func(f *health.Facts) { f.SpecErr = errors.New("spec.runner.affinity: unknown field") },
			"Accepted", "False/InvalidRunner", "spec.runner.affinity", "", stalled},
		"the API server refuses the pods": {func(f *health.Facts) {
			f.ApplyErr = apierrors.NewInvalid(schema.GroupKind{Kind: "Deployment"}, "f-runner", nil)
		}, "Accepted", "False/InvalidRunner", "f-runner", "", stalled},
		"undeclared event type": {func(f *health.Facts) { f.Undeclared = []string{"a/b"} }, "Accepted", "True/UndeclaredEventType", "a/b", "True", ""},

		"no Secret":     {func(f *health.Facts) { f.View.Secret.Problem = survey.NotFound }, "StreamsReady", "False/SecretNotFound", "kubectl -n shop create secret", "", stalled},
		"hidden Secret": {func(f *health.Facts) { f.View.Secret.Problem = survey.Forbidden }, "StreamsReady", "False/SecretForbidden", "Role", "", stalled},
		"bad Secret": {func(f *health.Facts) { f.View.Secret = survey.Secret{Problem: survey.Invalid, Detail: "no key url"} },
			"StreamsReady", "False/SecretInvalid", "no key url", "", stalled},
		"Secret not read":  {func(f *health.Facts) { f.View.Secret = survey.Secret{} }, "StreamsReady", "Unknown/Connecting", "", "", reconciling},
		"Redis not asked":  {func(f *health.Facts) { f.View.Asked = false }, "StreamsReady", "Unknown/Connecting", "", "", reconciling},
		"groups not there": {func(f *health.Facts) { f.View.Numbers.Missing = []string{"a/b"} }, "StreamsReady", "Unknown/Connecting", "", "", reconciling},
		"groups refused": {func(f *health.Facts) { f.View.GroupsErr = errors.New("WRONGTYPE") },
			"StreamsReady", "False/RedisRefuses", "WRONGTYPE", "", stalled},
		"wrong password": {func(f *health.Facts) { f.View.Err = store.Explain(answer("WRONGPASS invalid")) },
			"StreamsReady", "False/AuthFailed", "password", "", stalled},
		"Redis away": {func(f *health.Facts) {
			f.View.Err = store.Explain(&net.OpError{Op: "dial", Err: errors.New("connection refused")})
		}, "StreamsReady", "False/RedisUnreachable", "nothing is lost", "", reconciling},
		"Redis refuses": {func(f *health.Facts) { f.View.Err = store.Explain(answer("ERR unknown command")) }, "StreamsReady", "False/RedisRefuses", "", "", stalled},
		"old Redis":     {func(f *health.Facts) { f.View.State.Version = "6.2.1" }, "StreamsReady", "False/RedisTooOld", "7.0", "", stalled},
		"replica":       {func(f *health.Facts) { f.View.State.Replica = true }, "StreamsReady", "False/RedisReadOnly", "primary", "", stalled},
		"eviction":      {func(f *health.Facts) { f.View.State.EvictionPolicy = "allkeys-lru" }, "StreamsReady", "False/UnsafeEviction", "allkeys-lru", "", stalled},
		"no persistence": {func(f *health.Facts) { f.View.State.AppendOnly = false },
			"StreamsReady", "False/NotDurable", "allowVolatile", "", stalled},
		"no persistence, allowed": {func(f *health.Facts) {
			f.View.State.AppendOnly, f.Function.Spec.Redis = false, &v1alpha1.Redis{AllowVolatile: true}
		}, "StreamsReady", "True/StreamsReady", "loses them", "", ""},
		"persistence that is not told": {func(f *health.Facts) { f.View.State.AppendOnly, f.View.State.SnapshotsUnknown = false, true },
			"StreamsReady", "True/StreamsReady", "", "", ""},
		"cluster without replicas": {func(f *health.Facts) { f.View.State.Cluster = true }, "StreamsReady", "False/NotDurable", "replica", "", stalled},
		"nearly full":              {func(f *health.Facts) { f.View.State.Used, f.View.State.Max = 96<<20, 100<<20 }, "StreamsReady", "False/RedisFull", "96 of 100 MiB", "", stalled},

		"taken name": {func(f *health.Facts) { f.ApplyErr = &health.NameTakenError{Kind: "ServiceAccount", Name: "f-runner"} },
			"RunnersAvailable", "False/NameTaken", "f-runner", "", stalled},
		"forbidden": {func(f *health.Facts) {
			f.ApplyErr = fmt.Errorf("apply: %w", apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, "f", errors.New("quota")))
		}, "RunnersAvailable", "False/PodsForbidden", "quota", "", stalled},
		"suspended": {func(f *health.Facts) { f.Function.Spec.Suspend, f.Replicas = true, 0 }, "RunnersAvailable", "True/Suspended", "", "", ""},
		"suspended, runners end": {func(f *health.Facts) { f.Function.Spec.Suspend, f.Replicas, f.Pods = true, 0, make([]corev1.Pod, 2) },
			"RunnersAvailable", "False/Progressing", "2 runners", "", reconciling},
		"no Deployment yet": {func(f *health.Facts) { f.Deployment = nil }, "RunnersAvailable", "False/Progressing", "", "", reconciling},
		"quota": {func(f *health.Facts) {
			f.Deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: "True", Message: "exceeded quota"}}
		}, "RunnersAvailable", "False/PodsForbidden", "exceeded quota", "", stalled},
		"the Deployment of before": {func(f *health.Facts) { f.Generation = 6 }, "RunnersAvailable", "False/RollingOut", "", "", reconciling},
		"the Deployment was not looked at": {func(f *health.Facts) { f.Deployment.Status.ObservedGeneration = 4 },
			"RunnersAvailable", "False/RollingOut", "", "", reconciling},
		"half rolled out": {func(f *health.Facts) { f.Deployment.Status.UpdatedReplicas, f.Deployment.Status.Replicas = 1, 3 },
			"RunnersAvailable", "False/RollingOut", "1 of 2", "", reconciling},
		"an old runner is left": {func(f *health.Facts) { f.Deployment.Status.Replicas = 3 }, "RunnersAvailable", "False/RollingOut", "", "", reconciling},
		"unready":               {func(f *health.Facts) { f.Deployment.Status.AvailableReplicas = 1 }, "RunnersAvailable", "False/RunnersUnready", "1 of 2", "", reconciling},
		"stuck": {func(f *health.Facts) {
			f.Deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: "False", Reason: "ProgressDeadlineExceeded"}}
		}, "RunnersAvailable", "False/RolloutStuck", "kubectl -n shop describe", "", stalled},
		"none wanted": {func(f *health.Facts) {
			f.Replicas, f.Deployment.Status = 0, appsv1.DeploymentStatus{ObservedGeneration: 5}
		},
			"RunnersAvailable", "True/ScaledToZero", "", "", ""},
		"scaling up": {func(f *health.Facts) { f.Replicas, f.RolledOut, f.MoreSince = 5, true, f.Now },
			"RunnersAvailable", "True/ScalingUp", "2 of 5 runners are ready", "", ""},
		"scaling up, not seen by Kubernetes yet": {func(f *health.Facts) {
			f.Replicas, f.Generation, f.RolledOut, f.MoreSince = 5, 6, true, f.Now
		}, "RunnersAvailable", "True/ScalingUp", "2 of 5 runners are ready", "", ""},
		"scaling up takes long": {func(f *health.Facts) { f.Replicas, f.RolledOut, f.MoreSince = 5, true, f.Now.Add(-2*time.Minute) },
			"RunnersAvailable", "False/RunnersUnready", "2 of 5 runners are ready", "", reconciling},
		"waking up": {func(f *health.Facts) {
			f.Replicas, f.RolledOut, f.MoreSince = 1, true, f.Now.Add(-19*time.Second)
			f.Deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: 5}
		}, "RunnersAvailable", "True/ScalingUp", "0 of 1 runners are ready", "", ""},
		"waking up takes long": {func(f *health.Facts) {
			f.Replicas, f.RolledOut, f.MoreSince = 1, true, f.Now.Add(-20*time.Second)
			f.Deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: 5}
		}, "RunnersAvailable", "False/RunnersUnready", "0 of 1", "", reconciling},
		"a runner was lost, long after": {func(f *health.Facts) { f.RolledOut, f.Deployment.Status.AvailableReplicas = true, 1 },
			"RunnersAvailable", "False/RunnersUnready", "1 of 2", "", reconciling},
		"scaling up, and a pod is stuck": {func(f *health.Facts) {
			f.Replicas, f.RolledOut, f.MoreSince = 5, true, f.Now
			f.Pods = []corev1.Pod{pod(ended(1, "panic"))}
		}, "RunnersAvailable", "False/CrashLoop", "panic", "", stalled},
		"scaling down": {func(f *health.Facts) { f.Replicas, f.RolledOut = 1, true },
			"RunnersAvailable", "True/RunnersAvailable", "1 of 1 runners are ready", "", ""},
		"to zero": {func(f *health.Facts) {
			f.Replicas, f.RolledOut = 0, true
			f.Function.Spec.Runner = &v1alpha1.Runner{Scaling: &v1alpha1.Scaling{Max: 3}}
		}, "RunnersAvailable", "True/ScaledToZero", "an event, a timer or a cron tick starts one", "", ""},
		"rolled out before, and an old runner is left": {func(f *health.Facts) { f.RolledOut, f.Deployment.Status.Replicas = true, 3 },
			"RunnersAvailable", "False/RollingOut", "", "", reconciling},
		"somebody else scales the Deployment": {func(f *health.Facts) { f.RolledOut, f.Contested = true, new(int32) },
			"RunnersAvailable", "True/RunnersAvailable", "2 of 2 runners are ready; somebody else sets the replicas of Deployment f-runner to 0", "", ""},
		"unknown handler": {func(f *health.Facts) {
			f.Pods = []corev1.Pod{pod(ended(2, `spec.steps[0].handler: the runner has no handler "x"`))}
		}, "RunnersAvailable", "False/UnknownHandler", `"x"`, "", stalled},
		"bad settings": {func(f *health.Facts) { f.Pods = []corev1.Pod{pod(ended(2, "WILDOUT_GRACE: bad"))} },
			"RunnersAvailable", "False/RunnerRefuses", "WILDOUT_GRACE", "", stalled},
		"crash without words": {func(f *health.Facts) { f.Pods = []corev1.Pod{pod(ended(1, " "))} },
			"RunnersAvailable", "False/CrashLoop", "kubectl logs", "", stalled},
		"crash of a pod that goes": {func(f *health.Facts) {
			p := pod(ended(1, "panic"))
			p.DeletionTimestamp = &metav1.Time{}
			p.DeletionTimestamp.Time = f.Now
			f.Pods = []corev1.Pod{p}
		}, "RunnersAvailable", "True/RunnersAvailable", "", "", ""},
		"a crash of yesterday": {func(f *health.Facts) {
			c := ended(1, "panic")
			c.State, c.Ready = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, true
			f.Pods = []corev1.Pod{pod(c)}
		}, "RunnersAvailable", "True/RunnersAvailable", "", "", ""},

		"failing runs": {func(f *health.Facts) {
			r := run.Record{ID: "r2", Status: run.Failed, ErrorStep: "s", Error: "no route"}
			f.View.Ends.Runs, f.View.Ends.LastFailure = append(f.View.Ends.Runs, r), &r
		}, "Healthy", "False/HighFailureRate", "1 of the last 2 runs failed; the latest, r2, in step s: no route", "True", ""},
		"cancelled runs": {func(f *health.Facts) { f.View.Ends.Runs[0].Status = run.Cancelled }, "Healthy", "True/Healthy", "", "", ""},
		"no runs":        {func(f *health.Facts) { f.View.Ends = store.Ends{} }, "Healthy", "Unknown/NoRuns", "", "True", ""},
		"no history": {func(f *health.Facts) { f.Function.Spec.History = &v1alpha1.History{Limit: new(int32)} },
			"Healthy", "Unknown/NoRuns", "spec.history.limit", "True", ""},
		"deleted": {func(f *health.Facts) { f.Function.DeletionTimestamp = &metav1.Time{Time: f.Now} }, "Ready", "False/Deleting", "", "", reconciling},
	} {
		t.Run(name, func(t *testing.T) {
			facts := fine()
			test.breaks(facts)
			conditions := health.Conditions(facts)
			got := meta.FindStatusCondition(conditions, test.kind)
			if s := string(got.Status) + "/" + got.Reason; s != test.want || !strings.Contains(got.Message, test.words) {
				t.Errorf("%s is %s: %s\nwant %s: …%s…", test.kind, s, got.Message, test.want, test.words)
			}
			ready := test.ready
			if ready == "" {
				ready, _, _ = strings.Cut(test.want, "/")
			}
			if c := meta.FindStatusCondition(conditions, "Ready"); string(c.Status) != ready {
				t.Errorf("Ready is %s/%s, want %s", c.Status, c.Reason, ready)
			}
			for _, kind := range []string{stalled, reconciling} {
				if has := meta.FindStatusCondition(conditions, kind) != nil; has != (kind == test.beside) {
					t.Errorf("%s: %v, want %q", kind, has, test.beside)
				}
			}
			for _, c := range conditions {
				if c.ObservedGeneration != 3 || c.Message == "" || c.Reason == "" {
					t.Errorf("incomplete: %+v", c)
				}
			}
		})
	}
}

// A judgement that time will change is made anew when it does.
func TestAgain(t *testing.T) {
	for name, test := range map[string]struct {
		breaks func(*health.Facts)
		want   time.Duration
	}{
		"all is well":       {func(*health.Facts) {}, 0},
		"scaling up":        {func(f *health.Facts) { f.Replicas, f.RolledOut, f.MoreSince = 5, true, f.Now.Add(-time.Minute) }, time.Minute},
		"it takes long":     {func(f *health.Facts) { f.Replicas, f.RolledOut, f.MoreSince = 5, true, f.Now.Add(-time.Hour) }, 0},
		"a first rollout":   {func(f *health.Facts) { f.Replicas, f.MoreSince = 5, f.Now }, 0},
		"no Deployment yet": {func(f *health.Facts) { f.Deployment, f.RolledOut, f.MoreSince = nil, true, f.Now }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			facts := fine()
			test.breaks(facts)
			if got := health.Again(facts); got != test.want {
				t.Errorf("again after %s, want %s", got, test.want)
			}
		})
	}
}

// The first rule that objects has the word: the cause, not what follows from it.
func TestCauseComesFirst(t *testing.T) {
	facts := fine()
	facts.View.Err = store.Explain(errors.New("dial tcp: connection refused"))
	facts.Deployment.Status.AvailableReplicas = 0
	if c := meta.FindStatusCondition(health.Conditions(facts), "Ready"); c.Reason == v1alpha1.ReasonRunnersUnready {
		t.Errorf("Ready is %s: runners are not ready because Redis is away", c.Reason)
	}
}

// An operator that has just begun takes nothing back.
func TestNewOperatorIsNoNews(t *testing.T) {
	facts := fine()
	facts.Function.Status.Conditions = health.Conditions(facts)
	facts.View = survey.View{}
	for _, c := range health.Conditions(facts) {
		if was := meta.FindStatusCondition(facts.Function.Status.Conditions, c.Type); was == nil || *was != c {
			t.Errorf("%s became %s/%s: %s", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	facts.Function.Generation++ // the spec may name another Redis
	if c := meta.FindStatusCondition(health.Conditions(facts), "StreamsReady"); c.Reason != v1alpha1.ReasonConnecting {
		t.Errorf("after a change StreamsReady is %s", c.Reason)
	}
}

func TestMerge(t *testing.T) {
	before, now := metav1.NewTime(time.Unix(100, 0)), metav1.NewTime(time.Unix(200, 0))
	old := []metav1.Condition{{Type: "A", Status: "True", LastTransitionTime: before}, {Type: "B", Status: "True", LastTransitionTime: before}}
	got := health.Merge(old, []metav1.Condition{{Type: "A", Status: "True"}, {Type: "B", Status: "False"}, {Type: "C", Status: "True"}}, now)
	for i, want := range []metav1.Time{before, now, now} {
		if got[i].LastTransitionTime != want {
			t.Errorf("%s changed at %s, want %s", got[i].Type, got[i].LastTransitionTime, want)
		}
	}
}
