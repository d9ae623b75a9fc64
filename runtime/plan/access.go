package plan

import (
	"fmt"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// result is what an expression gave: JSON that was found in the data as it
// is (raw), or else a CEL value.
type result struct {
	raw []byte
	val ref.Val
}

// value returns the result as a CEL value.
func (r result) value() ref.Val {
	if r.val != nil {
		return r.val
	}
	return (&node{raw: r.raw}).value()
}

// access is an expression that only reads a field, such as
// event.data.userId: most expressions are, and they are answered from the
// text of the data without running CEL.
type access struct {
	root  string // the name of the variable
	step  string // for steps
	field *recordField
	env   string // for env
	keys  []accessKey
}

// accessKey is one step down into JSON: a field by name, or an element.
type accessKey struct {
	name  string
	index int64
	list  bool
}

// newAccess returns nil when the expression does more than read a field.
func newAccess(e ast.Expr) *access {
	keys, root, ok := flatten(e)
	if !ok {
		return nil
	}
	a := &access{root: root}
	var fields *recordType
	switch root {
	case varEvent, varAsync:
		fields = eventType
	case varRun:
		fields = runType
	case varError:
		fields = errorType
	case varSteps:
		if len(keys) == 0 || keys[0].list {
			return nil
		}
		a.step, keys, fields = keys[0].name, keys[1:], stepType
	case varEnv:
		if len(keys) != 1 || keys[0].list {
			return nil
		}
		a.env, keys = keys[0].name, nil
	case varItem, varBody, varHeaders, varQuery, varName:
	default:
		return nil
	}
	if fields != nil {
		if len(keys) == 0 || keys[0].list {
			return nil
		}
		if a.field = fields.field(keys[0].name); a.field == nil {
			return nil
		}
		if keys = keys[1:]; len(keys) > 0 && a.field.doc == nil {
			return nil
		}
	}
	a.keys = keys
	return a
}

// flatten takes a chain of selections apart, down to the variable.
func flatten(e ast.Expr) (keys []accessKey, root string, ok bool) {
	for {
		switch e.Kind() {
		case ast.IdentKind:
			for i, j := 0, len(keys)-1; i < j; i, j = i+1, j-1 {
				keys[i], keys[j] = keys[j], keys[i]
			}
			return keys, strings.TrimPrefix(e.AsIdent(), "."), true
		case ast.SelectKind:
			sel := e.AsSelect()
			if sel.IsTestOnly() {
				return nil, "", false
			}
			keys = append(keys, accessKey{name: sel.FieldName()})
			e = sel.Operand()
		case ast.CallKind:
			call := e.AsCall()
			if call.FunctionName() != operators.Index || len(call.Args()) != 2 || call.Args()[1].Kind() != ast.LiteralKind {
				return nil, "", false
			}
			switch key := call.Args()[1].AsLiteral().(type) {
			case types.String:
				keys = append(keys, accessKey{name: string(key)})
			case types.Int:
				keys = append(keys, accessKey{index: int64(key), list: true})
			default:
				return nil, "", false
			}
			e = call.Args()[0]
		default:
			return nil, "", false
		}
	}
}

// eval reads the field.
func (a *access) eval(s *Scope) (result, error) {
	var doc *node
	var err error
	switch {
	case a.root == varEnv:
		value, ok := s.Env[a.env]
		if !ok {
			return result{}, missingEnv(a.env)
		}
		return result{val: types.String(value)}, nil
	case a.field == nil:
		doc, err = s.document(a.root)
	case a.field.doc == nil:
		return result{val: a.field.get(a.record(s))}, nil
	default:
		doc, err = a.field.doc(a.record(s))
	}
	if err != nil {
		return result{}, err
	}
	for i, key := range a.keys {
		next, err := key.in(doc)
		if err != nil {
			return result{}, err
		}
		if next == nil {
			return result{}, a.missing(doc, i)
		}
		doc = next
	}
	if err := doc.verify(); err != nil {
		return result{}, err
	}
	return result{raw: doc.raw}, nil
}

func (a *access) record(s *Scope) any {
	switch a.root {
	case varEvent:
		return s.eventRecord()
	case varAsync:
		return s.asyncRecord()
	case varRun:
		return &s.Run
	case varError:
		return s.errorRecord()
	}
	return s.stepRecord(a.step)
}

// in returns what the key leads to, nil when there is no such thing.
func (k accessKey) in(doc *node) (*node, error) {
	switch {
	case k.list && doc.raw[0] == '[':
		return doc.element(k.index)
	case !k.list && doc.raw[0] == '{':
		return doc.field(k.name)
	}
	return nil, nil
}

// shownFields is how many field names an error lists.
const shownFields = 12

// missing says why doc, reached by the keys before i, has nothing under the
// key i, and what it has.
func (a *access) missing(doc *node, i int) error {
	key, place := a.keys[i], a.text(i)
	if key.list {
		if doc.raw[0] != '[' {
			return fmt.Errorf("%s is %s, it has no element %d", place, kind(doc.raw), key.index)
		}
		return fmt.Errorf("%s has %d elements, there is no element %d (they count from 0)", place, len(doc.inside.list), key.index)
	}
	if doc.raw[0] != '{' {
		return fmt.Errorf("%s is %s, it has no field %q", place, kind(doc.raw), key.name)
	}
	names := make([]string, 0, shownFields)
	fields := doc.inside.list
	for _, f := range fields[:min(shownFields, len(fields))] {
		names = append(names, string(f.key))
	}
	has := "it is empty"
	if len(names) > 0 {
		has = "it has " + strings.Join(names, ", ")
	}
	if len(fields) > shownFields {
		has += ", …"
	}
	return fmt.Errorf("%s has no field %q; %s", place, key.name, has)
}

// text writes the expression up to the key i.
func (a *access) text(i int) string {
	var b strings.Builder
	b.WriteString(a.root)
	if a.root == varSteps {
		b.WriteString(memberText(a.step))
	}
	if a.field != nil {
		b.WriteString("." + a.field.name)
	}
	for _, key := range a.keys[:i] {
		if key.list {
			b.WriteString("[" + strconv.FormatInt(key.index, 10) + "]")
		} else {
			b.WriteString(memberText(key.name))
		}
	}
	return b.String()
}

// memberText writes how CEL reads a field: .name, or ['na-me'] where the name
// is no identifier.
func memberText(name string) string {
	if isIdentifier(name) {
		return "." + name
	}
	return "['" + strings.ReplaceAll(strings.ReplaceAll(name, `\`, `\\`), "'", `\'`) + "']"
}

// isIdentifier reports whether name may follow a dot in CEL.
func isIdentifier(name string) bool {
	switch name {
	case "", "in", "true", "false", "null":
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func missingEnv(name string) error {
	return fmt.Errorf("env.%s is not set: set WILDOUT_ENV_%s on the runner, or test for it with '%s' in env", name, name, name)
}
