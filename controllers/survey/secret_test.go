package survey

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/internal/servicetest"
)

// Two namespaces may each have a Service of the same name.
func TestHostsOfANamespace(t *testing.T) {
	for text, want := range map[string]string{
		"redis://:p%40ss@redis:6379/2":            "redis://:p%40ss@redis.shop.svc:6379/2",
		"redis://redis":                           "redis://redis.shop.svc",
		"rediss://user:word@redis?read_timeout=3": "rediss://user:word@redis.shop.svc?read_timeout=3",
		"redis://redis.data:6379/0":               "redis://redis.data:6379/0",
		"redis://redis.data.svc:6379/0":           "redis://redis.data.svc:6379/0",
		"redis://127.0.0.1:6379/0":                "redis://127.0.0.1:6379/0",
		"redis://[::1]:6379/0":                    "redis://[::1]:6379/0",
		"redis://localhost:6379/0":                "redis://localhost:6379/0",
	} {
		secret := &corev1.Secret{Data: map[string][]byte{KeyURL: []byte(text + "\n")}}
		found, options := judgeSecret(name("wildout-redis"), secret, nil)
		if found.Problem != view.Fine || options.URL != want || options.Namespace != "shop" {
			t.Errorf("%s is read as %s in %s (%s), want %s", text, options.URL, options.Namespace, found.Detail, want)
		}
	}
}

func TestJudgeSecret(t *testing.T) {
	resource := schema.GroupResource{Resource: "secrets"}
	ca := servicetest.NewAuthority(t, "ours").CA
	for label, test := range map[string]struct {
		url    string
		ca     []byte
		err    error
		want   view.Problem
		detail string
		hasCA  bool
	}{
		"fine":         {url: "redis://a.b:1/0", want: view.Fine},
		"authority":    {url: "rediss://a.b:1/0", ca: ca, want: view.Fine, hasCA: true},
		"not found":    {err: apierrors.NewNotFound(resource, "x"), want: view.NotFound},
		"forbidden":    {err: apierrors.NewForbidden(resource, "x", nil), want: view.Forbidden},
		"trouble":      {err: errors.New("the API server is away"), want: view.NotRead},
		"no key":       {url: "  ", want: view.Invalid, detail: `"url"`},
		"no URL":       {url: "nowhere", want: view.Invalid, detail: "redis://"},
		"no authority": {url: "rediss://a.b:1/0", ca: []byte("x"), want: view.Invalid, detail: "PEM"},
	} {
		t.Run(label, func(t *testing.T) {
			object := &corev1.Secret{Data: map[string][]byte{KeyURL: []byte(test.url), KeyCA: test.ca}}
			if test.err != nil {
				object = nil
			}
			found, options := judgeSecret(name("x"), object, test.err)
			if found.Problem != test.want || !strings.Contains(found.Detail, test.detail) || found.Content.HasCA() != test.hasCA {
				t.Errorf("it is %+v", found)
			}
			if fine := found.Problem == view.Fine; fine != (found.Content != "") || fine != (options.URL != "") {
				t.Errorf("its content is %q, and its URL %q", found.Content, options.URL)
			}
			if string(options.CA) != string(test.ca) && found.Problem == view.Fine {
				t.Error("the authority is lost")
			}
		})
	}
}

// What stands for a Secret changes with all that is in it, and says nothing
// about it that could be guessed.
func TestContent(t *testing.T) {
	content := func(change func(*corev1.Secret)) view.Content {
		s := &corev1.Secret{Data: map[string][]byte{KeyURL: []byte("redis://:a@b.c:1/0"), KeyCA: nil}}
		s.UID = "1"
		change(s)
		found, _ := judgeSecret(name("x"), s, nil)
		return found.Content
	}
	before := content(func(*corev1.Secret) {})
	if len(before) != 10 {
		t.Errorf("it is %q", before)
	}
	for what, change := range map[string]func(*corev1.Secret){
		"URL":    func(s *corev1.Secret) { s.Data[KeyURL] = []byte("redis://:b@b.c:1/0") },
		"object": func(s *corev1.Secret) { s.UID = "2" },
	} {
		if content(change) == before {
			t.Errorf("another %s, and it is the same", what)
		}
	}
	if content(func(s *corev1.Secret) { s.Data["password"] = []byte("x") }) != before {
		t.Error("what the Secret has beside changes it")
	}
}

