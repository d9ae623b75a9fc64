package survey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/runtime/store"
)

// The keys of a Secret.
const (
	KeyURL = "url"
	KeyCA  = "ca.crt"
)

// SecretReader reads a Secret, and not from a cache of all of them: the
// operator must not have to list Secrets.
type SecretReader interface {
	Secret(ctx context.Context, name types.NamespacedName) (*corev1.Secret, error)
}

// Problem is what is wrong with a Secret.
type Problem int

// What can be wrong with a Secret.
const (
	NotRead Problem = iota
	Fine
	NotFound
	Forbidden
	Invalid
)

// Secret is what is known of the Secret with the URL of a Redis.
type Secret struct {
	Problem Problem
	// Detail says more about the problem.
	Detail string
	// Hash changes with the content; HasCA reads it.
	Hash string
}

type secret struct {
	Secret
	server *server
	readAt time.Time
	// last is how Redis was reached last: what is in it can be cleaned up when
	// the Secret goes before the function, as it does with a namespace.
	last *store.Options
	// idle is since when nobody uses it; zero: somebody does.
	idle time.Time
}

// lastsFor is how long the way to a Redis is remembered that nobody uses any
// more: longer than a deletion takes.
const lastsFor = 10 * time.Minute

// readSecrets looks at those Secrets whose time has come.
func (p *Poller) readSecrets(ctx context.Context) {
	due := p.dueSecrets()
	const atOnce = 8
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for _, name := range due {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			p.readSecret(ctx, name)
		})
	}
	all.Wait()
}

// How many Secrets are read in one go, so that a new one never waits for all
// the others, and how many in a second when nothing is wrong with them: the API
// server has more to do.
const (
	secretsAtATime   = 32
	secretsPerSecond = 10
)

// dueSecrets returns the Secrets to read, those that were never read first, and
// drops those that nobody uses.
func (p *Poller) dueSecrets() (due []types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	used := map[types.NamespacedName]bool{}
	for name, f := range p.functions {
		used[types.NamespacedName{Namespace: name.Namespace, Name: f.Secret}] = true
	}
	for name, t := range p.types {
		used[types.NamespacedName{Namespace: name.Namespace, Name: t.Secret}] = true
	}
	inNoHurry := max(p.o.SecretInterval, time.Duration(len(used))*time.Second/secretsPerSecond)
	for name := range used {
		s := p.secrets[name]
		if s == nil {
			s = &secret{}
			p.secrets[name] = s
		}
		interval := p.o.SecretInterval
		if s.Problem == Fine && (s.server == nil || s.server.err == nil) {
			interval = inNoHurry
		}
		if time.Since(s.readAt) >= interval {
			due = append(due, name)
		}
	}
	for name, s := range p.secrets {
		switch {
		case used[name]:
			s.idle = time.Time{}
		case s.idle.IsZero():
			s.idle = time.Now()
		case time.Since(s.idle) > lastsFor:
			delete(p.secrets, name)
		}
	}
	slices.SortFunc(due, func(a, b types.NamespacedName) int { return p.secrets[a].readAt.Compare(p.secrets[b].readAt) })
	if len(due) > secretsAtATime {
		due = due[:secretsAtATime]
		p.kick()
	}
	return due
}

func (p *Poller) readSecret(ctx context.Context, name types.NamespacedName) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	object, err := p.o.Secrets.Secret(ctx, name)
	found, options := judgeSecret(name, object, err)
	if found.Problem == NotRead {
		p.o.Logger.Warn("could not read a Secret; trying again", "secret", name, "error", err)
	}
	p.mu.Lock()
	s := p.secrets[name]
	if s == nil {
		p.mu.Unlock()
		return
	}
	s.readAt = time.Now()
	if found.Problem == NotRead { // the API server has trouble: what was known holds
		p.mu.Unlock()
		return
	}
	changed := s.Secret != found
	s.Secret = found
	if found.Problem != Fine {
		s.server = nil
	} else if server, err := p.serverFor(options); err != nil {
		s.Secret, s.server = Secret{Problem: Invalid, Detail: err.Error()}, nil
	} else {
		s.server, s.last = server, &options
	}
	tell := p.usersOf(func(n types.NamespacedName) bool { return n == name })
	p.mu.Unlock()
	if changed {
		tell()
	}
}

