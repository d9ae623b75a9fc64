package main

import (
	"encoding/json"
	"maps"

	"go.yaml.in/yaml/v3"
)

// encodeSchema makes the JSON schema of a chart's values. It is closed: what no
// comment describes is refused.
func encodeSchema(values []*value) ([]byte, error) {
	root := closed(values)
	root["$schema"] = "http://json-schema.org/draft-07/schema#" // all versions of Helm know it
	properties := root["properties"].(map[string]any)
	properties["global"] = map[string]any{"type": "object", "description": "Values that a parent chart has for all its charts. None is used."}
	text, err := json.MarshalIndent(root, "", "  ")
	return append(text, '\n'), err
}

func closed(values []*value) map[string]any {
	properties := map[string]any{}
	for _, v := range values {
		properties[v.name] = v.encode()
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

func (v *value) encode() map[string]any {
	s := map[string]any{"type": v.typeName()}
	if v.children != nil {
		s = closed(v.children)
	} else {
		s["default"] = v.fallback
	}
	s["description"] = v.description
	maps.Copy(s, v.schema)
	return s
}

func (v *value) typeName() string {
	switch v.kind {
	case yaml.MappingNode:
		return "object"
	case yaml.SequenceNode:
		return "array"
	}
	switch v.tag {
	case "!!bool":
		return "boolean"
	case "!!int":
		return "integer"
	case "!!float":
		return "number"
	}
	return "string"
}
