package survey

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/wildout/wildout/controllers/survey/guard"
	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/upkeep"
)

// Redis is what a Poller does with one server, for all namespaces in it.
type Redis interface {
	// AskServer asks the server about itself.
	AskServer(ctx context.Context) (store.Server, error)
	// Survey reads the numbers of functions, LastEnds the last runs of each.
	Survey(ctx context.Context, subjects []inspect.Subject) ([]inspect.Numbers, error)
	LastEnds(ctx context.Context, subjects []inspect.Subject, most int64) ([]inspect.Ends, error)
	// HaveNews says which functions without runners have something to read.
	HaveNews(ctx context.Context, sleepers []inspect.Sleeper) ([]bool, error)
	// CreateGroups creates the consumer groups that a Survey found missing.
	CreateGroups(ctx context.Context, subject inspect.Subject, missing []string) error
	// SurveyStreams reads how large streams are.
	SurveyStreams(ctx context.Context, refs []inspect.StreamRef) ([]inspect.StreamState, error)
	// In is the part of one namespace.
	In(namespace string) Namespace
	Close() error
}

// Namespace is what a Poller changes in a namespace of a server.
type Namespace interface {
	DropGroup(ctx context.Context, function, eventType string) (bool, error)
	MakeStream(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error
	Trim(ctx context.Context, eventType string, period time.Duration, maxBytes int64) error
	Uninstall(ctx context.Context, function string) error
	DropStream(ctx context.Context, eventType string) error
}

// opened is a Redis of the store.
type opened struct {
	*inspect.Inspector
	conn *store.Conn
}

// AskServer implements Redis.
func (o opened) AskServer(ctx context.Context) (store.Server, error) { return o.conn.AskServer(ctx) }

// CreateGroups implements Redis.
func (o opened) CreateGroups(ctx context.Context, subject inspect.Subject, missing []string) error {
	return upkeep.New(o.conn.InNamespace(subject.Namespace)).CreateGroups(ctx, subject.Function, missing)
}

// In implements Redis.
func (o opened) In(namespace string) Namespace { return upkeep.New(o.conn.InNamespace(namespace)) }

// Close implements Redis.
func (o opened) Close() error { return o.conn.Close() }

// openWith opens a Redis with the store, and with a guard between.
func openWith(g *guard.Guard) func(store.Options) (Redis, error) {
	return func(o store.Options) (Redis, error) {
		o.Dial = g.Dial
		s, err := store.Open(o)
		if err != nil {
			return nil, err
		}
		return opened{inspect.New(s), s}, nil
	}
}

// version is one of a server; policies are what its maxmemory-policy can be.
// Nothing else that it says of itself is shown to anybody.
var (
	version  = regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]{1,4}){0,3}$`)
	policies = []string{"noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-lrm", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-lrm", "volatile-random", "volatile-ttl"}
)

// stateOf is what a server says about itself, as it is judged.
func stateOf(s *store.Server) view.State {
	policy := s.EvictionPolicy
	if policy != "" && !slices.Contains(policies, policy) {
		policy = "of a kind that is not known"
	}
	return view.State{
		Version: version.FindString(s.Version), Replica: s.Replica, Cluster: s.Cluster, Replicas: s.Replicas, EvictionPolicy: policy,
		Used: s.Used, Max: s.Max, AppendOnly: s.AppendOnly, Snapshots: s.Snapshots, SnapshotsUnknown: s.SnapshotsUnknown,
	}
}

func numbersOf(n *inspect.Numbers) *view.Numbers {
	return &view.Numbers{
		Unread: n.Unread, Due: n.Due, Pending: n.Pending, Waiting: n.Waiting, Succeeded: n.Succeeded, Failed: n.Failed,
		ByVersion: n.ByVersion, Ungrouped: len(n.Missing) > 0, Lacking: n.Lacking.Runs, Code: codeOf(n.Lacking.Code),
	}
}

// runsOf are the last runs of a function that ended, as they are judged.
func runsOf(ends inspect.Ends) view.Runs {
	runs := view.Runs{Ended: len(ends.Runs)}
	for i := range ends.Runs {
		if failed(&ends.Runs[i]) {
			runs.Failed++
		}
	}
	if runs.Ended > 0 {
		runs.LastEnd = *ends.Runs[0].EndedAt
	}
	if last := ends.LastFailure; last != nil {
		runs.LastFailure = &view.Failure{RunID: last.ID, Step: last.ErrorStep, Message: last.Error, At: *last.EndedAt}
	}
	return runs
}

func failed(r *run.Record) bool { return r.Status == run.Failed || r.Status == run.Rejected }

func streamOf(s *inspect.StreamState) *view.Stream {
	state := &view.Stream{Length: s.Length, Bytes: s.Bytes, Oldest: s.Oldest, Newest: s.Newest}
	for _, h := range s.Holders {
		state.Holders = append(state.Holders, view.Holder{Function: h.Function, Since: h.Since})
	}
	slices.SortFunc(state.Holders, func(a, b view.Holder) int { return cmp.Compare(a.Function, b.Function) })
	return state
}
