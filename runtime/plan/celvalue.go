package plan

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// value returns the node as CEL sees it. Objects and lists stay undecoded
// until an expression looks into them.
func (n *node) value() ref.Val {
	if n.decoded == nil {
		n.decoded = n.decode()
	}
	return n.decoded
}

func (n *node) decode() ref.Val {
	switch n.raw[0] {
	case '{':
		if !n.checked { // opening is the same pass as verifying
			if _, err := n.open(); err != nil {
				return types.WrapErr(err)
			}
		}
		return (*object)(n)
	case '[':
		return newList(n)
	case '"':
		return types.String(text(n.raw))
	case 't':
		return types.True
	case 'f':
		return types.False
	case 'n':
		return types.NullValue
	}
	return number(n.raw)
}

// number keeps integers exact: int, else uint, else double.
func number(raw []byte) ref.Val {
	if !bytes.ContainsAny(raw, ".eE") {
		if i, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			return types.Int(i)
		}
		if u, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
			return types.Uint(u)
		}
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return types.NewErr("the number %s is too large", raw)
	}
	return types.Double(f)
}

// list is a JSON list as a CEL list, with the text that it came from.
type list struct {
	traits.Lister
	raw []byte
}

func newList(n *node) ref.Val {
	in, err := n.open()
	if err != nil {
		return types.WrapErr(err)
	}
	elements := make([]ref.Val, len(in.list))
	for i := range in.list {
		elements[i] = in.list[i].value.value()
		if err, failed := elements[i].(*types.Err); failed {
			return err
		}
	}
	return &list{types.NewRefValList(types.DefaultTypeAdapter, elements), n.raw}
}

// object is a JSON object as a CEL map with string keys. The node is verified,
// so that it can always be opened.
type object node

var _ traits.Mapper = (*object)(nil)

func (o *object) fields() []member {
	in, err := (*node)(o).open()
	if err != nil {
		return nil
	}
	return in.list
}

// FindStringKey is the short way that cel-go takes to a field.
func (o *object) FindStringKey(key string) (any, bool) {
	field, err := (*node)(o).field(key)
	if field == nil || err != nil {
		return nil, false
	}
	return field.value(), true
}

// Find returns the field of that name.
func (o *object) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	field, err := (*node)(o).field(string(name))
	if err != nil {
		return types.WrapErr(err), false
	}
	if field == nil {
		return nil, false
	}
	return field.value(), true
}

// Get returns the field of that name, or an error value.
func (o *object) Get(key ref.Val) ref.Val {
	if value, ok := o.Find(key); ok {
		return value
	}
	return types.NewErr("no such key: %v", key)
}

// Contains reports whether there is a field of that name.
func (o *object) Contains(key ref.Val) ref.Val {
	_, ok := o.Find(key)
	return types.Bool(ok)
}

// Size is the number of fields.
func (o *object) Size() ref.Val { return types.Int(len(o.fields())) }

// Iterator goes over the names of the fields, in the order of the text.
func (o *object) Iterator() traits.Iterator {
	fields := o.fields()
	names := make([]ref.Val, len(fields))
	for i := range fields {
		names[i] = types.String(fields[i].key)
	}
	return types.NewRefValList(types.DefaultTypeAdapter, names).Iterator()
}

// Equal compares the fields, whatever their order.
func (o *object) Equal(other ref.Val) ref.Val {
	m, ok := other.(traits.Mapper)
	if !ok || m.Size() != o.Size() {
		return types.False
	}
	fields := o.fields()
	for i := range fields {
		theirs, found := m.Find(types.String(fields[i].key))
		if !found || types.Equal(fields[i].value.value(), theirs) != types.True {
			return types.False
		}
	}
	return types.True
}

// ConvertToType converts to map and to type, as every map.
func (o *object) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.MapType:
		return o
	case types.TypeType:
		return types.MapType
	}
	return types.NewErr("cannot convert an object to %s", t.TypeName())
}

// ConvertToNative serves the few functions of cel-go that want a Go map.
func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	fields := o.fields()
	goMap := make(map[ref.Val]ref.Val, len(fields))
	for i := range fields {
		goMap[types.String(fields[i].key)] = fields[i].value.value()
	}
	return types.NewRefValMap(types.DefaultTypeAdapter, goMap).ConvertToNative(t)
}

// Type is the type of every map.
func (o *object) Type() ref.Type { return types.MapType }

// Value is the object itself: nothing decodes it as a whole.
func (o *object) Value() any { return o }

// kindOf names the type of a CEL value for a person, with its article.
func kindOf(v ref.Val) string {
	switch v := v.(type) {
	case types.Null:
		return "null"
	case types.Bool:
		return "true or false"
	case types.String:
		return "a string"
	case types.Int, types.Uint, types.Double:
		return "a number"
	case traits.Mapper, *record:
		return "an object"
	case traits.Lister:
		return "a list"
	case types.Timestamp:
		return "a timestamp"
	case types.Duration:
		return "a duration"
	case types.Bytes:
		return "bytes"
	case *types.Optional:
		if !v.HasValue() {
			return "an empty optional"
		}
		return kindOf(v.GetValue())
	case ref.Type:
		return "a type"
	}
	return fmt.Sprintf("a value of type %s", v.Type().TypeName())
}

var errNotFinite = errors.New("the result is not a finite number (a division by zero?); JSON has no such number")
