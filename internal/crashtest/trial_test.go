package crashtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wildout/wildout/internal/crashtest"
	"github.com/wildout/wildout/runtime/run"
)

// databases of the shared server: each case has one for itself.
var databases = func() chan int {
	const most = 15 // a server has 16
	free := make(chan int, most)
	for db := range most {
		free <- db + 1
	}
	return free
}()

// try lets one thing go wrong at one place and checks what comes of it. With
// parked a late command arrives while the order waits for its payment.
func try(p place, fault crashtest.Fault, parked bool) (report string, err error) {
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
	s.payLater = parked
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
	place place
	fault crashtest.Fault
	alive int // processes that live in the end
	// released: the held command was let through while the order was parked.
	released bool
	report   string
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
	if t.payLater {
		if err := t.releaseParked(proxy); err != nil {
			return err
		}
	}
	if err := t.untilEnded(10 * time.Second); err != nil {
		return err
	}
	delay := time.Since(began)
	t.report = fmt.Sprintf("all had ended %s after", delay.Round(time.Millisecond))
	if t.fault == crashtest.Late {
		return t.wakeZombie(p, proxy, next)
	}
	// Where even healthy runners lose their lease the machine is too busy to measure.
	if delay > maxRecovery && t.fences() == 0 {
		return fmt.Errorf("recovery took %s, want less than %s", delay, maxRecovery)
	}
	return nil
}

// wakeZombie lets the held command through to Redis, and then the frozen
// runner go on. It must do no harm, and take new work under a new name.
func (t *trial) wakeZombie(p *crashtest.Process, proxy *crashtest.Proxy, next *crashtest.Process) error {
	if !t.released {
		release(proxy)
	}
	if err := p.Thaw(); err != nil {
		return err
	}
	if t.place.terminate {
		return p.End(10 * time.Second)
	}
	return next.End(10 * time.Second)
}

// releaseParked lets the held command through once the order waits for its
// payment, and then has it paid.
func (t *trial) releaseParked(proxy *crashtest.Proxy) error {
	parked := func() (bool, error) {
		open, err := t.inspect.Waiting(context.Background(), "order", 1)
		return len(open) == 1 && open[0].Status == run.Waiting && slices.ContainsFunc(open[0].Steps, func(step run.StepRecord) bool {
			return step.Name == "paid"
		}), err
	}
	if err := t.until(10*time.Second, "the order waits for its payment", parked); err != nil {
		return fmt.Errorf("%w; %s", err, t.openRuns())
	}
	release(proxy)
	t.released, t.payLater = true, false
	return nil
}

// release lets a held command through and waits for its answer.
func release(proxy *crashtest.Proxy) {
	proxy.Release()
	select {
	case <-proxy.Answered():
	case <-time.After(300 * time.Millisecond): // a read that blocks
	}
}

// probe publishes something more, which the runners that are left must do.
func (s *scene) probe() error {
	err := errors.Join(s.publish("account/changed", `{"account":"x"}`, "account"), s.order("o2", false), s.replay("listener"))
	if err != nil {
		return err
	}
	if err := s.untilEnded(10 * time.Second); err != nil {
		return fmt.Errorf("new events: %w", err)
	}
	return nil
}

// replay runs one of the ended runs of a function again.
func (s *scene) replay(function string) error {
	ended, err := s.inspect.History(context.Background(), function, 1)
	if err != nil {
		return err
	}
	if len(ended) == 0 {
		return fmt.Errorf("no run of %s has ended", function)
	}
	s.want[function]++
	_, err = s.acts.Replay(context.Background(), function, ended[0].ID)
	return err
}

// logs returns what the processes wrote.
func (s *scene) logs() string {
	var text strings.Builder
	for i, p := range s.processes {
		fmt.Fprintf(&text, "--- log of process %d\n%s", i+1, p.Log())
	}
	return text.String()
}
