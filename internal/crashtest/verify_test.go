package crashtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/run"
)

// splitRunKey takes fn:<function>:run:<id> apart.
func splitRunKey(key string) (function, id string) {
	function, id, _ = strings.Cut(strings.TrimPrefix(key, "fn:"), ":run:")
	return function, id
}

// verify checks everything that must hold once all runs have ended, with that
// many runner processes alive.
func (s *scene) verify(alive int) error {
	clean := func() (bool, error) {
		left, err := s.leftovers(alive)
		return len(left) == 0, err
	}
	if err := s.until(30*time.Second, "nothing left behind", clean); err != nil {
		left, _ := s.leftovers(alive)
		return fmt.Errorf("%w:\n  %s", err, strings.Join(left, "\n  "))
	}
	counts, err := s.effects()
	if err != nil {
		return err
	}
	return errors.Join(s.verifyHistory(counts), s.verifyCounters(), s.verifyOverlaps(), s.verifyLogs())
}

// verifyLogs finds what the runner processes can tell by their logs alone.
func (s *scene) verifyLogs() error {
	for _, p := range s.processes {
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if strings.Contains(p.Log(), bad) {
				return fmt.Errorf("a runner has logged %q", bad)
			}
		}
	}
	return nil
}

// effects returns how often each effect was there, by idempotency key.
func (s *scene) effects() (map[string]int, error) {
	flat, err := s.notes.Strings("HGETALL", effectsKey(s.ns))
	counts := map[string]int{}
	for i := 0; i+1 < len(flat); i += 2 {
		counts[flat[i]], _ = strconv.Atoi(flat[i+1])
	}
	return counts, err
}

// verifyHistory checks that every run ended once, as it should, with its effects.
func (s *scene) verifyHistory(counts map[string]int) error {
	var wrong []error
	fault := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	expected := map[string]bool{}
	losses := s.crashes + s.fences()
	for function := range effects {
		records, err := s.inspect.History(context.Background(), function, 100_000)
		if err != nil {
			return err
		}
		if len(records) != s.want[function] {
			fault("%s has %d runs in its history, want %d", function, len(records), s.want[function])
		}
		ids := map[string]bool{}
		for _, r := range records {
			if ids[r.ID] {
				fault("run %s of %s ended twice", r.ID, function)
			}
			ids[r.ID] = true
			if err := s.verifyRecord(r); err != nil {
				wrong = append(wrong, err)
			}
			for _, key := range expectedEffects(r) {
				expected[key] = true
				switch n := counts[key]; {
				case n == 0 && !optional[function]:
					fault("%s: the effect of %s is missing", function, key)
				case s.committed[key] > 0 && n > s.committed[key]:
					fault("%s: the effect of %s is there %d times, %d of them when its step was committed before the crash", function, key, n, s.committed[key])
				case n > 1+losses:
					fault("%s: the effect of %s is there %d times after %d crashes and lost leases", function, key, n, losses)
				}
			}
		}
	}
	for key := range counts {
		if !expected[key] {
			fault("effect %s belongs to no run", key)
		}
	}
	return errors.Join(wrong...)
}

// fences counts how often runners lost their lease: on a machine that is busy
// with other things it happens to healthy ones.
func (s *scene) fences() (n int) {
	for _, p := range s.processes {
		n += strings.Count(p.Log(), "it goes on under a new name")
	}
	return n
}

func (s *scene) verifyRecord(r run.Record) error {
	if want, is := cancelled[r.Function]; is {
		if r.Status != run.Cancelled || r.Error != want {
			return fmt.Errorf("run %s of %s: %s with %q, want that it was cancelled with %q", r.ID, r.Function, r.Status, r.Error, want)
		}
		return nil
	}
	if r.Function == "refund" {
		if r.Status != run.Failed || r.Error != "broken for good" || r.ErrorStep != "fail" {
			return fmt.Errorf("run %s of refund: %s at %q with %q, want the failure of step fail", r.ID, r.Status, r.ErrorStep, r.Error)
		}
		return nil
	}
	if r.Status != run.Succeeded {
		return fmt.Errorf("run %s of %s: %s at %q: %s", r.ID, r.Function, r.Status, r.ErrorStep, r.Error)
	}
	want, fixed := outputs[r.Function]
	if r.Function == "shared" && r.Follows == "" {
		want, fixed = strconv.Quote(r.ID), true
	}
	if fixed && !sameJSON(string(r.Output), want) {
		return fmt.Errorf("run %s of %s gave %s, want %s", r.ID, r.Function, r.Output, want)
	}
	return nil
}

