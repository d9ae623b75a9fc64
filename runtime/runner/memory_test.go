package runner

import "testing"

func TestParseLimit(t *testing.T) {
	for text, want := range map[string]int64{
		"134217728\n":           134217728,
		"max\n":                 0,
		"9223372036854771712\n": 0,
		"0":                     0,
		"":                      0,
	} {
		got, ok := parseLimit(text)
		if got != want || ok != (want > 0) {
			t.Errorf("parseLimit(%q) = %d, %v, want %d", text, got, ok, want)
		}
	}
}
