package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/rest"
)

// operator is the manager as it is in a cluster: its own account and rights,
// leader election, metrics. It reaches the API server through the tally.
type operator struct {
	*process
	folder, program string
	kubeconfig      string
	token           string // of whoever reads the metrics
	flags           []string
	probes, metrics int // ports
	starts          int
}

// newOperator builds the manager and sets up its access; start starts it.
func newOperator(ctx context.Context, root, folder string, c *cluster, t *tally, flags []string) (*operator, error) {
	m := &operator{folder: folder, program: filepath.Join(folder, "manager"), flags: flags}
	build := exec.CommandContext(ctx, "go", "build", "-o", m.program, "./cmd/manager")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the manager: %w\n%s", err, text)
	}
	token, err := c.token(ctx, "wildout-manager")
	if err != nil {
		return nil, err
	}
	m.kubeconfig, err = writeKubeconfig(folder, "manager", &rest.Config{Host: t.URL, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: t.CA}})
	if err != nil {
		return nil, err
	}
	m.token, err = c.metricsAccount(ctx)
	return m, err
}

// start starts the manager, and returns when its caches are filled and it shows its metrics.
func (m *operator) start(ctx context.Context) (err error) {
	if m.probes, err = freePort(); err != nil {
		return err
	}
	if m.metrics, err = freePort(); err != nil {
		return err
	}
	args := append([]string{"--runner-image=wildout/runner:fleet", "--leader-election-namespace=" + home,
		fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", m.metrics), fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", m.probes)}, m.flags...)
	m.starts++
	m.process, err = start(m.folder, fmt.Sprint("manager-", m.starts), m.program, args, []string{"KUBECONFIG=" + m.kubeconfig})
	if err != nil {
		return err
	}
	return m.until(ctx, time.Minute, func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", m.probes), http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New("its caches are not filled")
		}
		_, err = m.scrape(ctx) // they are there a moment later
		return err
	})
}

// work is what the controllers have done since the manager began, and have to do.
type work struct {
	reconciled float64 // of functions
	open       float64 // of all kinds: queued or under way
}

// work reads the manager's metrics.
func (m *operator) work(ctx context.Context) (w work, err error) {
	families, err := m.scrape(ctx)
	if err != nil {
		return w, err
	}
	for name, into := range map[string]*float64{"controller_runtime_reconcile_total": &w.reconciled, "workqueue_depth": &w.open,
		"controller_runtime_active_workers": &w.open} {
		for _, sample := range families[name].GetMetric() {
			if name != "controller_runtime_reconcile_total" || labelOf(sample, "controller") == "function" {
				*into += sample.GetCounter().GetValue() + sample.GetGauge().GetValue()
			}
		}
	}
	return w, nil
}

func labelOf(m *dto.Metric, name string) string {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

func (m *operator) scrape(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/metrics", m.metrics), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("read the manager's metrics: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+m.token)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true} //nolint:gosec // on loopback, self-signed
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("read the manager's metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read the manager's metrics: %s", response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the manager's metrics: %w", err)
	}
	return families, nil
}
