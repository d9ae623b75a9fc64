package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/intake"
	"github.com/wildout/wildout/runtime/store"
)

// nowhere takes every event and keeps none.
type nowhere struct{}

func (nowhere) Accept(_ context.Context, batches ...*store.Batch) {
	for _, b := range batches {
		for _, e := range b.Events {
			e.Time = time.Unix(0, 0)
		}
	}
}
func (nowhere) TakeEvents(_ context.Context, _ store.SenderRate, n int) (int, time.Duration, error) {
	return n, 0, nil
}
func (nowhere) ReturnEvents(context.Context, store.SenderRate, int) error { return nil }
func (nowhere) Ping(context.Context) error                                { return nil }
func (nowhere) Memory(context.Context) (store.Memory, error)              { return store.Memory{}, nil }

const (
	megabyte = 1 << 20
	// maxBody is the default bound of a body.
	maxBody = 16 * megabyte
)

// filled repeats a text until it has that many bytes, or nearly.
func filled(size int, begin, repeated, end string) string {
	return begin + strings.Repeat(repeated, (size-len(begin)-len(end))/len(repeated)) + end
}

// TestAttacks sends what is small to send, and was dear to read. The limits are
// those of one request, with room for a machine that collects late: the chart
// gives the gateway 512 MiB.
func TestAttacks(t *testing.T) {
	types := &intake.Types{}
	if err := types.Set(map[string]json.RawMessage{
		"integers": json.RawMessage(`{"type":"object","additionalProperties":{"type":"array","items":{"type":"integer"}}}`),
	}); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Options{Backend: nowhere{}, Types: types})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	g.Register(mux)
	for name, c := range map[string]struct {
		body   string
		status int
		want   string // in the answer
		most   uint64 // allocated, in MB
	}{
		"16 MB of {}":                {filled(maxBody, "[", "{},", "{}]"), 400, "more than 100000 members", 80},
		"16 MB of zeros":             {filled(maxBody, "[", "0,", "0]"), 400, "more than 100000 members", 80},
		"16 MB of brackets":          {filled(maxBody, "", "[", ""), 400, "deeper than 250 levels", 80},
		"16 MB of fields":            {filled(maxBody, `[{"name":"any/thing"`, `,"":0`, `}]`), 400, "more than 100000 members", 80},
		"16 MB of unknown fields":    {manyFields(maxBody), 400, "more than 100000 members", 80},
		"160 events of fields":       {"[" + strings.Repeat(manyFields(100_000)+",", 159) + manyFields(100_000) + "]", 400, "is unknown", 400},
		"one event of zeros":         {filled(megabyte, `{"name":"integers","data":{"a":[`, "0,", `0]}}`), 400, "more than 100000 members", 20},
		"a field 90,000 times":       {filled(90_000*5, `[{"name":"any/thing"`, `,"":0`, `}]`), 400, "there twice", 20},
		"100,000 lists":              {filled(400_000, `{"name":"integers","data":{"a":[`, "[0],", `0]}}`), 400, "more than 100000 values", 20},
		"100,000 zeros":              {filled(190_000, `{"name":"integers","data":{"a":[`, "0,", `0]}}`), 200, "", 100},
		"short numbers":              {filled(200_000, `{"name":"integers","data":{"a":[`, "1e1000000,", `0]}}`), 400, "exponent beyond 400", 20},
		"short numbers in the bound": {filled(500_000, `{"name":"integers","data":{"a":[`, "1e300,", `0]}}`), 200, "", 300},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, "/e/some-key", strings.NewReader(c.body))
			spent := servicetest.Spend(func() { mux.ServeHTTP(w, r) })
			t.Logf("%d: %s", w.Code, spent)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("status %d, %.200s, want %d and %q", w.Code, w.Body, c.status, c.want)
			}
			if spent.Allocated > c.most<<20 {
				t.Errorf("%s, want at most %d MB", spent, c.most)
			}
		})
	}
}

// manyFields is an event with as many fields as fit, each with a name of its
// own.
func manyFields(size int) string {
	var b strings.Builder
	b.WriteString(`{"name":"any/thing"`)
	digits := []byte("aaaaa")
	for b.Len() < size-20 {
		for i := range digits {
			if digits[i]++; digits[i] <= 'z' {
				break
			}
			digits[i] = 'a'
		}
		b.WriteString(`,"` + string(digits) + `":0`)
	}
	b.WriteString("}")
	return b.String()
}
