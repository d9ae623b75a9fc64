package config_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/gateway"
	"github.com/wildout/wildout/runtime/gateway/config"
)

// write writes files below a folder; a name with a slash is in a folder below.
func write(t testing.TB, folder string, content map[string]string) {
	t.Helper()
	for name, text := range content {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	key1 = "first-key-0123456789"
	key2 = "second-key-0123456789"
	shop = `
senders:
- name: shop
  keys: keys/shop
  serviceAccounts: [shop/api]
  eventTypes: [order/*, user/registered]
  rate: {limit: 100, period: 1s, burst: 500}
- name: site
  keys: keys/site
  eventTypes: ["*"]
webhooks:
- name: github
  verify: {scheme: github, secretFiles: [hooks/github]}
  eventTypes: [github/*]
  events:
  - type: github/${headers['x-github-event']}
`
)

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"gateway.yaml": shop, "keys/shop/old": key1 + "\n", "keys/shop/new": key2, "keys/shop/..data": "no key", "keys/site/key": "a-key-of-the-site"})
	c, err := config.Load(filepath.Join(dir, "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Senders) != 2 || len(c.Webhooks) != 1 || len(c.Files()) != 2 || !c.HasAccounts() {
		t.Errorf("%+v", c)
	}
	if got := c.Webhooks[0].Verify.SecretFiles[0]; got != filepath.Join(dir, "hooks", "github") {
		t.Errorf("the secret is looked for in %s", got)
	}
	if rate := c.Senders[0].Rate; *rate != (gateway.Rate{Limit: 100, Period: time.Second, Burst: 500}) || c.Senders[1].Rate != nil {
		t.Errorf("rates %+v, %+v", rate, c.Senders[1].Rate)
	}
	for credential, want := range map[string]string{key1: "shop", key2: "shop", "a-key-of-the-site": "site", "": "", key1 + "\n": "", key1[1:]: "", "no key": "", strings.Repeat("x", 1<<20): ""} {
		sender, err := c.Authenticate(t.Context(), credential)
		if (want == "") != errors.Is(err, gateway.ErrNotMine) || sender != nil && sender.Name != want {
			t.Errorf("%.30q: sender %+v, error %v, want %s", credential, sender, err, want)
		}
	}
	if s := c.Account("shop", "api"); s == nil || s.Name != "shop" {
		t.Errorf("the ServiceAccount is %+v", s)
	}
	if s := c.Account("shop", "other"); s != nil {
		t.Errorf("another ServiceAccount is %+v", s)
	}
}

