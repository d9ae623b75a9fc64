package scenarios

import (
	"context"
	"time"

	"github.com/wildout/wildout/internal/mailsink"
	"github.com/wildout/wildout/runtime/event"
)

// Declare declares the seven scenarios on a ground. It is to be called while
// ginkgo builds its tree:
//
//	var _ = scenarios.Declare(ground{})
func Declare(g Ground) bool {
	for _, scenario := range []func(Ground){registration, listings, auditLog, mailLimits, database, mailServer, crashes} {
		scenario(g)
	}
	return true
}

// Ground is where sites are built. What its parts cannot do, as they are asked
// to, fails the spec.
type Ground interface {
	// Build makes a site for the spec that runs, without runners, and takes it
	// away at the spec's end.
	Build(o Order) Place
	Pace() Pace
}

// Order is what a scenario wants of its site.
type Order struct {
	// Changes are those of the functions.
	Changes Changes
	// OwnDatabase: the scenario disturbs the database server, so no other site
	// may have it.
	OwnDatabase bool
}

// Pace is how fast a ground is.
type Pace struct {
	// Slower multiplies the time that a scenario allows, and that of the site
	// where all depends on it: 1 is two cores with nothing else to do.
	Slower float64
	// Kills multiplies the pauses between kills, and how long there is work.
	Kills float64
	// Lease is that of the runners.
	Lease time.Duration
}

func (p Pace) slow(d time.Duration) time.Duration { return time.Duration(float64(d) * p.Slower) }

func (p Pace) betweenKills(d time.Duration) time.Duration { return time.Duration(float64(d) * p.Kills) }

// Place is a site as its ground built it.
type Place struct {
	// Namespace is that of the functions. The Redis at RedisURL may have
	// others, the database at DatabaseURL is the site's own.
	Namespace, RedisURL, DatabaseURL string
	// Publish sends an event, sets its ID if it has none, and its Time if the
	// way in tells it.
	Publish func(ctx context.Context, e *event.Event) error
	// Webhooks are the ids of the distinct webhooks that came, as
	// "receiver id"; the receivers are security and events.
	Webhooks func() []string
	Mail     Mail
	Database Database
	Runners  Runners
}

// Mail is the SMTP server of a site: open at first. It answers as
// outside.MailServer does.
type Mail interface {
	Open()
	Close()
	// Messages are what it took, oldest first, without their Raw.
	Messages() []mailsink.Message
	// Offers is how often each recipient was offered to it.
	Offers() map[string]int
}

// Database is the server of the database. It keeps what it has. Only a site
// whose Order says OwnDatabase may call it.
type Database interface {
	Stop()
	Start()
	// Pause freezes it: connections stay open, and nothing answers.
	Pause()
	Resume()
}

// Runners are the runners of all functions of a site.
type Runners interface {
	// Start starts n of each function, and returns when they work. It is called
	// once.
	Start(n int)
	// Kill ends one at once, whatever it is at (SIGKILL), and puts another in
	// its place. Where a runner has only one function, it should be one that
	// is at work: atWork returns the names of consumers.
	Kill(atWork func() []string) Death
	// Logs are the ends of the logs of those that live, by name.
	Logs() map[string]string
}

// Death is the end of a runner by Kill.
type Death struct {
	// Runner is what the names of its consumers begin with, before a hyphen.
	Runner string
	At     time.Time
}
