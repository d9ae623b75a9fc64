package web

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

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
		b.WriteString(quote(textExample(n, name)))
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
			b.WriteString("\n" + pad + "  " + quote(p.name) + ": ")
			t.write(b, p.node, depth+1, p.name)
		}
		if written == 0 {
			b.WriteString("{}")
			return
		}
		b.WriteString("\n" + pad + "}")
	}
}

// quote writes a text as JSON.
func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return `""` // a string cannot fail
	}
	return string(text)
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
