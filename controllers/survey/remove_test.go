package survey

import (
	"errors"
	"strings"
	"testing"

	"github.com/wildout/wildout/controllers/view"
)

func TestUninstall(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	if err := r.Uninstall(t.Context(), name("f"), "wildout-redis", []string{"a/b", "c/d"}); err != nil {
		t.Fatal(err)
	}
	same(t, "uninstalled", r.redis.did("uninstall"), []string{"uninstall shop/f"})
	same(t, "dropped", r.redis.did("dropstream"), []string{"dropstream shop/a/b", "dropstream shop/c/d"})
	same(t, "opened", r.redis.did("open"), []string{"open redis://one.example:6379/0 2"})
	if r.redis.closed != 1 || r.follows(name("f")) {
		t.Error("something is left")
	}
	for _, word := range []string{"uninstall", "dropstream"} {
		r.redis.fail(word, errAway)
		if err := r.Uninstall(t.Context(), name("f"), "wildout-redis", []string{"a/b"}); !errors.Is(err, errAway) {
			t.Errorf("%s fails: %v", word, err)
		}
		r.redis.fail(word, nil)
	}
}

func TestDropStream(t *testing.T) {
	r := newRig(t)
	r.FollowType(declared("t"))
	if err := r.DropStream(t.Context(), name("t"), "wildout-redis", "a/t"); err != nil {
		t.Fatal(err)
	}
	same(t, "dropped", r.redis.did("dropstream"), []string{"dropstream shop/a/t"})
	if r.redis.closed != 1 || r.followsType(name("t")) {
		t.Error("something is left")
	}
	if err := r.DropStream(t.Context(), name("t"), "other", "a/t"); err == nil {
		t.Error("it is dropped from nowhere")
	}
}

// What is in a Redis can be removed when its Secret goes first.
func TestSecretGoesFirst(t *testing.T) {
	r := newRig(t)
	r.Follow(f("f"))
	r.connected()
	r.redis.did("open")
	r.secrets.remove("shop/wildout-redis")
	if err := r.Uninstall(t.Context(), name("f"), "wildout-redis", nil); err != nil {
		t.Fatal(err)
	}
	same(t, "opened", r.redis.did("open"), []string{"open redis://one.example:6379/0 2"})
}

func TestNoRedis(t *testing.T) {
	r := newRig(t)
	for want, change := range map[string]func(){
		"does not exist":         func() { r.secrets.remove("shop/wildout-redis") },
		"could not be read":      func() { r.secrets.err = errors.New("away") },
		"cannot be used: it has": func() { r.secrets.err = nil; r.secrets.set("shop/wildout-redis", "") },
	} {
		r.secrets.err = nil
		change()
		err := r.Uninstall(t.Context(), name("f"), "wildout-redis", nil)
		var none *NoRedisError
		if !errors.As(err, &none) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "shop/wildout-redis") {
			t.Errorf("%v, want …%s…", err, want)
		}
	}
	if got := (&NoRedisError{Secret: view.Secret{Problem: view.Forbidden}}).Error(); !strings.Contains(got, "may not be read") {
		t.Error(got)
	}
}