func TestSecretIsRead(t *testing.T) {
	r := newRig(t)
	if known := r.Follow(f("f")); known.Secret.Problem != view.NotRead {
		t.Errorf("before it was read it is %+v", known.Secret)
	}
	r.FollowType(EventType{Name: name("t"), Secret: "wildout-redis", Type: "a/b"})
	r.connected()
	r.expectNews("function shop/f", "type shop/t")
	if known := r.Follow(f("f")); known.Secret.Problem != view.Fine {
		t.Errorf("it is %+v", known.Secret)
	}
	same(t, "opened", r.redis.did("open"), []string{"open redis://one.example:6379/0 2"})

	r.now = r.now.Add(r.o.SecretInterval)
	r.readSecrets(t.Context())
	r.expectNews() // nothing has changed
	same(t, "opened", r.redis.did("open"), nil)

	r.secrets.set("shop/wildout-redis", "redis://two.example:6379/0")
	r.now = r.now.Add(r.o.SecretInterval)
	r.readSecrets(t.Context())
	r.expectNews("function shop/f", "type shop/t")
	same(t, "opened", r.redis.did("open"), []string{"open redis://two.example:6379/0 2"})

	r.secrets.err = errors.New("the API server is away")
	r.now = r.now.Add(r.o.SecretInterval)
	r.readSecrets(t.Context())
	r.expectNews() // what was known holds
	if known := r.Follow(f("f")); known.Secret.Problem != view.Fine {
		t.Errorf("while the API server is away it is %+v", known.Secret)
	}

	r.secrets.err = nil
	r.secrets.set("shop/wildout-redis", "redis://broken.example:6379/0")
	for range 2 { // told once
		r.now = r.now.Add(r.o.SecretInterval)
		r.readSecrets(t.Context())
	}
	r.expectNews("function shop/f", "type shop/t")
	if known := r.Follow(f("f")); known.Secret.Problem != view.Invalid || known.Secret.Detail != "it cannot be opened" {
		t.Errorf("it is %+v", known.Secret)
	}

	r.secrets.remove("shop/wildout-redis")
	r.now = r.now.Add(r.o.SecretInterval)
	r.readSecrets(t.Context())
	r.expectNews("function shop/f", "type shop/t")
	if known := r.Follow(f("f")); known.Secret.Problem != view.NotFound {
		t.Errorf("it is %+v", known.Secret)
	}
}

// Who is told of a Secret are those who use it.
func TestOthersAreNotTold(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	other := f("g")
	other.Secret = "other"
	r.Follow(other)
	r.FollowType(EventType{Name: name("t"), Secret: "other", Type: "a/b"})
	r.readSecrets(t.Context())
	r.expectNews("function shop/f", "function shop/g", "type shop/t")
	r.secrets.set("shop/other", "redis://two.example:6379/0")
	r.now = r.now.Add(r.o.SecretInterval)
	r.readSecrets(t.Context())
	r.expectNews("function shop/g", "type shop/t")
}

