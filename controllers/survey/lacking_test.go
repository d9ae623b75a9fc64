package survey

import (
	"strings"
	"testing"

	"github.com/wildout/wildout/runtime/run"
)

func TestCodeOf(t *testing.T) {
	for name, test := range map[string]struct {
		code []run.Lack
		want string
	}{
		"nothing":         {nil, ""},
		"handlers":        {[]run.Lack{{Handlers: []string{"b.send", "a.send"}, Version: "3f2a"}}, "handler a.send, b.send of version 3f2a"},
		"a version":       {[]run.Lack{{Version: "3f2a"}}, "a release that can read the function as it was of version 3f2a"},
		"a journal":       {[]run.Lack{{Version: "3f2a", Format: 4}}, "a later release, which wrote journals of format 4"},
		"several":         {[]run.Lack{{Handlers: []string{"a"}}, {Handlers: []string{"b"}}}, "handler a; handler b"},
		"what is no name": {[]run.Lack{{Handlers: []string{"\x1b[31m", strings.Repeat("x", 200)}, Version: "<b>"}}, "a handler"},
		"many":            {make([]run.Lack, 9), strings.Repeat("a release that can read the function as it was; ", 5) + "and more"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := codeOf(test.code); got != test.want {
				t.Errorf("%q\nwant %q", got, test.want)
			}
		})
	}
}
