package strictjson

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	v1 "github.com/go-json-experiment/json/v1"
)

// asBefore keeps what encoding/json makes of types: handlers are written for
// it. How names, repeated names and text are read is ours, as the package says.
var asBefore = json.JoinOptions(
	v1.CallMethodsWithLegacySemantics(true),
	v1.FormatByteArrayAsArray(true),
	v1.FormatDurationAsNano(true),
	v1.MergeWithLegacySemantics(true),
	v1.ParseBytesWithLooseRFC4648(true),
	v1.ParseTimeWithLooseRFC3339(true),
	v1.StringifyWithLegacySemantics(true),
	v1.UnmarshalArrayFromAnyLength(true),
	jsontext.AllowDuplicateNames(false),
	halves,
	json.MatchCaseInsensitiveNames(false),
)

var known = json.JoinOptions(asBefore, json.RejectUnknownMembers(true))

// Unmarshal reads one value into what the pointer leads to, as encoding/json
// does but for what the package says. Fields that the type has not are passed
// over. The error is an *Error.
func Unmarshal(text []byte, into any) error { return unmarshal(text, into, asBefore) }

// UnmarshalKnown is Unmarshal that takes a field which the type has not for an
// error.
func UnmarshalKnown(text []byte, into any) error { return unmarshal(text, into, known) }

func unmarshal(text []byte, into any, how json.Options) error {
	if err := characters(text); err != nil {
		return err
	}
	return problem(json.Unmarshal(text, into, how))
}
