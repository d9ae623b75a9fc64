package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/common"
)

var (
	// A step or a header whose name is no identifier, after a dot.
	badMemberName = regexp.MustCompile(`(?:^|[^.\w])((steps|headers)\s*\.\s*([0-9][a-z0-9-]*|[a-z0-9]+(?:-[a-z0-9]+)+|(?:in|true|false|null)\b))`)

	// What the CEL compiler says.
	undeclared   = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	undefined    = regexp.MustCompile(`^undefined field '([^']*)'`)
	noOverload   = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'$`)
	unrecognized = regexp.MustCompile(`(?s)^token recognition error at: '(.)`)
	unexpected   = regexp.MustCompile(`(?s)^(?:mismatched|extraneous) input '(.*?)' expecting|^no viable alternative at input '(.*)'`)
	absent       = regexp.MustCompile(`^missing '?(.*?)'? at `)

	// A field's name up to a hyphen, and what follows the hyphen.
	hyphenated = regexp.MustCompile(`\.[A-Za-z_]\w*(?:-\w+)*-$`)
	hyphenRest = regexp.MustCompile(`^\w+(?:-\w+)*`)

	// What stands before the dot of an unknown field.
	beforeDot = regexp.MustCompile(`(?:^|[^.\w])(event|async|run|error|steps)(\.\w+|\[\s*(?:'[^']*'|"[^"]*")\s*\])?\s*$`)
)

// hyphenFault finds steps.log-registration, which CEL would read as a
// subtraction, and so with headers.x-event. Reading it as one is always an
// error: a step is no number, and neither is a header.
func hyphenFault(source string) (offset int, message string) {
	m := badMemberName.FindStringSubmatchIndex(blankLiterals(source))
	if m == nil {
		return 0, ""
	}
	of, name := source[m[4]:m[5]], source[m[6]:m[7]]
	return m[2], fmt.Sprintf("the name %s cannot follow a dot: write %s['%s']", name, of, name)
}

// blankLiterals overwrites string literals with spaces, so that a search in
// the source does not look into them.
func blankLiterals(source string) string {
	out := []byte(source)
	for i := 0; i < len(source); i++ {
		if source[i] != '"' && source[i] != '\'' {
			continue
		}
		end := skipLiteral(source, i, isRaw(source, 0, i))
		if end < 0 {
			end = len(source) - 1
		}
		for ; i <= end; i++ {
			out[i] = ' '
		}
		i = end
	}
	return string(out)
}

// badConstant are the messages about constants that are checked ahead.
var badConstant = map[string]string{
	"invalid matches argument":   "this is no regular expression (the syntax is RE2)",
	"invalid timestamp argument": "this is no RFC 3339 time such as 2030-01-31T09:00:00Z",
	"invalid duration argument":  "this is no duration for CEL: its units are h, m, s and ms, as in 72h or 1m30s",
}

// translate puts the errors of the CEL compiler into words for a person who
// has not read the CEL specification.
func (s site) translate(source string, errs []*common.Error) []fault {
	var faults []fault
	for _, err := range errs {
		f := fault{offset: byteOffset(source, err.Location), message: err.Message}
		if syntax, found := strings.CutPrefix(err.Message, "Syntax error: "); found {
			// One mistake confuses the parser more than once: the first counts.
			return []fault{{offset: f.offset, message: syntaxText(syntax)}}
		}
		switch {
		case undeclared.MatchString(f.message):
			f = s.unknownName(undeclared.FindStringSubmatch(f.message)[1], source, f.offset)
		case undefined.MatchString(f.message):
			f = unknownField(undefined.FindStringSubmatch(f.message)[1], source, f.offset)
		case noOverload.MatchString(f.message):
			m := noOverload.FindStringSubmatch(f.message)
			f.message = operationText(m[1], m[2])
		case strings.HasPrefix(f.message, "reserved identifier: "):
			f.message = strings.TrimPrefix(f.message, "reserved identifier: ") + " is a reserved word of CEL"
		case strings.HasPrefix(f.message, "invalid argument to has()"):
			f.message = "has() takes a field, such as has(event.data.email)"
		case badConstant[f.message] != "":
			f.message = badConstant[f.message]
		case strings.Contains(f.message, "recursion"):
			f.message = "the expression is too long or nested too deep: name a part of it with a step that does set"
		}
		if !slices.ContainsFunc(faults, func(other fault) bool { return other.message == f.message }) {
			faults = append(faults, f)
		}
	}
	return faults
}

