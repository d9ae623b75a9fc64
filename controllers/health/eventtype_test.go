package health_test

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/health"
	"github.com/wildout/wildout/controllers/view"
)

// fineType is an event type that is all right.
func fineType() *health.EventType {
	t := &v1alpha1.WildoutEventType{ObjectMeta: metav1.ObjectMeta{Name: "t", Namespace: "shop", Generation: 3}}
	t.Spec.Type = "a/b"
	return &health.EventType{Object: t, Secret: "wildout-redis", Catalog: health.Catalog{Known: true, There: true, Current: true}, Redis: view.EventType{
		Redis:  view.Redis{Secret: view.Secret{Problem: view.Fine, Content: "0"}, Asked: true, State: durable()},
		Stream: &view.Stream{},
	}}
}

func TestEventTypeConditions(t *testing.T) {
	for name, test := range map[string]struct {
		breaks            func(*health.EventType)
		kind, want, words string
		ready, beside     string
	}{
		"all is well": {func(*health.EventType) {}, "Ready", "True/Ready", "are taken", "True/Ready", ""},
		"bad schema": {func(e *health.EventType) { e.SchemaFault = errors.New("no such type: objekt") },
			"Accepted", "False/InvalidSchema", "spec.schema: no such type", "False/InvalidSchema", "Stalled"},
		"declared twice": {func(e *health.EventType) { e.DeclaredBy = "first" },
			"Accepted", "False/DuplicateType", "declared by the WildoutEventType first", "False/DuplicateType", "Stalled"},
		"a fault and no Redis": {func(e *health.EventType) { e.SchemaFault, e.Redis.Asked = errors.New("x"), false },
			"StreamsReady", "Unknown/Connecting", "", "False/InvalidSchema", "Stalled"},
		"no Secret": {func(e *health.EventType) { e.Redis.Secret.Problem = view.NotFound },
			"StreamsReady", "False/SecretNotFound", "-n shop", "False/SecretNotFound", "Stalled"},
		"away": {func(e *health.EventType) { e.Redis.Trouble = trouble(view.Unreachable, "nobody is there") },
			"StreamsReady", "False/RedisUnreachable", "nobody is there", "False/RedisUnreachable", "Reconciling"},
		"unsafe": {func(e *health.EventType) { e.Redis.State.AppendOnly = false },
			"StreamsReady", "False/NotDurable", "allowVolatile", "False/NotDurable", "Stalled"},
		"unsafe, as wanted": {func(e *health.EventType) {
			e.Redis.State.AppendOnly, e.Object.Spec.Redis = false, &v1alpha1.Redis{AllowVolatile: true}
		}, "StreamsReady", "True/StreamsReady", "the stream, and loses them", "True/Ready", ""},
		"trouble of the stream": {func(e *health.EventType) { e.Redis.StreamTrouble = trouble(view.Refused, "not a stream") },
			"StreamsReady", "False/RedisRefuses", "not a stream", "False/RedisRefuses", "Stalled"},
		"no stream yet": {func(e *health.EventType) { e.Redis.Stream = nil },
			"StreamsReady", "Unknown/Connecting", "making the stream", "Unknown/Connecting", "Reconciling"},
	} {
		t.Run(name, func(t *testing.T) {
			known := fineType()
			test.breaks(known)
			conditions := health.JudgeEventType(known)
			show := func(kind string) string {
				c := meta.FindStatusCondition(conditions, kind)
				return string(c.Status) + "/" + c.Reason
			}
			if got := meta.FindStatusCondition(conditions, test.kind); show(test.kind) != test.want || !strings.Contains(got.Message, test.words) {
				t.Errorf("%s is %s: %s, want %s: …%s…", test.kind, show(test.kind), got.Message, test.want, test.words)
			}
			if show("Ready") != test.ready {
				t.Errorf("Ready is %s, want %s", show("Ready"), test.ready)
			}
			for _, kind := range []string{"Stalled", "Reconciling"} {
				if has := meta.FindStatusCondition(conditions, kind) != nil; has != (kind == test.beside) {
					t.Errorf("%s: %v, want %q", kind, has, test.beside)
				}
			}
			for _, c := range conditions {
				if c.ObservedGeneration != 3 {
					t.Errorf("%s is of generation %d", c.Type, c.ObservedGeneration)
				}
			}
		})
	}
}

// What the operator before this one found holds until somebody was asked.
func TestNewOperatorIsNoNewsOfEventTypes(t *testing.T) {
	known := fineType()
	known.Object.Status.Conditions = health.JudgeEventType(known)
	known.Redis = view.EventType{}
	if c := meta.FindStatusCondition(health.JudgeEventType(known), "Ready"); c.Status != metav1.ConditionTrue {
		t.Errorf("Ready became %s: %s", c.Reason, c.Message)
	}
}
