package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
)

// serveBare answers every request with the id of the stream entry that its
// body became: no authentication, no check, no limits, nothing but the work
// that cannot be left out.
func serveBare(ctx context.Context, addr, redisAddr string) error {
	rdb := redis.NewClient(&redis.Options{Addr: redisAddr, DisableIdentity: true})
	defer rdb.Close()
	server := &http.Server{Addr: addr, ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		id, err := rdb.XAdd(r.Context(), &redis.XAddArgs{Stream: bareStream, Values: []any{"data", body}}).Result()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"ids":["`+id+`"],"status":200}`) // the client may be gone
	})}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	return server.ListenAndServe()
}

const bareStream = "bare"
