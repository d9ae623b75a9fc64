package crashtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wildout/wildout/internal/crashtest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/plan"
	"github.com/wildout/wildout/runtime/run"
	"github.com/wildout/wildout/runtime/store"
	"github.com/wildout/wildout/runtime/store/acts"
	"github.com/wildout/wildout/runtime/store/inspect"
	"github.com/wildout/wildout/runtime/store/runs"
)

var namespaces atomic.Int64

// paidBy is the path that joins an order and its payment.
var paidBy = func() *plan.Path {
	path, err := plan.ParsePath("data.order")
	if err != nil {
		panic(err)
	}
	return path
}()

// scene is one namespace of Redis with events, the processes that work on
// them, and what must have come of it in the end. It reports errors and fails
// no test itself: many scenes run side by side.
type scene struct {
	ns        string
	redis     *crashtest.Conn // past the proxies
	notes     *crashtest.Conn // what handlers record
	server    string
	direct    string // where handlers record
	directDB  int
	stubborn  bool // what fails is tried again: Redis is in trouble
	published int
	db        int
	store     *store.Conn
	runs      *runs.Store
	inspect   *inspect.Inspector
	acts      *acts.Acts
	tick      time.Time
	doze      time.Duration
	linger    time.Duration
	grace     time.Duration
	want      map[string]int  // runs in the history, by function
	twins     int             // events that are duplicates of others
	unpaid    map[string]debt // by the id of an order
	payLater  bool            // they are left to wait
	regretted map[string]bool // runs that were cancelled
	processes []*crashtest.Process
	proxies   []*crashtest.Proxy
	crashes   int
	// committed has, of effects whose step was committed before a crash, how
	// often they were there by then, by idempotency key.
	committed map[string]int
}

// debt is an order that is to be paid: who waits for it, and by which value.
type debt struct{ function, value string }

// newScene makes a scene in a database of the server, which it has for itself.
func newScene(server string, db int) (*scene, error) {
	s := &scene{ns: fmt.Sprintf("c%d", namespaces.Add(1)), server: server, db: db, doze: 100 * time.Millisecond, grace: time.Second,
		want: map[string]int{}, unpaid: map[string]debt{}, regretted: map[string]bool{}, committed: map[string]int{}}
	var err error
	if s.redis, err = crashtest.Dial(server); err != nil {
		return nil, err
	}
	if _, err := s.redis.Do("SELECT", db); err != nil {
		return nil, err
	}
	s.notes, s.direct, s.directDB = s.redis, server, db
	s.store, err = store.Open(store.Options{URL: fmt.Sprintf("redis://%s/%d", server, db), Namespace: s.ns, Logger: slog.New(slog.DiscardHandler), PoolSize: 2})
	if err != nil {
		return nil, err
	}
	s.runs = runs.New(s.store)
	s.inspect = inspect.New(s.store)
	s.acts = acts.New(s.store)
	return s, nil
}

// close ends what the scene has started.
func (s *scene) close() {
	for _, p := range s.processes {
		p.Kill()
	}
	for _, p := range s.proxies {
		_ = p.Close()
	}
	_, _ = s.redis.Do("FLUSHDB")
	_ = s.store.Close()
	_ = s.redis.Close()
}

// start starts a runner process, on standby. With a point it talks to Redis
// through a proxy, which is armed by the caller.
func (s *scene) start(name string, proxied bool) (*crashtest.Process, *crashtest.Proxy, error) {
	return s.startAs(runnerConfig{Name: name}, proxied)
}

// startAs starts a runner of a version, or with a wall clock, of its own.
func (s *scene) startAs(c runnerConfig, proxied bool) (*crashtest.Process, *crashtest.Proxy, error) {
	c = runnerConfig{Name: c.Name, Version: c.Version, Shift: c.Shift, Redis: s.server, Direct: s.direct, DB: s.db, NotesDB: s.directDB, Namespace: s.ns, Tick: s.tick, Doze: s.doze, Linger: s.linger, Grace: s.grace}
	var proxy *crashtest.Proxy
	if proxied {
		var err error
		if proxy, err = crashtest.NewProxy(s.server, scripts); err != nil {
			return nil, nil, err
		}
		s.proxies = append(s.proxies, proxy)
		c.Redis = proxy.Addr()
	}
	config, err := json.Marshal(c)
	if err != nil {
		return nil, nil, err
	}
	p, err := crashtest.Start(string(config))
	if err != nil {
		return nil, nil, err
	}
	s.processes = append(s.processes, p)
	return p, proxy, nil
}

