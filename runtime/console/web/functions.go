package web

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/console"
)

// sparkSpan is how far back the small charts look.
const sparkSpan = 15 * time.Minute

// functionView is a row of the list of functions.
type functionView struct {
	console.Function
	Status        sign
	Why           string
	Links         []trigger
	Success       string
	Rate, Latency spark
}

// trigger is what starts a function.
type trigger struct{ Text, Link string }

// Triggers are those of the function with links to their events.
func (v *functionView) Triggers() []trigger { return v.Links }

// InFlight is how many runs are with runners.
func (v *functionView) InFlight() int64 { return v.Pending }

// functionSign is the state of a function as it is shown.
func functionSign(f *console.Function) sign {
	switch {
	case f.State == console.Suspended:
		return sign{"paused", "paused", "Paused"}
	case f.State == console.Down:
		return sign{"failing", "down", "No runner"}
	case f.State == console.Failing:
		return sign{"failing", "failed", "Failing"}
	case f.Pending > 0:
		return sign{"running", "running", "Running"}
	case f.Backlog() > 0:
		return sign{"waiting", "pending", "Catching up"}
	case f.Waiting > 0:
		return sign{"waiting", "waiting", "Waiting"}
	}
	return sign{"ok", "succeeded", "OK"}
}

// rank puts what is worst first.
func rank(s sign) int {
	switch s.Icon {
	case "down":
		return 0
	case "failed":
		return 1
	}
	return 2
}

// troubleOf returns why a function needs a look; nil: it does not.
func troubleOf(f *console.Function) *troubled {
	t := &troubled{Name: f.Name, Status: functionSign(f)}
	switch f.State {
	case console.Down:
		t.Text = "no runner reads its events"
		if f.Backlog() == 0 && f.Waiting == 0 {
			t.Text += "; none waits"
		}
	case console.Failing:
		t.Text = fmt.Sprintf("%d of its last %d runs failed", f.Recent.Failed, f.Recent.Runs)
		t.Failure = f.LastFailure
	default:
		return nil
	}
	return t
}

// successRate is the share of runs that succeeded, of the last ones.
func successRate(runs, failed int) string {
	if runs == 0 {
		return "–"
	}
	share := 100 * float64(runs-failed) / float64(runs)
	if failed > 0 && share > 99 {
		return fmt.Sprintf("%.1f%%", math.Floor(share*10)/10) // 100 % would be a lie
	}
	return fmt.Sprintf("%.0f%%", share)
}

func (s *Site) loadFunctions(ctx context.Context) ([]*functionView, error) {
	all, err := s.source.Functions(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]*functionView, len(all))
	for i := range all {
		f := &all[i]
		samples, err := s.source.Samples(ctx, f.Name)
		if err != nil && console.StatusOf(err) != http.StatusNotFound { // it is new
			return nil, err
		}
		samples = lastOf(samples, sparkSpan)
		v := &functionView{Function: *f, Status: functionSign(f), Success: successRate(f.Recent.Runs, f.Recent.Failed)}
		v.Rate = newSpark(measured(samples, rateOf(samples.StepSeconds)), perMinute(f.Recent.PerMinute)+" / min")
		latency := "–"
		if f.Recent.Runs > 0 {
			latency = millis(float64(f.Recent.P50Millis)) + " median"
		}
		v.Latency = newSpark(measured(samples, p50), latency)
		if f.State == console.Failing && f.LastFailure != nil {
			v.Why = f.LastFailure.Error
		}
		for _, t := range f.Triggers {
			link := "/events?type=" + url.QueryEscape(t)
			if strings.HasPrefix(t, "cron ") {
				link = ""
			}
			v.Links = append(v.Links, trigger{t, link})
		}
		views[i] = v
	}
	return views, nil
}

func (s *Site) functions(r *request) error {
	all, err := s.loadFunctions(r.Context())
	if err != nil {
		return err
	}
	return s.show(r, "functions", "Functions", "/live/functions", all)
}
