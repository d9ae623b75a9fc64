package plan

import (
	"encoding/json"
	"fmt"

	"github.com/wildout/wildout/api/v1alpha1"
)

// MappingSpec says which event a request to a webhook becomes. Strings are
// templates, as in the steps of a function; If is a bare expression. They see
// `body`, `headers`, `query` and `name`, and `item` where there is ForEach.
type MappingSpec struct {
	If      string          // empty: always
	ForEach string          // one ${expression} that gives a list; empty: one event
	Type    string          // required
	ID      string          // may be empty
	Subject string          // may be empty
	Data    json.RawMessage // a JSON object with templates, or one ${expression}; may be nil
}

// Mapping is a compiled MappingSpec; what the spec leaves out is nil. It never
// changes and may be shared. A Scope for it has a Request, and Item where
// there is ForEach; If and ForEach are evaluated before there is an item.
type Mapping struct {
	If      *Expr
	ForEach *Value
	Type    *Value
	ID      *Value
	Subject *Value
	Data    *Value
}

// requestVars are the variables of a mapping.
var requestVars = []string{varBody, varHeaders, varQuery, varName}

// CompileMapping compiles the mapping that is found at path. A fault of the
// spec makes an error of type Errors, with every fault that was found.
func CompileMapping(path string, spec MappingSpec) (*Mapping, error) {
	env, err := celEnv()
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	c := &compiler{env: env}
	once := site{path: path, vars: requestVars}
	each := once
	if spec.ForEach != "" {
		each = once.with(varItem)
	}
	switch {
	case spec.Type == "":
		c.errorf(path+".type", "is missing: write an event type such as shop/order.paid; it may hold ${expressions}")
	case !hasExpression(spec.Type):
		c.eventType(path+".type", v1alpha1.EventTypeName(spec.Type))
	}
	m := &Mapping{
		If:      c.condition(once.at(path+".if"), v1alpha1.Expression(spec.If), wantBool),
		ForEach: c.single(once.at(path+".forEach"), spec.ForEach, wantList),
		Type:    c.template(each.at(path+".type"), spec.Type, maxTemplate),
		ID:      c.template(each.at(path+".id"), spec.ID, maxTemplate),
		Subject: c.template(each.at(path+".subject"), spec.Subject, maxTemplate),
	}
	if spec.Data != nil {
		m.Data = c.json(each.at(path+".data"), &v1alpha1.JSON{Raw: spec.Data}, wantObject)
	}
	if err := c.errs.err(); err != nil {
		return nil, err
	}
	return m, nil
}
