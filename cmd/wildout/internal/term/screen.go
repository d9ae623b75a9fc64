package term

import (
	"bytes"
	"fmt"
	"io"
)

// Screen draws a picture in place of the one before, below what was on the
// terminal.
type Screen struct {
	w     io.Writer
	drawn int // lines
}

// NewScreen returns a Screen on a terminal.
func NewScreen(w io.Writer) *Screen { return &Screen{w: behind(w)} }

// Draw draws a picture. One that is higher than the terminal is cut, unless it
// is the last: then it stays, whole.
func (s *Screen) Draw(picture []byte, last bool) error {
	lines := bytes.SplitAfter(picture, []byte("\n"))
	if n := len(lines); n > 0 && len(lines[n-1]) == 0 {
		lines = lines[:n-1]
	}
	if height := StyleFor(s.w).Height; height > 1 && len(lines) >= height && !last {
		lines = lines[:height-1]
	}
	var b bytes.Buffer
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn) // up to the first line
	}
	b.WriteString("\r")
	for _, line := range lines {
		b.Write(bytes.TrimSuffix(line, []byte("\n")))
		b.WriteString("\x1b[K\n") // what was behind it goes
	}
	b.WriteString("\x1b[J") // and what was below
	s.drawn = len(lines)
	_, err := s.w.Write(b.Bytes())
	return err
}
