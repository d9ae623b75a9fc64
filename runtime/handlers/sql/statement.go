package sql

import (
	"errors"
	"fmt"
	"strings"
)

// checkOne makes sure that text is one statement. The drivers do not: without
// parameters both would run several, and a second one is either a mistake or
// somebody's text that got into the statement.
func checkOne(text string, dialect Dialect) error {
	s := scanner{text: text, dialect: dialect}
	ended, empty := false, true
	for s.pos < len(s.text) {
		skipped, err := s.skip()
		if err != nil {
			return err
		}
		if skipped == blank {
			continue
		}
		if skipped == code && s.text[s.pos-1] == ';' {
			ended = ended || !empty
			continue
		}
		if ended {
			return fmt.Errorf("sql has more than one statement, the second begins at byte %d: use one step for each", s.start)
		}
		empty = false
	}
	if empty {
		return errors.New("sql is empty")
	}
	return nil
}

// span is what scanner.skip went over.
type span int

const (
	blank  span = iota // white space or a comment
	quoted             // a string or a quoted name
	code               // one byte of anything else
)

// scanner goes over a statement just closely enough to tell its code from what
// is quoted or commented out.
type scanner struct {
	text       string
	dialect    Dialect
	start, pos int // of the last span: its first byte, and the byte after it
}

func (s *scanner) skip() (span, error) {
	s.start = s.pos
	rest := s.text[s.pos:]
	switch c := rest[0]; {
	case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
		s.pos++
		return blank, nil
	case strings.HasPrefix(rest, "--"):
		s.pos = s.after("\n", len(s.text))
		return blank, nil
	case strings.HasPrefix(rest, "/*"):
		return blank, s.comment()
	case c == '\'' || c == '"':
		return quoted, s.quote(c, c == '\'' && s.escapes())
	case s.dialect == SQLite && c == '`':
		return quoted, s.quote(c, false)
	case s.dialect == SQLite && c == '[':
		return quoted, s.until("]", "[")
	case s.dialect == Postgres && c == '$':
		if tag := dollarTag(rest); tag != "" && !s.inWord() {
			s.pos += len(tag)
			return quoted, s.until(tag, tag)
		}
	}
	s.pos++
	return code, nil
}

// after is the position behind the next end, or fallback.
func (s *scanner) after(end string, fallback int) int {
	if i := strings.Index(s.text[s.pos:], end); i >= 0 {
		return s.pos + i + len(end)
	}
	return fallback
}

func (s *scanner) until(end, opened string) error {
	next := s.after(end, -1)
	if next < 0 {
		return fmt.Errorf("sql has a %s at byte %d that is never closed", opened, s.start)
	}
	s.pos = next
	return nil
}

// comment goes over a block comment; those of PostgreSQL nest. SQLite takes an
// open one as closed at the end, here it is a mistake.
func (s *scanner) comment() error {
	depth := 0
	for s.pos < len(s.text) {
		switch rest := s.text[s.pos:]; {
		case strings.HasPrefix(rest, "/*") && (depth == 0 || s.dialect == Postgres):
			depth++
			s.pos += 2
		case strings.HasPrefix(rest, "*/"):
			s.pos += 2
			if depth--; depth == 0 {
				return nil
			}
		default:
			s.pos++
		}
	}
	return fmt.Errorf("sql has a /* at byte %d that is never closed", s.start)
}

// quote goes over a quoted string; a doubled quote stands for itself, and in
// an escape string a backslash quotes the next byte.
func (s *scanner) quote(q byte, backslash bool) error {
	for s.pos++; s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; {
		case c == '\\' && backslash:
			s.pos++
		case c == q && s.pos+1 < len(s.text) && s.text[s.pos+1] == q:
			s.pos++
		case c == q:
			s.pos++
			return nil
		}
	}
	s.pos = len(s.text)
	return fmt.Errorf("sql has a %c at byte %d that is never closed", q, s.start)
}

// escapes reports whether the quote at pos begins an escape string: E'…'.
func (s *scanner) escapes() bool {
	if s.dialect != Postgres || s.pos == 0 || s.text[s.pos-1]|0x20 != 'e' {
		return false
	}
	return s.pos == 1 || !isWord(s.text[s.pos-2])
}

func (s *scanner) inWord() bool { return s.pos > 0 && isWord(s.text[s.pos-1]) }

// dollarTag is the opening of a dollar-quoted string, $tag$ or $$; a parameter
// such as $1 is none.
func dollarTag(text string) string {
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '$':
			return text[:i+1]
		case !isWord(c) || i == 1 && c >= '0' && c <= '9':
			return ""
		}
	}
	return ""
}

func isWord(c byte) bool {
	return c == '_' || c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
