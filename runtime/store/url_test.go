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

// TestNoPartOfAPasswordIsShown has passwords whose special characters end the
// part of the URL where nobody looks: what is behind them reads as a port, a
// database, a parameter or another host.
func TestNoPartOfAPasswordIsShown(t *testing.T) {
	for _, url := range []string{
		"redis://user:pa/hidden@a:6379",
		"redis://user:123/hidden@a:6379",
		"redis://:123/hidden@a:6379/0",
		"redis://user:123?hidden@a:6379",
		"redis://user:123?hidden=1@a:6379",
		"redis://user:123#hidden@a:6379",
		"redis://user:hidden%zz@a:6379",
		"redis://user:hidden,more@a:6379",
		"redis://user:123,hidden@a:6379",
		"redis://user:hidden@a:6379,user:hidden@b:6379",
		"redis://user:hidden@a:6379@b:6379",
		"redis://user:[hidden@a:6379",
		"redis://user:hidden@a:port",
		"rediss://user:hidden@a:6379/zero",
		"redis://user:hidden@a:6379?unknown=1",
		"redis:user:hidden@a",
		"://user:hidden@a",
	} {
		o := Options{URL: url, Namespace: "n"}
		err := o.Validate()
		if err == nil {
			t.Errorf("%s is taken", url)
			continue
		}
		for _, part := range []string{"hidden", "more", "123", "zz", "pa/"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v shows %q", url, err, part)
			}
		}
	}
}
