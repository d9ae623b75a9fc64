package intake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
	"github.com/wildout/wildout/runtime/intake"
)

func TestEnvelope(t *testing.T) {
	good := event.Event{Type: "user/registered", ID: "u-1", Source: "/shop", Subject: "Mära", Data: []byte(`{"a":1}`)}
	with := func(change func(*event.Event)) event.Event { e := good; change(&e); return e }
	for name, c := range map[string]struct {
		event event.Event
		want  string // empty: it is sound
	}{
		"sound":           {good, ""},
		"without an id":   {with(func(e *event.Event) { e.ID = "" }), ""},
		"any JSON value":  {with(func(e *event.Event) { e.Data = []byte(`"text"`) }), ""},
		"no type":         {with(func(e *event.Event) { e.Type = "" }), "type is missing"},
		"a type of ours":  {with(func(e *event.Event) { e.Type = "wildout/cron.tick" }), `type "wildout/cron.tick" is reserved`},
		"a slash at last": {with(func(e *event.Event) { e.Type = "user/" }), "is no event type"},
		"a line break":    {with(func(e *event.Event) { e.Type = "user\nregistered" }), "is no event type"},
		"a long type":     {with(func(e *event.Event) { e.Type = strings.Repeat("a", 129) }), "is no event type"},
		"a long id":       {with(func(e *event.Event) { e.ID = strings.Repeat("a", 257) }), "id must be at most 256 bytes"},
		"an id of lines":  {with(func(e *event.Event) { e.ID = "a\nb" }), "id must be at most 256 bytes"},
		"an id no UTF-8":  {with(func(e *event.Event) { e.ID = "a\xff" }), "id must be at most 256 bytes"},
		"a long subject":  {with(func(e *event.Event) { e.Subject = strings.Repeat("a", 1025) }), "subject must be at most 1024 bytes"},
		"no data":         {with(func(e *event.Event) { e.Data = nil }), "data cannot be read: there is no JSON value"},
		"a name twice":    {with(func(e *event.Event) { e.Data = []byte(`{"a":1,"a":2}`) }), `data cannot be read: the name "a" is there twice`},
		"large data":      {with(func(e *event.Event) { e.Data = []byte(`"` + strings.Repeat("x", event.MaxBytes) + `"`) }), "data is 1048578 bytes, the limit is 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			err := intake.Envelope(&c.event).Err()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("faults %v, want %q", err, c.want)
			}
		})
	}
}

