package users_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/site/schema"
	"github.com/wildout/wildout/site/schema/schematest"
	"github.com/wildout/wildout/site/users"
)

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m)) }

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func each(t *testing.T, test func(t *testing.T, site *schematest.Site, s *users.Service)) {
	t.Helper()
	schematest.Each(t, func(t *testing.T, site *schematest.Site) {
		s, err := users.NewService(site.DB)
		if err != nil {
			t.Fatal(err)
		}
		test(t, site, s)
	})
}

func TestFetch(t *testing.T) {
	each(t, func(t *testing.T, site *schematest.Site, s *users.Service) {
		site.Exec(t, "INSERT INTO users (id, email, created_at) VALUES ('u', 'new@x.example', $1)", schema.At(noon))
		for name, c := range map[string]struct {
			in    users.FetchInput
			want  string
			known bool
		}{
			"the row wins":       {users.FetchInput{UserID: "u", Email: "old@x.example"}, "new@x.example", true},
			"not committed yet":  {users.FetchInput{UserID: "v", Email: "v@x.example"}, "v@x.example", false},
			"neither row nor it": {users.FetchInput{UserID: "v"}, "", false},
		} {
			got, err := s.Fetch(schematest.Step("s", 1), c.in)
			if got.Email != c.want || got.Known != c.known || (err == nil) != (c.want != "") || wildout.IsNonRetriable(err) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
	})
}

func TestProfileInAnyOrder(t *testing.T) {
	in := users.ProfileInput{UserID: "u", Email: "u@x.example"}
	for name, steps := range map[string]string{"profile first": "cm", "mail first": "mc", "twice": "ccmm"} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, site *schematest.Site, s *users.Service) {
				var marked []bool
				for _, step := range steps {
					if step == 'c' {
						if _, err := s.CreateProfile(schematest.Step("c", 1), in); err != nil {
							t.Fatal(err)
						}
						continue
					}
					out, err := s.MarkWelcomed(schematest.Step("m", 1), in)
					if err != nil {
						t.Fatal(err)
					}
					marked = append(marked, out.Changed)
				}
				if n := site.Count(t, "SELECT count(*) FROM user_profiles WHERE welcome_email_sent AND welcome_email_sent_at IS NOT NULL"); n != 1 {
					t.Errorf("%d welcomed profiles, want 1", n)
				}
				if !marked[0] || len(marked) > 1 && marked[1] {
					t.Errorf("marking changed the profile: %v, want the first time only", marked)
				}
			})
		})
	}
}

func TestActivityCountsEachEventOnce(t *testing.T) {
	each(t, func(t *testing.T, site *schematest.Site, s *users.Service) {
		var group sync.WaitGroup
		for i := range 10 {
			in := users.RecordInput{UserID: "u", Action: fmt.Sprint("A", i), Key: fmt.Sprint("e", i), Time: noon.Add(time.Duration(i) * time.Minute)}
			for _, function := range []string{"process-audit-log", "enhanced-audit-logger"} {
				group.Go(func() {
					if _, err := s.RecordActivity(schematest.Step(function+in.Key, 1), in); err != nil {
						t.Error(err)
					}
				})
			}
		}
		group.Wait()
		if n := site.Count(t, "SELECT action_count FROM user_activity_metrics WHERE user_id = 'u'"); n != 10 {
			t.Errorf("%d actions were counted, want 10", n)
		}
		if last := site.Text(t, "SELECT last_action FROM user_activity_metrics"); last != "A9" {
			t.Errorf("the last action is %s, want the latest by its own time, A9", last)
		}
		for since, want := range map[time.Time]bool{noon: true, noon.Add(9 * time.Minute): false} {
			if out, err := s.Activity(schematest.Step("s", 1), users.ActivityInput{UserID: "u", Since: since}); err != nil || out.Active != want {
				t.Errorf("active since %s: %+v, %v, want %v", since, out, err, want)
			}
		}
		if out, err := s.Activity(schematest.Step("s", 1), users.ActivityInput{UserID: "nobody", Since: noon}); err != nil || out.Active {
			t.Errorf("a user without activity: %+v, %v", out, err)
		}
	})
}
