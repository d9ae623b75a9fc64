package gateway

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "aa", false}, {"", "", true}, {"", "a", false},
		{"*", "", true}, {"*", "a/b/c", true}, {"order/*", "order/a", true}, {"order/*", "order/", true}, {"order/*", "orders/a", false},
		{"*/created", "order/created", true}, {"*/created", "order/created/late", false},
		{"a*b*c", "abc", true}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "acb", false}, {"ab*ba", "aba", false}, {"ab*ba", "abba", true},
		{"a**b", "a-b", true}, {"*a*", "xax", true}, {"*a*", "xx", false},
		{"*a*a*a*a*a*a*b", strings.Repeat("a", 100), false},
	} {
		if got := match(c.pattern, c.text); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}