func TestDueSecrets(t *testing.T) {
	r := newRig(t)
	due := func() []string {
		var all []string
		for _, name := range r.dueSecrets() {
			all = append(all, name.Name)
		}
		return all
	}
	r.Follow(f("f"))
	same(t, "new", due(), []string{"wildout-redis"})
	r.connected()
	same(t, "just read", due(), nil)
	r.now = r.now.Add(r.o.SecretInterval - 1)
	same(t, "not yet", due(), nil)
	r.now = r.now.Add(1)
	same(t, "in time", due(), []string{"wildout-redis"})

	// With 200 in use those that are fine are read every 20 seconds, and those
	// with trouble every 10.
	r.connected()
	for i := range 199 {
		other := f(fmt.Sprint("f", i))
		other.Secret = fmt.Sprint("s", i)
		r.Follow(other)
	}
	if n := len(r.dueSecrets()); n != secretsAtATime {
		t.Errorf("%d are due at a time, want %d", n, secretsAtATime)
	}
	if !r.kickedOnce() {
		t.Error("the others wait for the next tick")
	}
	r.now = r.now.Add(r.o.SecretInterval)
	for _, s := range r.Poller.secrets {
		s.readAt = r.now
	}
	fine, found := r.Poller.secrets[name("wildout-redis")], r.Poller.secrets[name("s7")]
	found.Problem = view.NotFound
	fine.readAt = r.now.Add(-r.o.SecretInterval)
	found.readAt = r.now.Add(-r.o.SecretInterval)
	same(t, "in no hurry", due(), []string{"s7"})
	fine.server.trouble = &view.Trouble{}
	fine.readAt = fine.readAt.Add(-1)
	same(t, "a server in trouble", due(), []string{"wildout-redis", "s7"})
	fine.server.trouble = nil
	fine.readAt = r.now.Add(-20 * time.Second)
	same(t, "the oldest first", due(), []string{"wildout-redis", "s7"})
}

// The way to a Redis is remembered for longer than a deletion takes, and not for
// ever.
func TestIdleSecrets(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	r.connected()
	r.Forget(name("f"))
	known := func() bool { return r.Poller.secrets[name("wildout-redis")] != nil }
	r.dueSecrets()
	r.now = r.now.Add(lastsFor)
	r.dueSecrets()
	if !known() {
		t.Error("it is forgotten too early")
	}
	r.Follow(f("f"))
	r.dueSecrets()
	r.Forget(name("f"))
	r.now = r.now.Add(time.Second)
	r.dueSecrets()
	if !known() {
		t.Error("it was used meanwhile, and is forgotten")
	}
	r.now = r.now.Add(lastsFor + 1)
	r.dueSecrets()
	if known() {
		t.Error("it is remembered for ever")
	}
}

// An event type uses its Secret as a function does.
func TestSecretOfAnEventType(t *testing.T) {
	r := newRig(t)
	r.FollowType(declared("t"))
	r.connected()
	r.now = r.now.Add(2 * lastsFor)
	r.dueSecrets()
	r.now = r.now.Add(2 * lastsFor)
	r.dueSecrets()
	if r.Poller.secrets[name("wildout-redis")] == nil {
		t.Error("it is forgotten")
	}
	if due := r.dueSecrets(); len(due) != 1 {
		t.Errorf("due are %v", due)
	}
}

// What is read of a Secret that nobody uses any more is of no interest.
func TestSecretOfNobody(t *testing.T) {
	r := newRig(t)
	r.readSecret(t.Context(), name("wildout-redis"))
	if len(r.Poller.secrets) > 0 || len(r.servers) > 0 {
		t.Error("it is known now")
	}
	r.expectNews()
}

// Many are read at once, and all of those that are due.
func TestManySecrets(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		other := f(fmt.Sprint("f", i))
		other.Secret = fmt.Sprint("s", i)
		r.Follow(other)
	}
	r.readSecrets(t.Context())
	slices.Sort(r.secrets.reads)
	if n := len(slices.Compact(r.secrets.reads)); n != 20 {
		t.Errorf("%d were read, want 20", n)
	}
	if s := r.Poller.secrets[types.NamespacedName{Namespace: "shop", Name: "s19"}]; s.Problem != view.NotFound || !s.readAt.Equal(begin) {
		t.Errorf("one is %+v", s)
	}
}
