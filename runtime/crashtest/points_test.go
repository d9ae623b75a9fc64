package crashtest_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/runtime/crashtest"
)

// place is where things go wrong: a command of one function.
type place struct {
	name    string
	command string
	args    []string
	nth     int
	// after is where another runner dies first, so that there is something to recover.
	after *place
	// terminate asks the runner to end in order while a step is under way; the
	// place is on its way out.
	terminate bool
}

func (p place) point(f crashtest.Fault) crashtest.Point {
	return crashtest.Point{Command: p.command, Args: p.args, Nth: p.nth, Fault: f}
}

// step is the commit of a step's result.
func step(function, path string, nth int) place {
	return place{name: "commit of " + function + "." + path, command: "hsetnx", args: []string{"fn:" + function + ":run:", path}, nth: nth}
}

func at(name, command string, args ...string) place {
	return place{name: name, command: command, args: args}
}

var midway = step("order", "charge", 1)

// places is every kind of write that a runner does, and its reads.
var places = []place{
	at("making a group", "xgroup", "ev:order/placed"),
	at("first heartbeat", "beat", "fn:order:"),
	{name: "a later heartbeat", command: "beat", args: []string{"fn:order:"}, nth: 3},
	at("reading an event", "xreadgroup", "ev:order/placed"),
	{name: "reading the inbox", command: "xreadgroup", args: []string{"fn:shipping:in"}},
	at("taking an idempotency key", "once", "fn:order:"),
	at("taking the key of an invoked run", "once", "fn:shared:"),
	step("order", "reserve", 1),
	step("order", "charge", 1),
	step("order", "pack[0]", 2),
	step("order", "pack[1]/weigh", 1),
	step("order", "pack[2]", 2),
	step("order", "compose/left", 1),
	step("order", "compose/right", 1),
	step("order", "compose", 3),
	step("shipping", "label", 1),
	step("shared", "work", 1),
	step("refund", "begin", 1),
	step("refund", "@failure", 1),
	step("refund", "tell", 1),
	at("sending an event", "emit", "fn:order:"),
	at("invoking", "invoke", "fn:order:"),
	at("invoking as the first step", "invoke", "fn:caller:"),
	at("registering a wait", "await", "fn:order:"),
	at("delivering to a wait", "deliver", "fn:order:"),
	at("acknowledging an event that was for a wait alone", "xack", "ev:order/paid"),
	at("parking for a retry", "park", "fn:order:", "~charge"),
	at("parking for a sleep", "park", "fn:order:", "~nap"),
	at("parking for a child", "park", "fn:order:", "~ship"),
	at("parking for an event", "park", "fn:order:", "~paid"),
	at("parking for a slot", "park", ":queue:"),
	at("parking for a rate", "park", "fn:meter:"),
	at("parking behind a run with the same key", "park", "fn:shared:"),
	at("firing a timer", "fire", "fn:order:"),
	at("taking over a parked run", "take", "fn:order:"),
	at("taking over a queued run", "take", "fn:account:"),
	at("taking a slot", "slots", "fn:account:"),
	at("releasing a slot", "release", "fn:account:"),
	at("passing a rate limit", "rate", "fn:meter:"),
	at("a cron tick", "tick", "fn:nightly:"),
	at("finishing a run", "finish", "fn:order:done", "ev:order/placed"),
	at("finishing a resumed run", "finish", "fn:order:done", "fn:order:in"),
	at("finishing a child", "finish", "fn:shipping:done"),
	at("finishing an idempotent child", "finish", "fn:shared:done"),
	at("finishing a run of one step", "finish", "fn:listener:done"),
	at("finishing a run that failed", "finish", "fn:refund:done"),
	{name: "claiming from a dead runner", command: "claim", args: []string{"fn:order:"}, after: &midway},
	{name: "claiming an entry from a dead runner", command: "claim", args: []string{"fn:order:in"}, after: &midway},
	{name: "forgetting a dead runner", command: "forget", args: []string{"fn:order:"}, after: &midway},
	{name: "handing a run back", command: "park", args: []string{"fn:slow:"}, terminate: true},
	{name: "leaving", command: "forget", args: []string{"fn:slow:"}, terminate: true},
}

// faults are all that can happen at a place.
var faults = []crashtest.Fault{crashtest.Before, crashtest.After, crashtest.Cut, crashtest.Late}

// databases of the shared server: each case has one for itself.
var databases = make(chan int, 15)

func init() { //nolint:gochecknoinits // fills the channel above
	for db := range cap(databases) {
		databases <- db + 1
	}
}

var _ = Describe("a runner", func() {
	cases := &ahead{width: 6}
	for _, fault := range faults {
		Describe(describe[fault], func() {
			for _, p := range places {
				i := cases.add(func() (string, error) { return try(p, fault) })
				It(p.name, func() {
					report, err := cases.result(i)
					AddReportEntry("timing", report)
					Expect(err).NotTo(HaveOccurred())
				})
			}
		})
	}
})

var describe = map[crashtest.Fault]string{
	crashtest.Before: "killed before",
	crashtest.After:  "killed after",
	crashtest.Cut:    "whose connection breaks after",
	crashtest.Late:   "that is frozen beyond its lease while Redis has not got its command for",
}

// ahead runs cases side by side: asked for one, it begins the next ones too.
type ahead struct {
	width int
	cases []func() (string, error)
	once  []sync.Once
	done  []chan verdict
}

type verdict struct {
	report string
	err    error
}

func (a *ahead) add(run func() (string, error)) int {
	a.cases = append(a.cases, run)
	a.once = append(a.once, sync.Once{})
	a.done = append(a.done, make(chan verdict, 1))
	return len(a.cases) - 1
}

