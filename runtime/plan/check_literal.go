package plan

import (
	"slices"
	"strings"

	"github.com/wildout/wildout/api/v1alpha1"
)

// literalInputs are the inputs of handlers that run as code: what an event
// brings into them would run too. They must be written out.
var literalInputs = map[string][]string{
	"sql.query": {"sql"},
	"sql.exec":  {"sql"},
}

// literals refuses expressions in such inputs. The versions that runs began
// with before there was this rule may still be finished.
func (c *compiler) literals(path string, s *v1alpha1.Step) {
	names := literalInputs[s.Handler]
	if names == nil || s.With == nil || c.opts.Stored {
		return
	}
	doc, err := parseDocument(s.With.Raw)
	if err != nil {
		return // reported with the value
	}
	if doc.raw[0] != '{' {
		if hasAny(doc.raw) {
			c.errorf(path, "an expression may not make the whole input of %s, for it would make the statement too: write sql out, and expressions in args", s.Handler)
		}
		return
	}
	in, err := doc.open()
	if err != nil {
		return
	}
	for i := range in.list {
		key := string(in.list[i].key)
		named := slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, key) })
		if named && hasAny(in.list[i].value.raw) {
			c.errorf(path+fieldPath(key), "there may be no ${} here: text from an event would run as SQL; write $1 in its place and the expression in args")
		}
	}
}

// hasAny reports whether the JSON string is a template with an expression.
func hasAny(raw []byte) bool {
	if raw[0] != '"' {
		return false
	}
	segments, err := splitTemplate(text(raw))
	return err == nil && slices.ContainsFunc(segments, func(s segment) bool { return s.expr })
}
