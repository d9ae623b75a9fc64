package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/audit"
	"github.com/wildout/wildout/site/schema"
	"github.com/wildout/wildout/site/schema/schematest"
)

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m)) }

// list is a Fallback in memory.
type list struct {
	mu      sync.Mutex
	entries [][]byte
	broken  error
}

func (l *list) Append(_ context.Context, _ string, entry []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	l.entries = append(l.entries, entry)
	return nil
}

func (l *list) Drain(ctx context.Context, most int, fn func(context.Context, []byte) error) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n < most && len(l.entries) > 0 {
		if err := fn(ctx, l.entries[0]); err != nil {
			return n, err
		}
		l.entries = l.entries[1:]
		n++
	}
	return n, nil
}

func (l *list) len() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.entries) }

type log struct {
	*audit.Service
	fallback *list
	stderr   *bytes.Buffer
}

func newLog(t *testing.T, site *schematest.Site) log {
	t.Helper()
	l := log{fallback: &list{}, stderr: &bytes.Buffer{}}
	service, err := audit.NewService(audit.Options{
		DB: site.DB, Fallback: l.fallback, Stderr: l.stderr,
		Logger: slog.New(slog.DiscardHandler), DrainInterval: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Service = service
	return l
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func entry(id string, at time.Time) audit.Entry {
	return audit.Entry{EventID: id, UserID: "u", Action: "LOGIN_FAILURE", Details: json.RawMessage(`{"a":1}`), Time: at}
}

// rename takes the table away, as a database that does not answer would.
func rename(t *testing.T, site *schematest.Site, from, to string) {
	t.Helper()
	site.Exec(t, "ALTER TABLE "+from+" RENAME TO "+to)
}

func TestValidate(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct{ data, details, fault string }{
		"plain":             {data: `{"action":"A","userId":"u"}`, details: `{}`},
		"unknown fields":    {data: `{"action":"A","userId":"u","mood":"good","details":{"n":12345678901234567890}}`, details: `{"n":12345678901234567890}`},
		"address kept":      {data: `{"action":"A","userId":"u","ip":"::1","details":{"a":1}}`, details: `{"a":1,"ip":"::1"}`},
		"null details":      {data: `{"action":"A","userId":"u","details":null}`, details: `{}`},
		"NUL characters":    {data: `{"action":"A","userId":"u","details":{"k\u0000":["\u0000"]}}`, details: `{"k�":["�"]}`},
		"no action":         {data: `{"userId":"u"}`, fault: "action has 0 characters"},
		"no user":           {data: `{"action":"A"}`, fault: "userId is missing"},
		"action too long":   {data: `{"action":"` + strings.Repeat("x", 101) + `","userId":"u"}`, fault: "101 characters"},
		"letter case":       {data: `{"userId":"mara","USERID":"root-admin","action":"LOGIN_SUCCESS","ACTION":"FORGED"}`, details: `{}`},
		"a field twice":     {data: `{"userId":"mara","userId":"root-admin","action":"A"}`, fault: `"userId" is there twice`},
		"details no object": {data: `{"action":"A","userId":"u","details":[1]}`, fault: "details"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := audit.Validate(ctx, audit.ValidateInput{EventID: "e", Time: noon, Data: json.RawMessage(c.data)})
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) || !wildout.IsNonRetriable(err) {
					t.Fatalf("error %v, want one without retry about %q", err, c.fault)
				}
				return
			}
			if e.Action == "FORGED" || e.UserID == "root-admin" {
				t.Errorf("the entry is forged: %+v", e)
			}
			if err != nil || string(e.Details) != c.details || e.EventID != "e" || !e.Time.Equal(noon) {
				t.Errorf("got %+v (details %s), %v, want details %s", e, e.Details, err, c.details)
			}
		})
	}
}

func TestWhatValidatePassesTheDatabaseTakes(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		l := newLog(t, site)
		data := "{\"action\":\"A\\u0000\",\"userId\":\"u\\u0000\",\"details\":{\"k\\u0000\":\"\\u0000\"}}"
		e, err := audit.Validate(context.Background(), audit.ValidateInput{EventID: "e", Time: noon, Data: json.RawMessage(data)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Store(schematest.Step("s", 1), audit.StoreInput{Entry: e}); err != nil {
			t.Error(err)
		}
	})
}

