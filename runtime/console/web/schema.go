package web

import (
	"encoding/json"
	"fmt"
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
	var nodes map[string]*schemaNode
	if err := json.Unmarshal(b, &nodes); err != nil {
		return err
	}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	depth := 0
	for {
		t, err := dec.Token()
		if err != nil {
			return nil //nolint:nilerr // the end
		}
		switch t := t.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else {
				depth--
			}
		case string:
			if depth != 1 {
				continue
			}
			*o = append(*o, property{t, nodes[t]})
			var skip json.RawMessage
			if dec.Decode(&skip) != nil {
				return nil
			}
		}
	}
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

// skeleton is an event's data that fits the schema as far as it can be told:
// an object with what is required.
func skeleton(raw json.RawMessage) string {
	t := parseSchema(raw)
	if t == nil {
		return "{\n  \n}"
	}
	var b strings.Builder
	t.write(&b, t.root, 0, "")
	if b.String() == "{}" {
		return "{\n  \n}"
	}
	return b.String()
}

// write writes an example of a node, indented.
func (t *schemaTree) write(b *strings.Builder, n *schemaNode, depth int, name string) {
	n = t.flat(n, 0)
	for _, raw := range [][]json.RawMessage{{n.Const}, {n.Default}, n.Examples, n.Enum} {
		if len(raw) > 0 && len(raw[0]) > 0 {
			b.Write(raw[0])
			return
		}
	}
	pad := strings.Repeat("  ", depth)
	switch n.kind() {
	case "array":
		b.WriteString("[")
		if n.MinItems != nil && *n.MinItems > 0 && depth < maxSchemaDepth {
			t.write(b, n.Items, depth, strings.TrimSuffix(name, "s"))
		}
		b.WriteString("]")
	case "integer", "number":
		b.WriteString(numberExample(n))
	case "boolean":
		b.WriteString("false")
	case "null":
		b.WriteString("null")
	case "string":
		fmt.Fprintf(b, "%q", textExample(n, name))
	default:
		written := 0
		for _, p := range n.ordered() {
			if depth > maxSchemaDepth || !slices.Contains(n.Required, p.name) {
				continue
			}
			if written++; written == 1 {
				b.WriteString("{")
			} else {
				b.WriteString(",")
			}
			fmt.Fprintf(b, "\n%s  %q: ", pad, p.name)
			t.write(b, p.node, depth+1, p.name)
		}
		if written == 0 {
			b.WriteString("{}")
			return
		}
		b.WriteString("\n" + pad + "}")
	}
}

func numberExample(n *schemaNode) string {
	v := 1.0
	if n.Minimum != nil {
		v = max(v, *n.Minimum)
	}
	if n.Maximum != nil {
		v = min(v, *n.Maximum)
	}
	return fmt.Sprint(v)
}

// textExample is a text in the format of a node.
func textExample(n *schemaNode, name string) string {
	switch n.Format {
	case "email", "idn-email":
		return "someone@example.com"
	case "date-time":
		return "2030-01-02T15:04:05Z"
	case "date":
		return "2030-01-02"
	case "time":
		return "15:04:05Z"
	case "duration":
		return "PT1H"
	case "uri", "url", "iri":
		return "https://example.com/"
	case "uuid":
		return "00000000-0000-4000-8000-000000000000"
	case "ipv4":
		return "192.0.2.1"
	case "ipv6":
		return "2001:db8::1"
	case "hostname":
		return "example.com"
	}
	if strings.HasSuffix(name, "Id") || name == "id" {
		return strings.ToLower(strings.TrimSuffix(name, "Id")) + "-1"
	}
	text := name
	if n.MinLength != nil {
		text += strings.Repeat("x", max(0, min(int(*n.MinLength), 200)-len(text)))
	}
	if n.MaxLength != nil && len(text) > int(*n.MaxLength) {
		text = text[:int(max(0, *n.MaxLength))]
	}
	return text
}

// field is a field of the data as it is listed beside the form.
type field struct {
	Path, Type, About string
	Required          bool
	Choices           []string
	// Insert is JSON to put in; empty where the field is within a list.
	Insert string
}

// maxFields bounds the list.
const maxFields = 60

// fieldsOf lists what a schema has, down to the second level.
func fieldsOf(raw json.RawMessage) []field {
	t := parseSchema(raw)
	if t == nil {
		return nil
	}
	var all []field
	t.list(&all, t.root, "", 0)
	return all[:min(maxFields, len(all))]
}

func (t *schemaTree) list(all *[]field, n *schemaNode, prefix string, depth int) {
	n = t.flat(n, 0)
	for _, p := range n.ordered() {
		node := t.flat(p.node, 0)
		f := field{Path: prefix + p.name, Required: slices.Contains(n.Required, p.name) && !n.chosen(p.name), Type: node.words(), About: node.about()}
		for _, e := range node.Enum {
			f.Choices = append(f.Choices, clip(string(e), 60))
		}
		if !strings.Contains(prefix, "[]") {
			var b strings.Builder
			t.write(&b, node, 0, p.name)
			f.Insert = b.String()
		}
		*all = append(*all, f)
		if depth < 2 {
			switch node.kind() {
			case "object":
				t.list(all, node, f.Path+".", depth+1)
			case "array":
				t.list(all, node.Items, f.Path+"[].", depth+1)
			}
		}
	}
}

// chosen reports whether a field is required by one alternative only.
func (n *schemaNode) chosen(name string) bool {
	for _, choices := range [][]*schemaNode{n.OneOf, n.AnyOf} {
		if len(choices) > 1 && slices.Contains(choices[0].Required, name) && !slices.Contains(choices[1].Required, name) {
			return true
		}
	}
	return false
}

// words is the type of a node as people say it.
func (n *schemaNode) words() string {
	kind := n.kind()
	switch {
	case n.Format != "":
		return n.Format
	case kind == "array" && n.Items != nil && n.Items.words() != "":
		return "list of " + n.Items.words()
	case kind == "array":
		return "list"
	case kind == "string":
		return "text"
	case kind == "":
		return "anything"
	}
	return kind
}

// about is the description, and the bounds in words.
func (n *schemaNode) about() string {
	parts := []string{}
	if n.Description != "" {
		parts = append(parts, n.Description)
	}
	bounds := func(low, high *float64, unit string) {
		switch {
		case low != nil && high != nil:
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%v to %v %s", *low, *high, unit)))
		case low != nil && (*low > 1 || unit == ""):
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("at least %v %s", *low, unit)))
		case high != nil:
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("at most %v %s", *high, unit)))
		}
	}
	bounds(n.MinLength, n.MaxLength, "characters")
	bounds(n.Minimum, n.Maximum, "")
	bounds(n.MinItems, n.MaxItems, "elements")
	if n.Pattern != "" {
		parts = append(parts, "pattern "+n.Pattern)
	}
	return strings.Join(parts, "; ")
}
