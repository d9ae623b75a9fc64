package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	limits := Limits{Depth: 3, Values: 10, Members: 4}
	for name, c := range map[string]struct{ text, fails string }{
		"an object":                 {`{"a":1,"A":2}`, ""},
		"a word":                    {` null `, ""},
		"an emoji and its escapes":  {`"🎈\ud83c\udf88"`, ""},
		"nothing":                   {``, "no JSON value"},
		"blanks":                    {" \n", "no JSON value"},
		"two values":                {`{} {}`, "something behind the value"},
		"broken":                    {`{"a":}`, "invalid character"},
		"cut off":                   {`{"a":"b`, "ends too early"},
		"a name twice":              {`{"a":{"b":1,"b":2}}`, `the name "b" is there twice, in a`},
		"a name twice by an escape": {`{"ab":1,"\u0061b":2}`, `the name "ab" is there twice`},
		"Latin-1":                   {"\"\xe4\"", "not valid UTF-8"},
		"half a character":          {`"cut \ud83c"`, ""},
		"deep enough":               {`[[[]]]`, ""},
		"too deep":                  {`[[[[]]]]`, "nested deeper than 3 levels"},
		"brackets in a string":      {`"[[[[[[\"[[[["`, ""},
		"many enough":               {`[[1,2,3],[4,5,6],7]`, ""},
		"too many":                  {`[[1,2,3],[4,5,6],[7,8,9]]`, "more than 10 values"},
		"too many objects":          {`[[{},{},{}],[{},{}]]`, "more than 10 values"},
		"commas in a string":        {`",,,,,,,,,,,,,,,,,"`, ""},
		"members enough":            {`[[1,2,3,4],{"a":1,"b":2,"c":3,"d":4}]`, ""},
		"too many members":          {`{"a":[1,2,3,4,5]}`, "more than 4 members"},
		"too many, first":           {`[[],2,3,4,5]`, "more than 4 members"},
		"a closing bracket":         {`]`, "invalid character"},
		"commas without a list":     {`,,,,,`, "more than 4 members"},
		"a long exponent":           {`{"n":1e1000000}`, "exponent beyond 400, at byte 6"},
		"a long negative exponent":  {`-1E-1000000`, "exponent beyond 400"},
		"an endless exponent":       {`1e` + strings.Repeat("9", 500), "exponent beyond 400"},
		"an exponent with zeros":    {`1e000000000000300`, ""},
		"every digit":               {`12345678901234567890.123456789`, ""},
		"too many digits":           {strings.Repeat("7", 1001), "more than 1000 characters"},
		"no number":                 {`1e`, "ends too early"},
		"NaN":                       {`NaN`, "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			err := limits.Check([]byte(c.text))
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
			var own *Error
			if err != nil && (!errors.As(err, &own) || own.Kind == Misfit) {
				t.Errorf("error %#v is no *Error of the text", err)
			}
		})
	}
}

