package survey

import (
	"context"
	"testing"
	"time"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
)

func TestTroubleOf(t *testing.T) {
	isTrouble(t, troubleOf(nil), -1)
	for _, test := range []struct {
		err  error
		want view.TroubleKind
	}{
		{errAway, view.Unreachable},
		{store.Explain(context.DeadlineExceeded), view.Unreachable},
		{store.Explain(answer("LOADING")), view.Unreachable},
		{store.Explain(answer("WRONGPASS")), view.Unauthorized},
		{store.Explain(answer("NOPERM")), view.Unauthorized},
		{store.Explain(answer("READONLY")), view.ReadOnly},
		{store.Explain(answer("OOM command not allowed")), view.Full},
		{store.Explain(answer("MISCONF")), view.Full},
		{store.Explain(answer("ERR unknown command")), view.Refused},
	} {
		isTrouble(t, troubleOf(test.err), test.want)
	}
}

// What is shown of a server is a version and a policy, and no other words.
func TestWordsOfAServer(t *testing.T) {
	for said, want := range map[string]string{"7.2.4": "7.2.4", "8": "8", "": "", "6.2\nx": "", "SSH-2.0": "", "255.255.255": "255.255.255"} {
		if got := stateOf(&store.Server{Version: said}).Version; got != want {
			t.Errorf("version %q is shown as %q", said, got)
		}
	}
	for said, want := range map[string]string{"noeviction": "noeviction", "volatile-ttl": "volatile-ttl", "": "", "root:x:0": "of a kind that is not known"} {
		if got := stateOf(&store.Server{EvictionPolicy: said}).EvictionPolicy; got != want {
			t.Errorf("policy %q is shown as %q", said, got)
		}
	}
}

func TestStateOf(t *testing.T) {
	got := stateOf(&store.Server{Version: "7", Replica: true, Cluster: true, Replicas: 2, EvictionPolicy: "allkeys-lru", Used: 3, Max: 4, AppendOnly: true, Snapshots: true, SnapshotsUnknown: true})
	if want := (view.State{Version: "7", Replica: true, Cluster: true, Replicas: 2, EvictionPolicy: "allkeys-lru", Used: 3, Max: 4, AppendOnly: true, Snapshots: true, SnapshotsUnknown: true}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestRunsOf(t *testing.T) {
	if got := runsOf(inspect.Ends{}); got != (view.Runs{}) {
		t.Errorf("none: %+v", got)
	}
	at, before := begin, begin.Add(-time.Hour)
	old := run.Record{ID: "r", EndedAt: &before, Error: "late"}
	got := runsOf(inspect.Ends{Runs: []run.Record{{Status: run.Succeeded, EndedAt: &at}, {Status: run.Cancelled, EndedAt: &before}}, LastFailure: &old})
	if got.Ended != 2 || got.Failed != 0 || !got.LastEnd.Equal(at) || *got.LastFailure != (view.Failure{RunID: "r", Message: "late", At: before}) {
		t.Errorf("%+v", got)
	}
}
