package plan

import (
	"encoding/base64"
	"html"
	"net/url"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// functions are those that CEL does not have and that a step needs to put
// values into another language: HTML, a URL, JSON, a time for people. What is
// text for them is what stands in text for a template. docs/expressions.md
// tells users about them.
func functions() cel.EnvOption {
	text := cel.StringType
	value := cel.DynType
	return options(
		function("html", text, one(func(s string) ref.Val { return bounded(html.EscapeString(s)) }), value),
		function("urlEncode", text, one(func(s string) ref.Val { return bounded(urlEncode(s)) }), value),
		function("base64.encode", text, one(func(s string) ref.Val { return bounded(base64.StdEncoding.EncodeToString([]byte(s))) }), value),
		function("base64.decode", cel.BytesType, one(base64Decode), text),
		function("json", text, jsonText, value),
		function("fromJson", value, fromJSON, text),
		method("toUpper", text, one(func(s string) ref.Val { return bounded(strings.ToUpper(s)) }), text),
		method("toLower", text, one(func(s string) ref.Val { return bounded(strings.ToLower(s)) }), text),
		function("formatTime", text, formatTime, value, text),
		function("formatTime", text, formatTime, value, text, text),
		function("sum", value, sum, cel.ListType(value)),
	)
}

func options(list ...cel.EnvOption) cel.EnvOption {
	return func(e *cel.Env) (*cel.Env, error) {
		var err error
		for _, option := range list {
			if e, err = option(e); err != nil {
				return nil, err
			}
		}
		return e, nil
	}
}

// function declares a function and what a call of it costs: cel-go would count
// one, however much text it goes through.
func function(name string, result *cel.Type, fn func(...ref.Val) ref.Val, args ...*cel.Type) cel.EnvOption {
	id := "wildout_" + strings.ReplaceAll(name, ".", "_") + strings.Repeat("_and", len(args)-1)
	return declared(name, id, cel.Overload(id, args, result, cel.FunctionBinding(fn)))
}

// method declares one that is written behind its first argument.
func method(name string, result *cel.Type, fn func(...ref.Val) ref.Val, args ...*cel.Type) cel.EnvOption {
	id := "wildout_" + name
	return declared(name, id, cel.MemberOverload(id, args, result, cel.FunctionBinding(fn)))
}

func declared(name, id string, overload cel.FunctionOpt) cel.EnvOption {
	return options(
		cel.Function(name, overload),
		cel.CostModel(charged(id)),
	)
}

// charged is what a call of an overload costs: a tenth for each character that it
// goes through and each that it makes, as for the functions of cel-go.
func charged(id string) cost.OverloadModel {
	return cost.Overload(id, cost.ManualCost(
		func(cost.Estimator, *cost.AstNode, []cost.AstNode) *cost.CallEstimate { return nil }, // nothing here estimates
		func(args []ref.Val, result ref.Val) *uint64 {
			return units((length(args[0]) + length(result)) / 10)
		},
	))
}

func length(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case types.Bytes:
		return len(v)
	case *object:
		return len(v.raw)
	case *list:
		return len(v.raw)
	case traits.Lister:
		size, _ := v.Size().(types.Int)
		return int(size)
	}
	return 0
}

// one makes a function of text out of fn.
func one(fn func(string) ref.Val) func(...ref.Val) ref.Val {
	return func(args ...ref.Val) ref.Val {
		if raw, isBytes := args[0].(types.Bytes); isBytes {
			return fn(string(raw)) // and not their base64
		}
		s, err := appendText(nil, args[0])
		if err != nil {
			return types.WrapErr(err)
		}
		return fn(string(s))
	}
}

var errTooLong = types.NewErr("this would make a text of more than %d bytes", maxBytes)

func bounded(s string) ref.Val {
	if len(s) > maxBytes {
		return errTooLong
	}
	return types.String(s)
}

// urlEncode escapes all that has a meaning in a path or in a query. Of the two
// ways to write a space both take %20.
func urlEncode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// base64Decode takes what others make: with and without padding, with the
// letters of URLs too.
func base64Decode(s string) ref.Val {
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/", "\r", "", "\n", "").Replace(s), "=")
	raw, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return types.NewErr("base64.decode: this is not base64")
	}
	return types.Bytes(raw)
}

func jsonText(args ...ref.Val) ref.Val {
	raw, err := appendJSON(nil, args[0])
	if err != nil {
		return types.WrapErr(err)
	}
	return bounded(string(appendCompact(nil, raw)))
}

// fromJSON reads a text that is JSON, as events carry it that other systems wrapped.
func fromJSON(args ...ref.Val) ref.Val {
	doc, err := newDocument([]byte(args[0].(types.String)))
	if err != nil {
		return types.NewErr("fromJson: %v", err)
	}
	return doc.value()
}

// directives are those of strftime that people use, with Go's form of them.
var directives = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "2", 'j': "002",
	'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'A': "Monday", 'a': "Mon", 'B': "January", 'b': "Jan", 'Z': "MST", 'z': "-0700",
	'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04",
}

func formatTime(args ...ref.Val) ref.Val {
	at, failed := instantOf(args[0])
	if failed != nil {
		return failed
	}
	at = at.UTC()
	if len(args) > 2 {
		zone, err := time.LoadLocation(string(args[2].(types.String)))
		if err != nil || args[2] == types.String("Local") {
			return types.NewErr("formatTime: %q is no time zone such as Europe/Berlin", string(args[2].(types.String)))
		}
		at = at.In(zone)
	}
	var b strings.Builder
	format := string(args[1].(types.String))
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch {
		case i < len(format) && format[i] == '%':
			b.WriteByte('%')
		case i < len(format) && directives[format[i]] != "":
			b.WriteString(at.Format(directives[format[i]]))
		default:
			return types.NewErr("formatTime: %q has a %% without a letter that is known; write %%Y-%%m-%%d %%H:%%M, or %%%% for a percent sign", format)
		}
	}
	return types.String(b.String())
}

// instantOf reads a timestamp or an RFC 3339 string.
func instantOf(v ref.Val) (time.Time, ref.Val) {
	switch v := v.(type) {
	case types.Timestamp:
		return v.Time, nil
	case types.String:
		at, err := time.Parse(time.RFC3339, string(v))
		if err != nil {
			return at, types.NewErr("formatTime: %q is not an RFC 3339 time such as 2030-01-31T09:00:00Z", string(v))
		}
		return at, nil
	}
	return time.Time{}, types.NewErr("formatTime takes a time, and this is %s", kindOf(v))
}

// sum adds the numbers of a list: whole ones exactly, and with a fraction
// among them all as such.
func sum(args ...ref.Val) ref.Val {
	var whole types.Int
	var all float64
	fraction, tooLarge := false, false
	add := func(v ref.Val) {
		next, fits := whole.Add(v).(types.Int)
		whole, tooLarge = next, tooLarge || !fits
	}
	for it := args[0].(traits.Lister).Iterator(); it.HasNext() == types.True; {
		switch v := it.Next().(type) {
		case types.Int:
			all += float64(v)
			add(v)
		case types.Uint:
			all += float64(v)
			add(v.ConvertToType(types.IntType))
		case types.Double:
			all += float64(v)
			fraction = true
		default:
			return types.NewErr("sum takes a list of numbers, and there is %s in it", kindOf(v))
		}
	}
	switch {
	case fraction:
		return types.Double(all)
	case tooLarge:
		return types.NewErr("sum: the numbers are too large together")
	}
	return whole
}
