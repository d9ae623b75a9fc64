package survey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

// begin is when the clock of a rig begins.
var begin = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// rig is a Poller with Redis servers and Secrets of the test. Nothing runs by
// itself unless Run is called.
type rig struct {
	*Poller
	t       *testing.T
	secrets *cluster
	redis   *fake            // any server
	at      map[string]*fake // those at a host of their own
	now     time.Time

	mu   sync.Mutex
	told []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, secrets: &cluster{objects: map[string]*corev1.Secret{}}, at: map[string]*fake{}, now: begin}
	r.redis = newFake()
	p, err := New(Options{
		Secrets: r.secrets, Interval: 5 * time.Second, WakeInterval: time.Second, NumbersInterval: 15 * time.Second,
		Open: func(o store.Options) (Redis, error) {
			if strings.Contains(o.URL, "broken") {
				return nil, errors.New("it cannot be opened")
			}
			r.redis.note("open %s %d", o.URL, o.PoolSize)
			if other := r.at[hostOf(o.URL)]; other != nil {
				return other, nil
			}
			return r.redis, nil
		},
		Now:    func() time.Time { return r.now },
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.OnFunction(r.tells("function"))
	p.OnEventType(r.tells("type"))
	r.Poller = p
	r.secrets.set("shop/wildout-redis", "redis://one.example:6379/0")
	return r
}

func (r *rig) tells(kind string) func(types.NamespacedName) {
	return func(name types.NamespacedName) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, kind+" "+name.String())
	}
}

// news returns what was told since it was asked last, in order.
func (r *rig) news() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := r.told
	r.told = nil
	slices.Sort(told)
	return told
}

// expectNews fails the test unless that was told, and nothing else.
func (r *rig) expectNews(want ...string) {
	r.t.Helper()
	if got := r.news(); !slices.Equal(got, want) {
		r.t.Errorf("told %q, want %q", got, want)
	}
}

// name is shop/<name>.
func name(text string) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: text}
}

// f is a function that reads these types.
func f(text string, reads ...string) Function {
	return Function{Name: name(text), Secret: "wildout-redis", Types: reads}
}

// connected reads the Secrets and returns the one server that there is then.
func (r *rig) connected() *server {
	r.t.Helper()
	r.readSecrets(r.t.Context())
	if len(r.servers) != 1 {
		r.t.Fatalf("there are %d servers, want 1", len(r.servers))
	}
	for _, s := range r.servers {
		return s
	}
	return nil
}

// lookAt looks at all functions and event types.
func (r *rig) lookAt(s *server) { r.look(r.t.Context(), s, true) }

// kickedOnce reports whether the Poller was asked to look soon.
func (r *rig) kickedOnce() bool {
	select {
	case <-r.kicked:
		return true
	default:
		return false
	}
}

// cluster has Secrets, by namespace/name.
type cluster struct {
	mu      sync.Mutex
	objects map[string]*corev1.Secret
	err     error
	reads   []string
}

func (c *cluster) set(name, url string) *corev1.Secret {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{UID: types.UID("uid of " + name)}, Data: map[string][]byte{KeyURL: []byte(url)}}
	c.objects[name] = s
	return s
}

func (c *cluster) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, name)
}

// Secret implements SecretReader.
func (c *cluster) Secret(_ context.Context, name types.NamespacedName) (*corev1.Secret, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads = append(c.reads, name.String())
	if c.err != nil {
		return nil, c.err
	}
	if s := c.objects[name.String()]; s != nil {
		return s, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name.Name)
}

// fake is a Redis that answers what the test has set, and keeps what it was
// asked to do.
type fake struct {
	mu sync.Mutex
	// server, numbers, ends, streams and news are its answers, by namespace/name.
	server  store.Server
	numbers map[string]*inspect.Numbers
	ends    map[string]inspect.Ends
	streams map[string]inspect.StreamState
	stirred map[string]bool
	// errs are by the word of the call.
	errs  map[string]error
	calls []string
	// subjects are those of the last Survey, sleepers those of HaveNews.
	subjects []inspect.Subject
	sleepers []inspect.Sleeper
	// during is called while a Survey is under way.
	during func()
	// hangs: nothing is answered before its context ends. panics: the client does.
	hangs, panics bool
	closed        int
}

func newFake() *fake {
	return &fake{
		server:  store.Server{Version: "7.2.4", EvictionPolicy: "noeviction", AppendOnly: true},
		numbers: map[string]*inspect.Numbers{}, ends: map[string]inspect.Ends{}, streams: map[string]inspect.StreamState{},
		stirred: map[string]bool{}, errs: map[string]error{},
	}
}

// note keeps a call.
func (k *fake) note(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls = append(k.calls, fmt.Sprintf(format, args...))
}

