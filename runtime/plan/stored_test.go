package plan

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// A version of an earlier build goes on with the meaning that it had.
func TestStoredRateLimitOfAnEarlierBuild(t *testing.T) {
	const rest = `"triggers":[{"event":"a"}],"steps":[{"name":"one","set":1}]`
	p, err := CompileStored("f", `{"rateLimit":{"limit":5,"period":"1m","burst":2,"key":"event.data.u","onLimit":"Delay"},`+rest+`}`)
	if err != nil {
		t.Fatal(err)
	}
	if th := p.Throttle; p.RateLimit != nil || th == nil || th.Limit != 5 || th.Burst != 2 || th.Period != time.Minute || th.Key == nil || th.Sliding {
		t.Errorf("a limit that delayed: throttle %+v, rate limit %+v", th, p.RateLimit)
	}
	for _, onLimit := range []string{`,"onLimit":"Drop"`, ""} {
		p, err = CompileStored("f", `{"rateLimit":{"limit":5,"period":"1m","burst":2`+onLimit+`},`+rest+`}`)
		if err != nil {
			t.Fatal(err)
		}
		if p.Throttle != nil || p.RateLimit == nil || p.RateLimit.Limit != 5 {
			t.Errorf("one that drops: throttle %+v, rate limit %+v", p.Throttle, p.RateLimit)
		}
	}
	for _, text := range []string{`{`, `{"rateLimit":{"onLimit":1}}`} {
		if _, err := CompileStored("f", text); err == nil || !strings.Contains(err.Error(), "stored version of f") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestALaterReleaseIsNotHalfUnderstood(t *testing.T) {
	const sound = `"triggers":[{"event":"a"}],"steps":[{"name":"one","set":1}]`
	for name, test := range map[string]struct {
		text  string
		reads bool
	}{
		"a runner that later pods have":       {`{` + sound + `,"runner":{"replicas":1,"dreams":{"deep":true}}}`, true},
		"a limit that this one does not know": {`{` + sound + `,"hush":{"limit":1}}`, false},
		"a part of a limit":                   {`{` + sound + `,"throttle":{"limit":1,"period":"1m","hush":true}}`, false},
		"an action":                           {`{"triggers":[{"event":"a"}],"steps":[{"name":"one","dream":"1h"}]}`, false},
		"a part of a step":                    {`{"triggers":[{"event":"a"}],"steps":[{"name":"one","set":1,"hush":true}]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := CompileStored("f", test.text); (err == nil) != test.reads {
				t.Errorf("%v", err)
			}
		})
	}
}

// Who can write to Redis must not thereby say what runs do.
func TestAVersionIsItsContent(t *testing.T) {
	const manifest = `{"triggers":[{"event":"a"}],"steps":[{"name":"one","handler":"log","with":{"n":1.50}}],"history":{"limit":7}}`
	current, err := CompileStored("f", manifest)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(current.Spec)
	if err != nil {
		t.Fatal(err)
	}
	stored := string(text)
	read, err := CompileVersion("f", current.Hash, stored)
	if err != nil || read.Hash != current.Hash || read.Spec.Steps[0].Handler != "log" {
		t.Fatalf("what was stored: %v", err)
	}
	for name, change := range map[string][2]string{
		"another handler":             {`"handler":"log"`, `"handler":"print-secrets"`},
		"other inputs":                {`1.50`, `1.51`},
		"another step":                {`"steps":[`, `"steps":[{"name":"zero","handler":"print-secrets"},`},
		"another trigger":             {`"event":"a"`, `"event":"b"`},
		"a field in another case":     {`"steps":[`, `"STEPS":[{"name":"one","handler":"print-secrets"}],"steps":[`},
		"a nested one":                {`"handler":"log"`, `"handler":"log","HANDLER":"print-secrets"`},
		"a field that nobody knows":   {`"steps":[`, `"dream":1,"steps":[`},
		"something behind the object": {`"steps":[`, `"x":{"steps":[]},"steps":[`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(stored, change[0], change[1], 1)
			if changed == stored {
				t.Fatalf("%s is not in %s", change[0], stored)
			}
			_, err := CompileVersion("f", current.Hash, changed)
			if err == nil || !strings.Contains(err.Error(), "is not that version") || !strings.Contains(err.Error(), current.Hash) {
				t.Errorf("%v", err)
			}
		})
	}
	// Of a field that is there twice, what was hashed is what is run.
	twice := strings.Replace(stored, `"handler":"log"`, `"handler":"print-secrets","handler":"log"`, 1)
	if read, err := CompileVersion("f", current.Hash, twice); err == nil && read.Spec.Steps[0].Handler != "log" {
		t.Errorf("a field that is there twice runs %s", read.Spec.Steps[0].Handler)
	}
}
