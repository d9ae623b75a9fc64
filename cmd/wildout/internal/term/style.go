// Package term writes for people at a terminal: colours, tables, runs with
// their steps, progress, and log lines. It must not know where what it shows
// comes from.
package term

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Style colours text, or leaves it as it is, and knows how wide lines may be.
type Style struct {
	colour bool
	// Width is how many characters a line may have; 0: as many as it needs.
	Width int
	// Height is how many lines the terminal shows; 0: it is none.
	Height int
}

// StyleFor returns the Style for w: colours on a terminal, unless NO_COLOR
// (no-color.org) is set, and lines that fit it.
func StyleFor(w io.Writer) Style {
	file, ok := behind(w).(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return Style{}
	}
	s := Style{colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if width, height, err := term.GetSize(int(file.Fd())); err == nil {
		s.Width, s.Height = width, height
	}
	return s
}

// IsTerminal says whether somebody looks at what is written to, or types what
// is read from, a file.
func IsTerminal(file any) bool {
	if w, ok := file.(io.Writer); ok {
		file = behind(w)
	}
	f, ok := file.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (s Style) wrap(code, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold is for headings.
func (s Style) Bold(text string) string { return s.wrap("1", text) }

// Dim is for what is there to be looked up.
func (s Style) Dim(text string) string { return s.wrap("2", text) }

// Good is for success.
func (s Style) Good(text string) string { return s.wrap("32", text) }

// Bad is for failure.
func (s Style) Bad(text string) string { return s.wrap("31", text) }

// Busy is for what goes on or waits.
func (s Style) Busy(text string) string { return s.wrap("33", text) }
