// Package view is what is known of a Redis, and of functions and event types in
// it, as plain values: survey finds it out, health judges it, desired and
// scaling go by it. The package must not know how anything is found out, and
// reaches neither Redis nor Kubernetes.
package view

import (
	"strconv"
	"strings"
)

// Redis is what is known of a Redis.
type Redis struct {
	// Secret says whether there is one to be asked, and with which Secret.
	Secret Secret
	// Asked is false until the first answer, or the first that did not come.
	Asked bool
	// Trouble says why it does not answer, or refuses; nil when it works.
	Trouble *Trouble
	// State is what it said about itself last.
	State State
}

// Trouble is why Redis does not do what it is asked.
type Trouble struct {
	Kind TroubleKind
	// Words say what to do about it.
	Words string
}

func (t *Trouble) Error() string { return t.Words }

// Same reports whether two troubles are of one kind. The words of one trouble
// differ from time to time; what is said stays the same until it is another.
func (t *Trouble) Same(other *Trouble) bool {
	if t == nil || other == nil {
		return t == other
	}
	return t.Kind == other.Kind
}

// TroubleKind divides troubles by whose hands they need.
type TroubleKind int

// The kinds of troubles.
const (
	// Refused is any answer that is an error and none of the others.
	Refused TroubleKind = iota
	// Unreachable means that no answer came.
	Unreachable
	// Unauthorized means that Redis refuses the user, the password, or what the
	// user may do.
	Unauthorized
	// ReadOnly means that the server is a replica.
	ReadOnly
	// Full means that Redis is at maxmemory, or cannot write to its disk.
	Full
	// NotAllowed means that the operator may not connect there.
	NotAllowed
)

// State is what a Redis server says about itself, as far as events and runs
// depend on it.
type State struct {
	// Version is that of Redis, or the one that Valkey is compatible with.
	Version string
	// Replica means that it takes no writes.
	Replica bool
	// Cluster means that it is a node of a cluster, Replicas how many replicas
	// are connected to it.
	Cluster  bool
	Replicas int
	// EvictionPolicy is maxmemory-policy; "": it does not tell.
	EvictionPolicy string
	// Used and Max are bytes of memory; Max is 0 when there is no limit.
	Used, Max int64
	// AppendOnly: writes go to the append-only file.
	AppendOnly bool
	// Snapshots: the server saves its data from time to time. SnapshotsUnknown:
	// it does not tell, as with some hosted ones.
	Snapshots, SnapshotsUnknown bool
}

// oldest is the oldest major version of Redis that has what the scripts need.
const oldest = 7

// TooOld reports whether the server lacks what the scripts need.
func (s State) TooOld() bool {
	major, _, _ := strings.Cut(s.Version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n < oldest
}

// Evicts reports whether a full server would drop events and runs silently.
func (s State) Evicts() bool { return s.EvictionPolicy != "" && s.EvictionPolicy != "noeviction" }

// Durable reports whether the data outlives a restart, as far as the server tells.
func (s State) Durable() bool { return s.AppendOnly || s.Snapshots || s.SnapshotsUnknown }

// NearlyFull reports whether the server is about to refuse writes: at 95 % of
// what it may use.
func (s State) NearlyFull() bool { return s.Max > 0 && s.Used >= s.Max/20*19 }

// AsSafe reports whether the rules about a server see no difference between two
// states.
func (s State) AsSafe(other State) bool {
	sameRoom := s.NearlyFull() == other.NearlyFull()
	s.Used, other.Used = 0, 0
	return s == other && sameRoom
}
