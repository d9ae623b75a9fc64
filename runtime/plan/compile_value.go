package plan

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/wildout/wildout/api/v1alpha1"
)

// builder puts the parts of a Value together; neighbouring literals melt.
type builder struct {
	c       *compiler
	parts   []part
	pending []byte
	broken  bool
}

func (b *builder) literal(text ...byte) { b.pending = append(b.pending, text...) }

func (b *builder) expression(e *Expr, inString bool) {
	if e == nil {
		b.broken = true
		return
	}
	b.flush()
	b.parts = append(b.parts, part{expr: e, inString: inString})
}

func (b *builder) flush() {
	if len(b.pending) > 0 {
		b.parts = append(b.parts, part{text: b.pending})
		b.pending = nil
	}
}

// value returns what was built: nil when a part of it has a fault.
func (b *builder) value(path string) *Value {
	b.flush()
	v := &Value{path: path, parts: b.parts}
	switch {
	case b.broken:
		return nil
	case len(b.parts) == 1 && b.parts[0].expr == nil:
		v.literal, v.parts = b.parts[0].text, nil
	case len(b.parts) == 1 && !b.parts[0].inString:
		v.lone, v.parts = b.parts[0].expr, nil
	}
	for _, p := range v.parts {
		v.size += len(p.text)
	}
	return v
}

// json compiles a JSON tree. A nil value gives nil.
func (c *compiler) json(at site, value *v1alpha1.JSON, w want) *Value {
	if value == nil {
		return nil
	}
	doc, err := parseDocument(value.Raw)
	if err != nil {
		c.errorf(at.path, "%v", err)
		return nil
	}
	if first := doc.raw[0]; w == wantObject && first != '{' && first != '"' {
		c.errorf(at.path, "this is %s, it must be an object", kind(doc.raw))
		return nil
	}
	b := &builder{c: c}
	b.tree(at, &doc, w)
	v := b.value(at.path)
	if v != nil {
		v.source = value.Raw
	}
	return v
}

func (b *builder) tree(at site, n *node, w want) {
	switch n.raw[0] {
	case '"':
		b.text(at, text(n.raw), w)
	case '{', '[':
		b.container(at, n)
	default:
		b.literal(n.raw...)
	}
}

func (b *builder) container(at site, n *node) {
	in, err := n.open()
	if err != nil {
		b.c.errorf(at.path, "%v", err)
		b.broken = true
		return
	}
	opening := n.raw[0]
	b.literal(opening)
	for i := range in.list {
		if i > 0 {
			b.literal(',')
		}
		m := &in.list[i]
		if opening == '[' {
			b.tree(at.at(fmt.Sprintf("%s[%d]", at.path, i)), &m.value, wantAny)
			continue
		}
		key := string(m.key)
		if hasExpression(key) {
			b.c.errorf(at.path, "the key %q holds ${: only values may; for a computed key write the whole object as one ${ {key: value} }", key)
			b.broken = true
		}
		b.literal(append(appendString(nil, key), ':')...)
		b.tree(at.at(at.path+fieldPath(key)), &m.value, wantAny)
	}
	b.literal(opening + 2) // '{'+2 is '}', '['+2 is ']'
}

// fieldPath writes a key of JSON as a path goes on.
func fieldPath(key string) string {
	for i := range len(key) {
		if !isWord(key[i]) && key[i] != '-' {
			return fmt.Sprintf("[%q]", key)
		}
	}
	if key == "" {
		return `[""]`
	}
	return "." + key
}

// text compiles a string of the tree.
func (b *builder) text(at site, s string, w want) {
	segments, err := b.c.split(at, s)
	if err != nil {
		b.broken = true
		return
	}
	if len(segments) == 1 && segments[0].expr {
		b.expression(b.c.expr(at, s, segments[0], w), false)
		return
	}
	if w == wantObject {
		b.c.errorf(at.path, "this is a string, it must be an object or one ${expression} that gives one")
		b.broken = true
		return
	}
	b.literal('"')
	for _, seg := range segments {
		if seg.expr {
			b.expression(b.c.expr(at, s, seg, wantAny), true)
		} else {
			b.literal(appendEscaped(nil, seg.text)...)
		}
	}
	b.literal('"')
}

// split reports a template that cannot be taken apart.
func (c *compiler) split(at site, s string) ([]segment, error) {
	if !hasExpression(s) {
		if s == "" {
			return nil, nil
		}
		return []segment{{text: s}}, nil
	}
	segments, err := splitTemplate(s)
	var broken *templateError
	if errors.As(err, &broken) {
		e := &Error{Reason: InvalidExpression, Path: at.path, Message: broken.message}
		e.Source, e.Column = excerpt(s, broken.offset)
		c.errs = append(c.errs, e)
	}
	return segments, err
}

// template compiles a field that is a string. The empty string gives nil.
func (c *compiler) template(at site, s string, longest int) *Value {
	if s == "" || !c.length(at.path, s, longest) {
		return nil
	}
	b := &builder{c: c}
	b.text(at, s, wantAny)
	return b.value(at.path)
}

// single compiles a field that is one ${expression} of a type.
func (c *compiler) single(at site, s string, w want) *Value {
	if s == "" || !c.length(at.path, s, maxTemplate) {
		return nil
	}
	segments, err := c.split(at, s)
	if err != nil {
		return nil
	}
	if len(segments) != 1 || !segments[0].expr {
		c.errorf(at.path, "this is %s; write one ${expression} that gives %s", describe(segments), wanted[w].what)
		return nil
	}
	b := &builder{c: c}
	b.expression(c.expr(at, s, segments[0], w), false)
	return b.value(at.path)
}

// instant compiles a field that is a time: an RFC 3339 literal, or a template.
func (c *compiler) instant(at site, s string) *Value {
	if s == "" || !c.length(at.path, s, maxTemplate) {
		return nil
	}
	segments, err := c.split(at, s)
	if err != nil {
		return nil
	}
	if len(segments) == 1 && segments[0].expr {
		return c.single(at, s, wantTime)
	}
	if len(segments) == 1 {
		if _, err := time.Parse(time.RFC3339, segments[0].text); err != nil {
			c.errorf(at.path, "%q is not an RFC 3339 time such as 2030-01-31T09:00:00Z", segments[0].text)
			return nil
		}
	}
	return c.template(at, s, maxTemplate)
}

// length reports a string that is too long, in characters.
func (c *compiler) length(path, s string, longest int) bool {
	if n := utf8.RuneCountInString(s); n > longest {
		c.errorf(path, "is %d characters long, the limit is %d", n, longest)
		return false
	}
	return true
}
