package web

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// schemaNode is what the form reads of a JSON Schema. What it does not know, it
// leaves to the check of the gateway.
type schemaNode struct {
	Type        any                    `json:"type"`
	Description string                 `json:"description"`
	Required    []string               `json:"required"`
	Properties  orderedProperties      `json:"properties"`
	Items       *schemaNode            `json:"items"`
	Enum        []json.RawMessage      `json:"enum"`
	Const       json.RawMessage        `json:"const"`
	Default     json.RawMessage        `json:"default"`
	Examples    []json.RawMessage      `json:"examples"`
	Format      string                 `json:"format"`
	MinLength   *float64               `json:"minLength"`
	MaxLength   *float64               `json:"maxLength"`
	Minimum     *float64               `json:"minimum"`
	Maximum     *float64               `json:"maximum"`
	MinItems    *float64               `json:"minItems"`
	MaxItems    *float64               `json:"maxItems"`
	Pattern     string                 `json:"pattern"`
	OneOf       []*schemaNode          `json:"oneOf"`
	AnyOf       []*schemaNode          `json:"anyOf"`
	AllOf       []*schemaNode          `json:"allOf"`
	Ref         string                 `json:"$ref"`
	Defs        map[string]*schemaNode `json:"$defs"`
}

// UnmarshalJSON takes true and false too, which are schemas.
func (n *schemaNode) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '{' {
		*n = schemaNode{}
		return nil
	}
	type plain schemaNode
	return json.Unmarshal(b, (*plain)(n))
}

// property is a field of an object, in the order of the schema.
type property struct {
	name string
	node *schemaNode
}

type orderedProperties []property

// UnmarshalJSON keeps the order in which the schema has them.
func (o *orderedProperties) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if _, err := dec.Token(); err != nil { // the brace
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		p := property{node: &schemaNode{}}
		p.name, _ = name.(string)
		if err := dec.Decode(p.node); err != nil {
			return err
		}
		*o = append(*o, p)
	}
	return nil
}

// schemaTree is a schema with its definitions.
type schemaTree struct{ root *schemaNode }

func parseSchema(raw json.RawMessage) *schemaTree {
	root := &schemaNode{}
	if len(raw) == 0 || json.Unmarshal(raw, root) != nil {
		return nil
	}
	return &schemaTree{root}
}

// maxSchemaDepth ends schemas that refer to themselves.
const maxSchemaDepth = 6

// flat follows references and joins what allOf has, and the first alternative
// of anyOf and oneOf, since an example must choose.
func (t *schemaTree) flat(n *schemaNode, depth int) *schemaNode {
	if n == nil {
		return &schemaNode{}
	}
	if depth > maxSchemaDepth {
		return n
	}
	if name, ok := strings.CutPrefix(n.Ref, "#/$defs/"); ok && t.root.Defs[name] != nil {
		n = t.flat(t.root.Defs[name], depth+1)
	}
	parts := slices.Clone(n.AllOf)
	for _, choices := range [][]*schemaNode{n.OneOf, n.AnyOf} {
		if len(choices) > 0 {
			parts = append(parts, choices[0])
		}
	}
	if len(parts) == 0 {
		return n
	}
	all := *n
	all.Properties, all.Required = slices.Clone(n.Properties), slices.Clone(n.Required)
	for _, part := range parts {
		p := t.flat(part, depth+1)
		all.Required = append(all.Required, p.Required...)
		for _, f := range p.Properties {
			if all.property(f.name) == nil {
				all.Properties = append(all.Properties, f)
			}
		}
		if all.Type == nil {
			all.Type = p.Type
		}
		if all.Enum == nil {
			all.Enum = p.Enum
		}
		if all.Const == nil {
			all.Const = p.Const
		}
		if all.Items == nil {
			all.Items = p.Items
		}
	}
	return &all
}

func (n *schemaNode) property(name string) *schemaNode {
	for _, p := range n.Properties {
		if p.name == name {
			return p.node
		}
	}
	return nil
}

// ordered returns the properties, those that are required first, in the order
// in which they are.
func (n *schemaNode) ordered() []property {
	all := slices.Clone(n.Properties)
	place := func(p property) int {
		if i := slices.Index(n.Required, p.name); i >= 0 {
			return i
		}
		return len(n.Required)
	}
	slices.SortStableFunc(all, func(a, b property) int { return place(a) - place(b) })
	return all
}

// kind is the first type that a value may have.
func (n *schemaNode) kind() string {
	switch t := n.Type.(type) {
	case string:
		return t
	case []any:
		for _, one := range t {
			if s, ok := one.(string); ok && s != "null" {
				return s
			}
		}
	}
	switch {
	case len(n.Properties) > 0:
		return "object"
	case n.Items != nil:
		return "array"
	}
	return ""
}
