package main

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is a value of a chart.
type value struct {
	name        string
	path        string // such as gateway.service.port
	description string
	// schema is what the comment adds to the JSON schema.
	schema map[string]any
	// fallback is the default.
	fallback any
	kind     yaml.Kind
	tag      string
	children []*value // of an object that is closed
}

// parse reads values.yaml. Every value has a comment: what it is, and where its
// type alone does not say what it may be, @schema and a part of a JSON schema,
// in YAML, up to the end of the comment.
func parse(text []byte) ([]*value, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is no mapping")
	}
	return parseMapping("", doc.Content[0])
}

func parseMapping(path string, mapping *yaml.Node) (values []*value, err error) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		v, fault := parseValue(path, mapping.Content[i], mapping.Content[i+1])
		values, err = append(values, v), errors.Join(err, fault)
	}
	return values, err
}

func parseValue(parent string, key, node *yaml.Node) (*value, error) {
	v := &value{name: key.Value, path: strings.TrimPrefix(parent+"."+key.Value, "."), kind: node.Kind, tag: node.Tag}
	fault := func(format string, args ...any) (*value, error) {
		return v, fmt.Errorf("line %d: %s: %w", key.Line, v.path, fmt.Errorf(format, args...))
	}
	description, schema := comment(key.HeadComment)
	if v.description = description; description == "" {
		return fault("there is no comment that says what it is")
	}
	if err := yaml.Unmarshal([]byte(schema), &v.schema); err != nil {
		return fault("@schema: %w", err)
	}
	if err := node.Decode(&v.fallback); err != nil {
		return fault("%w", err)
	}
	_, open := v.schema["additionalProperties"]
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return fault("it has no default, and so no type")
	case node.Kind == yaml.SequenceNode && v.schema["items"] == nil:
		return fault("it is a list: say with `@schema {items: …}` of what")
	case node.Kind != yaml.MappingNode || open:
		return v, nil
	case len(node.Content) == 0:
		return fault("it is empty: say with `@schema {additionalProperties: …}` what may be in it")
	}
	children, err := parseMapping(v.path, node)
	v.children = children
	return v, err
}

// comment splits the comment above a key. An empty line ends what belongs to it.
func comment(text string) (description, schema string) {
	paragraphs := strings.Split(text, "\n\n")
	var words, rest []string
	inSchema := false
	for line := range strings.Lines(paragraphs[len(paragraphs)-1]) {
		line = strings.TrimPrefix(strings.TrimPrefix(strings.TrimRight(line, "\n"), "#"), " ")
		if after, ok := strings.CutPrefix(line, "@schema"); ok {
			inSchema, line = true, strings.TrimSpace(after)
		}
		if inSchema {
			rest = append(rest, line)
		} else {
			words = append(words, strings.TrimSpace(line))
		}
	}
	return strings.TrimSpace(strings.Join(words, " ")), strings.Join(rest, "\n")
}
