package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/cmd/wildout/internal/dev"
	"github.com/wildout/wildout/runtime/console"
	"github.com/wildout/wildout/runtime/run"
)

// sampleEvents are the events that the samples are about. Those that end a
// wait come after those that begin it; START is in 24 hours and a second.
var sampleEvents = []struct{ name, data string }{
	{"account/changed", `{"accountId":"a1","changes":{"city":"Bern"}}`},
	{"appointment/booked", `{"email":"mara@example.com","startsAt":"START"}`},
	{"booking/requested", `{"email":"mara@example.com","nights":2}`},
	{"checkout/started", `{"cartId":"c1","email":"mara@example.com","items":["tea"]}`},
	{"complaint/received", `{"email":"mara@example.com"}`},
	{"credit/requested", `{"customerId":"c1"}`},
	{"customer/first-order", `{"orderId":"o9","email":"mara@example.com","total":5}`},
	{"customer/registered", `{"customerId":"c1","email":"mara@example.com","code":"TEA"}`},
	{"file/uploaded", `{"file":"f1"}`},
	{"invoice/asked", `{"orderId":"o1"}`},
	{"newsletter/approved", `{"title":"News","text":"tea is in.","subscribers":[{"email":"mara@example.com","name":"Mara"},{"email":"nobody","name":"Nobody"}]}`},
	{"order/confirmed", `{"orderId":"o1","email":"mara@example.com","total":20}`},
	{"order/placed", `{"orderId":"o1","email":"mara@example.com","total":2000}`},
	{"person/arrived", `{"name":"Mara"}`},
	{"picture/uploaded", `{"pictureId":"p1"}`},
	{"quote/requested", `{"email":"mara@example.com","quantity":2,"unitPrice":1.5,"days":1}`},
	{"refund/requested", `{"account":"a1","amount":20,"currency":"CHF"}`},
	{"stock/changed", `{"shop":"s1"}`},
	{"trial/started", `{"email":"mara@example.com"}`},
	{"user/logged-in", `{"userId":"u1","email":"mara@example.com","city":"Bern"}`},
	{"file/approved", `{"file":"f1"}`},
	{"payment/received", `{"orderId":"o1","amount":20}`},
}

// endings of samples that do not simply succeed.
var endings = map[string]run.Status{
	"sample-booking":          run.Failed, // which is what it shows
	"sample-nightly-clean-up": "",         // at three in the morning
}

// TestSamplesRun runs config/samples: what they call answers, their handlers
// take what they give them, and they end as they say.
func TestSamplesRun(t *testing.T) {
	calls := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- r.Method + " " + r.URL.Path + " " + string(body)
		switch {
		case strings.HasPrefix(r.URL.Path, "/hotel.example.com"), strings.HasPrefix(r.URL.Path, "/metrics.example.com"):
			w.WriteHeader(http.StatusBadRequest)
		case strings.HasPrefix(r.URL.Path, "/bureau.example.com"):
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"score":700}`)
		}
	}))
	t.Cleanup(server.Close)
	folder := copySamples(t, server.URL)
	r := startWith(t, dev.Options{Paths: []string{folder}, EmbeddedRedis: true, DataDir: t.TempDir()})
	if _, err := r.Handlers().DB.ExecContext(t.Context(), "CREATE TABLE invoices (order_id TEXT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	for _, e := range sampleEvents {
		if e.name == "file/approved" {
			awaitWaiting(t, r, "sample-import", "sample-payment-reminder")
		}
		data := strings.ReplaceAll(e.data, "START", time.Now().Add(24*time.Hour+time.Second).UTC().Format(time.RFC3339))
		body, err := json.Marshal(map[string]any{"name": e.name, "data": json.RawMessage(data)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.client.Send(t.Context(), "test", body); err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
	}
	for _, f := range r.About().Functions {
		want, other := endings[f.Name]
		if !other {
			want = run.Succeeded
		}
		if want == "" {
			continue
		}
		record := awaitEnd(t, r, f.Name)
		if record.Status != want {
			t.Errorf("%s: %s is %s: %s", f.Name, record.ID, record.Status, record.Error)
		}
	}
	compare(t, "invoices", r.count(t, "SELECT order_id, 1 FROM invoices"), map[string]int{"o1": 1})
	compare(t, "mails", subjects(r), map[string]int{
		"mara@example.com: Your order o1": 1, "mara@example.com: Your order o9": 1, "mara@example.com: Your opinion": 1, "mara@example.com: A gift for you": 1,
		"mara@example.com: News": 1, "mara@example.com: New login": 1, "mara@example.com: Your quote": 1, "mara@example.com: Sorry": 1,
		"mara@example.com: It is yours": 1, "mara@example.com: Welcome": 1, "mara@example.com: Three days left": 1,
		"mara@example.com: Your appointment tomorrow": 1, "team@example.com: Booking failed in step book": 1,
		"sales@example.com: order/placed from mara@example.com": 1, "sales@example.com: complaint/received from mara@example.com": 1,
	})
	server.Close()
	close(calls)
	got := map[string]int{}
	for call := range calls {
		got[call]++
	}
	for _, want := range []string{
		`PUT /crm.example.com/accounts/a1 {"city":"Bern"}`,
		`POST /import.example.com/publish {"file":"f1"}`,
		`POST /bank.example.com/refunds {"account":"a1","amount":20}`,
		`GET /bureau.example.com/scores/c1 `,
	} {
		if got[want] != 1 {
			t.Errorf("%d × %s; there were %v", got[want], want, got)
		}
	}
}

// copySamples makes the hosts of the samples paths of one server, and their
// longest waits short.
func copySamples(t *testing.T, server string) string {
	t.Helper()
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	hosts := regexp.MustCompile(`https?://([a-z.]+)/`)
	folder := t.TempDir()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "kind: Kustomization") {
			continue
		}
		changed := hosts.ReplaceAllString(string(text), server+"/$1/")
		changed = strings.NewReplacer("sleep: 27d ", "sleep: 10ms ", "sleep: 5s", "sleep: 10ms").Replace(changed)
		write(t, filepath.Join(folder, filepath.Base(file)), changed)
	}
	return folder
}

func awaitWaiting(t *testing.T, r *running, names ...string) {
	t.Helper()
	for _, name := range names {
		eventually(t, name+" waits", func() bool {
			page, err := r.client.Runs(t.Context(), console.RunQuery{Function: name, Limit: 10})
			return err == nil && len(page.Runs) == 1 && page.Runs[0].Status == run.Waiting
		})
	}
}

// awaitEnd returns a run of the function once all of them have ended.
func awaitEnd(t *testing.T, r *running, name string) (ended *run.Record) {
	t.Helper()
	eventually(t, "runs of "+name+" end", func() bool {
		page, err := r.client.Runs(t.Context(), console.RunQuery{Function: name, Limit: 10})
		if err != nil || len(page.Runs) == 0 {
			return false
		}
		for i := range page.Runs {
			if ended = &page.Runs[i]; ended.EndedAt == nil {
				return false
			}
		}
		return true
	})
	return ended
}

func subjects(r *running) map[string]int {
	all := map[string]int{}
	for _, m := range r.Mails() {
		all[strings.Join(m.To, ",")+": "+m.Subject]++
	}
	return all
}
