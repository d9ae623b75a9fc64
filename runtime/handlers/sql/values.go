package sql

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/wildout/wildout/runtime/strictjson"
)

// argument is a JSON value as the driver takes it.
func (db *DB) argument(raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, err
	}
	if db.Dialect == Postgres {
		return postgresArgument(value, raw, db.pooled)
	}
	return sqliteArgument(value, raw), nil
}

// postgresArgument gives scalars as text: the server knows the type of each
// parameter and reads it as exactly as it was written. Behind a pooler pgx does
// not ask for the types and writes a list as an array.
func postgresArgument(value any, raw json.RawMessage, pooled bool) (any, error) {
	switch value := value.(type) {
	case nil:
		return nil, nil
	case bool:
		return strconv.FormatBool(value), nil
	case json.Number:
		return value.String(), nil
	case string:
		if strings.ContainsRune(value, 0) {
			return nil, errors.New("the string has a NUL character, which PostgreSQL cannot store")
		}
		return value, nil
	case []any:
		if list, ok := every[string](value); ok {
			return list, nil
		}
		if numbers, ok := every[json.Number](value); ok {
			if !pooled {
				return numbers, nil
			}
			texts := make([]string, len(numbers)) // pgx knows no other list there
			for i, n := range numbers {
				texts[i] = n.String()
			}
			return texts, nil
		}
	}
	return string(raw), nil
}

// every returns list as a []T when it has nothing else.
func every[T any](list []any) ([]T, bool) {
	typed := make([]T, len(list))
	for i, v := range list {
		t, ok := v.(T)
		if !ok {
			return nil, false
		}
		typed[i] = t
	}
	return typed, true
}

func sqliteArgument(value any, raw json.RawMessage) any {
	switch value := value.(type) {
	case nil, bool, string:
		return value
	case json.Number:
		if n, err := value.Int64(); err == nil {
			return n
		}
		// All that SQLite has for other numbers; what even a float cannot hold
		// stays text.
		if f, err := value.Float64(); err == nil {
			return f
		}
		return value.String()
	}
	return string(raw)
}

// toJSON is a value that a driver gave, of a column of type typeName.
func toJSON(value any, typeName string) (json.RawMessage, error) {
	switch value := value.(type) {
	case int64:
		if typeName == "BOOLEAN" || typeName == "BOOL" { // SQLite has only the name
			return json.Marshal(value != 0)
		}
	case float64:
		return floatJSON(value, typeName)
	case time.Time:
		if typeName == "DATE" {
			return json.Marshal(value.Format(time.DateOnly))
		}
		return json.Marshal(value.UTC().Format(time.RFC3339Nano))
	case []byte:
		switch typeName {
		case "JSON", "JSONB":
			return documentJSON(value)
		case "XML":
			return json.Marshal(string(value))
		}
		return json.Marshal(value)
	case string:
		switch {
		case typeName == "JSON", typeName == "JSONB": // SQLite, by the declared type
			return documentJSON([]byte(value))
		case strings.HasPrefix(typeName, "_"):
			return arrayJSON(value, strings.ToLower(typeName))
		}
		return json.Marshal(value)
	}
	return json.Marshal(value)
}

// documentJSON is a JSON document. What is none stays text: SQLite does not
// look, and PostgreSQL's json keeps an object that has a name twice.
func documentJSON(raw []byte) (json.RawMessage, error) {
	if strictjson.Check(raw) != nil {
		return json.Marshal(string(raw))
	}
	var buf bytes.Buffer
	err := json.Compact(&buf, raw)
	return buf.Bytes(), err
}

// floatJSON writes what JSON has no number for as PostgreSQL does.
func floatJSON(f float64, typeName string) (json.RawMessage, error) {
	switch {
	case math.IsNaN(f):
		return json.RawMessage(`"NaN"`), nil
	case math.IsInf(f, 1):
		return json.RawMessage(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return json.RawMessage(`"-Infinity"`), nil
	case typeName == "FLOAT4":
		return json.Marshal(float32(f))
	}
	return json.Marshal(f)
}

// arrayJSON turns PostgreSQL's text of an array into a list. Its elements are
// numbers, booleans and JSON where they are that, else text; an array of
// several dimensions stays text.
func arrayJSON(text, typeName string) (json.RawMessage, error) {
	types := pgtype.NewMap()
	t, known := types.TypeForName(typeName)
	if !known || strings.HasPrefix(text, "{{") || strings.HasPrefix(text, "[") {
		return json.Marshal(text)
	}
	var elements []*string
	if err := types.Scan(t.OID, pgtype.TextFormatCode, []byte(text), &elements); err != nil {
		return nil, err
	}
	list := make([]json.RawMessage, len(elements))
	for i, element := range elements {
		raw, err := elementJSON(element, typeName)
		if err != nil {
			return nil, err
		}
		list[i] = raw
	}
	return json.Marshal(list)
}

func elementJSON(element *string, typeName string) (json.RawMessage, error) {
	if element == nil {
		return json.RawMessage("null"), nil
	}
	switch typeName {
	case "_bool":
		return json.Marshal(*element == "t")
	case "_int2", "_int4", "_int8", "_float4", "_float8", "_json", "_jsonb":
		if strictjson.Check([]byte(*element)) == nil { // NaN is not
			return json.RawMessage(*element), nil
		}
	}
	return json.Marshal(*element)
}
