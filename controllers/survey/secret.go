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

	"github.com/wildout/wildout/controllers/view"
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

// secret is a Secret that somebody uses.
type secret struct {
	view.Secret
	users
	server *server // nil unless it is Fine
	readAt time.Time
	// last is how Redis was reached last: what is in it can be cleaned up when
	// the Secret goes before the function, as it does with a namespace.
	last *store.Options
	// idle is since when nobody uses it; zero: somebody does.
	idle time.Time
}

// How Secrets are read.
const (
	secretTimeout = 10 * time.Second
	secretsAtOnce = 8
	// secretsAtATime is how many are read in one go, so that a new one never
	// waits for all the others, and secretsPerSecond how many when nothing is
	// wrong with them: the API server has more to do.
	secretsAtATime   = 32
	secretsPerSecond = 10
	// lastsFor is how long the way to a Redis is remembered that nobody uses any
	// more: longer than a deletion takes.
	lastsFor = 10 * time.Minute
)

// readSecrets looks at those Secrets whose time has come.
func (p *Poller) readSecrets(ctx context.Context) {
	slots := make(chan struct{}, secretsAtOnce)
	var all sync.WaitGroup
	for _, name := range p.dueSecrets() {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			p.readSecret(ctx, name)
		})
	}
	all.Wait()
}

// dueSecrets returns the Secrets to read, those that were never read first, and
// drops those that nobody uses.
func (p *Poller) dueSecrets() (due []types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.o.Now()
	used := p.usedSecrets()
	inNoHurry := max(p.o.SecretInterval, time.Duration(len(used))*time.Second/secretsPerSecond)
	for name := range used {
		s := p.secretOf(name)
		interval := p.o.SecretInterval
		if s.Problem == view.Fine && (s.server == nil || s.server.trouble == nil) {
			interval = inNoHurry
		}
		if now.Sub(s.readAt) >= interval {
			due = append(due, name)
		}
	}
	p.dropIdle(used, now)
	slices.SortFunc(due, func(a, b types.NamespacedName) int { return p.secrets[a].readAt.Compare(p.secrets[b].readAt) })
	if len(due) > secretsAtATime {
		due = due[:secretsAtATime]
		p.kick()
	}
	return due
}

// secretOf returns what is known of a Secret. The lock is held.
func (p *Poller) secretOf(name types.NamespacedName) *secret {
	if p.secrets[name] == nil {
		p.secrets[name] = &secret{users: users{functions: map[types.NamespacedName]*function{}, types: map[types.NamespacedName]*eventType{}}}
	}
	return p.secrets[name]
}

func (p *Poller) usedSecrets() map[types.NamespacedName]bool {
	used := map[types.NamespacedName]bool{}
	for name, s := range p.secrets {
		if s.used() {
			used[name] = true
		}
	}
	for _, r := range p.removals {
		used[r.secret] = true
	}
	return used
}

// dropIdle drops the Secrets that nobody has used for a while.
func (p *Poller) dropIdle(used map[types.NamespacedName]bool, now time.Time) {
	for name, s := range p.secrets {
		switch {
		case used[name]:
			s.idle = time.Time{}
		case s.idle.IsZero():
			s.idle = now
		case now.Sub(s.idle) > lastsFor:
			p.leadTo(name, s, nil)
			delete(p.secrets, name)
		}
	}
}

// readSecret reads a Secret, and tells those who use it when it is another one.
func (p *Poller) readSecret(ctx context.Context, name types.NamespacedName) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	object, err := p.o.Secrets.Secret(ctx, name)
	found, options := judgeSecret(name, object, err)
	if found.Problem == view.NotRead {
		p.o.Logger.Warn("could not read a Secret; trying again", "secret", name, "error", err)
	}
	p.mu.Lock()
	changed := p.noteSecret(name, found, options)
	var functions, eventTypes []types.NamespacedName
	if changed {
		functions, eventTypes = namesOf(p.secrets[name])
		functions = append(functions, p.readersOf(p.secrets[name])...)
	}
	p.mu.Unlock()
	p.tell(functions, eventTypes)
}

// readersOf are the functions that read event types of a Secret's Redis: whether
// theirs is the same one is something that they say. The lock is held.
func (p *Poller) readersOf(s *secret) (names []types.NamespacedName) {
	for _, t := range s.types {
		for name, f := range p.functions {
			if name.Namespace == t.Name.Namespace && slices.Contains(f.Types, t.Type) && s.functions[name] == nil {
				names = append(names, name)
			}
		}
	}
	return names
}

// noteSecret keeps what was found, and reports whether it is another than
// before. The lock is held.
func (p *Poller) noteSecret(name types.NamespacedName, found view.Secret, options store.Options) (changed bool) {
	s := p.secrets[name]
	if s == nil {
		return false
	}
	s.readAt = p.o.Now()
	if found.Problem == view.NotRead { // the API server has trouble: what was known holds
		return false
	}
	var leads *server
	if found.Problem == view.Fine {
		server, err := p.serverFor(options)
		if err != nil {
			found = view.Secret{Problem: view.Invalid, Detail: err.Error()}
		} else {
			leads = server
			s.last = &options
		}
	}
	p.leadTo(name, s, leads)
	changed = s.Secret != found
	s.Secret = found
	return changed
}

func judgeSecret(name types.NamespacedName, object *corev1.Secret, err error) (view.Secret, store.Options) {
	switch {
	case apierrors.IsNotFound(err):
		return view.Secret{Problem: view.NotFound}, store.Options{}
	case apierrors.IsForbidden(err):
		return view.Secret{Problem: view.Forbidden}, store.Options{}
	case err != nil:
		return view.Secret{}, store.Options{}
	}
	address := strings.TrimSpace(string(object.Data[KeyURL]))
	if address == "" {
		return view.Secret{Problem: view.Invalid, Detail: fmt.Sprintf("it has no key %q", KeyURL)}, store.Options{}
	}
	ca := object.Data[KeyCA]
	options := store.Options{URL: seenFromAfar(address, name.Namespace), Namespace: name.Namespace, CA: ca}
	if err := options.Validate(); err != nil {
		return view.Secret{Problem: view.Invalid, Detail: err.Error()}, store.Options{}
	}
	// The id of the Secret is the salt: the digest, which anybody may see, says
	// nothing about a password that is easy to guess.
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%s\x00%s", object.UID, address, ca)
	digest := hex.EncodeToString(sum.Sum(nil))[:10]
	return view.Secret{Problem: view.Fine, Content: view.NewContent(digest, len(ca) > 0)}, options
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

// SameRedis reports whether two Secrets of a namespace lead to one database of one
// Redis, whoever logs in; unknown where either was not read yet.
func (p *Poller) SameRedis(namespace, one, other string) (same, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, b := p.secrets[types.NamespacedName{Namespace: namespace, Name: one}], p.secrets[types.NamespacedName{Namespace: namespace, Name: other}]
	if a == nil || b == nil || a.server == nil || b.server == nil {
		return false, false
	}
	return placeOf(a.last.URL) == placeOf(b.last.URL), true
}

// placeOf is the part of a URL that says where a database is.
func placeOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	database := strings.Trim(parsed.Path, "/")
	if database == "" {
		database = "0"
	}
	return strings.ToLower(parsed.Host) + "/" + database
}
