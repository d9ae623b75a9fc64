package plan

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wildout/wildout/runtime/event"
)

func TestValueJSON(t *testing.T) {
	tests := map[string]struct{ tree, want string }{
		"number literal":         {`1`, `1`},
		"string literal":         {`"text"`, `"text"`},
		"object literal":         {`{ "b" : 1, "a" : [ true, null ] }`, `{"b":1,"a":[true,null]}`},
		"big literal":            {`[9007199254740993, 1.10]`, `[9007199254740993,1.10]`},
		"escaped expression":     {`"$${event.id} ${event.id}"`, `"${event.id} e1"`},
		"dollar signs":           {`"$ $$ {} $ {event.id}"`, `"$ $$ {} $ {event.id}"`},
		"string":                 {`"${event.data.userId}"`, `"u1"`},
		"number":                 {`"${event.data.count}"`, `120`},
		"number as it was":       {`"${event.data.price}"`, `1.10`},
		"int64 beyond a double":  {`"${event.data.id}"`, `9007199254740993`},
		"int64 through CEL":      {`"${event.data.id + 0}"`, `9007199254740993`},
		"int64 in a CEL list":    {`"${[event.data.id]}"`, `[9007199254740993]`},
		"uint64 through CEL":     {`"${event.data.huge + 0u}"`, `18446744073709551615`},
		"boolean":                {`"${event.data.ok}"`, `true`},
		"null":                   {`"${event.data.none}"`, `null`},
		"list":                   {`"${event.data.list}"`, `[1, "two", {"three": 3}]`},
		"element":                {`"${event.data.list[2].three}"`, `3`},
		"quoted keys":            {`"${event.data.nested['a b'].c[1]}"`, `20`},
		"optional field":         {`"${event.data.?nope.orValue('x')}"`, `"x"`},
		"empty optional":         {`"${event.data.?nope}"`, `null`},
		"full optional":          {`"${event.data.?userId}"`, `"u1"`},
		"computed":               {`"${event.data.count * 2}"`, `240`},
		"whole double":           {`"${event.data.price * 100.0 - 10.0}"`, `100.00000000000001`},
		"round double":           {`"${2.5 * 40.0}"`, `100`},
		"tiny double":            {`"${1e-9}"`, `1e-09`},
		"negative zero":          {`"${-0.0}"`, `0`},
		"ints and doubles":       {`"${event.data.count > 100.5 && event.data.price < 2 && event.data.count == 120.0}"`, `true`},
		"map with sorted keys":   {`"${ {'userId': event.data.userId, 'a': {'}': '{'}} }"`, `{"a":{"}":"{"},"userId":"u1"}`},
		"map with other keys":    {`"${ {1: 'a', true: 'b'} }"`, `{"1":"a","true":"b"}`},
		"timestamp":              {`"${event.time}"`, `"2026-01-02T03:04:05Z"`},
		"timestamp arithmetic":   {`"${event.time + duration('72h')}"`, `"2026-01-05T03:04:05Z"`},
		"duration":               {`"${duration('90m')}"`, `"5400s"`},
		"bytes":                  {`"${b'hi'}"`, `"aGk="`},
		"step output":            {`"${steps.first.output.y[0]}"`, `1`},
		"step with hyphen":       {`"${steps['the-second'].error}"`, `"it broke"`},
		"skipped step":           {`"${steps['the-second'].output}"`, `null`},
		"attempts":               {`"${steps['the-second'].attempts + steps.first.attempts}"`, `5`},
		"whole step":             {`"${steps.first}"`, `{"output":{"y": [1, 2], "name": "x"},"error":"","attempts":1,"timedOut":false,"failed":0,"elements":[]}`},
		"item":                   {`"${item.z}"`, `"item z"`},
		"run":                    {`"${run}"`, `{"id":"r1","function":"greet","attempt":2,"startedAt":"2026-01-02T03:04:06Z"}`},
		"event":                  {`"${event.source + event.type}"`, `"siteuser/registered"`},
		"env":                    {`["${env.REGION}", "${env['REGION']}", "${'NOPE' in env}", "${has(env.NOPE)}", "${env.?NOPE.orValue('none')}", "${env[?'REGION'].orValue('none')}"]`, `["eu","eu",false,false,"none","eu"]`},
		"has":                    {`["${has(event.data.userId)}", "${has(event.data.nope)}", "${has(event.subject)}", "${has(event.source)}", "${has(steps.first.output)}", "${has(steps['the-second'].output)}"]`, `[true,false,false,true,true,false]`},
		"macro":                  {`"${event.data.list.filter(x, type(x) == int).map(event, event + 1)}"`, `[2]`},
		"strings library":        {`"${event.data.email.split('@')[1].upperAscii()}"`, `"EXAMPLE.COM"`},
		"join and replace":       {`"${['a', 'b'].join('-').replace('-', '+') + ['x', 'y'].join() + 'aaa'.replace('a', 'b', 2)}"`, `"a+bxybba"`},
		"math and sets":          {`"${math.greatest(1, event.data.count) + (sets.contains([1, 2], [2]) ? 1 : 0)}"`, `121`},
		"lists library":          {`"${lists.range(3).reverse()}"`, `[2,1,0]`},
		"map size and keys":      {`"${size(event.data.nested) + event.data.nested.map(k, k.size())[0]}"`, `4`},
		"equal objects":          {`"${event.data.list[2] == {'three': 3.0} && event.data.list == [1, 'two', {'three': 3}] && {'three': 3} == event.data.list[2]}"`, `true`},
		"text":                   {`"Hello ${event.data.email}!"`, `"Hello ada@example.com!"`},
		"text of each type":      {`"${event.data.count} ${event.data.price} ${event.data.ok} [${event.data.none}] ${event.data.list} ${2.5 * 40.0} ${event.data.id}"`, `"120 1.1 true [] [1,\"two\",{\"three\":3}] 100 9007199254740993"`},
		"text with quotes":       {`"<${event.data.quote}> <${'q\"\\n' + event.data.quote}>"`, `"<a \"b\" \\ \n ü> <q\"\na \"b\" \\ \n ü>"`},
		"tree":                   {`{"to": "${event.data.email}", "n": [1, "${event.data.count}", {"x": "id ${event.id}"}], "ok": true}`, `{"to":"ada@example.com","n":[1,120,{"x":"id e1"}],"ok":true}`},
		"braces in strings":      {`"${ 'a}' + \"b{\" + '''c}''' + r'\\' + '\\'}' }"`, `"a}b{c}\\'}"`},
		"comment":                {`"${ event.id // the } id\n }"`, `"e1"`},
		"many lines":             {`"${\n  event.id\n}"`, `"e1"`},
		"type test":              {`"${type(event.data.count) == int && type(event.data.price) == double && type(event.data) == map}"`, `true`},
		"dynamic record":         {`"${dyn(event).id + string(dyn(run).attempt)}"`, `"e12"`},
		"key with special chars": {`{"a\"b": "${event.id}", "": 1}`, `{"a\"b":"e1","":1}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := valueOf(t, tc.tree).JSON(testScope())
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(got) {
				t.Fatalf("not JSON: %s", got)
			}
			if string(got) != tc.want && (name != "text with quotes" || !sameJSON(t, string(got), tc.want)) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return x == y
}

func TestValueText(t *testing.T) {
	tests := map[string]struct{ tree, want string }{
		"literal":          {`"a \"b\""`, `a "b"`},
		"template":         {`"alert-${event.data.userId}-${event.data.count}"`, "alert-u1-120"},
		"lone string":      {`"${event.data.quote}"`, "a \"b\" \\ \n ü"},
		"lone number":      {`"${event.data.price}"`, "1.1"},
		"lone null":        {`"${event.data.none}"`, ""},
		"lone list":        {`"${event.data.list}"`, `[1,"two",{"three":3}]`},
		"lone map":         {`"${ {'a': 1} }"`, `{"a":1}`},
		"an object":        {`{"a": "${event.id}"}`, `{"a":"e1"}`},
		"computed boolean": {`"${1 < 2}"`, "true"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := valueOf(t, tc.tree).Text(testScope())
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestValueErrors(t *testing.T) {
	tests := map[string]struct{ tree, want string }{
		"missing field":       {`{"to": "${event.data.mail}"}`, `spec.steps[2].set.to: event.data has no field "mail"; it has userId, email, count, price, id, huge, ok, none, quote, list, empty, nested, …, in: event.data.mail`},
		"missing below":       {`"${event.data.nested.x}"`, `event.data.nested has no field "x"; it has a b`},
		"field of null":       {`"${steps['the-second'].output.x}"`, `steps['the-second'].output is null, it has no field "x"`},
		"field of a string":   {`"${event.data.userId.x}"`, `event.data.userId is a string, it has no field "x"`},
		"field of a list":     {`"${event.data.list.x}"`, `event.data.list is a list, it has no field "x"`},
		"element of object":   {`"${event.data.nested[0]}"`, `event.data.nested is an object, it has no element 0`},
		"element too far":     {`"${event.data.list[3]}"`, `event.data.list has 3 elements, there is no element 3`},
		"missing in CEL":      {`"${event.data.nope + 1}"`, `there is no field "nope"; test for it with has(...)`},
		"missing env":         {`"${env.NOPE}"`, `env.NOPE is not set: set WILDOUT_ENV_NOPE on the runner`},
		"missing env in CEL":  {`"${env.NOPE + 'x'}"`, `env.NOPE is not set: set WILDOUT_ENV_NOPE on the runner`},
		"division by zero":    {`"${event.data.count / 0}"`, `division by zero`},
		"not a number":        {`"${0.0 / 0.0}"`, `not a finite number`},
		"infinite in text":    {`"x ${1.0 / 0.0}"`, `not a finite number`},
		"types at run time":   {`"${event.data.userId + 1}"`, `does not fit the types of its values`},
		"a type":              {`"${type(1)}"`, `the result is a type, which JSON cannot hold`},
		"keys that collide":   {`"${ {1: 'a', '1': 'b'} }"`, `two keys of the map are written "1"`},
		"too many operations": {`"${lists.range(10000).map(x, lists.range(10000).map(y, x * y))}"`, `takes more than 1000000 operations`},
		"too long a range":    {`"${lists.range(10000000)}"`, `range`},
		"explosive replace":   {`"${event.data.email` + strings.Repeat(".replace('a', 'aaaaaaaaaaaaaaaaaaaa')", 9) + `}"`, `more than 4194304 bytes`},
		"explosive join":      {`"${lists.range(9999).map(x, '').join('` + strings.Repeat("x", 1000) + `')}"`, `more than 4194304 bytes`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := valueOf(t, tc.tree).JSON(testScope())
			var failed *EvalError
			if !errors.As(err, &failed) {
				t.Fatalf("got %s, %v; want an EvalError", got, err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error:\n%v\nwant:\n%s", err, tc.want)
			}
			if !strings.HasPrefix(failed.Path, "spec.steps[2].set") {
				t.Errorf("path of the error: %q", failed.Path)
			}
		})
	}
}

func TestBrokenDocuments(t *testing.T) {
	s := testScope()
	s.Event = &event.Event{ID: "e9", Data: json.RawMessage(`{"a": }`)}
	for _, tree := range []string{`"${event.data.a}"`, `"${event.data.a + 1}"`, `"${event}"`} {
		if got, err := valueOf(t, tree).JSON(s); err == nil || !strings.Contains(err.Error(), "the JSON cannot be read: invalid character '}' at start of value, at byte 7") {
			t.Errorf("%s: got %s, %v", tree, got, err)
		}
	}
	s.Event = &event.Event{Data: json.RawMessage(`{"n": 1e999}`)}
	if got, err := valueOf(t, `"${event.data.n + 1.0}"`).JSON(s); err == nil || !strings.Contains(err.Error(), "the number 1e999 is too large") {
		t.Errorf("a number that no double holds: got %s, %v", got, err)
	}
	if got, err := valueOf(t, `"${event.data}"`).JSON(&Scope{}); err != nil || string(got) != "null" {
		t.Errorf("without an event: got %s, %v; want null", got, err)
	}
}

func TestValueList(t *testing.T) {
	tests := map[string]struct {
		tree string
		want []string // nil: an error
		err  string
	}{
		"from data":    {tree: `"${event.data.list}"`, want: []string{`1`, `"two"`, `{"three": 3}`}},
		"empty":        {tree: `"${event.data.empty}"`, want: []string{}},
		"from CEL":     {tree: `"${event.data.list.filter(x, type(x) == string) + ['x']}"`, want: []string{`"two"`, `"x"`}},
		"as it was":    {tree: `"${true ? event.data.list : []}"`, want: []string{`1`, `"two"`, `{"three": 3}`}},
		"literal":      {tree: `[1, "${event.id}"]`, want: []string{`1`, `"e1"`}},
		"a string":     {tree: `"${event.data.userId}"`, err: "there must be a list here and it is a string"},
		"null":         {tree: `"${event.data.none}"`, err: "there must be a list here and it is null"},
		"an object":    {tree: `"${event.data.nested}"`, err: "there must be a list here and it is an object"},
		"a number":     {tree: `"${event.data.count + 1}"`, err: "there must be a list here and it is a number"},
		"text":         {tree: `"x ${event.id}"`, err: "there must be a list here and it is a string"},
		"not a number": {tree: `"${[0.0 / 0.0]}"`, err: "not a finite number"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := valueOf(t, tc.tree).List(testScope())
			if tc.want == nil {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %s, %v; want %s", got, err, tc.err)
				}
				return
			}
			if err != nil || len(got) != len(tc.want) {
				t.Fatalf("got %s, %v; want %s", got, err, tc.want)
			}
			for i := range got {
				if string(got[i]) != tc.want[i] {
					t.Errorf("element %d is %s, want %s", i, got[i], tc.want[i])
				}
			}
		})
	}
}

func TestValueTime(t *testing.T) {
	want := time.Date(2030, 1, 31, 9, 0, 0, 0, time.UTC)
	for name, tree := range map[string]string{
		"literal":   `"2030-01-31T09:00:00Z"`,
		"string":    `"${event.data.when}"`,
		"timestamp": `"${timestamp(event.data.when)}"`,
		"template":  `"${event.data.when.substring(0, 10)}T09:00:00Z"`,
		"zone":      `"2030-01-31T10:00:00+01:00"`,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := valueOf(t, tree).Time(testScope()); err != nil || !got.Equal(want) {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		})
	}
	for name, tc := range map[string]struct{ tree, err string }{
		"other text": {`"${event.data.userId}"`, `"u1" is not an RFC 3339 time`},
		"null":       {`"${event.data.none}"`, "there must be a time here and it is null"},
		"number":     {`"${event.data.count}"`, "there must be a time here and it is a number"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := valueOf(t, tc.tree).Time(testScope()); err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %v, %v; want %s", got, err, tc.err)
			}
		})
	}
}

func TestExpr(t *testing.T) {
	s := testScope()
	for source, want := range map[string]string{
		"event.data.userId":                        "u1",
		"event.data.count":                         "120",
		"event.data.price":                         "1.1",
		"event.data.ok":                            "true",
		"event.data.userId + ':' + event.type":     "u1:user/registered",
		"event.data.id":                            "9007199254740993",
		"event.data.count + 1":                     "121",
		"event.data.quote":                         "a \"b\" \\ \n ü",
		"event.data.list[0]":                       "1",
		"has(event.data.x) ? event.data.x : 'no'":  "no",
		"event.data.none":                          nullKey,
		"dyn(null)":                                nullKey,
		"string(event.data.none == null)":          "true",
		"''":                                       emptyKey,
		"event.subject":                            emptyKey,
		"'null'":                                   "null",
		"event.data.userId == 'u2'":                "false",
		"event.data.?nope.orValue(null)":           nullKey,
		"event.data.ok ? false : event.data.id":    "false",
		"has(event.data.x) && event.data.x == 'p'": "false",
	} {
		if got, err := exprOf(t, source).Key(s); err != nil || got.Text != want || got.False != (want == "false") {
			t.Errorf("%s: got %q, %v; want %q", source, got.Text, err, want)
		}
	}
	for source, want := range map[string]string{
		"event.data.nested":        "the key is an object",
		"event.data.list":          "the key is a list",
		"dyn([1].filter(x, true))": "the key is a list",
		"event.data.nope":          "has no field",
	} {
		if got, err := exprOf(t, source).Key(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v; want %s", source, got, err, want)
		}
	}
	if got := exprOf(t, "  event.id ").String(); got != "event.id" {
		t.Errorf("String() is %q", got)
	}
}

func TestExprBool(t *testing.T) {
	s := testScope()
	for source, want := range map[string]bool{
		"event.data.ok":                                  true,
		"event.data.count > 100":                         true,
		"event.data.count > 120.5":                       false,
		"event.data.nope == 1 || true":                   true,
		"event.data.email.endsWith('.com')":              true,
		"event.time < timestamp('2020-01-01T00:00:00Z')": false,
	} {
		if got, err := exprOf(t, source).Bool(s); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", source, got, err, want)
		}
	}
	for source, want := range map[string]string{
		"event.data.userId":    "the condition is a string and not true or false",
		"dyn(1)":               "the condition is a number and not true or false",
		"event.data.none":      "the condition is null and not true or false",
		"event.data.nope == 1": "there is no field \"nope\"",
	} {
		if got, err := exprOf(t, source).Bool(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v; want %s", source, got, err, want)
		}
	}
}

// TestLaziness proves that evaluating reads only what the expression names,
// and parses it once.
func TestLaziness(t *testing.T) {
	s := testScope()
	var asked []string
	lookup := s.Step
	s.Step = func(name string) (StepVar, bool) {
		asked = append(asked, name)
		return lookup(name)
	}
	if _, err := valueOf(t, `["${event.id}", "${run.id == 'x' ? steps.first.output : 1}"]`).JSON(s); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 0 {
		t.Errorf("steps were looked up that no expression read: %v", asked)
	}
	before := s.cached().event.data.raw
	if before != nil {
		t.Error("the data of the event was parsed although nothing read it")
	}
	if _, err := valueOf(t, `["${event.data.userId}", "${event.data.count + 1}"]`).JSON(s); err != nil {
		t.Fatal(err)
	}
	members := &s.cached().event.data.inside.list[0]
	if _, err := valueOf(t, `["${event.data.email}", "${event.data.count + 2}"]`).JSON(s); err != nil {
		t.Fatal(err)
	}
	if members != &s.cached().event.data.inside.list[0] {
		t.Error("the data of the event was parsed a second time")
	}
}

func TestLiteralIsNotCopied(t *testing.T) {
	v := valueOf(t, `{"a": 1}`)
	first, _ := v.JSON(testScope())
	second, _ := v.JSON(testScope())
	if &first[0] != &second[0] {
		t.Error("a literal was copied")
	}
	s := testScope()
	raw, err := valueOf(t, `"${event.data}"`).JSON(s)
	if err != nil || &raw[0] != &s.Event.Data[0] {
		t.Errorf("the data was copied: %v", err)
	}
	if cap(raw) != len(raw) {
		t.Error("an append to the result would write into the event")
	}
}

// TestScopeSeesChanges proves that what a scope has decoded is not used for
// other bytes, nor by a copy of the scope.
func TestScopeSeesChanges(t *testing.T) {
	v := valueOf(t, `["${item.n}", "${event.data.n}", "${steps.first.output}"]`)
	s := &Scope{}
	output := json.RawMessage("0")
	s.Step = func(string) (StepVar, bool) { return StepVar{Output: output}, true }
	for _, n := range []string{"1", "2", "3"} {
		s.Item = json.RawMessage(`{"n": ` + n + `}`)
		s.Event = &event.Event{Data: json.RawMessage(`{"n": ` + n + `}`)}
		output = json.RawMessage(n)
		want := "[" + n + "," + n + "," + n + "]"
		for range 2 {
			if got, err := v.JSON(s); err != nil || string(got) != want {
				t.Errorf("got %s, %v; want %s", got, err, want)
			}
		}
	}
	other := *s
	if other.cached() == s.cached() {
		t.Error("a copy of a scope shares its cache: two goroutines would write it")
	}
}

func TestPath(t *testing.T) {
	data := `{"userId": "1", "n": 1, "f": 1.0, "e": 1e0, "x": 1.5, "big": 9007199254740993, "ok": true, "none": null, "list": [1], "o": {"p": {"q": "é"}}, "z": -0, "esc": "\u00e9"}`
	e := &event.Event{ID: "e1", Type: "t", Data: json.RawMessage(data)}
	for path, want := range map[string]string{
		"data.userId": `"1"`, "data.n": "1", "data.f": "1", "data.e": "1", "data.x": "1.5", "data.big": "9007199254740993",
		"data.ok": "true", "data.o.p.q": `"é"`, "data.esc": `"é"`, "data.z": "0", "id": `"e1"`, "type": `"t"`,
	} {
		p, err := ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := p.Lookup(e); !ok || got != want {
			t.Errorf("%s: got %s, %v; want %s", path, got, ok, want)
		}
	}
	for _, path := range []string{"data.none", "data.list", "data.o", "data.nope", "data.o.p.q.r", "source", "subject"} {
		p, err := ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := p.Lookup(e); ok {
			t.Errorf("%s: got %s, want nothing", path, got)
		}
	}
	for _, path := range []string{"", "data", "event.data.x", "data.x-y", "data.", "id.x", "data[0]", "time"} {
		if _, err := ParsePath(path); err == nil {
			t.Errorf("%q is taken for a path", path)
		}
	}
	p, _ := ParsePath("data.userId")
	if _, ok := p.Lookup(&event.Event{Data: json.RawMessage(`{"userId`)}); ok {
		t.Error("broken data has a value")
	}
	if p.String() != "data.userId" {
		t.Errorf("String() is %q", p.String())
	}
}