func judgeSecret(name types.NamespacedName, object *corev1.Secret, err error) (Secret, store.Options) {
	switch {
	case apierrors.IsNotFound(err):
		return Secret{Problem: NotFound}, store.Options{}
	case apierrors.IsForbidden(err):
		return Secret{Problem: Forbidden}, store.Options{}
	case err != nil:
		return Secret{}, store.Options{}
	}
	address := strings.TrimSpace(string(object.Data[KeyURL]))
	if address == "" {
		return Secret{Problem: Invalid, Detail: fmt.Sprintf("it has no key %q", KeyURL)}, store.Options{}
	}
	options := store.Options{URL: seenFromAfar(address, name.Namespace), Namespace: name.Namespace, CA: object.Data[KeyCA]}
	if err := options.Validate(); err != nil {
		return Secret{Problem: Invalid, Detail: err.Error()}, store.Options{}
	}
	// The id of the Secret is the salt: the hash, which anybody may see, says
	// nothing about a password that is easy to guess.
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%s\x00%s", object.UID, address, object.Data[KeyCA])
	hash := hex.EncodeToString(sum.Sum(nil))[:10]
	if len(object.Data[KeyCA]) > 0 {
		hash += withCA
	}
	return Secret{Problem: Fine, Hash: hash}, options
}

// seenFromAfar is a URL as the operator has to read it: a host of one label is
// a Service of the Secret's namespace, as the runners see it, and not one of
// the operator's.
func seenFromAfar(text, namespace string) string {
	parsed, err := url.Parse(text)
	if err != nil {
		return text // whoever opens it says what is wrong
	}
	host := parsed.Hostname()
	if host == "" || host == "localhost" || strings.ContainsAny(host, ".:") {
		return text
	}
	service := host + "." + namespace + ".svc"
	if port := parsed.Port(); port != "" {
		service = net.JoinHostPort(service, port)
	}
	parsed.Host = service
	return parsed.String()
}

const withCA = "-ca"

// HasCA reports whether the Secret of that hash has a certificate authority.
func HasCA(hash string) bool { return strings.HasSuffix(hash, withCA) }

// usersOf returns a function that tells everybody about a Secret of which
// that holds. It is called with the lock held, the result without it.
func (p *Poller) usersOf(is func(secret types.NamespacedName) bool) (tell func()) {
	var functions, eventTypes []types.NamespacedName
	for name, f := range p.functions {
		if is(types.NamespacedName{Namespace: name.Namespace, Name: f.Secret}) {
			functions = append(functions, name)
		}
	}
	for name, t := range p.types {
		if is(types.NamespacedName{Namespace: name.Namespace, Name: t.Secret}) {
			eventTypes = append(eventTypes, name)
		}
	}
	onFn, onType := p.onFn, p.onType
	return func() {
		for _, name := range functions {
			onFn(name)
		}
		for _, name := range eventTypes {
			onType(name)
		}
	}
}

// ErrNoRedis says that there is no usable Secret for a Redis.
type ErrNoRedis struct {
	Name    types.NamespacedName
	Problem Problem
	Detail  string
}

func (e *ErrNoRedis) Error() string {
	what := map[Problem]string{NotFound: "does not exist", Forbidden: "may not be read by the operator", NotRead: "could not be read"}[e.Problem]
	if what == "" {
		what = "cannot be used: " + e.Detail
	}
	return fmt.Sprintf("the Secret %s with the URL of Redis %s", e.Name, what)
}

// Uninstall removes what a function has in Redis, and those of the given event
// types that no other function reads. The Poller follows it no more.
func (p *Poller) Uninstall(ctx context.Context, name types.NamespacedName, secretName string, eventTypes []string) error {
	p.Forget(name)
	p.mend.Lock() // a look that has just begun would make its groups anew
	defer p.mend.Unlock()
	redis, err := p.open(ctx, types.NamespacedName{Namespace: name.Namespace, Name: secretName})
	if err != nil {
		return err
	}
	defer redis.Close()
	if err := redis.Uninstall(ctx, name.Name); err != nil {
		return err
	}
	for _, t := range eventTypes {
		if err := redis.DropStream(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// DropStream removes the stream of an event type that no function reads. The
// Poller follows it no more.
func (p *Poller) DropStream(ctx context.Context, name types.NamespacedName, secretName, eventType string) error {
	p.ForgetType(name)
	p.mend.Lock()
	defer p.mend.Unlock()
	redis, err := p.open(ctx, types.NamespacedName{Namespace: name.Namespace, Name: secretName})
	if err != nil {
		return err
	}
	defer redis.Close()
	return redis.DropStream(ctx, eventType)
}

// open opens the Redis of a Secret for one namespace.
func (p *Poller) open(ctx context.Context, name types.NamespacedName) (*store.Store, error) {
	object, err := p.o.Secrets.Secret(ctx, name)
	found, options := judgeSecret(name, object, err)
	if found.Problem == NotFound {
		if last := p.lastOptions(name); last != nil {
			found, options = Secret{Problem: Fine}, *last
		}
	}
	if found.Problem != Fine {
		return nil, &ErrNoRedis{name, found.Problem, found.Detail}
	}
	options.PoolSize, options.Logger = 2, p.o.Logger
	return store.Open(options)
}

func (p *Poller) lastOptions(name types.NamespacedName) *store.Options {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.secrets[name]; s != nil {
		return s.last
	}
	return nil
}
