package telemetry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/yaml"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/webhook"
)

// monitoring is the folder of the dashboard and the rules.
const monitoring = "../../config/monitoring"

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rule is an alert or a record of rules.yaml.
type rule struct {
	Alert       string            `json:"alert"`
	Record      string            `json:"record"`
	Expr        string            `json:"expr"`
	Annotations map[string]string `json:"annotations"`
}

func readRules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []rule `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, monitoring+"/rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// exercise makes runners and a gateway do all that they have metrics for, and
// returns their registries.
func exercise(t *testing.T) []prometheus.Gatherer {
	t.Helper()
	r, c := newRig(t), startCollector(t)
	r.traceTo(c.url)
	failing := 0
	wildout.Add(r.handlers, "second-time", func(context.Context, any) (string, error) {
		if failing++; failing == 1 {
			return "", errors.New("not yet")
		}
		return "fine", nil
	})
	wildout.Add(r.handlers, "never", func(context.Context, any) (string, error) {
		return "", wildout.NonRetriable(errors.New("no"))
	})
	one := r.start("one", "f", `
    triggers: [{event: a}]
    retryPolicy: {initialInterval: 10ms}
    steps:
    - {name: first, handler: second-time}
    - {name: nap, sleep: 10ms}
    - {name: last, handler: never}`)
	metrics := prometheus.NewRegistry()
	counts := gateway.NewMetrics(metrics)
	g, err := gateway.New(gateway.Options{Backend: r.store, Dev: true, Metrics: counts, Logger: r.logger()})
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := webhook.New(webhook.Options{Gateway: g, Metrics: webhook.NewMetrics(metrics, counts), Logger: r.logger(), Webhooks: []webhook.Config{
		{Name: "sensor", Verify: webhook.Verify{Scheme: "none"}, Events: []webhook.Mapping{{Type: "sensor/reading"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	g.Register(mux)
	hooks.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for _, call := range []struct {
		path, body string
		status     int
	}{{"/e/key", `{"name":"a","data":{}}`, 200}, {"/e/key", `{`, 400}, {"/webhooks/sensor", `{"celsius":21}`, 200}} {
		response, err := http.Post(server.URL+call.path, "application/json", strings.NewReader(call.body))
		if err != nil {
			t.Fatal(err)
		}
		if _ = response.Body.Close(); response.StatusCode != call.status {
			t.Fatalf("the gateway answered %s to %v", response.Status, call)
		}
	}
	r.ended("f", 1)
	eventually(t, 30*time.Second, "figures of the backlog", func() bool {
		families, err := one.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(families, func(f *family) bool { return f.GetName() == "wildout_backlog" })
	})
	return []prometheus.Gatherer{one.metrics, metrics}
}

// exported has, for each name that a query may use, the values of each label.
type exported map[string]map[string]map[string]bool

func gather(t *testing.T, all []prometheus.Gatherer) (exported, []*family) {
	t.Helper()
	families, err := prometheus.Gatherers(all).Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := exported{}
	for _, f := range families {
		labels := map[string]map[string]bool{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if labels[l.GetName()] == nil {
					labels[l.GetName()] = map[string]bool{}
				}
				labels[l.GetName()][l.GetValue()] = true
			}
		}
		if f.GetType().String() != "HISTOGRAM" {
			found[f.GetName()] = labels
			continue
		}
		withBound := maps.Clone(labels)
		withBound["le"] = nil
		found[f.GetName()+"_bucket"], found[f.GetName()+"_sum"], found[f.GetName()+"_count"] = withBound, labels, labels
	}
	return found, families
}

var (
	metricUse = regexp.MustCompile(`\b(wildout[_:][a-z_:0-9]+)(?:\{([^}]*)\})?`)
	matcher   = regexp.MustCompile(`([a-z_]+)(=~|=)"([^"]*)"`)
	grouping  = regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`)
)

// fromOutside are labels that the scrape adds.
var fromOutside = []string{"namespace"}

// faults says what a query asks for that nobody exports.
func (e exported) faults(query string) (faults []string) {
	labels := map[string]bool{}
	for _, use := range metricUse.FindAllStringSubmatch(query, -1) {
		has, known := e[use[1]]
		if !known {
			faults = append(faults, "nobody exports "+use[1])
			continue
		}
		for name := range has {
			labels[name] = true
		}
		for _, m := range matcher.FindAllStringSubmatch(use[2], -1) {
			name, values := m[1], m[3]
			if slices.Contains(fromOutside, name) || strings.Contains(values, "$") {
				values = ""
			}
			if has[name] == nil && !slices.Contains(fromOutside, name) {
				faults = append(faults, use[1]+" has no label "+name)
			}
			for value := range strings.SplitSeq(values, "|") {
				if value != "" && has[name] != nil && !has[name][value] {
					faults = append(faults, fmt.Sprintf("%s has no %s %q", use[1], name, value))
				}
			}
		}
	}
	for _, group := range grouping.FindAllStringSubmatch(query, -1) {
		for name := range strings.SplitSeq(group[1], ", ") {
			if !labels[name] && !slices.Contains(fromOutside, name) {
				faults = append(faults, "nothing in the query has the label "+name)
			}
		}
	}
	return faults
}

// queriesOf returns the queries of the dashboard by panel.
func queriesOf(t *testing.T) map[string][]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
		Templating struct {
			List []struct {
				Name       string `json:"name"`
				Definition string `json:"definition"`
			} `json:"list"`
		} `json:"templating"`
	}
	if err := json.Unmarshal([]byte(read(t, monitoring+"/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	queries := map[string][]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries[p.Title] = append(queries[p.Title], target.Expr)
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Definition != "" {
			queries["variable "+v.Name] = []string{v.Definition}
		}
	}
	return queries
}

// ofTheProcess are metrics that the command of the gateway has beside those of
// its packages, and the operator; their tests hold them to these names.
var ofTheProcess = exported{
	"wildout_gateway_config_stale": {},
	"wildout_operator_leader":      {},
	"wildout_operator_functions":   {"ready": {"True": true, "False": true, "Unknown": true}},
	"wildout_operator_stalled":     {"kind": {}, "name": {}, "reason": {"UnsafeEviction": true, "NotDurable": true, "RedisFull": true}},
	"wildout_operator_suspended":   {"function": {}},
	"wildout_operator_rollouts":    {"state": {"under way": true, "waiting": true}},
}

// TestNamesExist compares what dashboard, rules and documentation name with
// what a runner and a gateway really export.
func TestNamesExist(t *testing.T) {
	found, families := gather(t, exercise(t))
	known := maps.Clone(found)
	maps.Copy(known, ofTheProcess)
	for _, r := range readRules(t) {
		if r.Record != "" {
			known[r.Record] = map[string]map[string]bool{"function": {}}
		}
	}
	used := map[string]bool{}
	check := func(where, query string) {
		for _, fault := range known.faults(query) {
			t.Errorf("%s: %s\n%s", where, fault, query)
		}
		for _, use := range metricUse.FindAllStringSubmatch(query, -1) {
			used[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(use[1], "_bucket"), "_sum"), "_count")] = true
		}
	}
	for _, r := range readRules(t) {
		check(r.Alert+r.Record, r.Expr)
	}
	for title, queries := range queriesOf(t) {
		for _, query := range queries {
			check("dashboard, "+title, query)
		}
	}
	docs := read(t, "../../docs/telemetry.md")
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "wildout_") {
			continue
		}
		if !used[name] {
			t.Errorf("%s is on no panel and in no rule", name)
		}
		labels := slices.Sorted(maps.Keys(labelsOf(f)))
		row := "| `" + name + "` | " + strings.ToLower(f.GetType().String()) + " |"
		_, rest, documented := strings.Cut(docs, row)
		line, _, _ := strings.Cut(rest, "\n")
		if !documented {
			t.Errorf("docs/telemetry.md has no row that begins with %s", row)
			continue
		}
		for _, label := range labels {
			if !strings.Contains(line, "`"+label+"`") {
				t.Errorf("docs/telemetry.md, %s: the label %s is missing", name, label)
			}
		}
	}
	for _, name := range regexp.MustCompile("\\| `(wildout_[a-z_]+)` \\|").FindAllStringSubmatch(docs, -1) {
		if ofTheProcess[name[1]] == nil && !slices.ContainsFunc(families, func(f *family) bool { return f.GetName() == name[1] }) {
			t.Errorf("docs/telemetry.md lists %s, which nobody exports", name[1])
		}
	}
}

func labelsOf(f *family) map[string]bool {
	labels := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = true
		}
	}
	return labels
}

// TestFamilies holds the names to their scheme.
func TestFamilies(t *testing.T) {
	_, families := gather(t, exercise(t))
	for _, f := range families {
		name, kind := f.GetName(), f.GetType().String()
		if !strings.HasPrefix(name, "wildout_") || strings.HasSuffix(name, "_total") != (kind == "COUNTER") {
			t.Errorf("%s is a %s: counters, and only they, end in _total", name, kind)
		}
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
	}
}
