package servicetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Prometheus is a Prometheus server of its own for one test.
type Prometheus struct {
	// URL is its address, http://host:port.
	URL string

	t testing.TB
}

// StartPrometheus starts a Prometheus server that is stopped when the test
// ends. It scrapes the targets (host:port, at /metrics) and evaluates the rules
// (the text of a rules file) at every interval.
func StartPrometheus(t testing.TB, interval time.Duration, rules string, targets ...string) *Prometheus {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("Prometheus is not installed (%v): run `make services`", err)
	}
	dir := t.TempDir()
	hosts, _ := json.Marshal(targets) // a list of strings is YAML too
	config := fmt.Sprintf("global: {scrape_interval: %[1]dms, scrape_timeout: %[1]dms, evaluation_interval: %[1]dms}\nrule_files: [rules.yaml]\n"+
		"scrape_configs: [{job_name: test, static_configs: [{targets: %[2]s}]}]\n", interval.Milliseconds(), hosts)
	for name, text := range map[string]string{"rules.yaml": rules, "prometheus.yaml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &Prometheus{t: t}
	s := &server{name: "prometheus", logFile: filepath.Join(dir, "server.log"), onDeath: syscall.SIGKILL,
		family: func(int) ([]int, error) { return nil, nil }}
	s.command = func() *exec.Cmd {
		return exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
			"--web.listen-address=127.0.0.1:"+strconv.Itoa(s.port), "--log.level=warn")
	}
	s.ready = func(ctx context.Context) error { return getOK(ctx, "http://"+address(s.port)+"/-/ready") }
	if err := s.startAnywhere(); err != nil {
		t.Fatal(err)
	}
	p.URL = "http://" + address(s.port)
	t.Cleanup(func() {
		if err := s.stop(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Firing returns the labels of the alerts of that name that fire.
func (p *Prometheus) Firing(name string) []map[string]string {
	p.t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string `json:"labels"`
				State  string            `json:"state"`
			} `json:"alerts"`
		} `json:"data"`
	}
	p.get("/api/v1/alerts", &answer)
	var firing []map[string]string
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" && a.Labels["alertname"] == name {
			firing = append(firing, a.Labels)
		}
	}
	return firing
}

// Query evaluates an expression now and returns the number of series that it
// gives.
func (p *Prometheus) Query(expr string) (series int, err error) {
	p.t.Helper()
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	p.get("/api/v1/query?query="+url.QueryEscape(expr), &answer)
	if answer.Status != "success" {
		return 0, errors.New(answer.Error)
	}
	return len(answer.Data.Result), nil
}

func (p *Prometheus) get(path string, into any) {
	p.t.Helper()
	response, err := http.Get(p.URL + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		p.t.Fatalf("Prometheus, %s: %v", strings.SplitN(path, "?", 2)[0], err)
	}
}

// getOK says why a URL does not answer with status 200.
func getOK(ctx context.Context, target string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", target, response.Status)
	}
	return nil
}
