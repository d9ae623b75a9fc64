package scenarios_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/crashtest"
	"github.com/wildout/wildout/internal/scenarios"
)

// fleet is runner processes, each of which runs all functions. In a cluster
// each function has processes of its own; ten times as many would only slow
// the test down.
type fleet struct {
	config runnerConfig

	mu      sync.Mutex
	started int
	members []member
	standby *member
}

type member struct {
	*crashtest.Process
	name string
}

func newFleet(config runnerConfig) *fleet {
	f := &fleet{config: config}
	DeferCleanup(f.stop)
	return f
}

// Start adds n runners.
func (f *fleet) Start(n int) {
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
	config := f.config
	config.Name = fmt.Sprintf("p%d", f.started)
	text, err := json.Marshal(config)
	Expect(err).NotTo(HaveOccurred())
	p, err := crashtest.Start(string(text))
	Expect(err).NotTo(HaveOccurred())
	return member{p, config.Name}
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

// Kill kills a runner. One that was on standby takes its place at once.
func (f *fleet) Kill(func() []string) scenarios.Death {
	GinkgoHelper()
	f.mu.Lock()
	defer f.mu.Unlock()
	i := rand.IntN(len(f.members))
	dead := f.members[i]
	dead.Kill()
	death := scenarios.Death{Runner: dead.name, At: time.Now()}
	if f.standby == nil {
		first := f.prepare()
		f.standby = &first
	}
	Expect(f.standby.Begin()).To(Succeed())
	f.members[i] = *f.standby
	next := f.prepare()
	f.standby = &next
	return death
}

// Logs are the last 8 KiB of each.
func (f *fleet) Logs() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]string{}
	for _, m := range f.members {
		log := m.Log()
		all[m.name] = log[max(0, len(log)-8<<10):]
	}
	return all
}
