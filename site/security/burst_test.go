package security

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/wildout/wildout/site/audit"
	"github.com/wildout/wildout/site/input"
)

func TestFindBurst(t *testing.T) {
	minute := func(m float64) time.Time { return time.Unix(0, 0).Add(time.Duration(m * float64(time.Minute))) }
	for name, c := range map[string]struct {
		minutes []float64
		at      float64
		end     float64 // -1: no burst
		count   int
	}{
		"alone":                           {[]float64{5}, 5, -1, 0},
		"two":                             {[]float64{1, 5}, 5, -1, 0},
		"the third":                       {[]float64{1, 3, 5}, 5, 5, 3},
		"the fourth":                      {[]float64{1, 3, 5, 6}, 6, 6, 4},
		"the first, judged last":          {[]float64{1, 3, 5}, 1, 5, 3},
		"the first of four, judged last":  {[]float64{1, 3, 5, 6}, 1, 5, 4},
		"all at one moment":               {[]float64{5, 5, 5, 5, 5}, 5, 5, 5},
		"just outside the window":         {[]float64{0, 5, 15}, 15, -1, 0},
		"just inside the window":          {[]float64{0.01, 5, 15}, 15, 15, 3},
		"a later burst is not this one's": {[]float64{0, 16, 17, 18}, 0, -1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			times := make([]time.Time, len(c.minutes))
			for i, m := range c.minutes {
				times[i] = minute(m)
			}
			got, ok := findBurst(times, minute(c.at), 3, 15*time.Minute)
			if ok != (c.end >= 0) || ok && (!got.end.Equal(minute(c.end)) || got.count != c.count) {
				t.Errorf("got %+v, %v, want the end at %v and %d entries", got, ok, c.end, c.count)
			}
		})
	}
}

func TestRules(t *testing.T) {
	hundred := 100.0
	bulk := Rule{Type: "bulk", Severity: "LOW", Prefixes: []string{"BULK_"}, CountAbove: &hundred}
	denied := Rule{Type: "denied", Severity: "MEDIUM", Contains: []string{"PERMISSION_DENIED", "UNAUTHORIZED"}}
	for name, c := range map[string]struct {
		rule            Rule
		action, details string
		want            bool
	}{
		"prefix":             {bulk, "BULK_DELETE", `{}`, true},
		"not a prefix":       {bulk, "NO_BULK_DELETE", `{}`, false},
		"count above":        {bulk, "EXPORT", `{"count":101}`, true},
		"count at the bound": {bulk, "EXPORT", `{"count":100}`, false},
		"count is text":      {bulk, "EXPORT", `{"count":"101"}`, false},
		"contains":           {denied, "API_UNAUTHORIZED_CALL", `{}`, true},
		"contains not":       {denied, "AUTHORIZED", `{}`, false},
	} {
		if got := c.rule.matches(audit.Entry{Action: c.action, Details: json.RawMessage(c.details)}); got != c.want {
			t.Errorf("%s: matches = %v, want %v", name, got, c.want)
		}
	}
	window := input.Duration(time.Minute)
	for name, rule := range map[string]Rule{
		"no type":                {Severity: "LOW", Actions: []string{"A"}},
		"unknown severity":       {Type: "t", Severity: "low", Actions: []string{"A"}},
		"no condition":           {Type: "t", Severity: "LOW"},
		"threshold, no window":   {Type: "t", Severity: "LOW", Actions: []string{"A"}, Threshold: 3},
		"window, no threshold":   {Type: "t", Severity: "LOW", Actions: []string{"A"}, Window: window},
		"threshold for prefixes": {Type: "t", Severity: "LOW", Prefixes: []string{"A"}, Threshold: 3, Window: window},
	} {
		if rule.Validate() == nil {
			t.Errorf("%s: the rule was accepted", name)
		}
	}
}
