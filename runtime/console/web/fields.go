package web

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

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
