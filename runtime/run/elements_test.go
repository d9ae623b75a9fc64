package run

import "testing"

func TestFailedElements(t *testing.T) {
	for text, want := range map[string]FailedElements{
		"44 of 50 elements failed, the first is [2]: mailbox full\nat 3": {44, 50, 2, "mailbox full\nat 3"},
		"no": {Error: "no"},
		"":   {},
		"forEach: event.data has no field \"list\"": {Error: "forEach: event.data has no field \"list\""},
	} {
		got := ParseFailedElements(text)
		if got != want || got.String() != text {
			t.Errorf("%q: got %+v, which is %q", text, got, got)
		}
	}
	huge := "99999999999999999999 of 1 elements failed, the first is [0]: x"
	if got := ParseFailedElements(huge); got.Count != 0 || got.Error != huge {
		t.Errorf("a number that is none: got %+v", got)
	}
}
