package security_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/audit"
	"github.com/wildout/wildout/site/input"
	"github.com/wildout/wildout/site/schema"
	"github.com/wildout/wildout/site/schema/schematest"
	"github.com/wildout/wildout/site/security"
)

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m)) }

var (
	noon   = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	logins = security.Rule{
		Type: "multiple_failed_logins", Severity: "HIGH", Actions: []string{"LOGIN_FAILURE"},
		Threshold: 3, Window: input.Duration(15 * time.Minute),
	}
)

func newService(t *testing.T, site *schematest.Site) *security.Service {
	t.Helper()
	s, err := security.NewService(site.DB)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func failure(user string, at time.Time) audit.Entry {
	return audit.Entry{EventID: fmt.Sprintf("%s@%s", user, at), UserID: user, Action: "LOGIN_FAILURE", Time: at}
}

func store(t *testing.T, site *schematest.Site, e audit.Entry) {
	t.Helper()
	ctx := context.Background()
	if err := site.Do(ctx, "store", func(tx *schema.Tx) error { return audit.Insert(ctx, tx, e) }); err != nil {
		t.Error(err)
	}
}

func detect(t *testing.T, s *security.Service, e audit.Entry) []security.Alert {
	t.Helper()
	out, err := s.Detect(schematest.Step(e.EventID, 1), security.DetectInput{Entry: e, Rules: []security.Rule{logins}})
	if err != nil {
		t.Error(err)
	}
	return out.Alerts
}

func TestFailedLoginsInTurn(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s := newService(t, site)
		var ids []string
		for i, want := range []int{0, 0, 3, 4} {
			e := failure("u", noon.Add(time.Duration(i)*time.Minute))
			store(t, site, e)
			alerts := detect(t, s, e)
			if want == 0 {
				if len(alerts) != 0 {
					t.Errorf("failure %d raised %+v", i+1, alerts)
				}
				continue
			}
			if len(alerts) != 1 || alerts[0].Attempts != want || alerts[0].Severity != "HIGH" || alerts[0].Timestamp != e.Time.UnixMilli() {
				t.Fatalf("failure %d raised %+v, want one HIGH alert with %d attempts", i+1, alerts, want)
			}
			ids = append(ids, alerts[0].ID)
			if again := detect(t, s, e); len(again) != 1 || again[0].ID != alerts[0].ID {
				t.Errorf("a second look at failure %d gave %+v, want the id %s", i+1, again, alerts[0].ID)
			}
		}
		if ids[0] != ids[1] {
			t.Errorf("one burst has two alerts: %v", ids)
		}
		other := failure("somebody else", noon)
		store(t, site, other)
		if alerts := detect(t, s, other); len(alerts) != 0 {
			t.Errorf("the failures of another user raised %+v", alerts)
		}
	})
}

// TestSimultaneousFailures: several runs store and judge the failures of one
// moment in any order, each twice (two functions do). One alert, never none.
func TestSimultaneousFailures(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s := newService(t, site)
		for round := range 20 {
			user := fmt.Sprint("user-", round)
			var group sync.WaitGroup
			var mu sync.Mutex
			ids := map[string]int{}
			begin := make(chan struct{})
			for i := range 5 {
				e := failure(user, noon.Add(time.Duration(i)*time.Millisecond))
				for range 2 {
					if rand.IntN(2) == 0 { // else it is still in the fallback
						store(t, site, e)
					}
					group.Go(func() {
						<-begin
						for _, alert := range detect(t, s, e) {
							mu.Lock()
							ids[alert.ID]++
							mu.Unlock()
						}
					})
				}
			}
			close(begin)
			group.Wait()
			if len(ids) != 1 {
				t.Errorf("round %d: the alerts %v were raised, want exactly one id", round, ids)
			}
			if n := site.Count(t, "SELECT count(*) FROM alert_windows WHERE user_id = $1", user); n != 1 {
				t.Errorf("round %d: %d windows were opened, want 1", round, n)
			}
		}
	})
}

func TestOneAlertPerWindow(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s := newService(t, site)
		ids := map[string]bool{}
		for minute := range 31 { // an attack: one failure a minute
			e := failure("u", noon.Add(time.Duration(minute)*time.Minute))
			store(t, site, e)
			for _, alert := range detect(t, s, e) {
				ids[alert.ID] = true
			}
		}
		// The windows open at minutes 2 and 17.
		if len(ids) != 2 {
			t.Errorf("an attack of 31 minutes raised %d alerts, want one per 15 minutes: %v", len(ids), ids)
		}
	})
}

func TestRulesWithoutWindow(t *testing.T) {
	site := schematest.Postgres(t)
	s := newService(t, site)
	denied := security.Rule{Type: "permission_violation", Severity: "MEDIUM", Contains: []string{"UNAUTHORIZED"}}
	e := audit.Entry{EventID: "e1", UserID: "u", Action: "UNAUTHORIZED", Time: noon}
	out, err := s.Detect(schematest.Step("s", 1), security.DetectInput{Entry: e, Rules: []security.Rule{logins, denied}})
	if err != nil || len(out.Alerts) != 1 || out.Alerts[0].ID != "permission_violation:e1" {
		t.Errorf("Detect = %+v, %v", out, err)
	}
	_, err = s.Detect(schematest.Step("s", 1), security.DetectInput{Entry: e, Rules: []security.Rule{{}}})
	if !wildout.IsNonRetriable(err) {
		t.Errorf("a rule that is not valid: %v", err)
	}
}

func TestStoreAlertBelongsToOneRun(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s := newService(t, site)
		in := security.StoreAlertInput{
			Key: "k", Type: "t", Severity: "HIGH", UserID: "u", Attempts: 3, Time: noon,
			Contacts: " a@x.example, b@x.example,,a@x.example ",
		}
		for i, want := range []bool{true, true, false} {
			step := "first"
			if i == 2 {
				step = "second"
			}
			out, err := s.StoreAlert(schematest.Step(step, i+1), in)
			if err != nil || out.Mine != want || len(out.Contacts) != 2 {
				t.Errorf("call %d: %+v, %v, want mine = %v and two contacts", i, out, err, want)
			}
		}
		if n := site.Count(t, "SELECT count(*) FROM security_alerts"); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	})
}

// TestJudgedInReverse: the run of the first failure is the last to look, and
// the only one that sees all three.
func TestJudgedInReverse(t *testing.T) {
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s := newService(t, site)
		for i := 2; i >= 0; i-- {
			alerts := detect(t, s, failure("u", noon.Add(time.Duration(i)*time.Second)))
			if raised := len(alerts) == 1; raised != (i == 0) {
				t.Errorf("failure %d raised %+v", i+1, alerts)
			}
		}
	})
}