func (a *ahead) result(i int) (string, error) {
	for j := i; j < min(i+a.width, len(a.cases)); j++ {
		a.once[j].Do(func() {
			go func() {
				report, err := a.cases[j]()
				a.done[j] <- verdict{report, err}
			}()
		})
	}
	v := <-a.done[i]
	return v.report, v.err
}

// try lets one thing go wrong at one place and checks what comes of it.
func try(p place, fault crashtest.Fault) (report string, err error) {
	s, err := newScene(shared.Addr, <-databases)
	if err != nil {
		return "", err
	}
	defer func() {
		s.close()
		databases <- s.db
	}()
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w\n%s", p.point(fault), err, s.logs())
		}
	}()
	if err := s.tickIn(600 * time.Millisecond); err != nil {
		return "", err
	}
	if p.terminate {
		s.doze, s.grace = 400*time.Millisecond, 50*time.Millisecond
	}
	if err := s.mixed(); err != nil {
		return "", err
	}
	t := &trial{scene: s, place: p, fault: fault}
	if err := t.run(); err != nil {
		return "", err
	}
	if err := s.probe(); err != nil {
		return "", err
	}
	return t.report, s.verify(t.alive)
}

// trial is the course of one case.
type trial struct {
	*scene
	place  place
	fault  crashtest.Fault
	alive  int // processes that live in the end
	report string
}

// maxRecovery is how long after a crash all must have ended.
const maxRecovery = 2*lease + 2*time.Second

func (t *trial) run() error {
	first, second := t.place, (*place)(nil)
	faults := []crashtest.Fault{t.fault}
	if t.place.after != nil {
		first, second = *t.place.after, &t.place
		faults = []crashtest.Fault{crashtest.Before, t.fault}
	}
	// All processes are started at once and wait for their turn.
	a, aProxy, err := t.start("first", true)
	if err != nil {
		return err
	}
	b, bProxy, err := t.start("second", true)
	if err != nil {
		return err
	}
	if err := t.reach(a, aProxy, first.point(faults[0])); err != nil {
		return err
	}
	if second == nil {
		return t.after(a, aProxy, b)
	}
	if err := t.reach(b, bProxy, second.point(faults[1])); err != nil {
		return err
	}
	c, _, err := t.start("third", false)
	if err != nil {
		return err
	}
	return t.after(b, bProxy, c)
}

// reach lets a process work up to a point.
func (t *trial) reach(p *crashtest.Process, proxy *crashtest.Proxy, point crashtest.Point) error {
	var trouble error
	proxy.Arm(point, func() {
		switch point.Fault {
		case crashtest.Before, crashtest.After:
			p.Kill()
		case crashtest.Late:
			trouble = p.Freeze()
		case crashtest.Cut:
		}
	})
	if err := p.Begin(); err != nil {
		return err
	}
	terminated := false
	reached := func() (bool, error) {
		if t.place.terminate && !terminated {
			begun, err := t.redis.Strings("HKEYS", begunKey(t.ns))
			if err != nil {
				return false, err
			}
			if terminated = len(begun) > 0; terminated {
				return false, p.Terminate()
			}
		}
		select {
		case <-proxy.Reached():
			return true, nil
		default:
			return false, nil
		}
	}
	if err := t.until(15*time.Second, "the runner has come to: "+point.String(), reached); err != nil {
		return fmt.Errorf("%w; it sent %v; %s", err, proxy.Seen(), t.openRuns())
	}
	if trouble != nil || point.Fault == crashtest.Cut {
		return trouble
	}
	return t.snapshot()
}

// after lets everything end once the point was reached, with next as the
// runner that takes over.
func (t *trial) after(p *crashtest.Process, proxy *crashtest.Proxy, next *crashtest.Process) error {
	began := time.Now()
	t.alive = 1
	if t.fault == crashtest.Cut && !t.place.terminate {
		next.Kill() // nobody is needed
		return t.untilEnded(10 * time.Second)
	}
	if err := next.Begin(); err != nil {
		return err
	}
	if err := t.untilEnded(10 * time.Second); err != nil {
		return err
	}
	delay := time.Since(began)
	t.report = fmt.Sprintf("all had ended %s after", delay.Round(time.Millisecond))
	if t.fault == crashtest.Late {
		return t.wakeZombie(p, proxy, next)
	}
	if delay > maxRecovery {
		return fmt.Errorf("recovery took %s, want less than %s", delay, maxRecovery)
	}
	return nil
}

// wakeZombie lets the held command through to Redis, and then the frozen
// runner go on. It must do no harm, and take new work under a new name.
func (t *trial) wakeZombie(p *crashtest.Process, proxy *crashtest.Proxy, next *crashtest.Process) error {
	proxy.Release()
	select {
	case <-proxy.Answered():
	case <-time.After(300 * time.Millisecond): // a read that blocks
	}
	if err := p.Thaw(); err != nil {
		return err
	}
	if t.place.terminate {
		return p.End(10 * time.Second)
	}
	return next.End(10 * time.Second)
}

// probe publishes something more, which the runners that are left must do.
func (s *scene) probe() error {
	err := errors.Join(s.publish("account/changed", `{"account":"x"}`, "account"), s.order("o2", false))
	if err != nil {
		return err
	}
	if err := s.untilEnded(10 * time.Second); err != nil {
		return fmt.Errorf("new events: %w", err)
	}
	return nil
}

// logs returns what the processes wrote.
func (s *scene) logs() string {
	var text strings.Builder
	for i, p := range s.processes {
		fmt.Fprintf(&text, "--- log of process %d\n%s", i+1, p.Log())
	}
	return text.String()
}
