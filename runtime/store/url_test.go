package store

import (
	"strings"
	"testing"
)

// A URL that cannot be used says so before anything is dialled, with what to
// write instead.
func TestURLsThatAreNotUnderstood(t *testing.T) {
	for url, want := range map[string]string{
		"redis+sentinel://:secret@a:26379,b:26379/mymaster/0": "Sentinel",
		"redis-sentinel://a:26379":                            "Sentinel",
		"sentinel://a:26379":                                  "Sentinel",
		"redis-cluster://:secret@a:6379,b:6379":               "redis://HOST:6379,HOST:6379",
		"redis+cluster://a:6379":                              "redis://HOST:6379,HOST:6379",
		"unix:///run/redis.sock":                              "Unix socket",
		"http://a:6379":                                       "it looks like redis://",
		"redis://a:6379,b:6379":                               "",
		"rediss://:secret@a:6379/1":                           "",
	} {
		o := Options{URL: url, Namespace: "n"}
		err := o.Validate()
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%s: %v, want …%s…, and no password", url, err, want)
		}
	}
}
