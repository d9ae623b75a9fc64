package strictjson

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

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

// shown is how what is stored is written for whoever looks at it.
var shown = json.JoinOptions(written, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Show writes a value for people and programs that look at it, as Marshal does. JSON
// that it carries is taken as it is, with names that are there twice: what was
// stored before must be seen. With an indent each member has a line of its own.
func Show(value any, indent string) ([]byte, error) {
	options := shown
	if indent != "" {
		options = json.JoinOptions(shown, jsontext.WithIndent(indent))
	}
	text, err := json.Marshal(value, options)
	if err != nil {
		return nil, problem(err)
	}
	return text, nil
}

// ShowPart writes the beginning of a JSON text, which may be cut anywhere, with
// characters in place of escapes that it does not need.
func ShowPart(text string) string {
	if !strings.Contains(text, `\u`) {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		n := 1
		if text[i] == '\\' {
			n = min(2, len(text)-i)
			if r, size := escaped(text[i:]); size > 0 {
				out.WriteRune(r)
				i += size
				continue
			}
		}
		out.WriteString(text[i : i+n])
		i += n
	}
	return out.String()
}

// escaped reads \uXXXX, or two of them that are one character. A size of 0: it is
// none, or one that has to be escaped.
func escaped(text string) (r rune, size int) {
	const width = len(`\u0000`)
	unit := func(at int) rune {
		if len(text) < at+width || text[at:at+2] != `\u` {
			return -1
		}
		n, err := strconv.ParseUint(text[at+2:at+width], 16, 16)
		if err != nil {
			return -1
		}
		return rune(n)
	}
	r, size = unit(0), width
	if utf16.IsSurrogate(r) {
		r, size = utf16.DecodeRune(r, unit(width)), 2*width
	}
	if r < ' ' || r == '"' || r == '\\' || r == utf8.RuneError {
		return 0, 0
	}
	return r, size
}