func TestUnmarshal(t *testing.T) {
	type inner struct {
		Count int `json:"count"`
	}
	type target struct {
		UserID string          `json:"userId"`
		Plain  string          // without a tag
		Wait   time.Duration   `json:"wait"`
		Inner  []inner         `json:"inner"`
		Raw    json.RawMessage `json:"raw"`
		Any    any             `json:"any"`
		Bytes  []byte          `json:"bytes"`
		Four   [4]byte         `json:"four"`
		Quoted int             `json:"quoted,string"`
	}
	for name, c := range map[string]struct {
		text, fails string
		want        target
	}{
		"a field":              {`{"userId":"mara"}`, "", target{UserID: "mara"}},
		"another letter case":  {`{"userId":"mara","USERID":"root-admin"}`, `unknown field "USERID" (letter case counts: it is "userId")`, target{}},
		"a field without tag":  {`{"plain":"x"}`, `unknown field "plain" (letter case counts: it is "Plain")`, target{}},
		"a field twice":        {`{"userId":"mara","userId":"root-admin"}`, `the name "userId" is there twice`, target{}},
		"twice further down":   {`{"raw":{"a":1,"a":2}}`, `the name "a" is there twice, in raw`, target{}},
		"unknown":              {`{"other":1}`, `unknown field "other"`, target{}},
		"unknown further down": {`{"inner":[{"count":1},{"Count":2}]}`, `inner[1]: unknown field "Count" (letter case`, target{}},
		"a wrong type":         {`{"inner":[{"count":"1"}]}`, `inner[0].count: want a whole number, it is a string`, target{}},
		"a fraction":           {`{"inner":[{"count":1.5}]}`, `inner[0].count: want a whole number, it is 1.5`, target{}},
		"too large":            {`{"inner":[{"count":9223372036854775808}]}`, `inner[0].count: 9223372036854775808 is too large for a whole number`, target{}},
		"Latin-1":              {"{\"userId\":\"M\xe4ra\"}", `not valid UTF-8`, target{}},
		"something behind":     {`{} {}`, `after top-level value`, target{}},
		"as it was read before": {`{"wait":5,"any":[1,{"a":null}],"bytes":"AQI=","four":[1,2],"quoted":"7","raw":{"n":9007199254740993}}`, "", target{
			Wait: 5, Any: []any{1.0, map[string]any{"a": nil}}, Bytes: []byte{1, 2}, Four: [4]byte{1, 2}, Quoted: 7, Raw: json.RawMessage(`{"n":9007199254740993}`)}},
		"null is nothing": {`{"userId":null,"inner":null}`, "", target{}},
	} {
		t.Run(name, func(t *testing.T) {
			var got target
			err := UnmarshalKnown([]byte(c.text), &got)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Fatalf("error %v, want %q", err, c.fails)
			}
			if err == nil && !reflect.DeepEqual(got, c.want) {
				t.Errorf("read %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestUnmarshalPassesOverUnknownFields(t *testing.T) {
	var into struct {
		A int `json:"a"`
	}
	if err := Unmarshal([]byte(`{"b":{"c":[1]},"A":2,"a":1}`), &into); err != nil || into.A != 1 {
		t.Errorf("read %d, %v", into.A, err)
	}
	if err := Unmarshal([]byte(`{"b":1,"b":2}`), &into); err == nil {
		t.Error("a name that is there twice is taken")
	}
}

func TestMembers(t *testing.T) {
	for name, c := range map[string]struct{ text, want, fails string }{
		"an object": {`{"a": 1, "\u00e4\"": [2, 3]}`, `a=1 ä"=[2, 3]`, ""},
		"a list":    {`[1,"b",{}]`, `=1 ="b" ={}`, ""},
		"empty":     {` {} `, ``, ""},
		"a string":  {`"a"`, ``, "want an object or a list, it is a string"},
		"twice":     {`{"a":1,"a":2}`, `a=1`, "there twice"},
		"behind":    {`[] 1`, ``, "something behind"},
		"broken":    {`[1,}`, `=1`, "invalid character"},
		"cut off":   {`{"a"`, ``, "ends too early"},
		"nothing":   {``, ``, "no JSON value"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := Members([]byte(c.text), func(name, value []byte) error {
				got = append(got, string(name)+"="+string(value))
				return nil
			})
			if joined := strings.Join(got, " "); joined != c.want {
				t.Errorf("got %s, want %s", joined, c.want)
			}
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
		})
	}
	enough := errors.New("enough")
	if err := Members([]byte(`[1,2]`), func(_, _ []byte) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the error of the caller came back as %v", err)
	}
}

func TestElementsEndsAtTheLimit(t *testing.T) {
	n := 0
	err := Elements([]byte("["+strings.Repeat("{},", 1_000_000)+"{}]"), 3, func([]byte) error { n++; return nil })
	if n != 3 || err == nil || !strings.Contains(err.Error(), "more than 3") {
		t.Errorf("%d calls, %v", n, err)
	}
}

func TestValue(t *testing.T) {
	got, err := Value([]byte(`{"a":[1,-2,1.50,12345678901234567890,9007199254740993,-0],"b":{"c":null,"d":true,"e":"x"},"f":[]}`))
	want := map[string]any{
		"a": []any{int64(1), int64(-2), json.Number("1.50"), json.Number("12345678901234567890"), int64(9007199254740993), json.Number("-0")},
		"b": map[string]any{"c": nil, "d": true, "e": "x"}, "f": []any{},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %#v, %v", got, err)
	}
	for _, text := range []string{``, `{"a":1,"a":1}`, `[1`, `1 2`, `{"a":1e1000000}`, "\"\xff\""} {
		if _, err := Value([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// FuzzCheck holds the reading against encoding/json: what is taken is JSON to
// both, and what only encoding/json takes has one of the known reasons. All
// ways to read agree on what is JSON.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e3,"x"],"b":{"c":null}}`, `{"a":1,"a":2}`, "\"\xff\"", `"\ud800"`, `1e999`, `[[[[`, `{"\u0061":1,"a":2}`, `"\`, `-`, `[1,]`, "\t1 ", `0123`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := Limits{Depth: 100, Values: 1000}.Check(text)
		if err == nil && !json.Valid(text) {
			t.Fatalf("%q is no JSON", text)
		}
		if err != nil && json.Valid(text) {
			known := false
			for _, reason := range []string{"there twice", "UTF-8", "exponent", "characters", "deeper", "values"} {
				known = known || strings.Contains(err.Error(), reason)
			}
			if !known {
				t.Fatalf("%q is refused: %v", text, err)
			}
		}
		if err != nil {
			return
		}
		value, err := Value(text)
		if err != nil {
			t.Fatalf("Value of %q: %v", text, err)
		}
		var other any
		if err := Unmarshal(text, &other); err != nil && !strings.Contains(err.Error(), "too large") {
			t.Fatalf("Unmarshal of %q: %v", text, err)
		}
		if first := bytes.TrimSpace(text)[0]; first == '{' || first == '[' {
			n := 0
			if err := Members(text, func(_, value []byte) error { n++; return Check(value) }); err != nil {
				t.Fatalf("Members of %q: %v", text, err)
			}
			if object, ok := value.(map[string]any); ok && len(object) != n {
				t.Fatalf("%q has %d fields, or %d", text, len(object), n)
			}
		}
	})
}

// TestHalfACharacter: text of JavaScript may be cut inside an emoji.
func TestHalfACharacter(t *testing.T) {
	const text = `{"a":"cut \ud83c","b":"\udf88 off"}`
	var got struct {
		A string `json:"a"`
		B string `json:"b"`
	}
	if err := UnmarshalKnown([]byte(text), &got); err != nil || got.A != "cut \uFFFD" || got.B != "\uFFFD off" {
		t.Errorf("read as %q, %v", got, err)
	}
	value, err := Value([]byte(text))
	if object, _ := value.(map[string]any); err != nil || object["a"] != "cut \uFFFD" {
		t.Errorf("read as %q, %v", value, err)
	}
	err = Unmarshal([]byte("{\"a\":\"\xff\"}"), &got)
	if err == nil || !strings.Contains(err.Error(), "not valid UTF-8, at byte 7") {
		t.Errorf("of a byte that is no UTF-8: %v", err)
	}
}
