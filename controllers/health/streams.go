package health

import (
	"fmt"

	"github.com/wildout/wildout/api/v1alpha1"
	"github.com/wildout/wildout/controllers/survey"
	"github.com/wildout/wildout/runtime/store"
)

// streamRules are the rules about the Redis of a Secret.
func streamRules(secret, namespace string) []rule {
	return []rule{
		func(f *Facts) *verdict { return secretIsThere(f.View.Secret, secret, namespace) },
		func(f *Facts) *verdict { return redisAnswers(&f.View.Server) },
		func(f *Facts) *verdict { return redisIsSafe(&f.View.Server, f.Function.Spec.Redis) },
		groupsAreThere,
	}
}

// secretIsThere: somebody has said where Redis is.
func secretIsThere(s survey.Secret, name, namespace string) *verdict {
	switch s.Problem {
	case survey.Fine:
		return nil
	case survey.NotFound:
		return no(v1alpha1.ReasonSecretNotFound, fmt.Sprintf("the Secret %s does not exist in namespace %s: create it with the URL of Redis:"+
			" kubectl -n %[2]s create secret generic %[1]s --from-literal=url=redis://:PASSWORD@HOST:6379/0", name, namespace))
	case survey.Forbidden:
		return no(v1alpha1.ReasonSecretForbidden, fmt.Sprintf("the operator may not read the Secret %s: a Role in namespace %s must let it get the"+
			" secrets of that name (docs/operations.md has one)", name, namespace))
	case survey.Invalid:
		return no(v1alpha1.ReasonSecretInvalid, fmt.Sprintf("the Secret %s cannot be used: %s", name, s.Detail))
	}
	return unasked(v1alpha1.ReasonConnecting, fmt.Sprintf("the Secret %s was not read yet", name))
}

// redisAnswers: it is there, and lets us in.
func redisAnswers(s *survey.Server) *verdict {
	if !s.Asked {
		return unasked(v1alpha1.ReasonConnecting, "Redis was not asked yet")
	}
	if s.Err == nil {
		return nil
	}
	switch store.TroubleOf(s.Err) {
	case store.Unauthorized:
		return no(v1alpha1.ReasonAuthFailed, s.Err.Error())
	case store.ReadOnly:
		return no(v1alpha1.ReasonRedisReadOnly, s.Err.Error())
	case store.Full:
		return no(v1alpha1.ReasonRedisFull, s.Err.Error())
	case store.Unreachable:
		return notYet(v1alpha1.ReasonRedisUnreachable, s.Err.Error()+"; nothing is lost: runners go on when it is back")
	}
	return no(v1alpha1.ReasonRedisRefuses, s.Err.Error())
}

// redisIsSafe is the gate: what is accepted must not get lost.
func redisIsSafe(s *survey.Server, spec *v1alpha1.Redis) *verdict {
	volatile := spec != nil && spec.AllowVolatile
	const anyway = "; for trying out only: spec.redis.allowVolatile: true"
	switch state := s.State; {
	case state.TooOld():
		return no(v1alpha1.ReasonRedisTooOld, fmt.Sprintf("this is Redis %s, and wildout needs 7.0 or later, or Valkey: update the server", state.Version))
	case state.Replica:
		return no(v1alpha1.ReasonRedisReadOnly, "this Redis is a replica, which takes no writes: point the URL in the Secret at the primary")
	case state.EvictionPolicy != "" && state.EvictionPolicy != "noeviction":
		return no(v1alpha1.ReasonUnsafeEviction, fmt.Sprintf("a full Redis would silently drop events and runs: its maxmemory-policy is %s,"+
			" set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in its configuration)", state.EvictionPolicy))
	case !state.Durable() && !volatile:
		return no(v1alpha1.ReasonNotDurable, "a restart of this Redis would lose every event and run: switch persistence on"+
			" (appendonly yes, and a disk)"+anyway)
	case state.Cluster && state.Replicas == 0 && !volatile:
		return no(v1alpha1.ReasonNotDurable, "this node of the Redis Cluster has no replica: its part of the events would be lost with it; add one"+anyway)
	case state.NearlyFull():
		return no(v1alpha1.ReasonRedisFull, fmt.Sprintf("Redis uses %d of %d MiB and will soon refuse writes: raise maxmemory, or shorten the retention"+
			" of event types and the history of functions", state.Used>>20, state.Max>>20))
	}
	return nil
}

// groupsAreThere: an event that is published now will be read.
func groupsAreThere(f *Facts) *verdict {
	if err := f.View.GroupsErr; err != nil {
		return no(v1alpha1.ReasonRedisRefuses, err.Error())
	}
	if n := f.View.Numbers; n == nil || len(n.Missing) > 0 {
		return unasked(v1alpha1.ReasonConnecting, "the streams and consumer groups are being made")
	}
	return nil
}

func streamsFine(f *Facts) *verdict {
	message := "Redis has the streams and consumer groups"
	if !f.View.State.Durable() {
		message += ", and loses them when it restarts (spec.redis.allowVolatile)"
	}
	return yes(v1alpha1.ReasonStreamsReady, message)
}
