package event

import (
	"strings"
	"testing"
)

const sampleParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTraceContext(t *testing.T) {
	for name, tc := range map[string]struct{ parent, state, wantParent, wantState string }{
		"both":                    {sampleParent, "congo=t61rcWkgMzE", sampleParent, "congo=t61rcWkgMzE"},
		"no state":                {sampleParent, "", sampleParent, ""},
		"space around":            {" " + sampleParent + " ", " a=1 ", sampleParent, "a=1"},
		"a later version":         {"01" + sampleParent[2:] + "-more", "", "01" + sampleParent[2:] + "-more", ""},
		"state without parent":    {"", "a=1", "", ""},
		"version ff":              {"ff" + sampleParent[2:], "a=1", "", ""},
		"more in version 00":      {sampleParent + "-more", "", "", ""},
		"upper case":              {strings.ToUpper(sampleParent), "", "", ""},
		"no trace":                {"00-00000000000000000000000000000000-b7ad6b7169203331-01", "", "", ""},
		"no span":                 {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", "", "", ""},
		"short":                   {sampleParent[:54], "", "", ""},
		"long":                    {"01" + sampleParent[2:] + "-" + strings.Repeat("x", 100), "", "", ""},
		"no hyphens":              {strings.ReplaceAll(sampleParent, "-", "0"), "", "", ""},
		"a state that is large":   {sampleParent, strings.Repeat("x", 513), sampleParent, ""},
		"a state with a new line": {sampleParent, "a=1\r\nx: y", sampleParent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			parent, state := TraceContext(tc.parent, tc.state)
			if parent != tc.wantParent || state != tc.wantState {
				t.Errorf("TraceContext(%q, %q) = %q, %q, want %q, %q", tc.parent, tc.state, parent, state, tc.wantParent, tc.wantState)
			}
		})
	}
}

func FuzzTraceContext(f *testing.F) {
	f.Add(sampleParent, "a=1")
	f.Add("01"+sampleParent[2:]+"-x", "")
	f.Fuzz(func(t *testing.T, traceparent, tracestate string) {
		parent, state := TraceContext(traceparent, tracestate)
		again, stateAgain := TraceContext(parent, state)
		if again != parent || stateAgain != state {
			t.Errorf("%q, %q was taken, and is not taken again", parent, state)
		}
		if strings.ContainsAny(parent+state, "\r\n\x00") || len(parent)+len(state) > 110+maxTraceState {
			t.Errorf("%q, %q went through", parent, state)
		}
	})
}