// tickIn sets the one tick of the cron function. The schedule is known from
// now on, so that a runner which starts later catches up.
func (s *scene) tickIn(d time.Duration) error {
	now := time.Now()
	s.tick = now.Add(d)
	s.want["nightly"]++
	return s.runs.NoteTick(context.Background(), "nightly", schedule, now)
}

// publish publishes an event and counts the runs that must come of it.
func (s *scene) publish(eventType, data string, runs ...string) error {
	for _, function := range runs {
		s.want[function]++
	}
	e := &event.Event{Type: eventType, Data: []byte(data)}
	if s.stubborn {
		s.published++
		e.ID = fmt.Sprint("e", s.published) // an answer that is lost publishes nothing twice
	}
	return s.insist(func() error { return s.store.Publish(context.Background(), e) })
}

// insist does something; again and again for a minute when the scene is stubborn.
func (s *scene) insist(do func() error) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := do()
		if err == nil || !s.stubborn || time.Now().After(deadline) {
			return err
		}
	}
}

// order publishes an order that ends well, twice when twin is set.
func (s *scene) order(id string, twin bool) error {
	data := fmt.Sprintf(`{"order":%q,"items":["a","b","c"]}`, id)
	err := s.publish("order/placed", data, "order", "shipping", "listener")
	if err == nil && twin {
		s.twins++
		err = s.publish("order/placed", data)
	}
	s.owed("order", id, data)
	return err
}

// deal publishes an order of the function that is one handler.
func (s *scene) deal(id string) error {
	data := fmt.Sprintf(`{"order":%q}`, id)
	s.owed("deal", id, data)
	return s.publish("deal/made", data, "deal", "shipping", "listener")
}

func (s *scene) owed(function, id, data string) {
	value, _ := paidBy.Lookup(&event.Event{Data: []byte(data)})
	s.unpaid[id] = debt{function, value}
}

// mixed publishes one or more events for each function.
func (s *scene) mixed() error {
	return errors.Join(
		s.order("o1", true),
		s.deal("d1"),
		s.publish("order/broken", `{}`, "refund"),
		s.publish("account/changed", `{"account":"x"}`, "account"),
		s.publish("account/changed", `{"account":"x"}`, "account"),
		s.publish("account/changed", `{"account":"x"}`, "account"),
		s.publish("meter/read", `{"meter":"m"}`, "meter"),
		s.publish("meter/read", `{"meter":"m"}`, "meter"),
		s.publish("call/made", `{"key":"k"}`, "caller", "shared"),
		s.publish("call/made", `{"key":"k"}`, "caller", "shared"),
		s.publish("slow/asked", `{}`, "slow"),
		s.publish("order/regretted", `{}`, "regret", "parcel", "recant", "parcel"),
		s.publish("stuck/asked", `{}`, "stuck"),
	)
}

// regret cancels runs that wait, or are stuck.
func (s *scene) regret() error {
	runs := map[string]string{} // by id
	for function, step := range regrets {
		open, err := s.inspect.Waiting(context.Background(), function, 1000)
		if err != nil {
			return err
		}
		for _, record := range open {
			if slices.ContainsFunc(record.Steps, func(s run.StepRecord) bool { return s.Name == step }) {
				runs[record.ID] = function
			}
		}
	}
	begun, err := s.notes.Strings("HKEYS", begunKey(s.ns))
	if err != nil {
		return err
	}
	for _, key := range begun {
		if id, stuck := strings.CutSuffix(key, "/hang"); stuck {
			runs[id] = "stuck"
		}
	}
	for id, function := range runs {
		if s.regretted[id] {
			continue
		}
		if err := s.acts.Cancel(context.Background(), function, id, reason); err != nil && (!s.stubborn || !errors.Is(err, acts.ErrEnded)) {
			return err
		}
		s.regretted[id] = true
	}
	return nil
}

// answer pays the orders that wait for it, and cancels what is to be cancelled.
func (s *scene) answer() error {
	if err := s.regret(); err != nil {
		return err
	}
	for id, owed := range s.unpaid {
		waiting, err := s.runs.Waiters(context.Background(), owed.function, "order/paid", paidBy.String(), owed.value)
		if err != nil {
			return err
		}
		if len(waiting) == 0 || s.payLater {
			continue
		}
		if err := s.publish("order/paid", fmt.Sprintf(`{"order":%q,"by":"card"}`, id)); err != nil {
			return err
		}
		delete(s.unpaid, id)
	}
	return nil
}

