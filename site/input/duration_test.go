package input

import (
	"encoding/json"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`"15m"`: 15 * time.Minute, `"90d"`: 90 * 24 * time.Hour, `"1h30m"`: 90 * time.Minute, `"250ms"`: 250 * time.Millisecond,
	} {
		var got Duration
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Std() != want {
			t.Errorf("%s = %v, %v, want %v", text, got.Std(), err, want)
		}
		var again Duration
		b, err := json.Marshal(got)
		if err != nil || json.Unmarshal(b, &again) != nil || again != got {
			t.Errorf("%s is written as %s, which is %v", text, b, again.Std())
		}
	}
	for _, text := range []string{`""`, `"15"`, `"m"`, `15`, `"1y"`, `"-1m"`} {
		var d Duration
		if err := json.Unmarshal([]byte(text), &d); err == nil {
			t.Errorf("%s was accepted as %v", text, d.Std())
		}
	}
}