func sameJSON(a, b string) bool {
	var va, vb any
	return json.Unmarshal([]byte(a), &va) == nil && json.Unmarshal([]byte(b), &vb) == nil && reflect.DeepEqual(va, vb)
}

func (s *scene) verifyCounters() error {
	duplicates, err := s.redis.Do("HGET", s.key("fn:order:counters"), "duplicate")
	if want := strconv.Itoa(s.twins); err == nil && s.twins > 0 && duplicates != want {
		err = fmt.Errorf("order counted %v duplicates, want %s", duplicates, want)
	}
	return err
}

func (s *scene) verifyOverlaps() error {
	overlaps, err := s.notes.Do("GET", overlapsKey(s.ns))
	if err == nil && overlaps != nil {
		err = fmt.Errorf("%v times two runs with one concurrency key were active at once", overlaps)
	}
	return err
}

// transient are the keys of a function, after its name, that must be gone when
// nothing runs.
var transient = []string{"run:", "timers", "wait:", "slots:", "queue:", "queued", "versions", "followers:", "cancels"}

// leftovers lists what should not be there once all runs have ended.
func (s *scene) leftovers(alive int) (left []string, err error) {
	keys, err := s.redis.Strings("KEYS", s.key("*"))
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if !stays(strings.TrimPrefix(key, s.key(""))) {
			left = append(left, "key "+key)
		}
	}
	for function := range effects {
		more, err := s.leftoversOf(function, alive)
		if err != nil {
			return nil, err
		}
		left = append(left, more...)
	}
	return left, nil
}

func stays(key string) bool {
	_, ofFunction, _ := strings.Cut(strings.TrimPrefix(key, "fn:"), ":")
	if n, share := strings.CutSuffix(ofFunction, ":"); share && strings.HasPrefix(n, "slots:") {
		return true // of a limit without a key each runner that lives holds its share
	}
	return !strings.HasPrefix(key, "fn:") || !slices.ContainsFunc(transient, func(name string) bool {
		return ofFunction == name || strings.HasSuffix(name, ":") && strings.HasPrefix(ofFunction, name)
	})
}

// leftoversOf looks at the runners of a function and at its consumer groups.
func (s *scene) leftoversOf(function string, alive int) (left []string, err error) {
	runners, err := s.redis.Strings("ZRANGE", s.key("fn:"+function+":runners"), 0, -1)
	if err != nil {
		return nil, err
	}
	if len(runners) != alive {
		left = append(left, fmt.Sprintf("%s has runners %q, want %d", function, runners, alive))
	}
	inbox := s.key("fn:" + function + ":in")
	if n, err := s.redis.Do("XLEN", inbox); err != nil || n != int64(0) {
		left = append(left, fmt.Sprintf("%d entries in %s (%v)", n, inbox, err))
	}
	streams := []string{inbox}
	for _, t := range eventTypes {
		streams = append(streams, s.key("ev:"+t))
	}
	for _, stream := range streams {
		consumers, err := s.redis.Do("XINFO", "CONSUMERS", stream, function)
		if err != nil {
			continue // the function has no group there
		}
		for _, c := range rows(consumers) {
			if c["pending"] != int64(0) {
				left = append(left, fmt.Sprintf("%v entries of %s pending for %v", c["pending"], stream, c["name"]))
			}
			if name, _ := c["name"].(string); !slices.Contains(runners, name) {
				left = append(left, fmt.Sprintf("consumer %v of %s is no runner", name, stream))
			}
		}
	}
	return left, nil
}

// rows reads the answer of XINFO: a list of fields and values in turn.
func rows(answer any) []map[string]any {
	list, _ := answer.([]any)
	all := make([]map[string]any, len(list))
	for i, item := range list {
		all[i] = map[string]any{}
		flat, _ := item.([]any)
		for j := 0; j+1 < len(flat); j += 2 {
			if name, ok := flat[j].(string); ok {
				all[i][name] = flat[j+1]
			}
		}
	}
	return all
}
