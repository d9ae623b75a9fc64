package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/wildout/wildout/runtime/gateway"
)

func FuzzParse(f *testing.F) {
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("0123456789abcdef"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("senders: [{name: a, keys: ., eventTypes: [a/*], rate: {limit: 1, period: 1s}}]"))
	f.Add([]byte("webhooks: [{name: a, verify: {scheme: none}, events: [{type: a}]}]"))
	f.Add([]byte("{}"))
	f.Add([]byte("senders: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parse(text, dir)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a word")
			}
			return
		}
		for _, s := range c.Senders {
			if s.Name == "" || len(s.Types) == 0 || s.Rate != nil && (s.Rate.Burst < 1 || s.Rate.Interval() < 1) {
				t.Errorf("sender %+v", s)
			}
		}
	})
}

func FuzzKey(f *testing.F) {
	f.Add([]byte("0123456789abcdef\n"))
	f.Add([]byte("\xff"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(dir, "key")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := readKey(file)
		if err != nil {
			return
		}
		c := Config{keys: ring{}}
		c.keys.add(key, &gateway.Sender{Name: "a"})
		if s, err := c.Authenticate(t.Context(), key); err != nil || s.Name != "a" {
			t.Errorf("the key %q does not open: %v", key, err)
		}
		if _, err := c.Authenticate(t.Context(), key+"x"); err == nil {
			t.Errorf("the key %q opens with something behind it", key)
		}
	})
}
