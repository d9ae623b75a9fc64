package main

import (
	"context"
	"errors"
)

// A system is one contender. It has no state of its own: each measurement
// starts with a new Setup on an empty server.
type system interface {
	// Name is what --systems and the report call it.
	Name() string
	// Setup readies the server for the work in e: scripts, consumer groups,
	// connections. It starts no worker. The error is errNotOffered when the
	// system has no such work.
	Setup(ctx context.Context, e *env) (instance, error)
}

// An instance is a system ready for one measurement.
type instance interface {
	// Publish returns when Redis has accepted the events. It may be called
	// before Work and while Work runs, by one goroutine at a time.
	Publish(ctx context.Context, events []benchEvent) error
	// Work runs what is published until ctx is cancelled, and then returns nil
	// once nothing of it runs any more. It tells e.board of a run when the run
	// is finished, that is when Redis has answered the write that ends it, not
	// when the last handler returns; and of a run that sleeps, when it sleeps.
	Work(ctx context.Context) error
	// Close closes the connections: an idle connection costs the server memory
	// that would count as the runs' own. It is called once, after Work.
	Close() error
}

// A trimmer is an instance whose finished events stay in Redis until retention
// takes them. Trim does what retention would do in time.
type trimmer interface {
	Trim(ctx context.Context) error
}

// errNotOffered says that a system has nothing to compare here.
var errNotOffered = errors.New("this system does not offer it")

// work is what every run of a measurement does.
type work struct {
	// Steps is how many steps a run has, each with a durable result.
	Steps int
	// Sleep makes the run sleep for an hour after its first step.
	Sleep bool
	// KeepHistory asks a system that forgets its finished runs by default to
	// keep them.
	KeepHistory bool
}

// env is what a measurement gives an instance.
type env struct {
	work
	// Addr is the server's host:port.
	Addr string
	// board is told of each run that is finished.
	board *board
	// sent counts the commands that clients from newClient send.
	sent *sentCounter
}

// contender is a system with its share of the runs.
type contender struct {
	system
	// share divides --runs, so that a slow system measures for seconds and
	// not for minutes.
	share int
}

// contenders are all systems, in the order of a round; raw is first because
// the others are set in relation to it.
func contenders() []contender {
	return []contender{
		{rawSystem{}, 1},
		{wildoutSystem{}, 1},
		{asynqSystem{}, 8},
		{goWorkflowsSystem{}, 40},
	}
}

func contenderNames() []string {
	var names []string
	for _, c := range contenders() {
		names = append(names, c.Name())
	}
	return names
}