func TestTypes(t *testing.T) {
	var types intake.Types
	check := func(e *event.Event, strict bool) string {
		t.Helper()
		found, err := types.Check(t.Context(), e, strict)
		if err != nil {
			t.Fatal(err)
		}
		return found.Error()
	}
	e := &event.Event{Type: "order", Data: []byte(`{"count":"7"}`)}
	if got := check(e, false) + check(e, true); got != `type "order" is not declared: there is no WildoutEventType for it` {
		t.Errorf("without types: %q", got)
	}
	if err := types.Set(map[string]json.RawMessage{"order": []byte(`{"properties":{"count":{"type":"integer"}}}`), "free": nil}); err != nil {
		t.Fatal(err)
	}
	if got := check(e, true); got != "data.count is not valid: got string, want integer" {
		t.Errorf("data that does not fit: %q", got)
	}
	if got := check(&event.Event{Type: "order", Data: []byte(`{"count":12345678901234567890}`)}, true) + check(&event.Event{Type: "free", Data: []byte(`7`)}, true); got != "" {
		t.Errorf("data that fits: %q", got)
	}
	err := types.Set(map[string]json.RawMessage{"a": []byte(`{"type":"nothing"}`), "b": []byte(`{"$ref":"file:///etc/passwd"}`), "c": []byte(`{"type":"object","type":"string"}`)})
	for _, want := range []string{"event type a", "a schema must be complete in itself", `event type c: the schema is no JSON: the name "type" is there twice`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if got := check(e, true); got == "" {
		t.Error("schemas that cannot be used took the place of those that can")
	}
}

// doubling is a schema whose rules double at every level.
func doubling(levels int) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/d0","$defs":{`)
	for i := range levels {
		fmt.Fprintf(&b, `"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"d%d":{"type":"object"}}}`, levels)
	return b.String()
}

// TestAttacksOnSchemas has schemas and data which ask for far more work than
// their length. Time is not judged, as the machine may be busy: what takes
// allocations takes time.
func TestAttacksOnSchemas(t *testing.T) {
	numbers := "[" + strings.Repeat("1e300,", 90_000) + "1]"
	tree := strings.Repeat(`{"c":`, 30) + "{}" + strings.Repeat("}", 30)
	choices := make([]string, 2000)
	for i := range choices {
		choices[i] = fmt.Sprint(i)
	}
	for name, c := range map[string]struct {
		schema, data, want string
		most               uint64 // allocated, in MB
	}{
		"plain, 90,000 numbers":          {`{"items":{"type":"integer"}}`, numbers, "", 200},
		"wrong, 90,000 times":            {`{"items":{"type":"string"}}`, numbers, "data[19] is not valid: got number, want string", 200},
		"90,000 unknown fields":          {`{"additionalProperties":false}`, fields(90_000), "is not valid: additional properties", 200},
		"20 levels of allOf":             {doubling(20), `{}`, "takes more than 1000000 steps", 2000},
		"30 levels of one allOf":         {`{"allOf":[{"properties":{"c":{"$ref":"#"}}},{"properties":{"c":{"$ref":"#"}}}]}`, tree, "takes more than 1000000 steps", 2000},
		"a long enum":                    {`{"items":{"enum":[` + strings.Join(choices, ",") + `]}}`, numbers, "too many for the enum", 50},
		"a pattern on a megabyte":        {`{"pattern":"^(([a-z])+.)+[A-Z]([a-z])+$"}`, `"` + strings.Repeat("ab", 499_999) + `Ab"`, "", 50},
		"a large pattern on a megabyte":  {`{"pattern":"(x+x+){10}y{300}"}`, `"` + strings.Repeat("x", 1_000_000) + `"`, "takes more than 1000000 steps", 50},
		"a regex from outside":           {`{"items":{"format":"regex"}}`, `["((a{100}){100}){10}"]`, "is no regex", 50},
		"20,000 regexes from outside":    {`{"items":{"format":"regex"}}`, "[" + strings.Repeat(`"[a-z]{900}",`, 20_000) + `""]`, "takes more than 1000000 steps", 2000},
		"unevaluated, and 5,000 fields":  {`{"anyOf":[` + strings.Repeat(`{"properties":{"a":{}}},`, 300) + `{}],"unevaluatedProperties":false}`, fields(5_000), "takes more than 1000000 steps", 2000},
		"uniqueItems of 90,000 the same": {`{"uniqueItems":true}`, numbers, "is not valid: items at 0 and 1 are equal", 200},
	} {
		t.Run(name, func(t *testing.T) {
			schema, err := intake.CompileSchema([]byte(c.schema))
			if err != nil {
				t.Fatal(err)
			}
			var found intake.Faults
			spent := servicetest.Spend(func() { found, err = schema.Check(t.Context(), []byte(c.data)) })
			t.Logf("%s: %.200v", spent, found)
			if err != nil || (len(found) == 0) != (c.want == "") || !strings.Contains(found.Error(), c.want) {
				t.Errorf("faults %.300v, %v, want %q", found, err, c.want)
			}
			if len(found.Error()) > 20_000 {
				t.Errorf("%d faults with %d bytes of text", len(found), len(found.Error()))
			}
			if spent.Allocated > c.most<<20 {
				t.Errorf("%s, want at most %d MB", spent, c.most)
			}
		})
	}
}

func fields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"f%d":1`, i)
	}
	return "{" + b.String()[1:] + "}"
}

func TestCheckEndsWithItsContext(t *testing.T) {
	schema, err := intake.CompileSchema([]byte(doubling(14))) // within the budget
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := schema.Check(ctx, []byte(`{}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if found, err := schema.Check(t.Context(), []byte(`{}`)); len(found) > 0 || err != nil {
		t.Errorf("the check after it: %v, %v", found, err)
	}
}

// TestManyAtOnce checks beside each other: a form is for one at a time.
func TestManyAtOnce(t *testing.T) {
	schema, err := intake.CompileSchema([]byte(`{"properties":{"a":{"type":"integer","minimum":3}}}`))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	const workers = 16
	for i := range workers {
		go func() {
			for n := range 200 {
				found, err := schema.Check(context.Background(), fmt.Appendf(nil, `{"a":%d}`, n%6))
				if err == nil && (len(found) > 0) != (n%6 < 3) {
					err = fmt.Errorf("worker %d, %d: %d found", i, n, len(found))
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range workers {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("a check hangs")
		}
	}
}

func TestCompileSchemaBounds(t *testing.T) {
	for name, c := range map[string]struct{ schema, want string }{
		"no schema":        {``, ""},
		"too long":         {`{"description":"` + strings.Repeat("x", 512<<10) + `"}`, "the limit is 524288"},
		"too deep":         {strings.Repeat(`{"not":`, 201) + `{}` + strings.Repeat("}", 201), "deeper than 200 levels"},
		"a large pattern":  {`{"pattern":"(abcdefgh){900}"}`, "too large: what it repeats"},
		"an exponent":      {`{"minimum":1e1000000}`, "exponent beyond 400"},
		"no schema at all": {`[]`, "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := intake.CompileSchema([]byte(c.schema))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	schema, err := intake.CompileSchema([]byte(`{"type":"object","required":["userId","email"],"properties":{"userId":{"type":"string","minLength":1},"email":{"type":"string","format":"email"}}}`))
	if err != nil {
		b.Fatal(err)
	}
	data := []byte(`{"action":"LISTING_UPDATE","actor":"user-1","role":"editor","resource":{"kind":"listing","id":"listing-1"},"details":{"count":1,"fields":["title","venue","starts_at"],"note":"moved to the larger hall because tickets sold out"},"userId":"5f0c1c9a-1111-4222-8333-444455556666","email":"ada@example.com","n":1767322800000}`)
	b.ReportAllocs()
	for b.Loop() {
		if found, err := schema.Check(b.Context(), data); len(found) > 0 || err != nil {
			b.Fatal(found, err)
		}
	}
}
