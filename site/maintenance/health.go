package maintenance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wildout/wildout/site/input"
)

// HealthInput is the input of maintenance.health-check.
type HealthInput struct {
	// MaxBacklog is the number of waiting events above which the backlog
	// counts as a failure; 0 means no bound.
	MaxBacklog int64 `json:"maxBacklog"`
	// Timeout bounds each check; left out: 10 s.
	Timeout input.Duration `json:"timeout"`
}

// CheckResult is what one check found.
type CheckResult struct {
	Name         string `json:"name"`
	OK           bool   `json:"ok"`
	Error        string `json:"error,omitempty"`
	Milliseconds int64  `json:"milliseconds"`
}

// HealthOutput is the output of maintenance.health-check.
type HealthOutput struct {
	Checks []CheckResult `json:"checks"`
	// Backlog is -1 when it is not known.
	Backlog int64 `json:"backlog"`
}

// HealthCheck asks all checks at once. It fails when one does, and the error
// names each that did and why.
func (s *Service) HealthCheck(ctx context.Context, in HealthInput) (HealthOutput, error) {
	timeout := in.Timeout.Std()
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	out := HealthOutput{Backlog: -1}
	checks := map[string]Checker{}
	for name, check := range s.Checks {
		checks[name] = check
	}
	if s.Backlog != nil {
		checks["backlog"] = CheckFunc(func(ctx context.Context) (err error) {
			out.Backlog, err = s.Backlog(ctx)
			if err == nil && in.MaxBacklog > 0 && out.Backlog > in.MaxBacklog {
				err = fmt.Errorf("%d events wait, more than %d: more runners are needed, or look why they are slow", out.Backlog, in.MaxBacklog)
			}
			return err
		})
	}
	out.Checks = runChecks(ctx, checks, timeout)
	var failed []string
	for _, c := range out.Checks {
		if !c.OK {
			failed = append(failed, c.Name+": "+c.Error)
		}
	}
	if len(failed) > 0 {
		return out, fmt.Errorf("%d of %d health checks failed: %s", len(failed), len(out.Checks), strings.Join(failed, "; "))
	}
	return out, nil
}

// runChecks returns the results sorted by name.
func runChecks(ctx context.Context, checks map[string]Checker, timeout time.Duration) []CheckResult {
	var mu sync.Mutex
	var group sync.WaitGroup
	results := make([]CheckResult, 0, len(checks))
	for name, check := range checks {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			begun := time.Now()
			err := check.Check(ctx)
			result := CheckResult{Name: name, OK: err == nil, Milliseconds: time.Since(begun).Milliseconds()}
			if err != nil {
				result.Error = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			results = append(results, result)
		})
	}
	group.Wait()
	slices.SortFunc(results, func(a, b CheckResult) int { return strings.Compare(a.Name, b.Name) })
	return results
}
