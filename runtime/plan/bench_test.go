package plan

import (
	"encoding/json"
	"testing"

	"github.com/wildout/wildout/runtime/event"
)

// benchmarkValue evaluates a tree as the worker does: a new scope for each
// run, so that the data of the event is parsed each time.
func benchmarkValue(b *testing.B, tree string) {
	v := valueOf(b, tree)
	base := testScope()
	e := &event.Event{ID: "e1", Type: "user/registered", Data: json.RawMessage(
		`{"userId":"5f0c1c9a-1111-4222-8333-444455556666","email":"ada@example.com","timestamp":1767322800000,"plan":"free","count":120,"address":{"city":"Berlin","zip":"10115"}}`)}
	b.ReportAllocs()
	for b.Loop() {
		s := &Scope{Event: e, Run: base.Run, Step: base.Step, Env: base.Env}
		if _, err := v.JSON(s); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWith is the `with` of a usual step: the target is 4 µs.
func BenchmarkWith(b *testing.B) {
	benchmarkValue(b, `{"action": "REGISTER_SUCCESS", "userId": "${event.data.userId}", "details": {"email": "${event.data.email}", "city": "${event.data.address.city}"}, "text": "Welcome, ${event.data.email}"}`)
}

func BenchmarkWithCEL(b *testing.B) {
	benchmarkValue(b, `{"a": "${event.data.count + 1}", "b": "${event.data.email.endsWith('.com')}", "c": "${has(event.data.x) ? event.data.x : 'none'}", "d": "${ {'id': event.data.userId} }"}`)
}

func BenchmarkWithLiteral(b *testing.B) { benchmarkValue(b, `{"a": 1}`) }

func BenchmarkWithWholeData(b *testing.B) { benchmarkValue(b, `"${event.data}"`) }

func BenchmarkWithStepOutput(b *testing.B) {
	benchmarkValue(b, `{"a": "${steps.first.output.name}", "b": "${steps.first.output.y[1]}"}`)
}

func BenchmarkComprehension(b *testing.B) {
	benchmarkValue(b, `"${lists.range(100).map(x, x * 2)}"`)
}

func BenchmarkIf(b *testing.B) {
	e := exprOf(b, "event.data.email != '' && event.data.count > 100")
	base := testScope()
	b.ReportAllocs()
	for b.Loop() {
		s := &Scope{Event: base.Event}
		if _, err := e.Bool(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	e := exprOf(b, "event.data.userId")
	base := testScope()
	b.ReportAllocs()
	for b.Loop() {
		s := &Scope{Event: base.Event}
		if _, err := e.Key(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	p, err := ParsePath("data.userId")
	if err != nil {
		b.Fatal(err)
	}
	base := testScope()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := p.Lookup(base.Event); !ok {
			b.Fatal("no value")
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	spec := readSpec(b, everything)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile("greet", spec, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
