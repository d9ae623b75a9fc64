package survey

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store"
)

// NoRedisError says that there is no usable Secret for a Redis.
type NoRedisError struct {
	Name   types.NamespacedName
	Secret view.Secret
}

func (e *NoRedisError) Error() string {
	what := ""
	switch e.Secret.Problem {
	case view.NotFound:
		what = "does not exist"
	case view.Forbidden:
		what = "may not be read by the operator"
	case view.NotRead:
		what = "could not be read"
	case view.Invalid, view.Fine:
		what = "cannot be used: " + e.Secret.Detail
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
	here := redis.In(name.Namespace)
	if err := here.Uninstall(ctx, name.Name); err != nil {
		return err
	}
	for _, t := range eventTypes {
		if err := here.DropStream(ctx, t); err != nil {
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
	return redis.In(name.Namespace).DropStream(ctx, eventType)
}

// open opens the Redis of a Secret.
func (p *Poller) open(ctx context.Context, name types.NamespacedName) (Redis, error) {
	object, err := p.o.Secrets.Secret(ctx, name)
	found, options := judgeSecret(name, object, err)
	if found.Problem == view.NotFound {
		if last := p.lastOptions(name); last != nil {
			found.Problem = view.Fine
			options = *last
		}
	}
	if found.Problem != view.Fine {
		return nil, &NoRedisError{name, found}
	}
	options.PoolSize, options.Logger = 2, p.o.Logger
	return p.o.Open(options)
}

func (p *Poller) lastOptions(name types.NamespacedName) *store.Options {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.secrets[name]; s != nil {
		return s.last
	}
	return nil
}
