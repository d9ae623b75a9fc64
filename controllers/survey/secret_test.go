package survey

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
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
		found, options := judgeSecret(types.NamespacedName{Namespace: "shop", Name: "wildout-redis"}, secret, nil)
		if found.Problem != Fine || options.URL != want {
			t.Errorf("%s is read as %s (%s), want %s", text, options.URL, found.Detail, want)
		}
	}
}