// did returns the calls with that word since it was asked last.
func (k *fake) did(word string) (calls []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var rest []string
	for _, c := range k.calls {
		if strings.HasPrefix(c, word+" ") || c == word {
			calls = append(calls, c)
		} else {
			rest = append(rest, c)
		}
	}
	k.calls = rest
	return calls
}

func (k *fake) fail(word string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.errs[word] = err
}

func (k *fake) err(word string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.errs[word]
}

// of returns the numbers of a function, to be set by the test.
func (k *fake) of(function string) *inspect.Numbers {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.numbers[function] == nil {
		k.numbers[function] = &inspect.Numbers{}
	}
	return k.numbers[function]
}

func (k *fake) AskServer(ctx context.Context) (store.Server, error) {
	k.note("ask")
	if k.panics {
		panic("slice bounds out of range")
	}
	if k.hangs {
		<-ctx.Done()
		return store.Server{}, store.Explain(ctx.Err())
	}
	return k.server, k.err("ask")
}

func (k *fake) Survey(_ context.Context, subjects []inspect.Subject) ([]inspect.Numbers, error) {
	k.note("survey %d", len(subjects))
	all := make([]inspect.Numbers, len(subjects))
	for i, s := range subjects {
		all[i] = *k.of(s.Namespace + "/" + s.Function)
	}
	k.mu.Lock()
	k.subjects = subjects
	during := k.during
	k.mu.Unlock()
	if during != nil {
		during()
	}
	return all, k.err("survey")
}

func (k *fake) LastEnds(_ context.Context, subjects []inspect.Subject, most int64) ([]inspect.Ends, error) {
	all := make([]inspect.Ends, len(subjects))
	for i, s := range subjects {
		k.note("ends %s/%s %d", s.Namespace, s.Function, most)
		all[i] = k.ends[s.Namespace+"/"+s.Function]
	}
	return all, k.err("ends")
}

func (k *fake) HaveNews(_ context.Context, sleepers []inspect.Sleeper) ([]bool, error) {
	k.note("news")
	all := make([]bool, len(sleepers))
	k.mu.Lock()
	k.sleepers = sleepers
	for i, s := range sleepers {
		all[i] = k.stirred[s.Namespace+"/"+s.Function]
	}
	k.mu.Unlock()
	return all, k.err("news")
}

func (k *fake) CreateGroups(_ context.Context, s inspect.Subject, _ store.Origin, missing []string) error {
	k.note("create %s/%s %v", s.Namespace, s.Function, missing)
	return k.err("create")
}

func (k *fake) SurveyStreams(_ context.Context, refs []inspect.StreamRef) ([]inspect.StreamState, error) {
	k.note("streams")
	all := make([]inspect.StreamState, len(refs))
	for i, ref := range refs {
		all[i] = k.streams[ref.Namespace+"/"+ref.Type]
	}
	return all, k.err("streams")
}

func (k *fake) In(namespace string) Namespace { return &part{k, namespace} }

func (k *fake) Close() error {
	k.note("close")
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed++
	return nil
}

// part is a namespace of a fake.
type part struct {
	*fake
	namespace string
}

func (n *part) DropGroup(_ context.Context, function, eventType string) (bool, error) {
	n.note("drop %s/%s %s", n.namespace, function, eventType)
	return true, n.err("drop")
}

func (n *part) MakeStream(_ context.Context, eventType string, period time.Duration, maxBytes int64) error {
	n.note("make %s/%s %s %d", n.namespace, eventType, period, maxBytes)
	return n.err("make")
}

func (n *part) Trim(_ context.Context, eventType string, period time.Duration, maxBytes int64) error {
	n.note("trim %s/%s %s %d", n.namespace, eventType, period, maxBytes)
	return n.err("trim")
}

func (n *part) Uninstall(ctx context.Context, function string) error {
	n.note("uninstall %s/%s", n.namespace, function)
	if n.hangs {
		<-ctx.Done()
		return store.Explain(ctx.Err())
	}
	return n.err("uninstall")
}

func (n *part) DropStream(_ context.Context, eventType string) error {
	n.note("dropstream %s/%s", n.namespace, eventType)
	return n.err("dropstream")
}

// answer is an error that Redis has answered.
type answer string

func (a answer) Error() string { return string(a) }

// RedisError marks it as one.
func (answer) RedisError() {}

// isTrouble fails the test unless the trouble is of that kind; -1: none.
func isTrouble(t *testing.T, got *view.Trouble, want view.TroubleKind) {
	t.Helper()
	switch {
	case want < 0 && got != nil:
		t.Errorf("it has the trouble %v, want none", got)
	case want >= 0 && (got == nil || got.Kind != want || got.Words == ""):
		t.Errorf("the trouble is %+v, want one of kind %d", got, want)
	}
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
