package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/wildout/wildout/api/v1alpha1"
)

// ManifestError is a fault of a manifest file.
type ManifestError struct {
	// Source is the name of the file.
	Source string
	// Document counts the documents of the file from 1.
	Document int
	// Line counts the lines of the file from 1; 0 when it is not known.
	Line int
	// Err is the fault: an *Error where it has a field.
	Err error
}

func (e *ManifestError) Error() string {
	place := fmt.Sprintf("%s: document %d", e.Source, e.Document)
	if e.Line > 0 {
		place += fmt.Sprintf(", line %d", e.Line)
	}
	return place + ": " + e.Err.Error()
}

func (e *ManifestError) Unwrap() error { return e.Err }

// The kinds of manifest.
const (
	kindFunction  = "WildoutFunction"
	kindEventType = "WildoutEventType"
)

// ReadManifests reads the functions and the event types of a file of YAML
// documents (JSON is YAML). It is strict: an unknown field, a key that is
// there twice, a value of the wrong type, another kind of object are faults.
// The error joins a *ManifestError for each fault of the file; what had none
// is returned beside it. The expressions of a function are for Compile.
func ReadManifests(source string, data []byte) (functions []v1alpha1.WildoutFunction, eventTypes []v1alpha1.WildoutEventType, err error) {
	r := reader{source: source, seen: map[string]bool{}}
	for i, doc := range splitDocuments(data) {
		r.document, r.doc = i+1, doc
		r.read()
	}
	return r.functions, r.eventTypes, errors.Join(r.errs...)
}

// reader holds what was read so far, and the document at hand.
type reader struct {
	source     string
	document   int
	doc        document
	seen       map[string]bool
	functions  []v1alpha1.WildoutFunction
	eventTypes []v1alpha1.WildoutEventType
	errs       []error
}

// document is one of the documents of a file. Empty lines stand in for what is
// before it in the file, so that its line numbers are those of the file.
type document struct{ text []byte }

// splitDocuments splits a file at the lines that begin with ---.
func splitDocuments(data []byte) []document {
	var docs []document
	var text []byte
	empty := true
	end := func() {
		if !empty {
			docs = append(docs, document{text})
		}
	}
	lines := 0
	for line := range bytes.Lines(data) {
		lines++
		trimmed := bytes.TrimRight(line, " \t\r\n")
		if string(trimmed) == "---" || bytes.HasPrefix(line, []byte("--- ")) {
			end()
			text, empty = bytes.Repeat([]byte("\n"), lines-1), true
			line = line[3:] // the document may begin on this line
			trimmed = bytes.TrimSpace(line)
		}
		text = append(text, line...)
		if len(trimmed) > 0 && bytes.TrimLeft(trimmed, " \t")[0] != '#' {
			empty = false
		}
	}
	end()
	return docs
}

func (r *reader) fail(line int, err error) {
	r.errs = append(r.errs, &ManifestError{Source: r.source, Document: r.document, Line: line, Err: err})
}

func (r *reader) failAll(errs Errors) {
	if len(errs) == 0 {
		return
	}
	find := newLines(r.doc.text)
	for _, e := range errs {
		r.fail(find.line(e.Path), e)
	}
}

func (r *reader) read() {
	encoded, err := yaml.YAMLToJSONStrict(r.doc.text)
	if err != nil {
		r.yamlError(err)
		return
	}
	if keys := newLines(r.doc.text).booleanKeys(); len(keys) > 0 {
		for _, key := range keys {
			r.fail(key.Line, fmt.Errorf("YAML reads the key %s as a boolean: put it in quotes", key.Value))
		}
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		r.fail(0, err)
		return
	}
	object, ok := tree.(map[string]any)
	if !ok {
		r.fail(0, errors.New("this is no object with apiVersion, kind, metadata and spec"))
		return
	}
	switch want := v1alpha1.GroupVersion.String(); {
	case object["kind"] != kindFunction && object["kind"] != kindEventType:
		r.failAll(Errors{{Path: "kind", Message: fmt.Sprintf("is %s, and must be %s or %s", quoted(object["kind"]), kindFunction, kindEventType)}})
	case object["apiVersion"] != want:
		r.failAll(Errors{{Path: "apiVersion", Message: fmt.Sprintf("is %s, and must be %q", quoted(object["apiVersion"]), want)}})
	case object["kind"] == kindFunction:
		if f, ok := decode[v1alpha1.WildoutFunction](r, object, encoded); ok {
			r.function(f)
		}
	default:
		if t, ok := decode[v1alpha1.WildoutEventType](r, object, encoded); ok {
			r.eventType(t)
		}
	}
}

