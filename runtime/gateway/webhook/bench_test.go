package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkPush is a push of GitHub from the bytes of the body to the event:
// with the right signature, and with a wrong one.
func BenchmarkPush(b *testing.B) {
	body, err := os.ReadFile("testdata/github-push.json")
	if err != nil {
		b.Fatal(err)
	}
	secret := filepath.Join(b.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret"), 0o600); err != nil {
		b.Fatal(err)
	}
	h, err := New(Options{Gateway: sink{}, Logger: slog.New(slog.DiscardHandler), Webhooks: []Config{{
		Name: "github", Verify: Verify{Scheme: GitHub, SecretFiles: []string{secret}},
		Events: []Mapping{{If: "headers['x-github-event'] == 'push'", Type: "github/push", Subject: "${body.repository.full_name}",
			Data: json.RawMessage(`{"author":"${body.pusher.name}","commits":"${body.commits.map(c, {'id': c.id, 'message': c.message})}"}`)}},
	}}})
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	h.Register(mux)
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write(body)
	for name, signature := range map[string]string{"right": hex.EncodeToString(mac.Sum(nil)), "wrong": strings.Repeat("00", sha256.Size)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/webhooks/github", strings.NewReader(string(body)))
				r.Header = http.Header{"X-Github-Event": {"push"}, "X-Github-Delivery": {"d"}, headerGitHubSignature: {"sha256=" + signature}}
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, r)
				if (w.Code == http.StatusOK) != (name == "right") {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