func (s *scene) key(rest string) string { return "wo:{" + s.ns + ".0}:" + rest }

// ended reports whether all runs that are wanted are in the history.
func (s *scene) ended() (bool, error) {
	for function, want := range s.want {
		n, err := s.count(function)
		if err != nil || n < want {
			return false, err
		}
	}
	return true, nil
}

func (s *scene) count(function string) (int, error) {
	n := 0
	for _, history := range []string{"done", "dead"} {
		length, err := s.redis.Do("XLEN", s.key("fn:"+function+":"+history))
		if err != nil {
			return 0, err
		}
		n += int(length.(int64))
	}
	return n, nil
}

// until asks again and again, pays orders meanwhile, and says what for when
// the time is up.
func (s *scene) until(most time.Duration, what string, done func() (bool, error)) error {
	for deadline := time.Now().Add(most); ; {
		if err := s.answer(); err != nil {
			return err
		}
		ok, err := done()
		if err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s still not: %s", most, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *scene) untilEnded(most time.Duration) error {
	err := s.until(most, "all runs ended", s.ended)
	if err != nil {
		err = fmt.Errorf("%w; %s", err, s.openRuns())
	}
	return err
}

// openRuns says what has not ended, for people.
func (s *scene) openRuns() string {
	now, _ := s.redis.Strings("TIME")
	text := fmt.Sprintf("now %s, tick %d, missing:", now, s.tick.UnixMilli())
	for function, want := range s.want {
		n, err := s.count(function)
		if err != nil {
			return err.Error()
		}
		if n != want {
			text += fmt.Sprintf("\n  %s has %d runs of %d", function, n, want)
			for what, command := range map[string][]any{
				"runners": {"ZRANGE", s.key("fn:" + function + ":runners"), 0, -1, "WITHSCORES"},
				"timers":  {"ZRANGE", s.key("fn:" + function + ":timers"), 0, -1, "WITHSCORES"},
				"inbox":   {"XRANGE", s.key("fn:" + function + ":in"), "-", "+"},
				"readers": {"XINFO", "CONSUMERS", s.key("fn:" + function + ":in"), function},
				"cron":    {"HGETALL", s.key("fn:" + function + ":cron")},
			} {
				state, err := s.redis.Strings(command...)
				text += fmt.Sprintf("\n    %s: %q %v", what, state, err)
			}
		}
	}
	keys, _ := s.redis.Strings("KEYS", s.key("fn:*:run:*"))
	for _, key := range keys {
		fields, _ := s.redis.Strings("HGETALL", key)
		text += fmt.Sprintf("\n  %s: %q", key, fields)
	}
	return text
}

// snapshot notes which effects are committed: a crash has just happened.
func (s *scene) snapshot() error {
	s.crashes++
	journaled, err := s.journaled()
	if err != nil {
		return err
	}
	finished, err := s.finished()
	if err != nil {
		return err
	}
	return s.note(append(journaled, finished...))
}

// note notes how often the effects of committed steps are there.
func (s *scene) note(keys []string) error {
	// The counts are read last: an effect comes before its commit.
	counts, err := s.effects()
	if err != nil {
		return err
	}
	for _, key := range keys {
		if _, known := s.committed[key]; !known {
			s.committed[key] = max(1, counts[key])
		}
	}
	return nil
}

// journaled returns the idempotency keys of the effects of steps that journals have.
func (s *scene) journaled() (committed []string, err error) {
	keys, err := s.redis.Strings("KEYS", s.key("fn:*:run:*"))
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		function, id := splitRunKey(key[len(s.key("")):])
		fields, err := s.redis.Strings("HKEYS", key)
		if err != nil {
			return nil, err
		}
		for _, step := range effects[function] {
			if slices.Contains(fields, step) {
				committed = append(committed, id+"/"+step)
			}
		}
	}
	return committed, nil
}

// finished returns the idempotency keys of the effects of runs that have ended.
func (s *scene) finished() (committed []string, err error) {
	for function := range effects {
		records, err := s.inspect.History(context.Background(), function, 100_000)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			committed = append(committed, expectedEffects(r)...)
		}
	}
	return committed, nil
}
