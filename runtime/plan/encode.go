package plan

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxBytes is how large a value may become as JSON or text: an input of a step,
// the data of an event that is sent, all elements of a forEach together. In CEL
// a list of a thousand references to one text is small; written out it is not.
const maxBytes = 4 << 20

// room says why n bytes more would be too many.
func room(dst []byte, n int) error {
	if len(dst)+n > maxBytes {
		return fmt.Errorf("the result is larger than %d bytes, the limit for a value: take less of it, or pass on a reference", maxBytes)
	}
	return nil
}

// appendJSON appends a CEL value as JSON, as long as there is room behind dst:
// that is looked at before anything is copied. The keys of maps that an
// expression made are sorted, so that the same values give the same bytes.
func appendJSON(dst []byte, v ref.Val) ([]byte, error) {
	switch v := v.(type) {
	case types.String:
		if err := room(dst, len(v)); err != nil {
			return nil, err
		}
		return appendString(dst, string(v)), nil
	case types.Bytes:
		if err := room(dst, base64.StdEncoding.EncodedLen(len(v))); err != nil {
			return nil, err
		}
	case types.Null:
		return append(dst, "null"...), nil
	case *object:
		return appendRaw(dst, v.raw)
	case *list:
		return appendRaw(dst, v.raw)
	case *record:
		return v.appendJSON(dst)
	case *types.Optional:
		if !v.HasValue() {
			return append(dst, "null"...), nil
		}
		return appendJSON(dst, v.GetValue())
	case traits.Mapper:
		return appendMap(dst, v)
	case traits.Lister:
		return appendList(dst, v)
	}
	plain, isText, ok, err := scalar(v)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fmt.Errorf("the result is %s, which JSON cannot hold", kindOf(v))
	case isText:
		return appendString(dst, plain), nil
	}
	return append(dst, plain...), nil
}

// appendRaw appends JSON as it is.
func appendRaw(dst, raw []byte) ([]byte, error) {
	if err := room(dst, len(raw)); err != nil {
		return nil, err
	}
	return append(dst, raw...), nil
}

// scalar formats what is neither null nor an aggregate; isText says that JSON
// puts it in quotes.
func scalar(v ref.Val) (plain string, isText, ok bool, err error) {
	switch v := v.(type) {
	case types.String:
		return string(v), true, true, nil
	case types.Bool:
		return strconv.FormatBool(bool(v)), false, true, nil
	case types.Int:
		return strconv.FormatInt(int64(v), 10), false, true, nil
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), false, true, nil
	case types.Double:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return "", false, false, errNotFinite
		}
		return formatFloat(float64(v)), false, true, nil
	case types.Timestamp:
		return v.Time.UTC().Format(time.RFC3339Nano), true, true, nil
	case types.Duration:
		return strconv.FormatFloat(v.Seconds(), 'f', -1, 64) + "s", true, true, nil
	case types.Bytes:
		return base64.StdEncoding.EncodeToString(v), true, true, nil
	}
	return "", false, false, nil
}

func appendMap(dst []byte, m traits.Mapper) ([]byte, error) {
	type field struct {
		name  string
		value ref.Val
	}
	var fields []field
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, _, ok, err := scalar(key)
		if err != nil || !ok {
			return nil, fmt.Errorf("a key of the map is %s; JSON takes only strings", kindOf(key))
		}
		fields = append(fields, field{name, m.Get(key)})
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	dst = append(dst, '{')
	for i, f := range fields {
		if i > 0 {
			if f.name == fields[i-1].name {
				return nil, fmt.Errorf("two keys of the map are written %q in JSON", f.name)
			}
			dst = append(dst, ',')
		}
		err := room(dst, len(f.name))
		if err != nil {
			return nil, err
		}
		dst = append(appendString(dst, f.name), ':')
		if dst, err = appendJSON(dst, f.value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), room(dst, 1)
}

func appendList(dst []byte, l traits.Lister) ([]byte, error) {
	dst = append(dst, '[')
	for it, first := l.Iterator(), true; it.HasNext() == types.True; first = false {
		if !first {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendJSON(dst, it.Next()); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), room(dst, 1)
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

// appendEscaped appends s as it stands between the quotes of a JSON string.
func appendEscaped(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[from:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(append(dst, s[from:i]...), `\ufffd`...)
			from = i + 1
		}
		i += size
	}
	return append(dst, s[from:]...)
}

// formatFloat gives the shortest text that reads back as f: the form of
// ECMAScript, so that 100.0 is 100.
func formatFloat(f float64) string {
	if f == 0 {
		return "0" // and not -0
	}
	format := byte('f')
	if abs := math.Abs(f); abs < 1e-6 || abs >= 1e21 {
		format = 'e'
	}
	return strconv.FormatFloat(f, format, -1, 64)
}

// appendText appends a CEL value as it stands inside text: strings as they
// are, null as nothing, lists and maps as compact JSON.
func appendText(dst []byte, v ref.Val) ([]byte, error) {
	switch v := v.(type) {
	case types.Null:
		return dst, nil
	case *types.Optional:
		if !v.HasValue() {
			return dst, nil
		}
		return appendText(dst, v.GetValue())
	}
	plain, _, ok, err := scalar(v)
	if err != nil {
		return nil, err
	}
	if ok {
		return appendRaw(dst, []byte(plain))
	}
	encoded, err := appendJSON(nil, v)
	if err != nil {
		return nil, err
	}
	return appendCompact(dst, encoded), room(dst, len(encoded))
}

// appendRawText is appendText for JSON that was never decoded.
func appendRawText(dst, raw []byte) ([]byte, error) {
	switch raw[0] {
	case '"':
		return append(dst, text(raw)...), nil
	case 'n':
		return dst, nil
	case 't', 'f':
		return append(dst, raw...), nil
	case '{', '[':
		return appendCompact(dst, raw), nil
	}
	if !bytes.ContainsAny(raw, ".eE") && string(raw) != "-0" {
		return append(dst, raw...), nil // an integer, however long
	}
	v := number(raw)
	if err, failed := v.(*types.Err); failed {
		return nil, err
	}
	return appendText(dst, v)
}

func appendCompact(dst, raw []byte) []byte {
	var buf bytes.Buffer
	if err := json.Compact(&buf, raw); err != nil {
		return append(dst, raw...)
	}
	return append(dst, buf.Bytes()...)
}
