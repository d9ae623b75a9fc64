package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	goyaml "sigs.k8s.io/yaml/goyaml.v3"
)

var (
	dnsSubdomain  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	byteCount     = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$`)
	yamlFault     = regexp.MustCompile(`^(?:error converting YAML to JSON: )?(?:yaml: )?(?:line (\d+): )?(.*[^:])$`)
	yamlDuplicate = regexp.MustCompile(`^key (.*) already set in map$`)
)

// shape compares a decoded document with the Go type that it is meant for, so
// that every fault of a file is found, each with its path. A JSON decoder
// stops at the first.
type shape struct{ errs Errors }

func (s *shape) errorf(path, format string, args ...any) {
	s.errs = append(s.errs, &Error{Path: path, Message: fmt.Sprintf(format, args...)})
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// mayBeEmpty are the fields whose empty text the schema allows.
var mayBeEmpty = []string{"description", "message"}

// mustCount are the optional fields whose zero the schema refuses; a Go struct
// cannot tell it from a field that was left out.
var mustCount = []string{"burst", "maxAttempts", "maxParallel"}

func (s *shape) check(path string, value any, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case value == nil && strings.HasPrefix(path, "metadata"):
		return
	case value == nil:
		s.errorf(path, "is null: write a value or leave the field out")
		return
	case reflect.PointerTo(t).Implements(unmarshaler):
		return
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Map:
		s.container(path, value, t)
	default:
		s.scalar(path, value, t)
	}
}

// container checks an object or a list, and what is in it.
func (s *shape) container(path string, value any, t reflect.Type) {
	switch t.Kind() {
	case reflect.Struct:
		if object, ok := expect[map[string]any](s, path, value, "an object"); ok {
			s.object(path, object, t)
		}
	case reflect.Slice:
		if list, ok := expect[[]any](s, path, value, "a list"); ok {
			for i, element := range list {
				s.check(fmt.Sprintf("%s[%d]", path, i), element, t.Elem())
			}
		}
	case reflect.Map:
		if object, ok := expect[map[string]any](s, path, value, "an object"); ok {
			for _, key := range sortedKeys(object) {
				s.check(path+fieldPath(key), object[key], t.Elem())
			}
		}
	}
}

// scalar checks a single value.
func (s *shape) scalar(path string, value any, t reflect.Type) {
	inMetadata := strings.HasPrefix(path, "metadata")
	field := path[strings.LastIndexByte(path, '.')+1:]
	switch t.Kind() {
	case reflect.String:
		text, ok := expect[string](s, path, value, "a string")
		if ok && text == "" && !inMetadata && !slices.Contains(mayBeEmpty, field) {
			s.errorf(path, "is empty: write a value or leave the field out")
		}
	case reflect.Bool:
		expect[bool](s, path, value, "true or false")
	case reflect.Int32, reflect.Int64:
		number, ok := expect[json.Number](s, path, value, "a whole number")
		if !ok {
			return
		}
		n, err := strconv.ParseInt(number.String(), 10, t.Bits())
		if err != nil {
			s.errorf(path, "is %s, and must be a whole number of at most %d", number, int64(1)<<(t.Bits()-1)-1)
		} else if n == 0 && slices.Contains(mustCount, field) {
			s.errorf(path, "is 0, it must be at least 1")
		}
	}
}

func expect[T any](s *shape, path string, value any, what string) (T, bool) {
	typed, ok := value.(T)
	if !ok {
		s.errorf(path, "is %s, and must be %s", typeName(value), what)
	}
	return typed, ok
}

func typeName(value any) string {
	switch v := value.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return fmt.Sprintf("the string %q", v)
	case bool:
		return fmt.Sprintf("the boolean %t", v)
	case json.Number:
		return "the number " + v.String()
	}
	return "null"
}

func (s *shape) object(path string, object map[string]any, t reflect.Type) {
	fields := map[string]reflect.Type{}
	collectFields(t, fields)
	if path == "" {
		delete(fields, "status") // the operator writes it, and nobody else
	}
	for _, key := range sortedKeys(object) {
		at := strings.TrimPrefix(path+fieldPath(key), ".")
		fieldType, known := fields[key]
		if !known {
			s.unknown(at, key, fields)
			continue
		}
		s.check(at, object[key], fieldType)
	}
}

// gone says what to write in place of fields that earlier builds had.
var gone = map[string]string{
	"spec.rateLimit.onLimit": "is gone: a rateLimit drops what is above it; to delay it instead, write throttle: with the same limit, period, burst and key",
}

func (s *shape) unknown(path, key string, fields map[string]reflect.Type) {
	if instead, ok := gone[path]; ok {
		s.errorf(path, "%s", instead)
		return
	}
	s.errorf(path, "there is no such field%s", didYouMean(key, sortedKeys(fields)))
}

func collectFields(t reflect.Type, into map[string]reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name != "" && name != "-":
			into[name] = f.Type
		case f.Anonymous && name == "":
			collectFields(f.Type, into)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// lines finds the line of a field in a YAML document.
type lines struct{ root *goyaml.Node }

func newLines(doc []byte) lines {
	var root goyaml.Node
	if err := goyaml.Unmarshal(doc, &root); err != nil || len(root.Content) == 0 {
		return lines{}
	}
	return lines{root.Content[0]}
}

var yamlBoolean = regexp.MustCompile(`^(?:y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$`)

// booleanKeys returns the keys that YAML 1.1, which Kubernetes reads, takes for
// a boolean: n is the key "false" there.
func (l lines) booleanKeys() (keys []*goyaml.Node) {
	var visit func(n *goyaml.Node)
	visit = func(n *goyaml.Node) {
		for i, child := range n.Content {
			if n.Kind == goyaml.MappingNode && i%2 == 0 && child.Style == 0 && yamlBoolean.MatchString(child.Value) {
				keys = append(keys, child)
			}
			visit(child)
		}
	}
	if l.root != nil {
		visit(l.root)
	}
	return keys
}

var pathStep = regexp.MustCompile(`^(?:\.?([\w-]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\])`)

// line returns the line of the field at path, or of the last field on the way
// to it that the document has; 0 when it has none.
func (l lines) line(path string) int {
	at, line := l.root, 0
	for at != nil && path != "" {
		m := pathStep.FindStringSubmatch(path)
		if m == nil {
			break
		}
		path = path[len(m[0]):]
		var next *goyaml.Node
		if index, err := strconv.Atoi(m[2]); err == nil && m[2] != "" {
			if at.Kind == goyaml.SequenceNode && index < len(at.Content) {
				next = at.Content[index]
				line = next.Line
			}
		} else {
			key := m[1]
			if quoted, err := strconv.Unquote(m[3]); err == nil {
				key = quoted
			}
			for i := 0; at.Kind == goyaml.MappingNode && i+1 < len(at.Content); i += 2 {
				if at.Content[i].Value == key {
					next, line = at.Content[i+1], at.Content[i].Line
				}
			}
		}
		at = next
	}
	return line
}
