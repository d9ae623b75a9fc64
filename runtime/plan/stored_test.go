package plan

import (
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
