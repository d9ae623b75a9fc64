package crashtest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/crashtest"
	"github.com/wildout/wildout/internal/servicetest"
)

const (
	randomEvents  = 1500
	randomRunners = 3
	burst         = 75 // events at once: there is work under way when a runner dies
	publishFor    = 18 * time.Second
	killEvery     = 700 * time.Millisecond
)

var _ = Describe("runners that are killed at random", func() {
	It("end every run of a mixed load, each once", func() {
		redis := servicetest.StartRedis(GinkgoTB(), servicetest.AppendFsync("everysec"))
		s, err := newScene(redis.Addr, 0)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(s.close)
		s.doze, s.linger = 50*time.Millisecond, 50*time.Millisecond
		c := &carnage{scene: s, dying: map[string]time.Time{}}
		Expect(c.run()).To(Succeed())
		Expect(s.verify(randomRunners)).To(Succeed())
		report, err := c.report()
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("figures", report)
	})
})

// carnage publishes events, kills runners and starts others in their place.
type carnage struct {
	*scene
	alive     []victim
	started   int
	published int
	kills     int
	dying     map[string]time.Time // killed runners that others still know, and when
	slowest   time.Duration        // from a kill until nobody knew the runner any more
	took      time.Duration
}

type victim struct {
	name    string
	process *crashtest.Process
}

// run does everything in one loop, each thing at its own pace.
func (c *carnage) run() error {
	for range randomRunners {
		if err := c.replace(len(c.alive)); err != nil {
			return err
		}
	}
	began := time.Now()
	last := began // when events were published last
	nextKill, nextLook := began.Add(killEvery), began
	for {
		now := time.Now()
		if due := float64(randomEvents) * now.Sub(began).Seconds() / publishFor.Seconds(); c.published < min(randomEvents, int(due)) {
			if err := c.publishBurst(); err != nil {
				return err
			}
		}
		if c.published < randomEvents && now.After(nextKill) {
			nextKill = now.Add(killEvery/2 + rand.N(killEvery))
			if err := c.kill(); err != nil {
				return err
			}
		}
		if now.After(nextLook) {
			nextLook = now.Add(100 * time.Millisecond)
			ended, err := c.look()
			if err != nil {
				return err
			}
			if ended && c.published == randomEvents {
				c.took = now.Sub(began)
				return nil
			}
		}
		if c.published < randomEvents {
			last = now
		}
		if now.Sub(last) > 30*time.Second {
			return fmt.Errorf("runs have not ended: %s", c.openRuns())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *carnage) publishBurst() error {
	for range burst {
		if err := c.publishOne(c.published); err != nil {
			return err
		}
		c.published++
	}
	return nil
}

// publishOne publishes one or two events of a kind that i chooses.
func (c *carnage) publishOne(i int) error {
	switch i % 15 {
	case 0, 1, 2:
		return c.order(fmt.Sprint("o", i), i%5 == 0)
	case 3:
		return errors.Join(c.publish("order/broken", `{}`, "refund"), c.deal(fmt.Sprint("d", i)))
	case 4, 5, 6, 7, 8:
		return c.publish("account/changed", fmt.Sprintf(`{"account":"a%d"}`, rand.IntN(20)), "account")
	case 9, 10, 11:
		return c.publish("meter/read", fmt.Sprintf(`{"meter":"m%d"}`, rand.IntN(10)), "meter")
	case 12, 13:
		// Two calls share a key.
		return c.publish("call/made", fmt.Sprintf(`{"key":"k%d"}`, i/15), "caller", "shared")
	default:
		if i%2 == 0 {
			return c.publish("slow/asked", `{}`, "slow")
		}
		return errors.Join(c.publish("order/regretted", `{}`, "regret", "parcel", "recant", "parcel"), c.publish("stuck/asked", `{}`, "stuck"))
	}
}

// kill kills a runner at random and starts another in its place.
func (c *carnage) kill() error {
	committed, err := c.journaled()
	if err == nil {
		err = c.note(committed)
	}
	if err != nil {
		return err
	}
	i := rand.IntN(len(c.alive))
	c.alive[i].process.Kill()
	c.dying[c.alive[i].name] = time.Now()
	c.kills++
	c.crashes++
	return c.replace(i)
}

func (c *carnage) replace(i int) error {
	c.started++
	v := victim{name: fmt.Sprintf("runner%d", c.started)}
	var err error
	if v.process, _, err = c.start(v.name, false); err != nil {
		return err
	}
	if i == len(c.alive) {
		c.alive = append(c.alive, v)
	} else {
		c.alive[i] = v
	}
	return v.process.Begin()
}

// look pays orders, notes which dead runners are forgotten, and says whether
// all has ended.
func (c *carnage) look() (ended bool, err error) {
	known := ""
	for function := range effects {
		names, err := c.redis.Strings("ZRANGE", c.key("fn:"+function+":runners"), 0, -1)
		if err != nil {
			return false, err
		}
		known += " " + strings.Join(names, " ")
	}
	for name, killed := range c.dying {
		if !strings.Contains(known, " "+name+"-") {
			c.slowest = max(c.slowest, time.Since(killed))
			delete(c.dying, name)
		}
	}
	ended, err = c.ended()
	return ended && len(c.dying) == 0, errors.Join(err, c.answer())
}

func (c *carnage) report() (string, error) {
	counts, err := c.effects()
	if err != nil {
		return "", err
	}
	times := map[int]int{}
	for _, n := range counts {
		times[n]++
	}
	runs := 0
	for _, n := range c.want {
		runs += n
	}
	more := len(counts) - times[1] - times[2]
	return fmt.Sprintf("%d events (%d duplicates, %d payments besides) started %d runs, all ended %s after the first; %d kills; effects by idempotency key: %d once, %d twice, %d more often; a dead runner was forgotten at most %s after its death",
		c.published+c.twins, c.twins, c.want["listener"], runs, c.took.Round(time.Millisecond), c.kills, times[1], times[2], more, c.slowest.Round(time.Millisecond)), nil
}
