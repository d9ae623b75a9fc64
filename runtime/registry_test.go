package wildout_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	wildout "github.com/wildout/wildout/runtime"
)

// action is an input as handlers have it.
type action struct {
	UserID  string          `json:"userId"`
	Action  string          `json:"action"`
	Details json.RawMessage `json:"details,omitempty"`
	Wait    time.Duration   `json:"wait,omitempty"`
	Tags    []string        `json:"tags"`
}

func TestInputs(t *testing.T) {
	reg := &wildout.Registry{}
	wildout.Add(reg, "echo", func(_ context.Context, in action) (action, error) { return in, nil })
	echo, _ := reg.Lookup("echo")
	for name, c := range map[string]struct{ input, output, fails string }{
		"as it is":      {`{"userId":"mara","action":"LOGIN","details":{"n":9007199254740993},"wait":5}`, `{"userId":"mara","action":"LOGIN","details":{"n":9007199254740993},"wait":5,"tags":null}`, ""},
		"nothing":       {``, `{"userId":"","action":"","tags":null}`, ""},
		"text":          {`{"userId":"<M\u00e4ra>"}`, `{"userId":"<Mära>","action":"","tags":null}`, ""},
		"letter case":   {`{"userId":"mara","USERID":"root-admin"}`, "", `input of handler echo does not fit: unknown field "USERID" (letter case counts: it is "userId")`},
		"a field twice": {`{"userId":"mara","userId":"root-admin"}`, "", `the name "userId" is there twice`},
		"deeper down":   {`{"details":{"a":1,"a":2}}`, "", `the name "a" is there twice, in details`},
		"not UTF-8":     {"{\"userId\":\"M\xe4ra\"}", "", "not valid UTF-8"},
		"a wrong type":  {`{"tags":["a",7]}`, "", "tags[1]: want a string, it is a number"},
		"unknown":       {`{"too":"a"}`, "", `unknown field "too"`},
	} {
		t.Run(name, func(t *testing.T) {
			output, err := echo(t.Context(), json.RawMessage(c.input))
			if string(output) != c.output || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("output %s, %v, want %s, %s", output, err, c.output, c.fails)
			}
			if err != nil && !wildout.IsNonRetriable(err) {
				t.Error("an input that does not fit is tried again")
			}
		})
	}
}

func TestOutputs(t *testing.T) {
	reg := &wildout.Registry{}
	var output any
	wildout.Add(reg, "give", func(context.Context, struct{}) (any, error) { return output, nil })
	give, _ := reg.Lookup("give")
	for name, c := range map[string]struct {
		output      any
		want, fails string
	}{
		"nothing":           {nil, `null`, ""},
		"text not in UTF-8": {"M\xe4ra", "\"M\ufffdra\"", ""},
		"a name twice":      {json.RawMessage(`{"a":1,"a":2}`), "", `the name "a" is there twice`},
		"too large":         {strings.Repeat("x", wildout.MaxOutputBytes), "", "the limit is 1048576"},
		"no JSON":           {func() {}, "", "cannot be stored as JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			output = c.output
			got, err := give(t.Context(), nil)
			if string(got) != c.want || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("output %s, %v, want %s, %s", got, err, c.want, c.fails)
			}
		})
	}
}
