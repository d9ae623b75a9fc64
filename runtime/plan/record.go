package plan

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/wildout/wildout/runtime/event"
)

// recordType is the type of a variable with fixed fields, such as event: the
// compiler knows each field, and reading one takes no map.
type recordType struct {
	name   string
	celTyp *types.Type
	fields []recordField
}

// recordField is a field. Exactly one of get and doc is set: doc gives JSON
// that may be looked into without decoding it.
type recordField struct {
	name string
	typ  *types.Type
	get  func(rec any) ref.Val
	doc  func(rec any) (*node, error)
}

func newRecordType(name string, fields ...recordField) *recordType {
	return &recordType{name: name, celTyp: types.NewObjectType(name), fields: fields}
}

func (t *recordType) field(name string) *recordField {
	for i := range t.fields {
		if t.fields[i].name == name {
			return &t.fields[i]
		}
	}
	return nil
}

func (t *recordType) fieldNames() []string {
	names := make([]string, len(t.fields))
	for i, f := range t.fields {
		names[i] = f.name
	}
	return names
}

// value reads the field of rec.
func (f *recordField) value(rec any) ref.Val {
	if f.get != nil {
		return f.get(rec)
	}
	doc, err := f.doc(rec)
	if err != nil {
		return types.WrapErr(err)
	}
	return doc.value()
}

// isSet is what has() says of the field: whether it is more than its empty
// value.
func (f *recordField) isSet(rec any) bool {
	switch v := f.value(rec).(type) {
	case types.String:
		return v != ""
	case types.Null, *types.Err:
		return false
	}
	return true
}

// The records behind the variables.
var (
	eventType = newRecordType("wildout.Event",
		recordField{name: "id", typ: types.StringType, get: func(r any) ref.Val { return types.String(r.(*eventRecord).event.ID) }},
		recordField{name: "type", typ: types.StringType, get: func(r any) ref.Val { return types.String(r.(*eventRecord).event.Type) }},
		recordField{name: "source", typ: types.StringType, get: func(r any) ref.Val { return types.String(r.(*eventRecord).event.Source) }},
		recordField{name: "subject", typ: types.StringType, get: func(r any) ref.Val { return types.String(r.(*eventRecord).event.Subject) }},
		recordField{name: "time", typ: types.TimestampType, get: func(r any) ref.Val { return types.Timestamp{Time: r.(*eventRecord).event.Time} }},
		recordField{name: "data", typ: types.DynType, doc: func(r any) (*node, error) { return r.(*eventRecord).document() }},
	)
	runType = newRecordType("wildout.Run",
		recordField{name: "id", typ: types.StringType, get: func(r any) ref.Val { return types.String(r.(*RunVar).ID) }},
		recordField{name: "function", typ: types.StringType, get: func(r any) ref.Val { return types.String(r.(*RunVar).Function) }},
		recordField{name: "attempt", typ: types.IntType, get: func(r any) ref.Val { return types.Int(r.(*RunVar).Attempt) }},
		recordField{name: "startedAt", typ: types.TimestampType, get: func(r any) ref.Val { return types.Timestamp{Time: r.(*RunVar).StartedAt} }},
	)
	stepType = newRecordType("wildout.Step",
		recordField{name: "output", typ: types.DynType, doc: func(r any) (*node, error) { return r.(*stepRecord).document() }},
		recordField{name: "error", typ: types.StringType, get: func(r any) ref.Val { return types.String(r.(*stepRecord).Error) }},
		recordField{name: "attempts", typ: types.IntType, get: func(r any) ref.Val { return types.Int(r.(*stepRecord).Attempts) }},
		recordField{name: "timedOut", typ: types.BoolType, get: func(r any) ref.Val { return types.Bool(r.(*stepRecord).TimedOut) }},
		recordField{name: "failed", typ: types.IntType, get: func(r any) ref.Val { return types.Int(r.(*stepRecord).failed()) }},
		recordField{name: "elements", typ: types.DynType, doc: func(r any) (*node, error) { return r.(*stepRecord).parts() }},
	)
	errorType = newRecordType("wildout.Error",
		recordField{name: "message", typ: types.StringType, get: func(r any) ref.Val { return types.String(r.(*ErrorVar).Message) }},
		recordField{name: "step", typ: types.StringType, get: func(r any) ref.Val { return types.String(r.(*ErrorVar).Step) }},
		recordField{name: "attempts", typ: types.IntType, get: func(r any) ref.Val { return types.Int(r.(*ErrorVar).Attempts) }},
	)
)