func quoted(value any) string {
	if value == nil {
		return "missing"
	}
	return fmt.Sprintf("%q", fmt.Sprint(value))
}

// decode checks the tree against the type T and reads it into one.
func decode[T any](r *reader, tree map[string]any, encoded []byte) (value T, ok bool) {
	s := shape{}
	s.check("", tree, reflect.TypeFor[T]())
	if len(s.errs) > 0 {
		r.failAll(s.errs)
		return value, false
	}
	if err := json.Unmarshal(encoded, &value); err != nil {
		r.fail(0, err)
		return value, false
	}
	return value, true
}

func (r *reader) function(f v1alpha1.WildoutFunction) {
	var c compiler
	c.functionName("metadata.name", f.Name)
	c.unseen(r.seen, kindFunction, f.Namespace, f.Name)
	r.failAll(c.errs)
	if len(c.errs) == 0 {
		r.functions = append(r.functions, f)
	}
}

func (r *reader) eventType(t v1alpha1.WildoutEventType) {
	var c compiler
	c.eventTypeManifest(&t)
	c.unseen(r.seen, kindEventType, t.Namespace, t.Name)
	r.failAll(c.errs)
	if len(c.errs) == 0 {
		r.eventTypes = append(r.eventTypes, t)
	}
}

func (c *compiler) unseen(seen map[string]bool, kind, namespace, name string) {
	key := strings.Join([]string{kind, namespace, name}, "/")
	if seen[key] {
		c.errorf("metadata.name", "there are two objects of kind %s with the name %s in this file", kind, name)
	}
	seen[key] = true
}

// eventTypeManifest checks an event type and fills in its defaults.
func (c *compiler) eventTypeManifest(t *v1alpha1.WildoutEventType) {
	c.name("metadata.name", t.Name, dnsSubdomain, 253, labelRule+", parts joined by dots", "user-registered")
	c.eventType("spec.type", t.Spec.Type)
	c.length("spec.description", t.Spec.Description, 1024)
	if s := t.Spec.Schema; s != nil {
		if doc, err := parseDocument(s.Raw); err != nil || doc.raw[0] != '{' {
			c.errorf("spec.schema", "must be a JSON Schema: an object")
		}
	}
	if t.Spec.Retention == nil {
		t.Spec.Retention = &v1alpha1.Retention{}
	}
	retention := t.Spec.Retention
	setDefault(&retention.Period, "72h")
	c.duration("spec.retention.period", retention.Period)
	if b := retention.MaxBytes; b != "" && (len(b) > 24 || !byteCount.MatchString(b) || !strings.ContainsAny(b, "123456789")) {
		c.errorf("spec.retention.maxBytes", "%q is no size: write a number of bytes such as 500M or 1Gi", b)
	}
}

// yamlError makes a fault of each line of an error of the YAML parser.
func (r *reader) yamlError(err error) {
	for line := range strings.Lines(err.Error()) {
		m := yamlFault.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		number, _ := strconv.Atoi(m[1]) // 0: the fault has no line
		message := m[2]
		if key := yamlDuplicate.FindStringSubmatch(message); key != nil {
			message = fmt.Sprintf("the key %s is here twice", key[1])
		}
		r.fail(number, errors.New(message))
	}
}
