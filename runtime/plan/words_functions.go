package plan

import "strings"

// tried are functions of other languages that people write, and what there is in
// their place. Names are in small letters, without what stands between words.
var tried = map[string]string{
	"touppercase": "'text'.toUpper()", "upper": "'text'.toUpper()", "upcase": "'text'.toUpper()", "uppercase": "'text'.toUpper()", "strtoupper": "'text'.toUpper()",
	"tolowercase": "'text'.toLower()", "lower": "'text'.toLower()", "downcase": "'text'.toLower()", "lowercase": "'text'.toLower()",
	"len": "size(list)", "length": "size(list)", "count": "size(list)",
	"now":  "run.startedAt, or event.time: an expression gives the same each time it is evaluated",
	"date": "run.startedAt, or event.time: an expression gives the same each time it is evaluated", "today": "formatTime(run.startedAt, '%F')",
	"uuid": "run.id, or event.id: an expression gives the same each time it is evaluated", "random": "run.id, or event.id: an expression gives the same each time it is evaluated",
	"rand":   "run.id, or event.id: an expression gives the same each time it is evaluated",
	"tojson": "json(value)", "jsonstringify": "json(value)", "stringify": "json(value)", "jsonencode": "json(value)", "marshal": "json(value)",
	"parsejson": "fromJson(text)", "jsonparse": "fromJson(text)", "jsondecode": "fromJson(text)", "unmarshal": "fromJson(text)", "tojsonobject": "fromJson(text)",
	"tostring": "string(value)", "str": "string(value)", "text": "string(value)",
	"toint": "int(value)", "integer": "int(value)", "number": "double(value)", "float": "double(value)", "tonumber": "double(value)", "parseint": "int(text)", "parsefloat": "double(text)",
	"escapehtml": "html(value)", "htmlescape": "html(value)", "encodeuri": "urlEncode(value)", "encodeuricomponent": "urlEncode(value)", "urlencode": "urlEncode(value)",
	"urlescape": "urlEncode(value)", "b64encode": "base64.encode(value)", "b64decode": "base64.decode(text)", "btoa": "base64.encode(value)", "atob": "base64.decode(text)", "base64": "base64.encode(value)",
	"strftime": "formatTime(time, '%F %T')", "dateformat": "formatTime(time, '%F %T')", "formatdate": "formatTime(time, '%F %T')", "format": "formatTime(time, '%F %T') for a time, 'a %s'.format([value]) for text",
	"concat": "'a' + 'b', also for lists", "substr": "'text'.substring(0, 3)", "slice": "list.slice(0, 3), 'text'.substring(0, 3)", "includes": "'text'.contains('x'), or value in list",
	"round": "math.round(value)", "floor": "math.floor(value)", "ceil": "math.ceil(value)", "abs": "math.abs(value)", "min": "math.least(list)", "max": "math.greatest(list)",
	"coalesce": "event.data.?field.orValue('default')", "default": "event.data.?field.orValue('default')", "ifnull": "event.data.?field.orValue('default')", "get": "event.data.?field.orValue('default')",
	"if": "condition ? one : other", "iif": "condition ? one : other", "ternary": "condition ? one : other", "any": "list.exists(x, condition)", "some": "list.exists(x, condition)", "every": "list.all(x, condition)",
	"indexof": "'text'.indexOf('x')", "foreach": "list.map(x, value)", "find": "list.filter(x, condition)[0]", "reduce": "sum(list)", "total": "sum(list)",
	"strip": "'text'.trim()", "startswith": "'text'.startsWith('x')", "endswith": "'text'.endsWith('x')", "hasprefix": "'text'.startsWith('x')", "hassuffix": "'text'.endsWith('x')",
	"matches": "'text'.matches('pattern')", "match": "'text'.matches('pattern')", "test": "'text'.matches('pattern')", "regex": "'text'.matches('pattern')",
}

// insteadOf says what there is in place of a function.
func insteadOf(name string) string {
	plain := strings.ToLower(strings.NewReplacer("_", "", ".", "", "-", "").Replace(name))
	if way := tried[plain]; way != "" {
		return ": write " + way
	}
	return "; docs/expressions.md lists those that there are"
}
