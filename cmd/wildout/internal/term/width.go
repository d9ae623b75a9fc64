package term

import (
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// cells is how terminals place characters: an emoji and a character of Chinese,
// Japanese or Korean take two cells, an accent of its own none. Characters that
// only old Asian terminals show wide, such as …, count one.
var cells = &runewidth.Condition{StrictEmojiNeutral: true}

// width is how many cells a text takes in a line.
func width(text string) int {
	if len(text) == utf8.RuneCountInString(text) {
		return len(text) // ASCII, as most of it is
	}
	return cells.StringWidth(text)
}

// cut shortens a text to n cells.
func cut(text string, n int) string {
	if width(text) <= n {
		return text
	}
	if n <= 1 {
		return cells.Truncate(text, max(n, 0), "")
	}
	return cells.Truncate(text, n, "…")
}

// pad makes a text at least n cells long, so that lines that are written one by
// one stand in columns.
func pad(text string, n int) string {
	return text + strings.Repeat(" ", max(0, n-width(text)))
}

// broken cuts a line into parts of at most n cells, at blanks if it can; with n of 0
// or less it does not.
func broken(line string, n int) (parts []string) {
	for {
		if n <= 0 || width(line) <= n {
			if line == "" && len(parts) > 0 {
				return parts
			}
			return append(parts, line)
		}
		head := cells.Truncate(line, n, "")
		if head == "" { // not even one character has room
			_, size := utf8.DecodeRuneInString(line)
			head = line[:size]
		}
		if blank := strings.LastIndexByte(line[:min(len(head)+1, len(line))], ' '); blank > len(head)/2 {
			head = line[:blank]
		}
		parts = append(parts, strings.TrimRight(head, " "))
		line = strings.TrimLeft(line[len(head):], " ")
	}
}