func TestOneRowPerEventWhoeverStoresIt(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		l := newLog(t, site)
		var group sync.WaitGroup
		for i := range 6 {
			group.Go(func() {
				if _, err := l.Store(schematest.Step(fmt.Sprint("step", i), 1), audit.StoreInput{Entry: entry("e1", noon)}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if n := site.Count(t, "SELECT count(*) FROM audit_log"); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	})
}

func TestLogWritesOneRowPerStepOrKey(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		l := newLog(t, site)
		for _, step := range []string{"run/a", "run/a", "run/b"} {
			if _, err := l.Log(schematest.Step(step, 1), audit.LogInput{Action: "X", UserID: "u"}); err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []string{"run1/c", "run2/c"} {
			if _, err := l.Log(schematest.Step(step, 1), audit.LogInput{Action: "Y", UserID: "u", Key: "shared", Time: noon}); err != nil {
				t.Fatal(err)
			}
		}
		if n := site.Count(t, "SELECT count(*) FROM audit_log WHERE action = 'X'"); n != 2 {
			t.Errorf("two steps left %d rows", n)
		}
		if n := site.Count(t, "SELECT count(*) FROM audit_log WHERE action = 'Y'"); n != 1 {
			t.Errorf("one key left %d rows", n)
		}
		if _, err := l.Log(schematest.Step("run/d", 1), audit.LogInput{Action: "X"}); !wildout.IsNonRetriable(err) {
			t.Errorf("an entry without a user: %v", err)
		}
	})
}

// The database is away for some attempts: which of them reach the fallback,
// and what the step comes to.
func TestFallback(t *testing.T) {
	for name, c := range map[string]struct {
		attempt int
		kept    int
		stored  string // empty: the attempt fails
	}{
		"first attempt":             {attempt: 1},
		"second attempt":            {attempt: 2},
		"third attempt keeps it":    {attempt: 3, kept: 1},
		"last attempt is a success": {attempt: 5, kept: 1, stored: audit.StoredInFallback},
	} {
		t.Run(name, func(t *testing.T) {
			schematest.Each(t, func(t *testing.T, site *schematest.Site) {
				l := newLog(t, site)
				rename(t, site, "audit_log", "gone")
				out, err := l.Store(schematest.Step("s", c.attempt), audit.StoreInput{Entry: entry("e1", noon), FallbackFrom: 3, MaxAttempts: 5})
				if (err == nil) != (c.stored != "") || out.Stored != c.stored {
					t.Errorf("Store = %+v, %v, want %q", out, err, c.stored)
				}
				if n := l.fallback.len(); n != c.kept {
					t.Errorf("the fallback has %d entries, want %d", n, c.kept)
				}
				if c.kept == 0 {
					return
				}
				var line struct{ AuditEntry audit.Entry }
				if err := json.Unmarshal(l.stderr.Bytes(), &line); err != nil || line.AuditEntry.EventID != "e1" {
					t.Errorf("stderr has %q (%v), want one JSON line with the entry", l.stderr, err)
				}
			})
		})
	}
}

func TestFallbackFailsToo(t *testing.T) {
	site := schematest.Postgres(t)
	l := newLog(t, site)
	rename(t, site, "audit_log", "gone")
	l.fallback.broken = errors.New("redis is away")
	_, err := l.Store(schematest.Step("s", 5), audit.StoreInput{Entry: entry("e1", noon), FallbackFrom: 3, MaxAttempts: 5})
	if err == nil || !strings.Contains(err.Error(), "redis is away") || !strings.Contains(err.Error(), "only on stderr") {
		t.Errorf("Store = %v, want both causes", err)
	}
}

// TestDrain: entries kept during an outage reach the log in the order of what
// happened, by the next store and by the background loop.
func TestDrain(t *testing.T) {
	for name, wake := range map[string]func(*testing.T, log){
		"by the next store": func(t *testing.T, l log) {
			if _, err := l.Store(schematest.Step("next", 1), audit.StoreInput{Entry: entry("e9", noon.Add(time.Hour))}); err != nil {
				t.Fatal(err)
			}
		},
		"in the background": func(t *testing.T, l log) {
			if _, err := l.Log(schematest.Step("next", 1), audit.LogInput{Action: "X", UserID: "u", Key: "e9", Time: noon.Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- l.Run(ctx) }()
			for range 200 {
				if l.fallback.len() == 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			schematest.Each(t, func(t *testing.T, site *schematest.Site) {
				l := newLog(t, site)
				rename(t, site, "audit_log", "gone")
				for i, id := range []string{"e3", "e1", "e2", "e1"} { // late, and one twice
					e := entry(id, noon.Add(time.Duration(id[1])*time.Second))
					_, _ = l.Store(schematest.Step(fmt.Sprint("s", i), 3), audit.StoreInput{Entry: e, FallbackFrom: 3, MaxAttempts: 5})
				}
				rename(t, site, "gone", "audit_log")
				wake(t, l)
				var got []string
				rows, err := site.Pool.Query("SELECT event_id FROM audit_log ORDER BY created_at")
				if err != nil {
					t.Fatal(err)
				}
				defer rows.Close()
				for rows.Next() {
					var id string
					if err := rows.Scan(&id); err != nil {
						t.Fatal(err)
					}
					got = append(got, id)
				}
				if want := []string{"e1", "e2", "e3", "e9"}; !slices.Equal(got, want) {
					t.Errorf("the log holds %v, want %v", got, want)
				}
			})
		})
	}
}

func TestForeignEntriesDoNotBlockTheDrain(t *testing.T) {
	site := schematest.Postgres(t)
	l := newLog(t, site)
	good, err := json.Marshal(entry("e1", noon))
	if err != nil {
		t.Fatal(err)
	}
	l.fallback.entries = [][]byte{[]byte("not JSON"), []byte("{}"), good}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := site.Count(t, "SELECT count(*) FROM audit_log"); n != 1 {
		t.Errorf("%d rows, want the one good entry", n)
	}
	if !strings.Contains(l.stderr.String(), "not JSON") {
		t.Errorf("the foreign entry is lost: stderr has %q", l.stderr)
	}
}

func TestMarkCompliance(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		l := newLog(t, site)
		for action, want := range map[string]bool{"USER_DELETE": true, "LOGIN": false} {
			e := entry("of "+action, noon)
			e.Action = action
			if err := site.Do(context.Background(), "store", func(tx *schema.Tx) error { return audit.Insert(context.Background(), tx, e) }); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				out, err := l.MarkCompliance(schematest.Step("s", 1), audit.MarkInput{Entry: e, Actions: []string{"DATA_EXPORT", "USER_DELETE"}})
				if err != nil || out.Compliance != want {
					t.Errorf("%s: %+v, %v, want %v", action, out, err, want)
				}
			}
		}
		late := entry("not stored yet", noon)
		if _, err := l.MarkCompliance(schematest.Step("s", 1), audit.MarkInput{Entry: late, Actions: []string{late.Action}}); err != nil {
			t.Error(err)
		}
		if n := site.Count(t, "SELECT count(*) FROM audit_log WHERE compliance"); n != 2 {
			t.Errorf("%d rows are marked, want 2", n)
		}
	})
}
