package plan

import (
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Bounds on an expression. maxCost is what one evaluation may take, in the
// units of cel-go: about one for each operation and for each ten characters
// it works on. It was chosen over a deadline because it does not depend on
// how busy the machine is: an expression that works once works on every
// replay of the run. A million is some tens of milliseconds.
const (
	maxCost      = 1_000_000
	maxSize      = 4096   // characters
	maxRecursion = 64     // nested parentheses, calls, lists, maps
	maxNodes     = 10_000 // after macros
	maxRange     = 10_000 // elements of lists.range
	maxRegex     = 1000   // instructions of a compiled pattern
)

// celEnv is the one environment of all expressions: every variable is
// declared, and the check of references says where it exists. It is made
// once, because that takes longer than to compile a function, and it never
// changes.
var celEnv = sync.OnceValues(func() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return cel.NewEnv(append(libraries(),
		cel.CustomTypeProvider(recordProvider{registry}),
		cel.CustomTypeAdapter(registry),
		cel.Variable(varEvent, eventType.celTyp),
		cel.Variable(varAsync, eventType.celTyp),
		cel.Variable(varRun, runType.celTyp),
		cel.Variable(varSteps, cel.MapType(cel.StringType, stepType.celTyp)),
		cel.Variable(varItem, cel.DynType),
		cel.Variable(varIndex, cel.IntType),
		cel.Variable(varError, errorType.celTyp),
		cel.Variable(varEnv, cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable(varBody, cel.DynType),
		cel.Variable(varHeaders, cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable(varQuery, cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable(varName, cel.StringType),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.OptionalTypes(),
		boundedCalls(),
		functions(),
		cel.ParserExpressionSizeLimit(maxSize),
		cel.ParserRecursionLimit(maxRecursion),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxRegex),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals()),
	)...)
})

// recordProvider adds the record types to those of CEL.
type recordProvider struct{ *types.Registry }

// FindStructType returns the type of that name.
func (p recordProvider) FindStructType(name string) (*types.Type, bool) {
	if t := recordTypeOf(name); t != nil {
		return types.NewTypeTypeWithParam(t.celTyp), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames returns the names of the type's fields.
func (p recordProvider) FindStructFieldNames(name string) ([]string, bool) {
	if t := recordTypeOf(name); t != nil {
		return t.fieldNames(), true
	}
	return p.Registry.FindStructFieldNames(name)
}

// FindStructFieldType returns the type of the field and how to read it.
func (p recordProvider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	t := recordTypeOf(name)
	if t == nil {
		return p.Registry.FindStructFieldType(name, fieldName)
	}
	f := t.field(fieldName)
	if f == nil {
		return nil, false
	}
	return &types.FieldType{
		Type:  f.typ,
		IsSet: f.isSet,
		GetFrom: func(rec any) (any, error) {
			value := f.value(rec)
			if err, failed := value.(*types.Err); failed {
				return nil, err
			}
			return value, nil
		},
	}, true
}

// NewValue refuses to make a record: only the runner does.
func (p recordProvider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if recordTypeOf(name) != nil {
		return types.NewErr("a value of type %s cannot be made in an expression", name)
	}
	return p.Registry.NewValue(name, fields)
}