// recordTypeOf returns the record type of that name, nil when there is none.
func recordTypeOf(name string) *recordType {
	for _, t := range [...]*recordType{eventType, runType, stepType, errorType} {
		if t.name == name {
			return t
		}
	}
	return nil
}

// eventRecord is an event and its data, parsed when it is first read.
type eventRecord struct {
	event  *event.Event
	data   node
	parsed []byte // what data was parsed from
}

func (r *eventRecord) document() (*node, error) {
	if r.data.raw == nil || !sameBytes(r.parsed, r.event.Data) {
		data, err := newDocument(r.event.Data)
		if err != nil {
			return nil, fmt.Errorf("the data of event %s: %w", r.event.ID, err)
		}
		r.data, r.parsed = data, r.event.Data
	}
	return &r.data, nil
}

// stepRecord is what a step left behind.
type stepRecord struct {
	StepVar
	name     string
	output   node
	elements node
}

// failed is how many elements of a forEach failed.
func (r *stepRecord) failed() int {
	if r.Elements == nil {
		return 0
	}
	failed := 0
	for _, e := range r.Elements() {
		if e.Error != "" {
			failed++
		}
	}
	return failed
}

// parts are the elements of a forEach; an empty list where there is none.
func (r *stepRecord) parts() (*node, error) {
	if r.elements.raw != nil {
		return &r.elements, nil
	}
	var all []Element
	if r.Elements != nil {
		all = r.Elements()
	}
	elements, err := newDocument(appendElements(all))
	if err != nil {
		return nil, fmt.Errorf("the elements of step %s: %w", r.name, err)
	}
	r.elements = elements
	return &r.elements, nil
}

func (r *stepRecord) document() (*node, error) {
	if r.output.raw != nil {
		return &r.output, nil
	}
	if len(r.Output) == 0 {
		r.output.raw = []byte("null")
		return &r.output, nil
	}
	output, err := newDocument(r.Output)
	if err != nil {
		return nil, fmt.Errorf("the output of step %s: %w", r.name, err)
	}
	r.output = output
	return &r.output, nil
}

// record is a record as a CEL value.
type record struct {
	*recordType
	rec any
}

func (r *record) appendJSON(dst []byte) ([]byte, error) {
	dst = append(dst, '{')
	for i := range r.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, r.fields[i].name), ':')
		value := r.fields[i].value(r.rec)
		if err, failed := value.(*types.Err); failed {
			return nil, err
		}
		var err error
		if dst, err = appendJSON(dst, value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// Get reads a field where the compiler did not know the type.
func (r *record) Get(index ref.Val) ref.Val {
	name, _ := index.(types.String)
	if f := r.field(string(name)); f != nil {
		return f.value(r.rec)
	}
	return types.NewErr("no such field: %v", index)
}

// IsSet serves has() where the compiler did not know the type.
func (r *record) IsSet(field ref.Val) ref.Val {
	name, _ := field.(types.String)
	if f := r.field(string(name)); f != nil {
		return types.Bool(f.isSet(r.rec))
	}
	return types.False
}

// Equal compares field by field.
func (r *record) Equal(other ref.Val) ref.Val {
	o, ok := other.(*record)
	if !ok || o.recordType != r.recordType {
		return types.False
	}
	for i := range r.fields {
		if types.Equal(r.fields[i].value(r.rec), r.fields[i].value(o.rec)) != types.True {
			return types.False
		}
	}
	return types.True
}

// ConvertToType converts to its own type only.
func (r *record) ConvertToType(t ref.Type) ref.Val {
	switch t.TypeName() {
	case r.name:
		return r
	case types.TypeType.TypeName():
		return r.celTyp
	}
	return types.NewErr("cannot convert %s to %s", r.name, t.TypeName())
}

// ConvertToNative gives up: no function of this environment needs it.
func (r *record) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("cannot convert %s to %s", r.name, t)
}

// Type is the record's own type.
func (r *record) Type() ref.Type { return r.celTyp }

// Value is the Go value that the fields are read from.
func (r *record) Value() any { return r.rec }
