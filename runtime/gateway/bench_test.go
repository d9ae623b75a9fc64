package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/store"
)

// BenchmarkSend is the gateway's part of a request: net/http is left out,
// Redis is not.
func BenchmarkSend(b *testing.B) {
	for name, header := range map[string]string{"plain": "", "seed": "1700000000000,AAECAwQFBgcICQ=="} {
		b.Run(name, func(b *testing.B) {
			redis := servicetest.StartRedis(b)
			s, err := store.Open(store.Options{URL: redis.URL(), Namespace: "b"})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			types := &intake.Types{}
			if err := types.Set(schemas); err != nil {
				b.Fatal(err)
			}
			g, err := gateway.New(gateway.Options{Backend: s, Types: types})
			if err != nil {
				b.Fatal(err)
			}
			mux := http.NewServeMux()
			g.Register(mux)
			b.SetParallelism(32)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					w := httptest.NewRecorder()
					r := httptest.NewRequest(http.MethodPost, "/e/some-key", strings.NewReader(good))
					if header != "" {
						r.Header.Set("X-Inngest-Event-ID-Seed", header)
					}
					if mux.ServeHTTP(w, r); w.Code != http.StatusOK {
						b.Fatal(w.Body)
					}
				}
			})
		})
	}
}