func TestFaults(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"good/key": key1, "good2/key": key2, "copy/key": key1, "empty/key": "\n", "short/key": "short", "url/key": "a/key?with=letters&of#urls",
		"long/key": strings.Repeat("x", 600), "spaces/key": "a key with spaces in it",
	})
	if err := os.Mkdir(filepath.Join(dir, "none"), 0o755); err != nil {
		t.Fatal(err)
	}
	sender := func(rest string) string { return "senders: [{name: a, " + rest + "}]" }
	for name, c := range map[string]struct {
		text string
		want []string // each in the error
	}{
		"no YAML":                 {"senders: [", []string{"no YAML"}},
		"a list":                  {"- a", []string{"cannot unmarshal"}},
		"an unknown section":      {"sender: []", []string{"sender: unknown field"}},
		"an unknown field":        {sender("keys: good, eventTypes: [a], rat: {}"), []string{"senders[0].rat: unknown field"}},
		"a field twice":           {"senders: []\nsenders: []", []string{`"senders" already set`}},
		"a wrong type":            {sender("keys: good, eventTypes: a"), []string{"senders.eventTypes"}},
		"no name":                 {"senders: [{keys: good, eventTypes: [a]}]", []string{`senders[0].name: "" is no name`}},
		"a name that is no name":  {"senders: [{name: A b, keys: good, eventTypes: [a]}]", []string{`"A b" is no name`}},
		"a name twice":            {"senders: [{name: a, keys: good, eventTypes: [a]}, {name: a, keys: good2, eventTypes: [a]}]", []string{`senders[1].name: there is another sender "a"`}},
		"no types":                {sender("keys: good"), []string{"senders[0].eventTypes: is missing"}},
		"a bad pattern":           {sender("keys: good, eventTypes: ['a b']"), []string{`senders[0].eventTypes[0]: "a b" is no pattern`}},
		"no way to prove":         {sender("eventTypes: [a]"), []string{"senders[0]: has neither keys nor serviceAccounts"}},
		"no folder":               {sender("keys: missing, eventTypes: [a]"), []string{"senders[0].keys: the folder with the keys cannot be read", "missing"}},
		"an empty folder":         {sender("keys: none, eventTypes: [a]"), []string{"senders[0].keys: there is no key in"}},
		"an empty key":            {sender("keys: empty, eventTypes: [a]"), []string{"empty/key is empty", "openssl rand"}},
		"a short key":             {sender("keys: short, eventTypes: [a]"), []string{"a key of 5 characters, want 16"}},
		"a long key":              {sender("keys: long, eventTypes: [a]"), []string{"more than 512 characters"}},
		"a key that is no path":   {sender("keys: url, eventTypes: [a]"), []string{"characters that have a meaning in a URL"}},
		"a key with spaces":       {sender("keys: spaces, eventTypes: [a]"), []string{"characters that have a meaning in a URL"}},
		"a key of two senders":    {"senders: [{name: a, keys: good, eventTypes: [a]}, {name: b, keys: copy, eventTypes: [a]}]", []string{"senders[1].keys: the key in", "one of the sender a too"}},
		"no ServiceAccount":       {sender("serviceAccounts: [api], eventTypes: [a]"), []string{"senders[0].serviceAccounts[0]", "namespace/name"}},
		"a ServiceAccount twice":  {"senders: [{name: a, serviceAccounts: [n/a], eventTypes: [a]}, {name: b, serviceAccounts: [n/a], eventTypes: [a]}]", []string{"senders[1].serviceAccounts[0]: n/a is the sender a already"}},
		"a rate without a limit":  {sender("keys: good, eventTypes: [a], rate: {period: 1s}"), []string{"senders[0].rate.limit: is 0"}},
		"a rate without a period": {sender("keys: good, eventTypes: [a], rate: {limit: 1}"), []string{"senders[0].rate.period: is missing"}},
		"a period that is none":   {sender("keys: good, eventTypes: [a], rate: {limit: 1, period: 1 hour}"), []string{`senders[0].rate.period: "1 hour" is not a duration`}},
		"a rate beyond all":       {sender("keys: good, eventTypes: [a], rate: {limit: 2000000, period: 1s}"), []string{"leave the rate out"}},
		"a bad burst":             {sender("keys: good, eventTypes: [a], rate: {limit: 1, period: 1s, burst: -1}"), []string{"senders[0].rate.burst: is -1"}},
		"a bad webhook":           {"webhooks: [{name: a, verify: {scheme: rot13}, events: [{type: a}]}]", []string{"webhooks[0].verify.scheme"}},
		"every fault":             {"senders: [{name: A, keys: missing, rate: {limit: 0, period: x}}]", []string{"senders[0].name", "senders[0].eventTypes", "senders[0].rate.limit", "senders[0].rate.period", "senders[0].keys"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, "gateway.yaml")
			write(t, dir, map[string]string{"gateway.yaml": c.text})
			_, err := config.Load(file)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error\n%v\nwithout %q", err, want)
				}
			}
			for _, key := range []string{key1, "a/key?with"} {
				if strings.Contains(err.Error(), key) {
					t.Errorf("the error tells a key: %v", err)
				}
			}
		})
	}
	if _, err := config.Load(filepath.Join(dir, "nowhere.yaml")); err == nil || !strings.Contains(err.Error(), "nowhere.yaml") {
		t.Errorf("error %v of a file that is not there", err)
	}
}

func TestKeysAreRotatedAndABadReloadChangesNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"gateway.yaml": "senders: [{name: a, keys: keys, eventTypes: ['*']}]", "keys/one": key1})
	var log strings.Builder
	var refuse error
	live, err := config.Open(filepath.Join(dir, "gateway.yaml"), slog.New(slog.NewTextHandler(&log, nil)), func(*config.Config) error { return refuse })
	if err != nil {
		t.Fatal(err)
	}
	check := func(what, key string, want bool) {
		t.Helper()
		if _, err := live.Authenticate(t.Context(), key); (err == nil) != want {
			t.Errorf("%s: %s: error %v", what, key, err)
		}
	}
	check("at first", key1, true)
	check("at first", key2, false)
	write(t, dir, map[string]string{"keys/two": key2})
	live.Reload()
	check("with both", key1, true)
	check("with both", key2, true)
	write(t, dir, map[string]string{"keys/three": ""})
	if err := os.Remove(filepath.Join(dir, "keys", "one")); err != nil {
		t.Fatal(err)
	}
	live.Reload()
	live.Reload()
	check("with an empty key", key1, true)
	check("with an empty key", key2, true)
	if n := strings.Count(log.String(), "the last good one stays"); n != 1 || live.Trouble() == nil || !strings.Contains(live.Trouble().Error(), "three is empty") {
		t.Errorf("said %d times, trouble %v", n, live.Trouble())
	}
	if err := os.Remove(filepath.Join(dir, "keys", "three")); err != nil {
		t.Fatal(err)
	}
	refuse = errors.New("not now")
	live.Reload()
	check("while it is refused", key1, true)
	refuse = nil
	live.Reload()
	check("in the end", key1, false)
	check("in the end", key2, true)
	if live.Trouble() != nil {
		t.Errorf("trouble %v", live.Trouble())
	}
	if strings.Contains(log.String(), key1) || strings.Contains(log.String(), key2) {
		t.Errorf("the log tells a key:\n%s", &log)
	}
}
