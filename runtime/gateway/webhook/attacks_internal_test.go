package webhook

import (
	"strings"
	"testing"

	"github.com/wildout/wildout/internal/servicetest"
)

// TestAttacksOnTheBody has bodies as large as the gateway takes: they are
// refused before anything is made of them.
func TestAttacksOnTheBody(t *testing.T) {
	const size = 16 << 20
	for name, c := range map[string]struct{ open, part, end, want string }{
		"zeros":       {"[", "0,", "0]", "more than 200000 values"},
		"objects":     {`{"a":[`, "{},", "{}]}", "more than 200000 values"},
		"lists":       {"[", "[", "", "nested deeper than 200 levels"},
		"a number":    {"", "1", "", "a number of more than"},
		"an exponent": {"", "[1e1000000", "]", "an exponent beyond"},
		"a name":      {`{"a":1,"a":"`, "x", `"}`, `the name "a" is there twice`},
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte(c.open + strings.Repeat(c.part, size/len(c.part)) + c.end)
			var err error
			spent := servicetest.Spend(func() { err = checkJSON("application/json", body) })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %.300v, want %q", err, c.want)
			}
			if spent.Allocated > 2<<20 {
				t.Errorf("%s", spent)
			}
		})
	}
}
