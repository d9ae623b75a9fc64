package sql

import (
	"fmt"
	"strings"
)

// checkOne makes sure that text is one statement for SQLite, whose driver runs
// several without a word: a second one is either a mistake or somebody's text
// that got into the statement. The rules are those of SQLite's tokenizer; a
// fuzz test holds them to it.
func checkOne(text string) error {
	ended, empty := false, true
	for pos := 0; pos < len(text); {
		next, blank, err := token(text, pos)
		if err != nil {
			return err
		}
		switch {
		case blank:
		case text[pos] == ';':
			ended = ended || !empty
		case ended:
			return fmt.Errorf("sql has more than one statement, the second begins at byte %d: use one step for each", pos)
		default:
			empty = false
		}
		pos = next
	}
	if empty {
		return errEmpty
	}
	return nil
}

// token returns where what begins at pos ends: white space or a comment
// (blank), a string, a quoted name, or one byte of anything else.
func token(text string, pos int) (next int, blank bool, err error) {
	rest := text[pos:]
	switch c := rest[0]; {
	case strings.IndexByte(" \t\r\n\f", c) >= 0:
		return pos + 1, true, nil
	case strings.HasPrefix(rest, "--"):
		if end := strings.IndexByte(rest, '\n'); end >= 0 {
			return pos + end + 1, true, nil
		}
		return len(text), true, nil
	case strings.HasPrefix(rest, "/*"):
		next, err = closing(text, pos, 2, "*/")
		return next, true, err
	case c == '\'' || c == '"' || c == '`':
		// A doubled quote ends one string and begins another: the same to us.
		next, err = closing(text, pos, 1, rest[:1])
		return next, false, err
	case c == '[':
		next, err = closing(text, pos, 1, "]")
		return next, false, err
	}
	return pos + 1, false, nil
}

// closing finds the end of what opens at pos with so many bytes. SQLite takes
// an open comment as closed at the end; here it is a mistake.
func closing(text string, pos, opening int, end string) (int, error) {
	from := pos + opening
	at := strings.Index(text[from:], end)
	if at < 0 {
		return 0, fmt.Errorf("sql has a %s at byte %d that is never closed", text[pos:from], pos)
	}
	return from + at + len(end), nil
}
