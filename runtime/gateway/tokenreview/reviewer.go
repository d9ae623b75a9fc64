package tokenreview

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/cache"

	"github.com/wildout/wildout/runtime/gateway"
)

// How much is asked and kept. Reviews of tokens that were good before have
// slots of their own: no flood of unknown tokens is in their way.
const (
	maxAsking      = 8    // reviews at a time, of known and of unknown tokens each
	strangersRate  = 100  // reviews of unknown tokens a second
	strangersBurst = 200  // at once, such as after the start of many pods
	maxAccepted    = 4096 // tokens, one for each pod that sends
	maxRefused     = 4096
	// A token that was good once is a known one until it expires, or this long.
	knownFor = 24 * time.Hour
)

// digest stands for a token, which is not kept itself.
type digest = [sha256.Size]byte

// Reviewer is a gateway.Authenticator that finds out whose a token is.
type Reviewer struct {
	opts   Options
	server *apiServer

	// By digest; refused has a *gateway.Refusal, the others nothing.
	accepted, refused *cache.LRUExpireCache
	known             *cache.LRUExpireCache // were accepted once

	asking    singleflight.Group // by digest: many requests, one review
	regulars  *semaphore.Weighted
	strangers *semaphore.Weighted
	pace      *rate.Limiter // of strangers
}

// New returns a Reviewer. It asks nothing yet.
func New(o Options) (*Reviewer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Reviewer{
		opts:      o,
		server:    &apiServer{url: strings.TrimSuffix(o.Server, "/"), tokenFile: o.TokenFile, caFile: o.CAFile},
		accepted:  cache.NewLRUExpireCache(maxAccepted),
		refused:   cache.NewLRUExpireCache(maxRefused),
		known:     cache.NewLRUExpireCache(maxAccepted),
		regulars:  semaphore.NewWeighted(maxAsking),
		strangers: semaphore.NewWeighted(maxAsking),
		pace:      rate.NewLimiter(strangersRate, strangersBurst),
	}, nil
}

// Close ends the connections to the API server that nothing uses.
func (r *Reviewer) Close() { r.server.close() }

// Authenticate implements gateway.Authenticator for the tokens of
// ServiceAccounts; any other credential is not one of its.
func (r *Reviewer) Authenticate(ctx context.Context, credential string) (*gateway.Sender, error) {
	c, err := parseToken(credential)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrNotMine, err)
	}
	if err := c.check(r.opts.Audience, time.Now()); err != nil {
		return nil, refused(err.Error())
	}
	sender := r.opts.Sender(c.account)
	if sender == nil {
		return nil, refused(fmt.Sprintf("ServiceAccount %s is none of the senders", c.account))
	}
	return sender, r.review(ctx, credential, c)
}

// review returns nil when the token is good, and else a *gateway.Refusal.
func (r *Reviewer) review(ctx context.Context, token string, c claims) error {
	key := sha256.Sum256([]byte(token))
	if known, err := r.kept(key); known {
		return err
	}
	// The review goes on when this request goes away: others may wait for it.
	answer := r.asking.DoChan(string(key[:]), func() (any, error) { return nil, r.ask(key, token, c) })
	select {
	case result := <-answer:
		return result.Err
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

// kept returns what the API server said of a token, while that holds.
func (r *Reviewer) kept(key digest) (known bool, err error) {
	if _, ok := r.accepted.Get(key); ok {
		return true, nil
	}
	if refusal, ok := r.refused.Get(key); ok {
		return true, refusal.(*gateway.Refusal)
	}
	return false, nil
}

// ask asks the API server about a token, and keeps the answer.
func (r *Reviewer) ask(key digest, token string, c claims) error {
	if known, err := r.kept(key); known { // since this request looked
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.Timeout)
	defer cancel()
	leave, err := r.enter(ctx, key)
	if err != nil {
		return unavailable(err)
	}
	defer leave()
	status, err := r.server.review(ctx, token, r.opts.Audience)
	if err != nil {
		return unavailable(err)
	}
	if reason := judge(status, c, r.opts.Audience); reason != "" {
		refusal := refused(reason)
		r.known.Remove(key)
		r.refused.Add(key, refusal, r.opts.RefuseFor)
		return refusal
	}
	left := time.Until(c.expires)
	r.known.Add(key, nil, min(left, knownFor))
	r.accepted.Add(key, nil, min(left, r.opts.AcceptFor))
	return nil
}

// enter waits for a turn to ask. It returns how to give it back.
func (r *Reviewer) enter(ctx context.Context, key digest) (leave func(), err error) {
	slots := r.strangers
	if _, ok := r.known.Get(key); ok {
		slots = r.regulars
	} else if !r.pace.Allow() { // who waited would hold a request that others could use
		return nil, fmt.Errorf("more than %d unknown tokens a second ask for a review", strangersRate)
	}
	if err := slots.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("%d reviews have been under way for %s", maxAsking, r.opts.Timeout)
	}
	return func() { slots.Release(1) }, nil
}

// judge says why what the API server said does not authenticate the account
// that the token claims to be. Empty: it does.
func judge(status *authenticationv1.TokenReviewStatus, c claims, audience string) (reason string) {
	account, ok := parseUser(status.User.Username)
	switch {
	case !status.Authenticated:
		return "the API server does not accept it; it may be forged, or its pod or ServiceAccount is gone"
	// An authenticator that knows no audiences says nothing of them.
	case !slices.Contains(status.Audiences, audience):
		return fmt.Sprintf("the API server does not confirm that it was made for %q", audience)
	case !ok || account != c.account:
		return fmt.Sprintf("it claims to be %s, the API server says otherwise", c.account)
	}
	return ""
}

// refused is the answer to a token that authenticates nobody.
func refused(reason string) *gateway.Refusal {
	return &gateway.Refusal{Status: http.StatusUnauthorized, Message: "The ServiceAccount token is refused: " + reason}
}

// unavailable is the answer while nobody can say whether a token is good.
func unavailable(err error) *gateway.Refusal {
	return &gateway.Refusal{
		Status:     http.StatusServiceUnavailable,
		Message:    "The ServiceAccount token cannot be checked now: send the request again. The log of the gateway says why.",
		RetryAfter: time.Second,
		Err:        fmt.Errorf("review a ServiceAccount token with the Kubernetes API server: %w", err),
	}
}
