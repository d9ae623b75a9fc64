package tokenreview_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/tokenreview"
)

type object = map[string]any

// cluster is an API server with the ServiceAccount of a gateway, which may
// create TokenReviews, and those of others.
type cluster struct {
	*servicetest.Kubernetes
	t *testing.T
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{servicetest.StartKubernetes(t), t}
	for _, name := range []string{"gateway", "sender", "stranger", "powerless"} {
		c.createAccount(name)
	}
	c.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", object{
		"metadata": object{"name": "gateway"},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
		"subjects": []object{{"kind": "ServiceAccount", "namespace": "default", "name": "gateway"}},
	})
	return c
}

func (c *cluster) create(path string, o object) (created object) {
	c.t.Helper()
	code, answer := c.Call(http.MethodPost, path, o)
	if code != http.StatusCreated {
		c.t.Fatalf("POST %s: %d %s", path, code, answer)
	}
	if err := json.Unmarshal(answer, &created); err != nil {
		c.t.Fatal(err)
	}
	return created
}

const accounts = "/api/v1/namespaces/default/serviceaccounts"

func (c *cluster) createAccount(name string) {
	c.t.Helper()
	c.create(accounts, object{"metadata": object{"name": name}})
}

// token returns a new token of a ServiceAccount, as a pod gets it: no
// audience is that of the API server.
func (c *cluster) token(account string, audiences ...string) string {
	c.t.Helper()
	answer := c.create(accounts+"/"+account+"/token", object{"spec": object{"audiences": audiences}})
	return answer["status"].(object)["token"].(string)
}

var reviewsCounted = regexp.MustCompile(`(?m)^apiserver_request_total{.*resource="tokenreviews".*} (\d+)$`)

// reviews returns how many reviews the API server was asked for so far.
func (c *cluster) reviews() (count int) {
	c.t.Helper()
	_, metrics := c.Call(http.MethodGet, "/metrics", nil)
	for _, match := range reviewsCounted.FindAllSubmatch(metrics, -1) {
		var n int
		if _, err := fmt.Sscan(string(match[1]), &n); err != nil {
			c.t.Fatal(err)
		}
		count += n
	}
	return count
}

// files are what a pod has to reach the API server.
type files struct{ token, ca string }

