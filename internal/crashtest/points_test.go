package crashtest_test

import (
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/wildout/wildout/internal/crashtest"
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
	at("making its groups", "group", "fn:order:in"),
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
	at("taking a slot", "begin", "fn:account:"),
	at("looking for room after parking for a slot", "release", "fn:account:"),
	{name: "releasing a slot", command: "release", args: []string{"fn:account:"}, nth: 3}, // two runs have looked for room before
	at("passing a rate limit", "begin", "fn:meter:"),
	at("a cron tick", "tick", "fn:nightly:"),
	at("finishing a run", "finish", "fn:order:done", "ev:order/placed"),
	at("finishing a resumed run", "finish", "fn:order:done", "fn:order:in"),
	at("finishing a child", "finish", "fn:shipping:done"),
	at("finishing an idempotent child", "finish", "fn:shared:done"),
	at("finishing a run of one step", "finish", "fn:listener:done"),
	at("finishing a run that failed", "finish", "fn:refund:done"),
	at("looking how many runs are to be cancelled", "hlen", "fn:stuck:cancels"),
	at("looking which runs are to be cancelled", "hmget", "fn:stuck:cancels"),
	at("taking over a cancelled run", "take", "fn:regret:"),
	at("finishing a cancelled run", "finish", "fn:regret:done"),
	at("taking over a run that is cancelled with its parent", "take", "fn:parcel:"),
	at("finishing a run that is cancelled with its parent", "finish", "fn:parcel:done"),
	at("finishing a run that was cancelled under way", "finish", "fn:stuck:done"),
	step("deal", "all/reserve", 1),
	at("parking for a sleep of a handler", "park", "fn:deal:", "~all/nap"),
	{name: "parking for a retry between the waits of a handler", command: "park", args: []string{"fn:deal:", "not at the first"}},
	at("firing the timer of a handler", "fire", "fn:deal:"),
	at("taking over a run that was parked in a handler", "take", "fn:deal:"),
	at("sending an event in a handler", "emit", "fn:deal:"),
	at("invoking in a handler", "invoke", "fn:deal:"),
	at("registering a wait of a handler", "await", "fn:deal:"),
	step("deal", "all/meanwhile", 1),
	at("parking for what a handler waits for side by side", "park", "fn:deal:", "~all/ship"),
	at("delivering to a wait of a handler", "deliver", "fn:deal:"),
	step("deal", "all/label", 1),
	step("deal", "all/close", 1),
	at("finishing a run of one handler", "finish", "fn:deal:done"),
	at("taking over a run that is cancelled in a handler", "take", "fn:recant:"),
	at("finishing a run that was cancelled in a handler", "finish", "fn:recant:done"),
	{name: "claiming from a dead runner", command: "claim", args: []string{"fn:order:"}, after: &midway},
	{name: "claiming an entry from a dead runner", command: "claim", args: []string{"fn:order:in"}, after: &midway},
	{name: "forgetting a dead runner", command: "forget", args: []string{"fn:order:"}, after: &midway},
	{name: "handing a run back", command: "park", args: []string{"fn:slow:"}, terminate: true},
	{name: "leaving", command: "forget", args: []string{"fn:slow:"}, terminate: true},
}

// meanwhile are places in a run that another runner can park again while the
// command is on its way.
var meanwhile = []place{
	at("taking an idempotency key", "once", "fn:order:"),
	step("order", "reserve", 1),
	step("order", "charge", 1),
	at("sending an event", "emit", "fn:order:"),
	at("invoking", "invoke", "fn:order:"),
	at("parking for a retry", "park", "fn:order:", "~charge"),
	at("parking for a sleep", "park", "fn:order:", "~nap"),
	at("parking for a child", "park", "fn:order:", "~ship"),
	at("firing a timer", "fire", "fn:order:"),
	at("taking over a parked run", "take", "fn:order:"),
}

var _ = Describe("a runner", func() {
	cases := &ahead{width: 6}
	all := func(text string, places []place, fault crashtest.Fault, parked bool) {
		Describe(text, func() {
			for _, p := range places {
				i := cases.add(func() (string, error) { return try(p, fault, parked) })
				It(p.name, func() {
					report, err := cases.result(i)
					AddReportEntry("timing", report)
					Expect(err).NotTo(HaveOccurred())
				})
			}
		})
	}
	all("killed before", places, crashtest.Before, false)
	all("killed after", places, crashtest.After, false)
	all("whose connection breaks after", places, crashtest.Cut, false)
	all("that is frozen beyond its lease, and whose command arrives when the run has ended:", places, crashtest.Late, false)
	all("that is frozen beyond its lease, and whose command arrives when the run is parked:", meanwhile, crashtest.Late, true)
})

// ahead runs cases side by side: asked for one, it begins the next ones too.
type ahead struct {
	width int
	cases []*attempt
}

type attempt struct {
	run   func() (report string, err error)
	begin sync.Once
	done  chan struct{}
	// The outcome, once done is closed.
	report string
	err    error
}

// add returns the index of the new case.
func (a *ahead) add(run func() (report string, err error)) int {
	a.cases = append(a.cases, &attempt{run: run, done: make(chan struct{})})
	return len(a.cases) - 1
}

func (a *ahead) result(i int) (report string, err error) {
	for _, c := range a.cases[i:min(i+a.width, len(a.cases))] {
		c.begin.Do(func() {
			go func() {
				defer close(c.done)
				c.report, c.err = c.run()
			}()
		})
	}
	<-a.cases[i].done
	return a.cases[i].report, a.cases[i].err
}
