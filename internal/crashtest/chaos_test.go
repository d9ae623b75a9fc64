package crashtest_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/crashtest"
	"github.com/wildout/wildout/internal/servicetest"
)

var (
	chaosSeed   = flag.Uint64("seed", 0, "the first seed of TestChaos; 0: any")
	chaosSeeds  = flag.Int("seeds", 1, "how many seeds TestChaos takes, one after the other")
	chaosFaults = flag.Int("faults", 6, "how many faults each seed of TestChaos has")
)

// TestChaos lets faults of every kind come over runners and their Redis, in an
// order that the seed decides, and judges by what handlers recorded elsewhere.
// `go test ./internal/crashtest -run TestChaos -seed N -faults M` does the same
// faults again.
func TestChaos(t *testing.T) {
	first := *chaosSeed
	if first == 0 {
		first = 1 + rand.Uint64N(1_000_000)
	}
	for i := range *chaosSeeds {
		seed := first + uint64(i)
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { chaosOf(t, seed) })
	}
}

func chaosOf(t *testing.T, seed uint64) {
	server := servicetest.StartRedis(t, servicetest.AppendFsync("always")) // what it has acknowledged it still has when it is killed
	notes := servicetest.StartRedis(t)
	plans, err := compileAll(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	schedule = plans["nightly"].Triggers[0].Cron
	s, err := newScene(server.Addr, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.logs())
		}
		s.close()
	})
	if s.notes, err = crashtest.Dial(notes.Addr); err != nil {
		t.Fatal(err)
	}
	s.direct, s.directDB, s.stubborn = notes.Addr, 0, true
	s.doze, s.linger = 50*time.Millisecond, 30*time.Millisecond
	c := &chaos{scene: s, t: t, server: server, rand: rand.New(rand.NewPCG(seed, 0))}
	c.plan()
	t.Logf("seed %d, faults: %v", seed, c.faults)
	if err := c.run(); err != nil {
		t.Fatalf("seed %d with %d faults: %v", seed, *chaosFaults, err)
	}
}

// chaos is one seed: the world outside publishes and answers while faults come.
type chaos struct {
	*scene
	t        *testing.T
	server   *servicetest.Redis
	rand     *rand.Rand
	faults   []fault
	alive    []*victim
	started  int
	troubles []span
}

// chaosRunners is how many runners there are.
const chaosRunners = 3

// run does the faults and waits for the end of everything.
func (c *chaos) run() error {
	if err := c.tickIn(10 * time.Second); err != nil {
		return err
	}
	for i := range chaosRunners {
		if err := c.renew(i, 0, 0); err != nil {
			return err
		}
	}
	world := make(chan error, 1)
	var calm atomic.Bool
	go func() { world <- c.world(&calm) }()
	trouble := c.strike()
	calm.Store(true)
	if err := errors.Join(trouble, <-world); err != nil {
		return err
	}
	var err error
	if c.redis, err = crashtest.Dial(c.server.Addr); err != nil { // its connection was cut
		return err
	}
	if err := c.untilEnded(2 * time.Minute); err != nil {
		return err
	}
	return c.judge()
}

// world publishes and answers until all is published and the faults are over. What
// it publishes is the same for every seed; the times are not.
func (c *chaos) world(calm *atomic.Bool) error {
	const rounds = 12
	for range 250 {
		if err := c.publish("drip/asked", `{}`, "drip"); err != nil {
			return err
		}
	}
	for i := 0; i < rounds || !calm.Load(); i++ {
		if i < 4*rounds {
			if err := c.round(i); err != nil {
				return err
			}
		}
		for range 10 {
			_ = c.answer() // Redis may be away; the next time does it
			time.Sleep(40 * time.Millisecond)
		}
	}
	return nil
}

// round publishes something for every function.
func (c *chaos) round(i int) error {
	id := fmt.Sprint(i)
	until := time.Now().Add(700 * time.Millisecond).UTC().Format(time.RFC3339Nano)
	all := []error{c.order("o"+id, i%3 == 0), c.deal("d" + id), c.publish("order/broken", `{}`, "refund"),
		c.publish("slow/asked", `{}`, "slow"), c.publish("order/regretted", `{}`, "regret", "parcel", "recant", "parcel"),
		c.publish("stuck/asked", `{}`, "stuck")}
	for range 3 {
		all = append(all,
			c.publish("errand/asked", fmt.Sprintf(`{"until":%q}`, until), "errand"),
			c.publish("account/changed", fmt.Sprintf(`{"account":"a%d"}`, i%2), "account"),
			c.publish("meter/read", fmt.Sprintf(`{"meter":"m%d"}`, i%2), "meter"))
	}
	for range 2 {
		all = append(all, c.publish("call/made", fmt.Sprintf(`{"key":"k%d"}`, i), "caller", "shared"))
	}
	return errors.Join(all...)
}

