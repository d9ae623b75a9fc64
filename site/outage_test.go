package domain

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/handlers/sql"
	"github.com/wildout/wildout/site/audit"
	"github.com/wildout/wildout/site/mail/smtptest"
	"github.com/wildout/wildout/site/schema"
	"github.com/wildout/wildout/site/security"
)

// kept is a fallback that survives the outage of the database.
type kept struct {
	mu      sync.Mutex
	entries [][]byte
}

func (k *kept) Append(_ context.Context, _ string, entry []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.entries = append(k.entries, entry)
	return nil
}

func (k *kept) Drain(ctx context.Context, most int, fn func(context.Context, []byte) error) (n int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for ; n < most && len(k.entries) > 0; n++ {
		if err := fn(ctx, k.entries[0]); err != nil {
			return n, err
		}
		k.entries = k.entries[1:]
	}
	return n, nil
}

func call[Out any](ctx context.Context, reg *wildout.Registry, handler string, input any) (out Out, err error) {
	h, _ := reg.Lookup(handler)
	b, err := json.Marshal(input)
	if err != nil {
		return out, err
	}
	raw, err := h(ctx, b)
	if err != nil {
		return out, err
	}
	err = json.Unmarshal(raw, &out)
	return out, err
}

// TestOutage: PostgreSQL stops after the first of three failed logins. The
// steps of the others fail so that they are tried again, the entries wait
// outside the database, and once it is back there is one alert and a log in
// the order of what happened.
func TestOutage(t *testing.T) {
	server := servicetest.StartPostgres(t)
	pool, err := sql.Open(context.Background(), server.DSN("postgres"), sql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := schema.Migrate(context.Background(), pool.DB, schema.Dialect(pool.Dialect)); err != nil {
		t.Fatal(err)
	}
	db, err := schema.NewDB(pool.DB, schema.Dialect(pool.Dialect), sql.Classify)
	if err != nil {
		t.Fatal(err)
	}
	fallback, reg := &kept{}, &wildout.Registry{}
	services, err := Register(reg, Deps{
		DB: db, Mailer: smtptest.Start(t).Mailer(t), Fallback: fallback,
		Logger: slog.New(slog.DiscardHandler), Stderr: &bytes.Buffer{},
	})
	if err != nil {
		t.Fatal(err)
	}
	step := func(key string, attempt int) context.Context {
		return wildout.WithInfo(context.Background(), wildout.RunInfo{RunID: key, IdempotencyKey: key, Attempt: attempt}, nil)
	}
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	inputs := make([]audit.StoreInput, 3)
	for i := range inputs {
		inputs[i] = audit.StoreInput{FallbackFrom: 3, MaxAttempts: 5, Entry: audit.Entry{
			EventID: "e" + strconv.Itoa(i), UserID: "u", Action: "LOGIN_FAILURE", Time: noon.Add(time.Duration(i) * time.Second),
		}}
	}
	rules := map[string]any{"type": "failed", "severity": "HIGH", "actions": []string{"LOGIN_FAILURE"}, "threshold": 3, "window": "15m"}
	detect := func(i int) (security.DetectOutput, error) {
		return call[security.DetectOutput](step("detect", 1), reg, "security.detect", map[string]any{"entry": inputs[i].Entry, "rules": []any{rules}})
	}

	if out, err := call[audit.StoreOutput](step("s0", 1), reg, "audit.store", inputs[0]); err != nil || out.Stored != audit.StoredInDatabase {
		t.Fatalf("before the outage: %+v, %v", out, err)
	}
	server.Stop()
	for i := 2; i >= 1; i-- {
		for attempt := 1; attempt <= 5; attempt++ {
			out, err := call[audit.StoreOutput](step("s", attempt), reg, "audit.store", inputs[i])
			if attempt < 5 && (err == nil || wildout.IsNonRetriable(err)) || attempt == 5 && out.Stored != audit.StoredInFallback {
				t.Errorf("entry %d, attempt %d: %+v, %v", i, attempt, out, err)
			}
		}
		if _, err := detect(i); err == nil || wildout.IsNonRetriable(err) {
			t.Errorf("detection without the database: %v, want an error to be retried", err)
		}
	}
	server.Start()
	first, err1 := detect(1) // before anything is drained
	second, err2 := detect(2)
	if err1 != nil || err2 != nil || len(first.Alerts) != 0 || len(second.Alerts) != 1 || second.Alerts[0].Attempts != 3 {
		t.Errorf("after the outage: %+v, %v, then %+v, %v", first, err1, second, err2)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- services.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		fallback.mu.Lock()
		empty := len(fallback.entries) == 0
		fallback.mu.Unlock()
		if empty {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	var order string
	if err := pool.QueryRow("SELECT string_agg(event_id, ' ' ORDER BY created_at) FROM audit_log").Scan(&order); err != nil || order != "e0 e1 e2" {
		t.Errorf("the log holds %q, %v, want e0 e1 e2", order, err)
	}
	if len(fallback.entries) != 0 {
		t.Errorf("%d entries were not drained", len(fallback.entries))
	}
}
