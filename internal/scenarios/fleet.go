package scenarios

import (
	"math/rand/v2"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
)

// fleet is the runners of a site, and what became of them.
type fleet struct {
	site  *site
	kills []kill // read them once harass has stopped
}

// kill is the death of a runner.
type kill struct {
	at   time.Time
	runs []orphan // what it was at
}

// start adds n runners of each function.
func (f *fleet) start(n int) {
	GinkgoHelper()
	f.site.place.Runners.Start(n)
}

// killOne kills a runner, whatever it is at. Another takes its place.
func (f *fleet) killOne() {
	GinkgoHelper()
	dead := f.site.place.Runners.Kill(f.site.atWork)
	f.kills = append(f.kills, kill{dead.At, f.site.orphans(dead.Runner)})
}

// harass kills a runner about every interval until the returned function is
// called, or the scenario fails.
func (f *fleet) harass(interval time.Duration) (stop func()) {
	interval = f.site.pace.betweenKills(interval)
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
