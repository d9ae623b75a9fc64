package telemetry_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/event"
)

// TestRules runs rules_test.yaml, and wants for every alert a case in which it
// fires, one in which it does not, and a section that says what to do.
func TestRules(t *testing.T) {
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatalf("promtool is not installed (%v): run `make services`", err)
	}
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}} {
		cmd := exec.Command(program, args...)
		cmd.Dir = monitoring
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
		}
	}
	var cases struct {
		Tests []struct {
			Alerts []struct {
				Name string `json:"alertname"`
				Want []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal([]byte(read(t, monitoring+"/rules_test.yaml")), &cases); err != nil {
		t.Fatal(err)
	}
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, test := range cases.Tests {
		for _, a := range test.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Want) > 0
			rests[a.Name] = rests[a.Name] || len(a.Want) == 0
		}
	}
	docs := read(t, "../../docs/telemetry.md")
	for _, r := range readRules(t) {
		if r.Alert == "" {
			continue
		}
		if !fires[r.Alert] || !rests[r.Alert] {
			t.Errorf("%s: rules_test.yaml has no case in which it fires, or none in which it does not", r.Alert)
		}
		if !strings.Contains(docs, "\n### "+r.Alert+"\n") || !strings.HasSuffix(r.Annotations["runbook_url"], "docs/telemetry.md#"+strings.ToLower(r.Alert)) {
			t.Errorf("%s: docs/telemetry.md has no section of that name, or runbook_url does not lead there", r.Alert)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has no summary or no description", r.Alert)
		}
	}
}

// shortened is rules.yaml with seconds in place of minutes.
func shortened(t *testing.T) string {
	return regexp.MustCompile(`\b(\d+)m\b`).ReplaceAllString(read(t, monitoring+"/rules.yaml"), "${1}s")
}

// TestAlertsFire lets a real Prometheus scrape real runners and evaluate the
// real rules, with seconds in place of minutes.
func TestAlertsFire(t *testing.T) {
	r := newRig(t)
	wildout.Add(r.handlers, "never", func(context.Context, any) (string, error) {
		return "", wildout.NonRetriable(errors.New("as planned"))
	})
	runners := map[string]*runner{
		"bad":  r.start("one", "bad", "triggers: [{event: a}]\nsteps: [{name: s, handler: never}]"),
		"good": r.start("one", "good", "triggers: [{event: a}]\nsteps: [{name: s, handler: ok}]"),
		"gone": r.start("one", "gone", "triggers: [{event: a}]\nsteps: [{name: s, handler: ok}]"),
	}
	var targets []string
	for _, one := range runners {
		server := httptest.NewServer(promhttp.HandlerFor(one.metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}))
		t.Cleanup(server.Close)
		targets = append(targets, strings.TrimPrefix(server.URL, "http://"))
	}
	p := servicetest.StartPrometheus(t, 500*time.Millisecond, shortened(t), targets...)
	for title, queries := range queriesOf(t) {
		for _, query := range queries {
			if strings.HasPrefix(title, "variable") {
				continue
			}
			query = strings.NewReplacer("$__rate_interval", "1m", "$namespace", ".*", "$function", ".*").Replace(query)
			if _, err := p.Query(query); err != nil {
				t.Errorf("dashboard, %s: %s\n%v", title, query, err)
			}
		}
	}
	runners["gone"].stop()
	watch := backlogOf(t, r, "gone") // as the gateway does
	server := httptest.NewServer(promhttp.HandlerFor(watch, promhttp.HandlerOpts{}))
	t.Cleanup(server.Close)
	// A Prometheus of its own: the first one has figures of a runner that is gone.
	other := servicetest.StartPrometheus(t, 500*time.Millisecond, shortened(t), strings.TrimPrefix(server.URL, "http://"))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			_ = r.store.Publish(ctx, &event.Event{Type: "a", Data: []byte(`{}`)})
			time.Sleep(100 * time.Millisecond)
		}
	}()
	for _, want := range []struct {
		where           *servicetest.Prometheus
		alert, function string
	}{{p, "WildoutHighFailureRate", "bad"}, {other, "WildoutNoRunner", "gone"}} {
		eventually(t, 2*time.Minute, want.alert, func() bool { return len(want.where.Firing(want.alert)) > 0 })
		for _, labels := range want.where.Firing(want.alert) {
			if labels["function"] != want.function {
				t.Errorf("%s fires for %v", want.alert, labels)
			}
		}
	}
}
