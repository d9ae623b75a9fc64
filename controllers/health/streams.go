package health

import (
	"fmt"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/view"
)

// redis is what StreamsReady is about.
type redis struct {
	view.Redis
	// secret is the name of the Secret with the URL.
	secret, namespace string
	// volatile: it may lose all.
	volatile bool
	// trouble is of the streams of one function, or one event type, alone.
	trouble *view.Trouble
	// there: they are made.
	there bool
	// what is there, for people.
	what string
	// elsewhere is an event type that is declared for another Redis.
	elsewhere *Elsewhere
}

// Elsewhere is an event type whose declaration names another Redis than the
// function that reads it.
type Elsewhere struct {
	// Type is the event type, Name its WildoutEventType, Secret that with the URL.
	Type, Name, Secret string
}

func newRedis(f *Function) *redis {
	numbers := f.Redis.Numbers
	return &redis{Redis: f.Redis.Redis, secret: f.Secret, namespace: f.Object.Namespace, volatile: mayForget(f.Object.Spec.Redis),
		trouble: f.Redis.GroupTrouble, there: numbers != nil && !numbers.Ungrouped, what: "the streams and consumer groups", elsewhere: f.Elsewhere}
}

func mayForget(spec *v1alpha1.Redis) bool { return spec != nil && spec.AllowVolatile }

// streamRules: from what must be there for Redis to be asked, to what it says.
var streamRules = []rule[*redis]{secretIsThere, redisAnswers, redisIsSafe, redisIsTheirs, streamsAreThere}

// secretIsThere: somebody has said where Redis is.
func secretIsThere(r *redis) *opinion {
	switch r.Secret.Problem {
	case view.Fine:
		return nil
	case view.NotFound:
		return no(v1alpha1.ReasonSecretNotFound, fmt.Sprintf("the Secret %s does not exist in namespace %s: create it with the URL of Redis:"+
			" kubectl -n %[2]s create secret generic %[1]s --from-literal=url=redis://:PASSWORD@HOST:6379/0", r.secret, r.namespace))
	case view.Forbidden:
		return no(v1alpha1.ReasonSecretForbidden, fmt.Sprintf("the operator may not read the Secret %s: a Role in namespace %s must let it get the"+
			" secrets of that name (docs/operations.md has one)", r.secret, r.namespace))
	case view.Invalid:
		return no(v1alpha1.ReasonSecretInvalid, fmt.Sprintf("the Secret %s cannot be used: %s", r.secret, r.Secret.Detail))
	case view.NotRead:
	}
	return unasked(v1alpha1.ReasonConnecting, fmt.Sprintf("the Secret %s was not read yet", r.secret))
}

// redisAnswers: it is there, and lets us in.
func redisAnswers(r *redis) *opinion {
	if !r.Asked {
		return unasked(v1alpha1.ReasonConnecting, "Redis was not asked yet")
	}
	if r.Trouble == nil {
		return nil
	}
	words := r.Trouble.Words
	switch r.Trouble.Kind {
	case view.Unauthorized:
		return no(v1alpha1.ReasonAuthFailed, words)
	case view.ReadOnly:
		return no(v1alpha1.ReasonRedisReadOnly, words)
	case view.Full:
		return no(v1alpha1.ReasonRedisFull, words)
	case view.Unreachable:
		return notYet(v1alpha1.ReasonRedisUnreachable, words+"; nothing is lost: runners go on when it is back")
	case view.NotAllowed:
		return no(v1alpha1.ReasonRedisNotAllowed, words)
	case view.Refused:
	}
	return no(v1alpha1.ReasonRedisRefuses, words)
}

// redisIsSafe is the gate: what is accepted must not get lost.
func redisIsSafe(r *redis) *opinion {
	const anyway = "; for trying out only: spec.redis.allowVolatile: true"
	switch state := r.State; {
	case state.TooOld():
		return no(v1alpha1.ReasonRedisTooOld, fmt.Sprintf("this is Redis %s, and wildout needs 7.0 or later, or Valkey: update the server", state.Version))
	case state.Replica:
		return no(v1alpha1.ReasonRedisReadOnly, "this Redis is a replica, which takes no writes: point the URL in the Secret at the primary")
	case state.Evicts():
		return no(v1alpha1.ReasonUnsafeEviction, fmt.Sprintf("a full Redis would silently drop events and runs: its maxmemory-policy is %s,"+
			" set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in its configuration)", state.EvictionPolicy))
	case !state.Durable() && !r.volatile:
		return no(v1alpha1.ReasonNotDurable, "a restart of this Redis would lose every event and run: switch persistence on"+
			" (appendonly yes, and a disk)"+anyway)
	case state.Cluster && state.Replicas == 0 && !r.volatile:
		return no(v1alpha1.ReasonNotDurable, "this node of the Redis Cluster has no replica: its part of the events would be lost with it; add one"+anyway)
	case state.NearlyFull():
		return no(v1alpha1.ReasonRedisFull, fmt.Sprintf("Redis uses %d of %d MiB and will soon refuse writes: raise maxmemory, or shorten the retention"+
			" of event types and the history of functions", state.Used>>20, state.Max>>20))
	}
	return nil
}

// redisIsTheirs: what is published is where it is read.
func redisIsTheirs(r *redis) *opinion {
	e := r.elsewhere
	if e == nil {
		return nil
	}
	return no(v1alpha1.ReasonRedisMismatch, fmt.Sprintf("this function reads %s from the Redis of the Secret %s, and the WildoutEventType %s keeps it in that of the Secret %s:"+
		" nothing would arrive; give both the same spec.redis.secretName", e.Type, r.secret, e.Name, e.Secret))
}

// streamsAreThere: an event that is published now will be read.
func streamsAreThere(r *redis) *opinion {
	switch {
	case r.trouble != nil:
		return no(v1alpha1.ReasonRedisRefuses, r.trouble.Words)
	case !r.there:
		return unasked(v1alpha1.ReasonConnecting, "the operator is making "+r.what)
	}
	return nil
}

func streamsFine(r *redis) *opinion {
	message := "Redis has " + r.what
	if !r.State.Durable() {
		message += ", and loses them when it restarts (spec.redis.allowVolatile)"
	}
	return yes(v1alpha1.ReasonStreamsReady, message)
}
