package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/desired"
	"github.com/wildout/wildout/controllers/observe"
	"github.com/wildout/wildout/controllers/survey"
)

// tombstones remember, in a ConfigMap of each namespace, what was deleted while
// Redis was away: a consumer group that nobody reads from any more would keep its
// stream from ever being trimmed. What they name is removed when Redis is back,
// by whichever operator there is then. A request names the ConfigMap.
type tombstones struct {
	client client.Client
	// live reads from the API server: the cache has no ConfigMaps as a whole.
	live   client.Reader
	poller *survey.Poller
	now    func() time.Time

	mu sync.Mutex
	// buried are those that this operator knows of.
	buried map[grave]bool
	// dig has the ConfigMap of a namespace looked at again.
	dig func(namespace string)
}

// grave names a function, or an event type, that has gone.
type grave struct {
	types.NamespacedName
	isEventType bool
}

// tombstone is what is known of one.
type tombstone struct {
	// Secret is the name of the Secret with the URL of Redis.
	Secret string `json:"secret"`
	// Streams are event types whose streams go too, unless somebody has them.
	Streams []string  `json:"streams,omitempty"`
	Since   time.Time `json:"since"`
}

// tombstonesName is the name of the ConfigMap.
const tombstonesName = "wildout-tombstones"

// lookAgain is after which time tombstones are looked at though nothing was told.
const lookAgain = time.Minute

func newTombstones(c client.Client, live client.Reader, poller *survey.Poller, now func() time.Time) *tombstones {
	return &tombstones{client: c, live: live, poller: poller, now: now, buried: map[grave]bool{}, dig: func(string) {}}
}

// key is the key in the ConfigMap.
func (g grave) key() string {
	if g.isEventType {
		return "event-type." + g.Name
	}
	return "function." + g.Name
}

func graveOf(namespace, key string) (grave, bool) {
	kind, name, ok := strings.Cut(key, ".")
	g := grave{types.NamespacedName{Namespace: namespace, Name: name}, kind == "event-type"}
	return g, ok && g.key() == key
}

// bury remembers what could not be removed. Where there can be no ConfigMap any
// more, as the namespace goes too, it is forgotten.
func (t *tombstones) bury(ctx context.Context, g grave, secret string, streams []string) error {
	text, err := json.Marshal(tombstone{secret, streams, t.now().UTC()})
	if err != nil {
		return err
	}
	// Each has a field owner of its own: an apply takes away what it leaves out.
	config := corev1ac.ConfigMap(tombstonesName, g.Namespace).
		WithLabels(map[string]string{"app.kubernetes.io/managed-by": desired.ManagedBy, v1alpha1.LabelTombstones: "true"}).
		WithData(map[string]string{g.key(): string(text)})
	err = t.client.Apply(ctx, config, client.FieldOwner(g.owner()), client.ForceOwnership)
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsNotFound(err) {
		ctrl.LoggerFrom(ctx).Error(err, "what is left in Redis is not remembered", "of", g.NamespacedName)
		t.poller.GiveUp(g.NamespacedName, g.isEventType)
		return nil
	}
	if err != nil {
		return fmt.Errorf("remember what %s has in Redis: %w", g.Name, err)
	}
	t.know(g, true)
	return nil
}

// owner is the field owner of one tombstone.
func (g grave) owner() string {
	const most = 128
	return v1alpha1.FieldOwner + "-" + cut(g.key(), most-len(v1alpha1.FieldOwner)-1)
}

func (t *tombstones) know(g grave, buried bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if buried {
		t.buried[g] = true
	} else {
		delete(t.buried, g)
	}
}

// has reports whether an object that has gone is remembered. If it is, something
// may be known of it.
func (t *tombstones) has(name types.NamespacedName, isEventType bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	has := t.buried[grave{name, isEventType}]
	if has {
		t.dig(name.Namespace)
	}
	return has
}

// knows is has for those who only want to know.
func (t *tombstones) knows(name types.NamespacedName, isEventType bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buried[grave{name, isEventType}]
}

// Reconcile removes what the tombstones of a namespace name, as far as Redis
// lets it.
func (t *tombstones) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var found corev1.ConfigMap
	if err := t.live.Get(ctx, request.NamespacedName, &found); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if found.Labels[v1alpha1.LabelTombstones] == "" {
		return ctrl.Result{}, nil
	}
	gone := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(found.Data)) {
		g, ok := graveOf(request.Namespace, key)
		var left tombstone
		if !ok || json.Unmarshal([]byte(found.Data[key]), &left) != nil {
			continue // somebody else's
		}
		t.know(g, true)
		settled, err := t.settle(ctx, g, left)
		if err != nil {
			return ctrl.Result{}, err
		}
		if settled {
			gone[key] = nil
		}
	}
	if err := t.drop(ctx, &found, gone); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: lookAgain}, nil
}

// drop takes what is settled out of the ConfigMap, which goes with the last.
func (t *tombstones) drop(ctx context.Context, found *corev1.ConfigMap, gone map[string]any) error {
	if len(gone) == 0 {
		return nil
	}
	var err error
	if len(gone) == len(found.Data) {
		err = t.client.Delete(ctx, found, client.Preconditions{UID: &found.UID, ResourceVersion: &found.ResourceVersion})
	} else {
		patch, encodeErr := json.Marshal(map[string]any{"data": gone})
		if encodeErr != nil {
			return encodeErr
		}
		err = t.client.Patch(ctx, &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Namespace: found.Namespace, Name: found.Name}}, client.RawPatch(types.MergePatchType, patch))
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("drop what is removed from Redis: %w", err)
	}
	for key := range gone {
		if g, ok := graveOf(found.Namespace, key); ok {
			t.know(g, false)
		}
	}
	return nil
}

// settle goes on with one tombstone, and reports whether it is done with: all is
// removed, or somebody of that name has it now.
func (t *tombstones) settle(ctx context.Context, g grave, left tombstone) (bool, error) {
	if g.isEventType {
		free, err := t.undeclared(ctx, g.Namespace, left.Streams)
		if err != nil || len(free) < len(left.Streams) {
			return err == nil, err
		}
		return t.poller.RemoveStream(g.NamespacedName, left.Secret, left.Streams[0]).Done, nil
	}
	var f v1alpha1.WildoutFunction
	err := t.client.Get(ctx, g.NamespacedName, &f)
	if err == nil {
		return f.DeletionTimestamp.IsZero(), nil // one that is about to go is the very one
	}
	if !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("look for the function %s: %w", g.Name, err)
	}
	streams, err := t.undeclared(ctx, g.Namespace, left.Streams)
	if err != nil {
		return false, err
	}
	return t.poller.RemoveFunction(g.NamespacedName, left.Secret, streams).Done, nil
}

// undeclared leaves out the event types that somebody declares now.
func (t *tombstones) undeclared(ctx context.Context, namespace string, eventTypes []string) (left []string, err error) {
	for _, eventType := range eventTypes {
		var same v1alpha1.WildoutEventTypeList
		if err := t.client.List(ctx, &same, client.InNamespace(namespace), client.MatchingFields{observe.IndexType: eventType}); err != nil {
			return nil, fmt.Errorf("look for the event type %s: %w", eventType, err)
		}
		// One that is being deleted may be the very one.
		if !slices.ContainsFunc(same.Items, func(t v1alpha1.WildoutEventType) bool { return t.DeletionTimestamp.IsZero() }) {
			left = append(left, eventType)
		}
	}
	return left, nil
}
