package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Server is what a Redis server says about itself, as far as events and runs
// depend on it.
type Server struct {
	// Version is that of Redis, or the one that Valkey is compatible with.
	Version string
	// Replica means that it takes no writes.
	Replica bool
	// Cluster means that it is a node of a cluster.
	Cluster bool
	// Replicas is how many replicas are connected to it.
	Replicas int
	// EvictionPolicy is maxmemory-policy; with any but noeviction a full
	// server drops streams silently.
	EvictionPolicy string
	// Used and Max are bytes of memory; Max is 0 when there is no limit.
	Used, Max int64
	// AppendOnly: writes go to the append-only file.
	AppendOnly bool
	// Snapshots: the server saves its data from time to time. SnapshotsUnknown:
	// it does not tell, as with some hosted ones.
	Snapshots, SnapshotsUnknown bool
}

// AskServer asks the server about itself, in one round trip.
func (c *Conn) AskServer(ctx context.Context) (Server, error) {
	pipe := c.rdb.Pipeline()
	info := pipe.Info(ctx)
	save := pipe.ConfigGet(ctx, "save")
	_, _ = pipe.Exec(ctx) // each command has its own error
	if err := info.Err(); err != nil {
		return Server{}, fmt.Errorf("ask Redis about itself: %w", Explain(err))
	}
	server := parseInfo(info.Val())
	if settings, err := save.Result(); err != nil {
		server.SnapshotsUnknown = true
	} else {
		server.Snapshots = settings["save"] != ""
	}
	return server, nil
}

// parseInfo reads the answer to INFO, or to a section of it: lines of
// name:value. What is missing stays empty.
func parseInfo(text string) Server {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	number := func(name string) int64 { n, _ := strconv.ParseInt(fields[name], 10, 64); return n }
	return Server{
		Version: fields["redis_version"], Replica: fields["role"] == "slave", Cluster: fields["cluster_enabled"] == "1",
		Replicas: int(number("connected_slaves")), EvictionPolicy: fields["maxmemory_policy"],
		// The limit does not count buffers for replicas and the append-only file.
		Used: number("used_memory") - number("mem_not_counted_for_evict"),
		Max:  number("maxmemory"), AppendOnly: fields["aof_enabled"] == "1",
	}
}

// TooOld reports whether the server lacks what the scripts need.
func (s Server) TooOld() bool {
	major, _, _ := strings.Cut(s.Version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n < 7
}

// Durable reports whether the data outlives a restart, as far as the server tells.
func (s Server) Durable() bool { return s.AppendOnly || s.Snapshots || s.SnapshotsUnknown }

// NearlyFull reports whether the server is about to refuse writes.
func (s Server) NearlyFull() bool { return s.Max > 0 && s.Used >= s.Max/20*19 }

// Memory is how full Redis is, in bytes.
type Memory struct {
	Used int64
	// Max is the limit; 0: there is none.
	Max int64
	// Policy is what Redis does at the limit; noeviction refuses writes, all
	// others lose events.
	Policy string
}

// Memory asks Redis how full it is.
func (c *Conn) Memory(ctx context.Context) (Memory, error) {
	client := c.rdb
	if cluster, ok := c.rdb.(*redis.ClusterClient); ok {
		// All keys of a namespace are on one node.
		node, err := cluster.MasterForKey(ctx, c.keys.Types())
		if err != nil {
			return Memory{}, fmt.Errorf("ask Redis how full it is: %w", Explain(err))
		}
		client = node
	}
	text, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return Memory{}, fmt.Errorf("ask Redis how full it is: %w", Explain(err))
	}
	server := parseInfo(text)
	return Memory{Used: server.Used, Max: server.Max, Policy: server.EvictionPolicy}, nil
}
