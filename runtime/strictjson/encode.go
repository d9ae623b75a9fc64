package strictjson

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	v1 "github.com/go-json-experiment/json/v1"
)

// written is how encoding/json writes, but that the text can be read again
// here, and that characters stand for themselves.
var written = json.JoinOptions(
	v1.DefaultOptionsV1(),
	v1.ReportErrorsWithLegacySemantics(false),
	jsontext.AllowDuplicateNames(false),
	jsontext.EscapeForHTML(false),
	jsontext.EscapeForJS(false),
	jsontext.PreserveRawStrings(false),
)

// Marshal writes a value as encoding/json does, with two differences. JSON that
// the value carries (json.RawMessage, MarshalJSON) must have no name twice. Text
// has no escapes but those that it needs, and what is not UTF-8 in it is
// replaced.
func Marshal(value any) ([]byte, error) {
	text, err := json.Marshal(value, written)
	if err != nil {
		return nil, problem(err)
	}
	return text, nil
}
