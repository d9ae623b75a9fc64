package http

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestParseRetryAfter(t *testing.T) {
	tests := map[string]struct {
		value string
		want  time.Duration // 0 = none
	}{
		"seconds":       {"120", 2 * time.Minute},
		"spaces":        {" 5 ", 5 * time.Second},
		"zero":          {"0", 0},
		"negative":      {"-5", 0},
		"a week":        {"604800", 24 * time.Hour},
		"overflow":      {"18446744073709551615", 24 * time.Hour},
		"beyond uint64": {"99999999999999999999999", 0},
		"date":          {"Sun, 01 Mar 2026 12:00:30 GMT", 30 * time.Second},
		"old date form": {"Sunday, 01-Mar-26 12:00:30 GMT", 30 * time.Second},
		"past":          {"Sun, 01 Mar 2026 11:00:00 GMT", 0},
		"far date":      {"Mon, 01 Mar 2100 12:00:00 GMT", 24 * time.Hour},
		"words":         {"soon", 0},
		"empty":         {"", 0},
		"fraction":      {"1.5", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := parseRetryAfter(tt.value, noon)
			if ok != (tt.want > 0) || ok && got != tt.want {
				t.Errorf("got %s, %t; want %s", got, ok, tt.want)
			}
		})
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sun, 01 Mar 2026 12:00:30 GMT")
	f.Fuzz(func(t *testing.T, value string) {
		if wait, ok := parseRetryAfter(value, noon); ok && (wait <= 0 || wait > maxRetryAfter) {
			t.Errorf("%q became %s", value, wait)
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Add([]byte(`{"a": [1, "x"], "b": null, "c": true}`))
	f.Add([]byte(`{"a": {}}`))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		var q Query
		_ = q.UnmarshalJSON(raw)
	})
}
