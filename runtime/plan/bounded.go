package plan

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxText is the longest text that replace and join make, in bytes. Cost is
// counted after a call has returned; these two can make gigabytes in one call
// out of an event that is within its limit.
const maxText = 4 << 20

// boundedText puts a bound on the two functions of the string library whose
// result is longer than their arguments together.
func boundedText() cel.EnvOption {
	str, strs := cel.StringType, cel.ListType(cel.StringType)
	replace := cel.Function("replace",
		cel.MemberOverload("string_replace_string_string", []*cel.Type{str, str, str}, str,
			cel.FunctionBinding(replaceText)),
		cel.MemberOverload("string_replace_string_string_int", []*cel.Type{str, str, str, cel.IntType}, str,
			cel.FunctionBinding(replaceText)),
	)
	join := cel.Function("join",
		cel.MemberOverload("list_join", []*cel.Type{strs}, str,
			cel.UnaryBinding(func(list ref.Val) ref.Val { return joinText(list, types.String("")) })),
		cel.MemberOverload("list_join_string", []*cel.Type{strs, str}, str,
			cel.BinaryBinding(joinText)),
	)
	return func(e *cel.Env) (*cel.Env, error) {
		e, err := replace(e)
		if err != nil {
			return nil, err
		}
		return join(e)
	}
}

func replaceText(args ...ref.Val) ref.Val {
	s, old, replacement := string(args[0].(types.String)), string(args[1].(types.String)), string(args[2].(types.String))
	count := strings.Count(s, old)
	if len(args) == 4 {
		if n := int64(args[3].(types.Int)); n >= 0 && n < int64(count) {
			count = int(n)
		}
	}
	if len(s)+count*(len(replacement)-len(old)) > maxText {
		return types.NewErr("replace would make a text of more than %d bytes", maxText)
	}
	return types.String(strings.Replace(s, old, replacement, count))
}

func joinText(list, separator ref.Val) ref.Val {
	sep := string(separator.(types.String))
	var b strings.Builder
	for it, first := list.(traits.Lister).Iterator(), true; it.HasNext() == types.True; first = false {
		part, ok := it.Next().(types.String)
		if !ok {
			return types.NewErr("join takes a list of strings")
		}
		if !first {
			b.WriteString(sep)
		}
		b.WriteString(string(part))
		if b.Len() > maxText {
			return types.NewErr("join would make a text of more than %d bytes", maxText)
		}
	}
	return types.String(b.String())
}
