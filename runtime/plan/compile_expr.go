package plan

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/types"
)

// site is a field that holds expressions: where it is, what exists there.
type site struct {
	path string
	vars []string
	// reader is the step that the field belongs to; nil for spec.output,
	// which is read when every step has ended.
	reader *vertex
}

// at is the same site, further down.
func (s site) at(path string) site {
	s.path = path
	return s
}

// with is the same site, where these variables exist too.
func (s site) with(vars ...string) site {
	s.vars = append(s.vars[:len(s.vars):len(s.vars)], vars...)
	return s
}

func (s site) has(name string) bool {
	return slices.Contains(s.vars, name)
}

// want is the type that a field asks of its expression.
type want int

const (
	wantAny want = iota
	wantBool
	wantKey
	wantList
	wantTime
	wantObject
)

var wanted = map[want]struct {
	what  string
	kinds []types.Kind
}{
	wantBool:   {"true or false", []types.Kind{types.BoolKind}},
	wantKey:    {"a string, a number or a boolean", []types.Kind{types.StringKind, types.IntKind, types.UintKind, types.DoubleKind, types.BoolKind}},
	wantList:   {"a list", []types.Kind{types.ListKind}},
	wantTime:   {"a timestamp or an RFC 3339 string", []types.Kind{types.TimestampKind, types.StringKind}},
	wantObject: {"an object", []types.Kind{types.MapKind, types.StructKind}},
}

// bare compiles the expression of a field that takes it without ${}.
func (c *compiler) bare(at site, source string, w want) *Expr {
	return c.expr(at, source, segment{text: source, expr: true}, w)
}

// expr compiles one expression; whole is the text that it was found in. It
// returns nil when there is a fault.
func (c *compiler) expr(at site, whole string, seg segment, w want) *Expr {
	report := func(f fault) {
		e := &Error{Reason: InvalidExpression, Path: at.path, Message: f.message}
		if f.reason != Invalid {
			e.Reason = f.reason
		}
		e.Source, e.Column = excerpt(whole, seg.offset+f.offset)
		c.errs = append(c.errs, e)
	}
	if offset, message := hyphenFault(seg.text); message != "" {
		report(fault{offset: offset, message: message})
		return nil
	}
	checked, issues := c.env.Compile(seg.text)
	if issues.Err() != nil {
		for _, f := range at.translate(seg.text, issues.Errors()) {
			report(f)
		}
		return nil
	}
	refs := c.references(at, seg.text, checked.NativeRep())
	for _, f := range refs.faults {
		report(f)
	}
	if message := typeFault(checked.OutputType(), w); message != "" {
		begin := len(seg.text) - len(strings.TrimLeft(seg.text, " \t\r\n"))
		report(fault{offset: begin, message: message})
		return nil
	}
	if len(refs.faults) > 0 {
		return nil
	}
	e := &Expr{source: strings.TrimSpace(seg.text), path: at.path, env: refs.env}
	if e.access = newAccess(checked.NativeRep().Expr()); e.access != nil {
		return e
	}
	prog, err := c.env.Program(checked, append(costs(), cel.EvalOptions(cel.OptOptimize))...)
	if err != nil {
		report(fault{message: err.Error()})
		return nil
	}
	e.prog = prog
	return e
}

// fault is a fault inside an expression, at a byte of it.
type fault struct {
	offset  int
	message string
	reason  Reason // Invalid: an expression that does not compile
}

func typeFault(t *types.Type, w want) string {
	rule, restricted := wanted[w]
	if !restricted || t.Kind() == types.DynKind || t.Kind() == types.AnyKind || t.Kind() == types.TypeParamKind {
		return ""
	}
	if slices.Contains(rule.kinds, t.Kind()) {
		return ""
	}
	return fmt.Sprintf("this gives %s, it must give %s", typeText(t), rule.what)
}

// typeText names a static type for a person, with its article.
func typeText(t *types.Type) string {
	switch t.Kind() {
	case types.BoolKind:
		return "true or false"
	case types.StringKind:
		return "a string"
	case types.IntKind, types.UintKind, types.DoubleKind:
		return "a number"
	case types.ListKind:
		return "a list"
	case types.MapKind, types.StructKind:
		return "an object"
	case types.NullTypeKind:
		return "null"
	case types.TimestampKind:
		return "a timestamp"
	case types.DurationKind:
		return "a duration"
	}
	return "a value of type " + cel.FormatCELType(t)
}

func byteOffset(source string, at common.Location) int {
	offset := 0
	for line := 1; line < at.Line(); line++ {
		next := strings.IndexByte(source[offset:], '\n')
		if next < 0 {
			break
		}
		offset += next + 1
	}
	for range at.Column() {
		_, size := utf8.DecodeRuneInString(source[offset:])
		offset += size
	}
	return min(offset, len(source))
}