// syntaxText says what the parser stumbled over.
func syntaxText(syntax string) string {
	if m := unrecognized.FindStringSubmatch(syntax); m != nil {
		switch m[1] {
		case "=":
			return "this is no operator: compare with =="
		case "&", "|":
			return fmt.Sprintf("this is no operator: write %s%s", m[1], m[1])
		case "'", `"`:
			return "this text is never closed: the second quote is missing"
		}
		return fmt.Sprintf("%q does not belong here", m[1])
	}
	if m := absent.FindStringSubmatch(syntax); m != nil {
		return m[1] + " is missing here"
	}
	if m := unexpected.FindStringSubmatch(syntax); m != nil {
		switch token := m[1] + m[2]; token {
		case "<EOF>":
			return "the expression ends too early"
		case "and", "AND":
			return "this is no operator: write &&"
		case "or", "OR":
			return "this is no operator: write ||"
		case "not", "NOT":
			return "this is no operator: write !"
		default:
			return fmt.Sprintf("%q is not expected here", token)
		}
	}
	return syntax
}

// unknownName says what to write in place of a name that does not exist.
func (s site) unknownName(name, source string, offset int) fault {
	called := offset < len(source) && source[offset] == '('
	if start := offset - len(name); called && start >= 0 && source[start:offset] == name {
		offset = start
	}
	if called {
		return fault{offset: offset, message: fmt.Sprintf("there is no function %s%s", name, insteadOf(name))}
	}
	if m := hyphenated.FindStringIndex(source[:offset]); m != nil {
		end := offset + len(hyphenRest.FindString(source[offset:]))
		return fault{offset: m[0], message: fmt.Sprintf("unknown name %s; if the hyphen belongs to the name of a field, write ['%s']", name, source[m[0]+1:end])}
	}
	return fault{offset: offset, message: fmt.Sprintf("unknown name %s; here there are %s", name, strings.Join(s.vars, ", "))}
}

// unknownField points behind the dot and lists the fields that there are.
func unknownField(name, source string, offset int) fault {
	f := fault{offset: offset, message: fmt.Sprintf("there is no field %s", name)}
	if at := strings.Index(source[offset:], name); at >= 0 {
		f.offset += at
	}
	m := beforeDot.FindStringSubmatch(source[:offset])
	if m == nil {
		return f
	}
	of := map[string]*recordType{varEvent: eventType, varAsync: eventType, varRun: runType, varError: errorType, varSteps: stepType}[m[1]]
	if (m[1] == varSteps) != (m[2] != "") {
		return f
	}
	f.message = fmt.Sprintf("%s%s has no field %s; it has %s", m[1], m[2], name, strings.Join(of.fieldNames(), ", "))
	if of == eventType {
		f.message += fmt.Sprintf(" (is it %s.data.%s?)", m[1], name)
	}
	return f
}

// operationText writes an operator between the types that it does not take.
func operationText(operator, types string) string {
	args := splitTypes(types)
	switch {
	case operator == "_?_:_":
		return fmt.Sprintf("the condition before ? is %s and not bool, or the two results differ in type", args[0])
	case operator == "@in" && len(args) == 2:
		return fmt.Sprintf("the types do not fit: %s in %s", args[0], args[1])
	case !strings.Contains(operator, "_") || len(args) != strings.Count(operator, "_"):
		return fmt.Sprintf("%s does not take %s", operator, types)
	}
	text := operator
	if operator != "_[_]" && len(args) == 2 {
		text = strings.Trim(operator, "_")
		text = "_ " + text + " _"
	}
	for _, arg := range args {
		text = strings.Replace(text, "_", arg, 1)
	}
	text = "the types do not fit: " + text
	if strings.HasPrefix(operator, "_") && strings.Contains(types, "string") && strings.Contains(types, "null") {
		text += "; text is never null here, compare it with ''"
	}
	return text
}

// splitTypes takes "(string, map(string, int))" apart.
func splitTypes(types string) []string {
	types = strings.TrimSuffix(strings.TrimPrefix(types, "("), ")")
	var args []string
	depth, from := 0, 0
	for i := range len(types) {
		switch types[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				args, from = append(args, strings.TrimSpace(types[from:i])), i+1
			}
		}
	}
	return append(args, strings.TrimSpace(types[from:]))
}
