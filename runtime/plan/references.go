package plan

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// references walks a compiled expression: which variables, steps and settings
// it reads, and which of them it must not.
type references struct {
	c      *compiler
	at     site
	source string
	info   *ast.SourceInfo
	env    []string
	faults []fault
}

func (c *compiler) references(at site, source string, checked *ast.AST) *references {
	r := &references{c: c, at: at, source: source, info: checked.SourceInfo()}
	r.visit(checked.Expr(), nil)
	return r
}

func (r *references) report(e ast.Expr, message string) {
	offset := byteOffset(r.source, r.info.GetStartLocation(e.ID()))
	r.faults = append(r.faults, fault{offset: offset, message: message})
}

// visit goes through e; bound are the names that the macros around it bind.
func (r *references) visit(e ast.Expr, bound []string) {
	if root, key, known, optional := memberOf(e); root != nil && !slices.Contains(bound, root.AsIdent()) {
		switch strings.TrimPrefix(root.AsIdent(), ".") {
		case varSteps:
			r.step(root, key, known)
			return
		case varEnv:
			r.variable(root)
			if known && !optional {
				r.env = append(r.env, key)
			}
		}
	}
	switch e.Kind() {
	case ast.IdentKind:
		if !slices.Contains(bound, e.AsIdent()) {
			r.variable(e)
		}
	case ast.SelectKind:
		r.visit(e.AsSelect().Operand(), bound)
	case ast.CallKind:
		if e.AsCall().IsMemberFunction() {
			r.visit(e.AsCall().Target(), bound)
		}
		r.visitAll(e.AsCall().Args(), bound)
	case ast.ListKind:
		r.visitAll(e.AsList().Elements(), bound)
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			r.visit(entry.AsMapEntry().Key(), bound)
			r.visit(entry.AsMapEntry().Value(), bound)
		}
	case ast.StructKind:
		r.report(e, "an expression cannot make an object of a named type: write a map {'name': value}")
	case ast.ComprehensionKind:
		r.comprehension(e.AsComprehension(), bound)
	}
}

func (r *references) visitAll(list []ast.Expr, bound []string) {
	for _, e := range list {
		r.visit(e, bound)
	}
}

func (r *references) comprehension(loop ast.ComprehensionExpr, bound []string) {
	r.visit(loop.IterRange(), bound)
	r.visit(loop.AccuInit(), bound)
	inner := slices.Concat(bound, []string{loop.AccuVar(), loop.IterVar()})
	if loop.HasIterVar2() {
		inner = append(inner, loop.IterVar2())
	}
	r.visit(loop.LoopCondition(), inner)
	r.visit(loop.LoopStep(), inner)
	r.visit(loop.Result(), inner)
}

// memberOf reports whether e reads a member of a variable, as in steps.a,
// steps['a'], steps.?a or has(steps.a). known says that the name is constant,
// optional that a missing member is no error.
func memberOf(e ast.Expr) (root ast.Expr, key string, known, optional bool) {
	switch e.Kind() {
	case ast.SelectKind:
		root, key, known, optional = e.AsSelect().Operand(), e.AsSelect().FieldName(), true, e.AsSelect().IsTestOnly()
	case ast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case operators.Index:
		case operators.OptIndex, operators.OptSelect:
			optional = true
		default:
			return nil, "", false, false
		}
		root = call.Args()[0]
		if call.Args()[1].Kind() == ast.LiteralKind {
			var name types.String
			name, known = call.Args()[1].AsLiteral().(types.String)
			key = string(name)
		}
	}
	if root == nil || root.Kind() != ast.IdentKind {
		return nil, "", false, false
	}
	return root, key, known, optional
}

// whereItExists says where a variable can be read, for errors about reading it
// elsewhere.
var whereItExists = map[string]string{
	varEvent:   "only in functions",
	varEnv:     "only in functions",
	varItem:    "only with forEach, in what is done for each item",
	varIndex:   "only with forEach, in what is done for each item",
	varError:   "only in onFailure",
	varAsync:   "only in waitForEvent.if",
	varSteps:   "only in steps, onFailure and output",
	varRun:     "only in steps, onFailure and output",
	varBody:    "only in the events of a webhook",
	varHeaders: "only in the events of a webhook",
	varQuery:   "only in the events of a webhook",
	varName:    "only in the events of a webhook",
}

func (r *references) variable(e ast.Expr) {
	name := strings.TrimPrefix(e.AsIdent(), ".")
	switch where, known := whereItExists[name]; {
	case known && !r.at.has(name):
		r.report(e, fmt.Sprintf("%s does not exist here, %s; here there are %s", name, where, strings.Join(r.at.vars, ", ")))
	case name == varSteps:
		r.report(e, "write the name of one step: steps.name or steps['the-name']")
	}
}

// step checks the reading of one step.
func (r *references) step(root ast.Expr, name string, known bool) {
	switch {
	case !r.at.has(varSteps) || !known:
		r.variable(root)
	default:
		message := r.c.graph.mayRead(r.at.reader, name)
		if message == "" {
			return
		}
		r.report(root, message)
		if r.c.graph.byName[name] == nil {
			r.faults[len(r.faults)-1].reason = UnknownStep
		}
	}
}
