package store

import "testing"

func TestParseInfo(t *testing.T) {
	got := parseInfo("# Server\r\nredis_version:7.2.4\r\nrole:slave\r\ncluster_enabled:1\r\nconnected_slaves:2\r\nmaxmemory_policy:noeviction\r\n" +
		"used_memory:1000\r\nmem_not_counted_for_evict:100\r\nmaxmemory:2000\r\naof_enabled:1\r\nnonsense\r\n")
	want := Server{Version: "7.2.4", Replica: true, Cluster: true, Replicas: 2, EvictionPolicy: "noeviction", Used: 900, Max: 2000, AppendOnly: true}
	if got != want {
		t.Errorf("parseInfo: %+v, want %+v", got, want)
	}
	if got := parseInfo("role:master\r\nused_memory:many\r\n"); got != (Server{}) {
		t.Errorf("what is missing or no number is empty: %+v", got)
	}
}

func TestServerIsJudged(t *testing.T) {
	for version, tooOld := range map[string]bool{"6.2.14": true, "7.0.0": false, "10.1": false, "5": true, "": false, "unknown": false} {
		if s := (Server{Version: version}); s.TooOld() != tooOld {
			t.Errorf("%q.TooOld() = %v", version, !tooOld)
		}
	}
	for _, tc := range []struct {
		server  Server
		durable bool
	}{
		{Server{}, false}, {Server{AppendOnly: true}, true}, {Server{Snapshots: true}, true}, {Server{SnapshotsUnknown: true}, true},
	} {
		if tc.server.Durable() != tc.durable {
			t.Errorf("%+v.Durable() = %v", tc.server, !tc.durable)
		}
	}
	for _, tc := range []struct {
		used, limit int64
		full        bool
	}{
		{100, 0, false}, {94, 100, false}, {95, 100, true}, {200, 100, true}, {0, 100, false},
	} {
		if s := (Server{Used: tc.used, Max: tc.limit}); s.NearlyFull() != tc.full {
			t.Errorf("%d of %d: NearlyFull() = %v", tc.used, tc.limit, !tc.full)
		}
	}
}