// renew puts a new runner into a place.
func (c *chaos) renew(place, version int, shift time.Duration) error {
	c.started++
	v := &victim{name: fmt.Sprintf("runner%d", c.started)}
	var err error
	if v.process, _, err = c.startAs(runnerConfig{Name: v.name, Version: version, Shift: shift}, false); err != nil {
		return err
	}
	if place == len(c.alive) {
		c.alive = append(c.alive, v)
	} else {
		c.alive[place] = v
	}
	return v.process.Begin()
}

// judge checks what must hold when all has ended.
func (c *chaos) judge() error {
	clean := func() (bool, error) {
		left, err := c.leftovers(chaosRunners)
		return len(left) == 0, err
	}
	if err := c.until(time.Minute, "nothing left behind", clean); err != nil {
		left, _ := c.leftovers(chaosRunners)
		for i, what := range left {
			if key, is := strings.CutPrefix(what, "key "); is {
				held, _ := c.redis.Strings("HGETALL", key) // of another type: nothing
				left[i] += fmt.Sprintf(" %q", held)
			}
		}
		for _, v := range c.alive {
			left = append(left, "alive: "+v.name)
		}
		return fmt.Errorf("%w:\n  %s", err, strings.Join(left, "\n  "))
	}
	counts, err := c.effects()
	if err != nil {
		return err
	}
	return errors.Join(c.verifyHistory(counts), c.verifyLogs(), c.verifyAlive(), c.verifyLimits(), c.verifyKeys())
}

func (c *chaos) verifyAlive() error {
	for _, v := range c.alive {
		select {
		case <-v.process.Done():
			return fmt.Errorf("%s ended by itself; its log ends with:\n%s", v.name, v.process.Log())
		default:
		}
	}
	return nil
}

// verifyLimits judges limits by when effects were there.
func (c *chaos) verifyLimits() error {
	spans, err := c.spans()
	if err != nil {
		return err
	}
	busy, counted := most(spans, append(c.troubles, c.fenced()...))
	if busy > 3 {
		return fmt.Errorf("%d errands were busy at once, of 3; %d of %d were out of trouble", busy, counted, len(spans))
	}
	drops, err := c.firsts()
	if err != nil {
		return err
	}
	// Between the begin of a run and its effect a runner may be frozen or die.
	const perSecond, window, late = 10, 5, 5
	for i, at := range drops {
		n := 0
		for _, other := range drops[i:] {
			if other < at+window*1e6 {
				n++
			}
		}
		if n > perSecond*(window+late) {
			return fmt.Errorf("%d drips fell within %d s, with a limit of %d a second", n, window, perSecond)
		}
	}
	c.t.Logf("%d errands (%d out of trouble, %d at once), %d drips, %d crashes", len(spans), counted, busy, len(drops), c.crashes)
	return nil
}

// fenced has runners that lost their lease: on a busy machine that happens to
// those that nobody touched.
func (c *chaos) fenced() (all []span) {
	for i, p := range c.processes {
		if strings.Contains(p.Log(), "it goes on under a new name") {
			all = append(all, span{fmt.Sprintf("runner%d", i+1), 0, 1 << 62})
		}
	}
	return all
}

// verifyKeys finds keys without an end that are none of those that stay.
func (c *chaos) verifyKeys() error {
	keys, err := c.redis.Strings("KEYS", c.key("*"))
	if err != nil {
		return err
	}
	patterns := map[string]int{}
	for _, key := range keys {
		rest := strings.TrimPrefix(key, c.key(""))
		ttl, err := c.redis.Do("PTTL", key)
		if err != nil {
			return err
		}
		if ttl == int64(-1) && !lasts(rest) {
			patterns[rest]++
		}
	}
	if len(patterns) > 0 {
		return fmt.Errorf("keys without an end: %v", patterns)
	}
	return nil
}

// lasting are the keys of a function, after its name, that stay when nothing runs.
var lasting = map[string]bool{"in": true, "done": true, "dead": true, "plans": true, "runners": true, "leases": true, "cron": true,
	"counters": true, "reads": true, "replaced": true, "adopted": true, "waits": true, "skipped": true}

func lasts(key string) bool {
	if rest, is := strings.CutPrefix(key, "fn:"); is {
		_, rest, _ = strings.Cut(rest, ":")
		return lasting[rest]
	}
	return strings.HasPrefix(key, "ev:") || strings.HasPrefix(key, "stood:") || key == "types" || key == "published" || key == "functions"
}
