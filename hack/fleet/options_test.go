package main

import (
	"io"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct{ args, want string }{
		"defaults":           {"", ""},
		"flags of a manager": {"--functions=100 -- --kube-api-qps=200", ""},
		"none":               {"--functions=0", "--functions"},
		"uneven types":       {"--types=55", "--types"},
		"one type each":      {"--types=10", "--types"},
		"too busy":           {"--functions=50", "--busy"},
		"no time":            {"--window=1s", "--window"},
		"no events":          {"--rate=0", "--rate"},
		"unknown":            {"--what", "what"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(strings.Fields(test.args), io.Discard)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
