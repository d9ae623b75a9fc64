package crashtest_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/wildout/wildout/internal/crashtest"
)

// fault is one thing that goes wrong, as the seed has planned it.
type fault struct {
	kind    string
	runner  int           // whom it meets, of those that live
	hold    time.Duration // how long it lasts
	rest    time.Duration // until the next one
	version int           // of the runner that comes in its place
	shift   time.Duration // of its wall clock
}

func (f fault) String() string {
	return fmt.Sprintf("%s(runner %d, %s, then %s, version %d, clock %s)", f.kind, f.runner, f.hold, f.rest, f.version, f.shift)
}

var kinds = []string{"kill", "freeze", "kill two", "redis killed", "redis frozen", "redis paused", "redis full", "redis read-only", "redis without replicas", "cut", "roll", "roll all"}

// plan decides all that goes wrong, before anything does. Every kind has its turn
// before one comes again.
func (c *chaos) plan() {
	var turn []int
	for range *chaosFaults {
		if len(turn) == 0 {
			turn = c.rand.Perm(len(kinds))
		}
		c.faults = append(c.faults, fault{
			kind:    kinds[turn[0]],
			runner:  c.rand.IntN(chaosRunners),
			hold:    time.Duration(200+c.rand.IntN(2300)) * time.Millisecond,
			rest:    time.Duration(100+c.rand.IntN(2400)) * time.Millisecond,
			version: c.rand.IntN(3),
			shift:   []time.Duration{0, time.Hour, -time.Hour}[c.rand.IntN(3)],
		})
		turn = turn[1:]
	}
}

// strike lets the faults come, one after the other.
func (c *chaos) strike() error {
	time.Sleep(time.Second)
	for _, f := range c.faults {
		began := time.Now()
		who := ""
		if f.kind == "kill" || f.kind == "freeze" || f.kind == "roll" {
			who = c.alive[f.runner].name
		}
		if err := c.meet(f); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		c.crashes++
		c.troubles = append(c.troubles, span{who, began.UnixMicro(), time.Now().Add(3 * time.Second).UnixMicro()})
		time.Sleep(f.rest)
	}
	return nil
}

func (c *chaos) meet(f fault) error {
	hold := func() { time.Sleep(f.hold) }
	switch f.kind {
	case "kill":
		return c.kill(f.runner, f)
	case "kill two":
		c.crashes++
		return errors.Join(c.kill(f.runner, f), c.kill((f.runner+1)%chaosRunners, f))
	case "freeze":
		if err := c.alive[f.runner].process.Freeze(); err != nil {
			return err
		}
		hold()
		return c.alive[f.runner].process.Thaw()
	case "redis killed":
		c.server.Kill()
		hold()
		c.server.Start()
		return nil
	case "redis frozen":
		c.server.Pause()
		hold()
		c.server.Resume()
		return nil
	case "redis paused":
		defer hold()
		return c.tell("CLIENT", "PAUSE", f.hold.Milliseconds(), "ALL")
	case "redis full":
		return c.during(hold, []any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"})
	case "redis read-only":
		return c.during(hold, []any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"})
	case "redis without replicas":
		return c.during(hold, []any{"CONFIG", "SET", "min-replicas-to-write", "1"}, []any{"CONFIG", "SET", "min-replicas-to-write", "0"})
	case "cut":
		for range 5 {
			if err := c.tell("CLIENT", "KILL", "TYPE", "normal"); err != nil {
				return err
			}
			time.Sleep(f.hold / 10)
		}
		return nil
	case "roll":
		return c.roll(f.runner, f)
	default: // roll all
		for i := range chaosRunners {
			if err := c.roll(i, f); err != nil {
				return err
			}
		}
		return nil
	}
}

// tell sends a command to Redis, on a connection of its own.
func (c *chaos) tell(words ...any) error {
	redis, err := crashtest.Dial(c.server.Addr)
	if err != nil {
		return err
	}
	defer redis.Close()
	_, err = redis.Do(words...)
	return err
}

func (c *chaos) during(hold func(), begin, end []any) error {
	if err := c.tell(begin...); err != nil {
		return err
	}
	hold()
	return c.tell(end...)
}

func (c *chaos) kill(place int, f fault) error {
	c.alive[place].process.Kill()
	return c.renew(place, f.version, f.shift)
}

// roll puts a runner of another version, or with another clock, into a place and
// asks the one that is there to leave, as a rollout does.
func (c *chaos) roll(place int, f fault) error {
	old := c.alive[place]
	if err := c.renew(place, f.version, f.shift); err != nil {
		return err
	}
	return old.process.End(30 * time.Second)
}
