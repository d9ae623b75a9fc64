package v1alpha1_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/wildout/wildout/api/v1alpha1"
)

func TestDuration(t *testing.T) {
	server := newAPIServer(t)
	for text, want := range map[string]time.Duration{
		"250ms":     250 * time.Millisecond,
		"0.5s":      500 * time.Millisecond,
		"1m30s":     90 * time.Second,
		"72h":       72 * time.Hour,
		"30d":       30 * 24 * time.Hour,
		"1d2h3m4s":  26*time.Hour + 3*time.Minute + 4*time.Second,
		"0h1m":      time.Minute,
		"2s7ms":     2*time.Second + 7*time.Millisecond,
		"0s":        0,
		"0d0h":      0,
		"10":        0,
		"s":         0,
		"1w":        0,
		"-1s":       0,
		"1s1m":      0,
		"1m1m":      0,
		" 1s":       0,
		"1 s":       0,
		"1s\n":      0,
		"1e3s":      0,
		".5s":       0,
		"ten years": 0,
	} {
		t.Run(text, func(t *testing.T) {
			got, err := v1alpha1.Duration(text).Parse()
			if got != want || (err != nil) != (want == 0) {
				t.Errorf("Parse: %s, %v, want %s", got, err, want)
			}
			// The rule of the CRD and Parse are two texts of one thing.
			errs := server.admit(manifest{
				"kind": "WildoutEventType",
				"spec": manifest{"type": "a/b", "retention": manifest{"period": text}},
			}, nil)
			if (len(errs) > 0) != (err != nil) {
				t.Errorf("the API server says %v, Parse says %v", errs, err)
			}
		})
	}
}

func TestDurationIsBounded(t *testing.T) {
	for _, text := range []v1alpha1.Duration{"60000d", "9999999999999999999999999999d"} {
		if got, err := text.Parse(); err == nil {
			t.Errorf("%s is taken, as %s", text, got)
		}
	}
	if got, err := v1alpha1.Duration("").Parse(); got != 0 || err != nil {
		t.Errorf("nothing is %s, %v, want 0", got, err)
	}
}

func TestJSONKeepsItsBytes(t *testing.T) {
	const text = `{"step":"a","with":{"z":1.50,"a":[null,"${event.data}"]}}`
	var step struct {
		Step string        `json:"step"`
		With v1alpha1.JSON `json:"with"`
	}
	if err := json.Unmarshal([]byte(text), &step); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(step)
	if err != nil || string(got) != text {
		t.Errorf("it became %s, %v, want %s", got, err, text)
	}
	copied := step.With.DeepCopy()
	copied.Raw[1] = 'X'
	if string(step.With.Raw) != `{"z":1.50,"a":[null,"${event.data}"]}` {
		t.Error("a copy shares its bytes")
	}
}
