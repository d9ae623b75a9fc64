package plan

import (
	"fmt"
	"strings"
)

// segment is a piece of a template: literal text, or the source of an
// expression and where it begins in the template.
type segment struct {
	text   string
	expr   bool
	offset int
}

// templateError is a fault in the form of a template, at a byte of it.
type templateError struct {
	offset  int
	message string
}

func (e *templateError) Error() string { return e.message }

// splitTemplate takes "text ${expr} text" apart. "$${" stands for "${".
func splitTemplate(template string) ([]segment, error) {
	var segments []segment
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			segments = append(segments, segment{text: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(template); {
		rest := template[i:]
		switch {
		case strings.HasPrefix(rest, "$${"):
			literal.WriteString("${")
			i += 3
		case strings.HasPrefix(rest, "${"):
			end := closingBrace(template, i+2)
			if end < 0 {
				return nil, &templateError{i, "this ${ is never closed: write ${expression}, or $${ for the two characters ${"}
			}
			if strings.TrimSpace(template[i+2:end]) == "" {
				return nil, &templateError{i, "there is no expression in ${}"}
			}
			flush()
			segments = append(segments, segment{text: template[i+2 : end], expr: true, offset: i + 2})
			i = end + 1
		default:
			literal.WriteByte(template[i])
			i++
		}
	}
	flush()
	return segments, nil
}

// hasExpression reports whether s has to be looked at as a template.
func hasExpression(s string) bool { return strings.Contains(s, "${") }

// closingBrace returns the place of the } that ends the expression which
// begins at from, or -1. Braces in nested maps, in string literals and in
// comments do not count.
func closingBrace(s string, from int) int {
	depth := 0
	for i := from; i < len(s); i++ {
		switch c := s[i]; c {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		case '"', '\'':
			if i = skipLiteral(s, i, isRaw(s, from, i)); i < 0 {
				return -1
			}
		case '/':
			if strings.HasPrefix(s[i:], "//") {
				end := strings.IndexByte(s[i:], '\n')
				if end < 0 {
					return -1
				}
				i += end
			}
		}
	}
	return -1
}

// skipLiteral returns the last byte of the CEL string literal that begins at
// i, or -1 when it is not closed.
func skipLiteral(s string, i int, raw bool) int {
	quote := s[i : i+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s[i:], triple) {
		quote = triple
	}
	for i += len(quote); i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote) - 1
		case s[i] == '\\' && !raw:
			i++
		case s[i] == '\n' && len(quote) == 1:
			return -1
		}
	}
	return -1
}

// isRaw reports whether the quote at i has the prefix r (or br, or rb), in
// which a backslash is a plain character.
func isRaw(s string, from, i int) bool {
	raw, n := false, 0
	for i--; i >= from && isWord(s[i]); i-- {
		switch s[i] {
		case 'r', 'R':
			raw = true
		case 'b', 'B':
		default:
			return false
		}
		n++
	}
	return raw && n <= 2
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// describe is for errors about a template that must be one expression.
func describe(segments []segment) string {
	if len(segments) == 1 && !segments[0].expr {
		return fmt.Sprintf("the text %q", segments[0].text)
	}
	return "text around an expression"
}
