package health_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/health"
	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/plan"
)

// fine is a function that is all right.
func fine() *health.Function {
	f := &v1alpha1.WildoutFunction{ObjectMeta: metav1.ObjectMeta{Name: "f", Namespace: "shop", Generation: 3}}
	return &health.Function{
		Object: f, Secret: "wildout-redis", Now: time.Unix(1_700_000_000, 0),
		Redis: view.Function{
			Redis:   view.Redis{Secret: view.Secret{Problem: view.Fine, Content: "0"}, Asked: true, State: durable()},
			Numbers: &view.Numbers{},
			Runs:    view.Runs{Ended: 1},
		},
		Runners: health.Runners{Wanted: 2, Generation: 5,
			Deployment: &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "f-runner", Namespace: "shop", Generation: 5},
				Status: appsv1.DeploymentStatus{ObservedGeneration: 5, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}}},
	}
}

func durable() view.State {
	return view.State{Version: "7.2.4", EvictionPolicy: "noeviction", AppendOnly: true}
}

func trouble(kind view.TroubleKind, words string) *view.Trouble {
	return &view.Trouble{Kind: kind, Words: words}
}

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
		breaks func(*health.Function)
		kind   string // the condition that tells it
		want   string // status/reason
		words  string // part of its message
		ready  string // status of Ready; "": as want
		beside string // Stalled, Reconciling or none
	}{
		"all is well": {func(*health.Function) {}, "Ready", "True/Ready", "2 of 2", "", ""},
		"bad expression": {func(f *health.Function) {
			f.Spec.Fault = plan.Errors{{Reason: plan.InvalidExpression, Path: "spec.steps[0].if", Message: "undeclared reference", Source: "evnt.data", Column: 1}}
		}, "Accepted", "False/InvalidExpression", "spec.steps[0].if", "", stalled},
		"unknown step in an expression": {func(f *health.Function) {
			f.Spec.Fault = plan.Errors{{Reason: plan.UnknownStep, Path: "spec.output", Message: `there is no step "x"`, Source: "steps.x.output", Column: 1}}
		}, "Accepted", "False/UnknownStep", "spec.output", "", stalled},
		"another fault": {func(f *health.Function) {
			f.Spec.Fault = plan.Errors{{Path: "spec.triggers[0].timeZone", Message: "is no time zone"}}
		}, "Accepted", "False/InvalidSpec", "spec.triggers[0].timeZone", "", stalled},
		"fault of the runner": {func(f *health.Function) { f.Spec.RunnerFault = errors.New("spec.runner.affinity: unknown field") },
			"Accepted", "False/InvalidRunner", "spec.runner.affinity", "", stalled},
		"the API server refuses the pods": {func(f *health.Function) {
			f.Refusal = &health.Refusal{Why: health.Invalid, Err: errors.New("f-runner is invalid")}
		}, "Accepted", "False/InvalidRunner", "f-runner", "", stalled},
		"undeclared event type": {func(f *health.Function) { f.Spec.Undeclared = []string{"a/b"} }, "Accepted", "True/UndeclaredEventType", "a/b", "True", ""},

		"no Secret":     {func(f *health.Function) { f.Redis.Secret.Problem = view.NotFound }, "StreamsReady", "False/SecretNotFound", "kubectl -n shop create secret", "", stalled},
		"hidden Secret": {func(f *health.Function) { f.Redis.Secret.Problem = view.Forbidden }, "StreamsReady", "False/SecretForbidden", "Role", "", stalled},
		"bad Secret": {func(f *health.Function) { f.Redis.Secret = view.Secret{Problem: view.Invalid, Detail: "no key url"} },
			"StreamsReady", "False/SecretInvalid", "no key url", "", stalled},
		"Secret not read":  {func(f *health.Function) { f.Redis.Secret = view.Secret{} }, "StreamsReady", "Unknown/Connecting", "", "", reconciling},
		"Redis not asked":  {func(f *health.Function) { f.Redis.Asked = false }, "StreamsReady", "Unknown/Connecting", "", "", reconciling},
		"groups not there": {func(f *health.Function) { f.Redis.Numbers.Ungrouped = true }, "StreamsReady", "Unknown/Connecting", "", "", reconciling},
		"groups refused": {func(f *health.Function) { f.Redis.GroupTrouble = trouble(view.Refused, "WRONGTYPE") },
			"StreamsReady", "False/RedisRefuses", "WRONGTYPE", "", stalled},
		"wrong password": {func(f *health.Function) { f.Redis.Trouble = trouble(view.Unauthorized, "Redis refuses the password") },
			"StreamsReady", "False/AuthFailed", "password", "", stalled},
		"Redis away": {func(f *health.Function) {
			f.Redis.Trouble = trouble(view.Unreachable, "nothing listens there")
		}, "StreamsReady", "False/RedisUnreachable", "nothing is lost", "", reconciling},
		"Redis refuses": {func(f *health.Function) { f.Redis.Trouble = trouble(view.Refused, "unknown command") },
			"StreamsReady", "False/RedisRefuses", "unknown command", "", stalled},
		"Redis is elsewhere": {func(f *health.Function) { f.Redis.Trouble = trouble(view.NotAllowed, "not there") },
			"StreamsReady", "False/RedisNotAllowed", "not there", "", stalled},
		"Redis takes no writes": {func(f *health.Function) { f.Redis.Trouble = trouble(view.ReadOnly, "a replica") }, "StreamsReady", "False/RedisReadOnly", "a replica", "", stalled},
		"Redis is full":         {func(f *health.Function) { f.Redis.Trouble = trouble(view.Full, "maxmemory") }, "StreamsReady", "False/RedisFull", "maxmemory", "", stalled},
		"old Redis":             {func(f *health.Function) { f.Redis.State.Version = "6.2.1" }, "StreamsReady", "False/RedisTooOld", "7.0", "", stalled},
		"replica":               {func(f *health.Function) { f.Redis.State.Replica = true }, "StreamsReady", "False/RedisReadOnly", "primary", "", stalled},
		"eviction":              {func(f *health.Function) { f.Redis.State.EvictionPolicy = "allkeys-lru" }, "StreamsReady", "False/UnsafeEviction", "allkeys-lru", "", stalled},
		"no persistence": {func(f *health.Function) { f.Redis.State.AppendOnly = false },
			"StreamsReady", "False/NotDurable", "allowVolatile", "", stalled},
		"no persistence, allowed": {func(f *health.Function) {
			f.Redis.State.AppendOnly, f.Object.Spec.Redis = false, &v1alpha1.Redis{AllowVolatile: true}
		}, "StreamsReady", "True/StreamsReady", "loses them", "", ""},
		"persistence that is not told": {func(f *health.Function) { f.Redis.State.AppendOnly, f.Redis.State.SnapshotsUnknown = false, true },
			"StreamsReady", "True/StreamsReady", "", "", ""},
		"cluster without replicas": {func(f *health.Function) { f.Redis.State.Cluster = true }, "StreamsReady", "False/NotDurable", "replica", "", stalled},
		"nearly full":              {func(f *health.Function) { f.Redis.State.Used, f.Redis.State.Max = 96<<20, 100<<20 }, "StreamsReady", "False/RedisFull", "96 of 100 MiB", "", stalled},

		"taken name": {func(f *health.Function) {
			f.Refusal = &health.Refusal{Why: health.NameTaken, Err: errors.New("there is a ServiceAccount f-runner")}
		},
			"RunnersAvailable", "False/NameTaken", "f-runner", "", stalled},
		"forbidden": {func(f *health.Function) {
			f.Refusal = &health.Refusal{Why: health.Forbidden, Err: errors.New("quota")}
		}, "RunnersAvailable", "False/PodsForbidden", "quota", "", stalled},
		"suspended": {func(f *health.Function) { f.Object.Spec.Suspend, f.Runners.Wanted = true, 0 }, "RunnersAvailable", "True/Suspended", "", "", ""},
		"suspended, runners end": {func(f *health.Function) {
			f.Object.Spec.Suspend, f.Runners.Wanted, f.Runners.Pods = true, 0, make([]corev1.Pod, 2)
		},
			"RunnersAvailable", "False/Progressing", "2 runners", "", reconciling},
		"no Deployment yet": {func(f *health.Function) { f.Runners.Deployment = nil }, "RunnersAvailable", "False/Progressing", "", "", reconciling},
		"quota": {func(f *health.Function) {
			f.Runners.Deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: "True", Message: "exceeded quota"}}
		}, "RunnersAvailable", "False/PodsForbidden", "exceeded quota", "", stalled},
		"the Deployment of before": {func(f *health.Function) { f.Runners.Generation = 6 }, "RunnersAvailable", "False/RollingOut", "", "", reconciling},
		"the Deployment was not looked at": {func(f *health.Function) { f.Runners.Deployment.Status.ObservedGeneration = 4 },
			"RunnersAvailable", "False/RollingOut", "", "", reconciling},
		"half rolled out": {func(f *health.Function) {
			f.Runners.Deployment.Status.UpdatedReplicas, f.Runners.Deployment.Status.Replicas = 1, 3
		},
			"RunnersAvailable", "False/RollingOut", "1 of 2", "", reconciling},
		"an old runner is left": {func(f *health.Function) { f.Runners.Deployment.Status.Replicas = 3 }, "RunnersAvailable", "False/RollingOut", "", "", reconciling},
		"unready":               {func(f *health.Function) { f.Runners.Deployment.Status.AvailableReplicas = 1 }, "RunnersAvailable", "False/RunnersUnready", "1 of 2", "", reconciling},
		"stuck": {func(f *health.Function) {
			f.Runners.Deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: "False", Reason: "ProgressDeadlineExceeded"}}
		}, "RunnersAvailable", "False/RolloutStuck", "kubectl -n shop describe", "", stalled},
		"none wanted": {func(f *health.Function) {
			f.Runners.Wanted, f.Runners.Deployment.Status = 0, appsv1.DeploymentStatus{ObservedGeneration: 5}
		},
			"RunnersAvailable", "True/ScaledToZero", "", "", ""},
		"scaling up": {func(f *health.Function) { f.Runners.Wanted, f.Runners.RolledOut, f.Runners.MoreSince = 5, true, f.Now },
			"RunnersAvailable", "True/ScalingUp", "2 of 5 runners are ready", "", ""},
		"scaling up, not seen by Kubernetes yet": {func(f *health.Function) {
			f.Runners.Wanted, f.Runners.Generation, f.Runners.RolledOut, f.Runners.MoreSince = 5, 6, true, f.Now
		}, "RunnersAvailable", "True/ScalingUp", "2 of 5 runners are ready", "", ""},
		"scaling up takes long": {func(f *health.Function) {
			f.Runners.Wanted, f.Runners.RolledOut, f.Runners.MoreSince = 5, true, f.Now.Add(-2*time.Minute)
		},
			"RunnersAvailable", "False/RunnersUnready", "2 of 5 runners are ready", "", reconciling},
		"waking up": {func(f *health.Function) {
			f.Runners.Wanted, f.Runners.RolledOut, f.Runners.MoreSince = 1, true, f.Now.Add(-19*time.Second)
			f.Runners.Deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: 5}
		}, "RunnersAvailable", "True/ScalingUp", "0 of 1 runners are ready", "", ""},
		"waking up takes long": {func(f *health.Function) {
			f.Runners.Wanted, f.Runners.RolledOut, f.Runners.MoreSince = 1, true, f.Now.Add(-20*time.Second)
			f.Runners.Deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: 5}
		}, "RunnersAvailable", "False/RunnersUnready", "0 of 1", "", reconciling},
		"a runner was lost, long after": {func(f *health.Function) { f.Runners.RolledOut, f.Runners.Deployment.Status.AvailableReplicas = true, 1 },
			"RunnersAvailable", "False/RunnersUnready", "1 of 2", "", reconciling},
		"scaling up, and a pod is stuck": {func(f *health.Function) {
			f.Runners.Wanted, f.Runners.RolledOut, f.Runners.MoreSince = 5, true, f.Now
			f.Runners.Pods = []corev1.Pod{pod(ended(1, "panic"))}
		}, "RunnersAvailable", "False/CrashLoop", "panic", "", stalled},
		"scaling down": {func(f *health.Function) { f.Runners.Wanted, f.Runners.RolledOut = 1, true },
			"RunnersAvailable", "True/RunnersAvailable", "1 of 1 runners are ready", "", ""},
		"to zero": {func(f *health.Function) {
			f.Runners.Wanted, f.Runners.RolledOut = 0, true
			f.Object.Spec.Runner = &v1alpha1.Runner{Scaling: &v1alpha1.Scaling{Max: 3}}
		}, "RunnersAvailable", "True/ScaledToZero", "an event, a timer or a cron tick starts one", "", ""},
		"rolled out before, and an old runner is left": {func(f *health.Function) { f.Runners.RolledOut, f.Runners.Deployment.Status.Replicas = true, 3 },
			"RunnersAvailable", "False/RollingOut", "", "", reconciling},
		"somebody else scales the Deployment": {func(f *health.Function) { f.Runners.RolledOut, f.Runners.Contested = true, new(int32) },
			"RunnersAvailable", "True/RunnersAvailable", "2 of 2 runners are ready; somebody else sets the replicas of Deployment f-runner to 0", "", ""},
		"unknown handler": {func(f *health.Function) {
			f.Runners.Pods = []corev1.Pod{pod(ended(v1alpha1.ExitUnknownHandler, `spec.steps[0].handler: the runner has no handler "x"`))}
		}, "RunnersAvailable", "False/UnknownHandler", `"x"`, "", stalled},
		"bad settings": {func(f *health.Function) {
			f.Runners.Pods = []corev1.Pod{pod(ended(v1alpha1.ExitBadSettings, "WILDOUT_GRACE: bad"))}
		},
			"RunnersAvailable", "False/RunnerRefuses", "WILDOUT_GRACE", "", stalled},
		"crash without words": {func(f *health.Function) { f.Runners.Pods = []corev1.Pod{pod(ended(1, " "))} },
			"RunnersAvailable", "False/CrashLoop", "kubectl logs", "", stalled},
		"crash of a pod that goes": {func(f *health.Function) {
			p := pod(ended(1, "panic"))
			p.DeletionTimestamp = &metav1.Time{}
			p.DeletionTimestamp.Time = f.Now
			f.Runners.Pods = []corev1.Pod{p}
		}, "RunnersAvailable", "True/RunnersAvailable", "", "", ""},
		"a crash of yesterday": {func(f *health.Function) {
			c := ended(1, "panic")
			c.State, c.Ready = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, true
			f.Runners.Pods = []corev1.Pod{pod(c)}
		}, "RunnersAvailable", "True/RunnersAvailable", "", "", ""},

		"failing runs": {func(f *health.Function) {
			f.Redis.Runs = view.Runs{Ended: 6, Failed: 3, LastFailure: &view.Failure{RunID: "r2", Step: "s", Message: "no route"}}
		}, "Healthy", "False/HighFailureRate", "3 of the last 6 runs failed; the latest, r2, in step s: no route", "True", ""},
		"failing runs, as a whole": {func(f *health.Function) {
			f.Redis.Runs = view.Runs{Ended: 3, Failed: 3, LastFailure: &view.Failure{RunID: "r2", Message: "too late"}}
		}, "Healthy", "False/HighFailureRate", "failed; the latest, r2: too late", "True", ""},
		"failing runs, none remembered": {func(f *health.Function) { f.Redis.Runs = view.Runs{Ended: 4, Failed: 3} },
			"Healthy", "False/HighFailureRate", "3 of the last 4 runs failed", "True", ""},
		"the first run fails": {func(f *health.Function) { f.Redis.Runs = view.Runs{Ended: 1, Failed: 1} },
			"Healthy", "True/Healthy", "too few", "", ""},
		"the only one remembered fails": {func(f *health.Function) {
			f.Redis.Runs, f.Object.Spec.History = view.Runs{Ended: 1, Failed: 1}, &v1alpha1.History{Limit: ptr.To(int32(1))}
		}, "Healthy", "False/HighFailureRate", "1 of the last 1", "True", ""},
		"a function that is not there": {func(f *health.Function) {
			f.Spec.Absent = []string{"g"}
			f.Spec.Undeclared = []string{"a/b"}
		}, "Accepted", "True/NoSuchFunction", "it invokes g, which this namespace does not have", "", ""},
		"a run without its code": {func(f *health.Function) {
			f.Redis.Numbers.Lacking = 1
			f.Redis.Numbers.Code = `a runner with the handler old.send of version 3f2a`
			f.Object.Status.Image = "example.com/runner:2"
		}, "Healthy", "False/RunnerLacksHandler", "1 run waits for code that the image of the runners, example.com/runner:2, does not have: a runner with the handler old.send", "True", ""},
		"fewer than half fail": {func(f *health.Function) { f.Redis.Runs = view.Runs{Ended: 3, Failed: 1} }, "Healthy", "True/Healthy", "", "", ""},
		"no runs":              {func(f *health.Function) { f.Redis.Runs = view.Runs{} }, "Healthy", "Unknown/NoRuns", "", "True", ""},
		"runs are not known":   {func(f *health.Function) { f.Redis.Numbers = nil }, "Healthy", "Unknown/NoRuns", "not known yet", "Unknown", reconciling},
		"no history": {func(f *health.Function) { f.Object.Spec.History = &v1alpha1.History{Limit: new(int32)} },
			"Healthy", "Unknown/NoRuns", "spec.history.limit", "True", ""},
		"deleted": {func(f *health.Function) { f.Object.DeletionTimestamp = &metav1.Time{Time: f.Now} }, "Ready", "False/Deleting", "", "", reconciling},
	} {
		t.Run(name, func(t *testing.T) {
			known := fine()
			test.breaks(known)
			conditions := health.Judge(known).Conditions
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
		breaks func(*health.Function)
		want   time.Duration
	}{
		"all is well": {func(*health.Function) {}, 0},
		"scaling up": {func(f *health.Function) {
			f.Runners.Wanted, f.Runners.RolledOut, f.Runners.MoreSince = 5, true, f.Now.Add(-time.Minute)
		}, time.Minute},
		"it takes long": {func(f *health.Function) {
			f.Runners.Wanted, f.Runners.RolledOut, f.Runners.MoreSince = 5, true, f.Now.Add(-time.Hour)
		}, 0},
		"a first rollout": {func(f *health.Function) { f.Runners.Wanted, f.Runners.MoreSince = 5, f.Now }, 0},
		"no Deployment yet": {func(f *health.Function) {
			f.Runners.Deployment, f.Runners.RolledOut, f.Runners.MoreSince = nil, true, f.Now
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			known := fine()
			test.breaks(known)
			if got := health.Judge(known).Again; got != test.want {
				t.Errorf("again after %s, want %s", got, test.want)
			}
		})
	}
}

// The first rule that objects has the word: the cause, not what follows from it.
func TestCauseComesFirst(t *testing.T) {
	known := fine()
	known.Redis.Trouble = trouble(view.Unreachable, "nothing listens there")
	known.Runners.Deployment.Status.AvailableReplicas = 0
	if c := meta.FindStatusCondition(health.Judge(known).Conditions, "Ready"); c.Reason == v1alpha1.ReasonRunnersUnready {
		t.Errorf("Ready is %s: runners are not ready because Redis is away", c.Reason)
	}
}

// An operator that has just begun takes nothing back.
func TestNewOperatorIsNoNews(t *testing.T) {
	known := fine()
	known.Object.Status.Conditions = health.Judge(known).Conditions
	known.Redis = view.Function{}
	for _, c := range health.Judge(known).Conditions {
		if was := meta.FindStatusCondition(known.Object.Status.Conditions, c.Type); was == nil || *was != c {
			t.Errorf("%s became %s/%s: %s", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	known.Object.Generation++ // the spec may name another Redis
	if c := meta.FindStatusCondition(health.Judge(known).Conditions, "StreamsReady"); c.Reason != v1alpha1.ReasonConnecting {
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
