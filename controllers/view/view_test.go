package view_test

import (
	"testing"

	"github.com/wildout/wildout/controllers/view"
)

func TestState(t *testing.T) {
	for name, test := range map[string]struct {
		state                         view.State
		tooOld, evicts, durable, full bool
	}{
		"silent":             {view.State{}, false, false, false, false},
		"old":                {view.State{Version: "6.2.14"}, true, false, false, false},
		"the oldest":         {view.State{Version: "7.0.0", AppendOnly: true}, false, false, true, false},
		"new":                {view.State{Version: "10.1", Snapshots: true}, false, false, true, false},
		"of another kind":    {view.State{Version: "unstable", SnapshotsUnknown: true}, false, false, true, false},
		"without an end":     {view.State{Version: "8", EvictionPolicy: "noeviction", Used: 1 << 40}, false, false, false, false},
		"that forgets":       {view.State{Version: "8", EvictionPolicy: "volatile-ttl"}, false, true, false, false},
		"nearly full":        {view.State{Version: "8", Used: 95, Max: 100}, false, false, false, true},
		"with room left":     {view.State{Version: "8", Used: 94, Max: 100}, false, false, false, false},
		"without a limit":    {view.State{Version: "8", Used: 94}, false, false, false, false},
		"with a small limit": {view.State{Version: "8", Used: 200, Max: 100}, false, false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.state
			if s.TooOld() != test.tooOld || s.Evicts() != test.evicts || s.Durable() != test.durable || s.NearlyFull() != test.full {
				t.Errorf("too old %v, evicts %v, durable %v, nearly full %v", s.TooOld(), s.Evicts(), s.Durable(), s.NearlyFull())
			}
			more := s
			more.Used++
			if s.AsSafe(more) != (s.NearlyFull() == more.NearlyFull()) {
				t.Error("one byte more makes a difference")
			}
			more.Replica = true
			if s.AsSafe(more) {
				t.Error("a replica makes none")
			}
		})
	}
}

func TestSameTrouble(t *testing.T) {
	full, also := &view.Trouble{Kind: view.Full, Words: "a"}, &view.Trouble{Kind: view.Full, Words: "b"}
	away := &view.Trouble{Kind: view.Unreachable, Words: "a"}
	var none *view.Trouble
	for _, test := range []struct {
		a, b *view.Trouble
		same bool
	}{{full, also, true}, {full, away, false}, {full, none, false}, {none, full, false}, {none, none, true}} {
		if test.a.Same(test.b) != test.same {
			t.Errorf("%+v and %+v", test.a, test.b)
		}
	}
}

func TestContent(t *testing.T) {
	if c := view.NewContent("abc", true); !c.HasCA() || c == "abc" {
		t.Errorf("with an authority it is %q", c)
	}
	if c := view.NewContent("abc", false); c.HasCA() || c != "abc" {
		t.Errorf("without one it is %q", c)
	}
}
