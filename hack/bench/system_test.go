package main

import (
	"errors"
	"testing"
)

// What a contender reports as finished is finished, whatever the kind of run.
func TestContendersFinishEveryRunOnce(t *testing.T) {
	srv := testServer(t)
	for _, c := range contenders() {
		for name, w := range map[string]work{
			"1 step":                   {Steps: 1},
			"3 steps":                  {Steps: 3},
			"3 steps, history is kept": {Steps: 3, KeepHistory: true},
			"sleeps after its first":   {Steps: 3, Sleep: true},
		} {
			t.Run(c.Name()+": "+name, func(t *testing.T) {
				if w.Sleep && !offersSleep(t, srv, c) {
					return // the report shows a dash, checked by offersSleep
				}
				finishAll(t, srv, c, w, 40)
			})
		}
	}
}

// offersSleep is false for raw alone, which has no timers.
func offersSleep(t *testing.T, srv *server, sys system) bool {
	t.Helper()
	tr, err := open(t.Context(), srv, sys, work{Steps: 3, Sleep: true}, 1)
	if err == nil {
		return tr.close() == nil
	}
	if !errors.Is(err, errNotOffered) || sys.Name() != (rawSystem{}).Name() {
		t.Fatal(err)
	}
	return false
}