func (c *cluster) newFiles(t *testing.T) files {
	f := files{filepath.Join(t.TempDir(), "token"), filepath.Join(t.TempDir(), "ca.crt")}
	ca, err := os.ReadFile(c.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	write(t, f.token, c.token("gateway")+"\n")
	write(t, f.ca, string(ca))
	return f
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

var sender = &gateway.Sender{Name: "the sender", Types: []string{"*"}}

// reviewer returns a Reviewer that knows the ServiceAccounts sender and gone.
func (c *cluster) reviewer(t *testing.T, f files, change ...func(*tokenreview.Options)) *tokenreview.Reviewer {
	t.Helper()
	o := tokenreview.Options{Server: c.URL, TokenFile: f.token, CAFile: f.ca, Sender: senders}
	for _, fn := range change {
		fn(&o)
	}
	r, err := tokenreview.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func senders(a tokenreview.Account) *gateway.Sender {
	if a.Namespace == "default" && (a.Name == "sender" || a.Name == "gone") {
		return sender
	}
	return nil
}

func forgetAfter(d time.Duration) func(*tokenreview.Options) {
	return func(o *tokenreview.Options) { o.AcceptFor, o.RefuseFor = d, d }
}

// expect fails the test unless the token gets this status; 0: its sender.
func expect(t *testing.T, r *tokenreview.Reviewer, token string, status int, parts ...string) {
	t.Helper()
	got, err := r.Authenticate(t.Context(), token)
	if status == 0 {
		if err != nil || got != sender {
			t.Errorf("sender %v, error %v", got, full(err))
		}
		return
	}
	var refusal *gateway.Refusal
	if !errors.As(err, &refusal) || refusal.Status != status {
		t.Fatalf("error %v, want status %d", full(err), status)
	}
	for _, part := range parts {
		if !strings.Contains(full(err), part) {
			t.Errorf("error %q, want %q in it", full(err), part)
		}
	}
	if signature := token[strings.LastIndex(token, ".")+1:]; strings.Contains(full(err), signature) {
		t.Errorf("the error has the token: %s", full(err))
	}
	if (refusal.RetryAfter > 0) != (status == http.StatusServiceUnavailable) {
		t.Errorf("retry after %s with status %d", refusal.RetryAfter, status)
	}
}

// full is all that is known of an error, for the log too.
func full(err error) string {
	return fmt.Sprint(err, " ", errors.Unwrap(err))
}

// forged returns the claims of a token under a signature of nobody.
func forged(token string, n int) string {
	return token[:strings.LastIndex(token, ".")+1] + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%064d", n))
}

func TestServiceAccounts(t *testing.T) {
	c := newCluster(t)
	good := c.token("sender", tokenreview.Audience)

	t.Run("who may send", func(t *testing.T) {
		r := c.reviewer(t, c.newFiles(t))
		expect(t, r, good, 0)
		expect(t, r, c.token("sender", "other", tokenreview.Audience), 0)
		expect(t, r, c.token("sender", "other"), http.StatusUnauthorized, `the audience ["other"] and not for "wildout-gateway"`)
		expect(t, r, c.token("sender"), http.StatusUnauthorized, "made for the audience")
		expect(t, r, c.token("stranger", tokenreview.Audience), http.StatusUnauthorized, "default/stranger is none of the senders")
		expect(t, r, forged(good, 1), http.StatusUnauthorized, "it may be forged")
		for _, other := range []string{"", "wk_live_8e1f", "a.b.c"} {
			if _, err := r.Authenticate(t.Context(), other); !errors.Is(err, gateway.ErrNotMine) {
				t.Errorf("%q: %v", other, err)
			}
		}
	})
	t.Run("another audience", func(t *testing.T) {
		r := c.reviewer(t, c.newFiles(t), func(o *tokenreview.Options) { o.Audience = "mine" })
		expect(t, r, c.token("sender", "mine"), 0)
		expect(t, r, good, http.StatusUnauthorized, `not for "mine"`)
	})
	t.Run("a deleted account", func(t *testing.T) { testDeletedAccount(t, c) })
	t.Run("what it asks with", func(t *testing.T) { testOwnFiles(t, c, good) })
	t.Run("asked once", func(t *testing.T) {
		r := c.reviewer(t, c.newFiles(t))
		before := c.reviews()
		for _, token := range []string{good, forged(good, 2)} {
			for range 2 { // the first fifty wait for one review, the others for none
				var group sync.WaitGroup
				for range 50 {
					group.Go(func() { _, _ = r.Authenticate(t.Context(), token) })
				}
				group.Wait()
			}
		}
		if asked := c.reviews() - before; asked != 2 {
			t.Errorf("%d reviews for 100 requests with each of two tokens", asked)
		}
	})
	t.Run("a flood", func(t *testing.T) { testFlood(t, c, good) })
	t.Run("API server away", func(t *testing.T) { testAPIServerAway(t, c, good) })
}

func testDeletedAccount(t *testing.T, c *cluster) {
	c.createAccount("gone")
	token := c.token("gone", tokenreview.Audience)
	r := c.reviewer(t, c.newFiles(t), forgetAfter(2*time.Second))
	expect(t, r, token, 0)
	if code, answer := c.Call(http.MethodDelete, accounts+"/gone", nil); code != http.StatusOK {
		t.Fatalf("delete: %d %s", code, answer)
	}
	deleted := time.Now()
	for {
		_, err := r.Authenticate(t.Context(), token)
		after := time.Since(deleted)
		if err != nil {
			expect(t, r, token, http.StatusUnauthorized, "its pod or ServiceAccount is gone")
			if after < time.Second {
				t.Errorf("refused %s after the deletion: the answer was not kept", after)
			}
			break
		}
		// The API server itself takes up to ten seconds to notice.
		if after > 15*time.Second {
			t.Fatalf("still accepted %s after the deletion", after)
		}
		time.Sleep(50 * time.Millisecond)
	}
	// An account of the same name is another one.
	c.createAccount("gone")
	expect(t, c.reviewer(t, c.newFiles(t)), token, http.StatusUnauthorized)
}

func testOwnFiles(t *testing.T, c *cluster, good string) {
	f := c.newFiles(t)
	r := c.reviewer(t, f, forgetAfter(time.Nanosecond))
	expect(t, r, good, 0)

	write(t, f.token, c.token("powerless"))
	expect(t, r, good, http.StatusServiceUnavailable, "bind the ClusterRole system:auth-delegator")
	write(t, f.token, "not.a.token")
	expect(t, r, good, http.StatusServiceUnavailable, "does not accept this process's own token")
	if err := os.Remove(f.token); err != nil {
		t.Fatal(err)
	}
	expect(t, r, good, http.StatusServiceUnavailable, "read the token", f.token)
	write(t, f.token, c.token("gateway"))
	expect(t, r, good, 0)

	ca, err := os.ReadFile(f.ca)
	if err != nil {
		t.Fatal(err)
	}
	other := httptest.NewTLSServer(nil)
	defer other.Close()
	write(t, f.ca, certificate(other))
	expect(t, r, good, http.StatusServiceUnavailable, "certificate signed by unknown authority")
	write(t, f.ca, "nothing")
	expect(t, r, good, http.StatusServiceUnavailable, "no certificate in PEM in "+f.ca)
	write(t, f.ca, string(ca))
	expect(t, r, good, 0)
}

// A thousand forged tokens a second, all different, reach the API server at
// the rate of strangers; a token that was good before stays good, through
// reviews of its own.
func testFlood(t *testing.T, c *cluster, good string) {
	const flood, perSecond = 3 * time.Second, 1000
	r := c.reviewer(t, c.newFiles(t), forgetAfter(200*time.Millisecond))
	expect(t, r, good, 0)
	before, began := c.reviews(), time.Now()

	var group sync.WaitGroup
	ctx, stop := context.WithTimeout(t.Context(), flood)
	defer stop()
	group.Go(func() {
		ticks := time.NewTicker(10 * time.Millisecond)
		defer ticks.Stop()
		for n := 1000; ctx.Err() == nil; <-ticks.C {
			for range perSecond / 100 {
				n++
				token := forged(good, n)
				group.Go(func() {
					if _, err := r.Authenticate(t.Context(), token); err == nil {
						t.Error("a forged token was accepted")
					}
				})
			}
		}
	})
	var slowest time.Duration
	for ctx.Err() == nil {
		start := time.Now()
		expect(t, r, good, 0)
		slowest = max(slowest, time.Since(start))
		time.Sleep(5 * time.Millisecond)
	}
	group.Wait()
	asked, took := c.reviews()-before, time.Since(began)
	if slowest > 5*time.Second {
		t.Errorf("the good token took %s", slowest)
	}
	t.Logf("%d reviews in %s of %d forged tokens a second; the good token took %s at most", asked, flood, perSecond, slowest)
	// 200 at once, 100 a second, and the good token each 200 ms.
	if limit := 200 + int(100*took.Seconds()) + 50; asked > limit {
		t.Errorf("%d reviews, want %d at most", asked, limit)
	}
}

func testAPIServerAway(t *testing.T, c *cluster, good string) {
	r := c.reviewer(t, c.newFiles(t), forgetAfter(50*time.Millisecond), func(o *tokenreview.Options) { o.Timeout = time.Second })
	expect(t, r, good, 0)
	time.Sleep(60 * time.Millisecond)

	c.Pause()
	start := time.Now()
	expect(t, r, good, http.StatusServiceUnavailable, "it does not answer")
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s to give up", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Authenticate(ctx, good); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v when the request is gone", err)
	}
	c.Resume()
	expect(t, r, good, 0)

	time.Sleep(60 * time.Millisecond)
	c.Stop()
	expect(t, r, good, http.StatusServiceUnavailable, "it does not answer", "connection refused")
	expect(t, r, forged(good, 9), http.StatusServiceUnavailable)
	c.Start()
	expect(t, r, good, 0)
}
