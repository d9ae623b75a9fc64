package scenarios_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/crashtest"
)

// fleet is the runner processes of a site.
type fleet struct {
	site *site

	mu      sync.Mutex
	started int
	members []member
	standby *member
	kills   []kill
}

type member struct {
	*crashtest.Process
	name string
}

// kill is the death of a runner.
type kill struct {
	at   time.Time
	runs []orphan // what it was at
}

func newFleet(s *site) *fleet {
	f := &fleet{site: s}
	DeferCleanup(f.stop)
	return f
}

// start adds n runners.
func (f *fleet) start(n int) {
	GinkgoHelper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		m := f.prepare()
		Expect(m.Begin()).To(Succeed())
		f.members = append(f.members, m)
	}
}

// prepare starts a process that waits for Begin; f.mu is held.
func (f *fleet) prepare() member {
	GinkgoHelper()
	f.started++
	name := fmt.Sprintf("p%d", f.started)
	p, err := crashtest.Start(f.site.config(name))
	Expect(err).NotTo(HaveOccurred())
	return member{p, name}
}

func (f *fleet) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.standby != nil {
		f.members = append(f.members, *f.standby)
	}
	for _, m := range f.members {
		m.Kill()
	}
}

// killOne kills a runner, whatever it is at, and puts another in its place.
func (f *fleet) killOne() {
	GinkgoHelper()
	f.mu.Lock()
	defer f.mu.Unlock()
	i := rand.IntN(len(f.members))
	dead := f.members[i]
	dead.Kill()
	k := kill{at: time.Now()}
	if f.standby != nil {
		Expect(f.standby.Begin()).To(Succeed())
		f.members[i] = *f.standby
	}
	k.runs = f.site.orphans(dead.name)
	f.kills = append(f.kills, k)
	next := f.prepare()
	if f.standby == nil {
		Expect(next.Begin()).To(Succeed())
		f.members[i] = next
		next = f.prepare()
	}
	f.standby = &next
}

// harass kills a runner about every interval until the returned function is
// called, or the scenario fails.
func (f *fleet) harass(interval time.Duration) (stop func()) {
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(over)
		for {
			pause := interval/2 + time.Duration(rand.Int64N(int64(interval)))
			select {
			case <-time.After(pause):
				f.killOne()
			case <-done:
				return
			}
		}
	}()
	stop = sync.OnceFunc(func() { close(done); <-over })
	DeferCleanup(stop)
	return stop
}

// logs are the ends of the logs of the living, for a person to see what is wrong.
func (f *fleet) logs() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all strings.Builder
	for _, m := range f.members {
		log := m.Log()
		fmt.Fprintf(&all, "--- log of %s:\n%s\n", m.name, log[max(0, len(log)-8<<10):])
	}
	return all.String()
}
