package term

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"
)

// Safe returns text as a terminal may have it. What is shown comes from events,
// from servers and from manifests: control characters of theirs (which move the
// cursor, set the title, or write to the clipboard) and those that turn the
// direction of text around (by which it reads as something else) become what
// JSON writes for them, such as \u001b. Line breaks and tabs stay.
func Safe(text string) string {
	if strings.IndexFunc(text, harmful) < 0 {
		return strings.ToValidUTF8(text, "\uFFFD") // a terminal may read other bytes as Latin-1
	}
	var b strings.Builder
	b.Grow(len(text) + 16)
	for _, r := range strings.ReplaceAll(text, "\r\n", "\n") { // as Windows ends lines
		if harmful(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// harmful characters are the controls of ASCII and of Latin-1, separators of
// lines that a terminal does not take for one, and controls of direction
// (UAX #9).
func harmful(r rune) bool {
	switch {
	case r == '\n', r == '\t':
		return false
	case r < ' ', r >= 0x7f && r < 0xa0:
		return true
	case r == 0x61c, r == 0x200e, r == 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	}
	return false
}

// oneLine makes a text one line of a terminal.
func oneLine(text string) string {
	return Safe(strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ").Replace(text))
}

// Guard returns a writer for a file that makes Safe what is written to it, when
// the file is a terminal; the colours of Style pass. It stands behind all
// that a command prints: an id, an error, a document. What a program reads is
// not changed.
func Guard(file *os.File) io.Writer {
	if !IsTerminal(file) {
		return file
	}
	return &guarded{file: file}
}

// guarded is a terminal behind the filter.
type guarded struct {
	file io.Writer
	mu   sync.Mutex
	rest []byte // the beginning of a character that the next Write goes on with
}

// colours are the sequences that Style makes.
var colours = []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"}

// Write implements io.Writer.
func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	text := string(g.rest) + string(p)
	g.rest = nil
	if n := incomplete(text); n > 0 {
		g.rest = []byte(text[len(text)-n:])
		text = text[:len(text)-n]
	}
	if _, err := io.WriteString(g.file, safeButColours(text)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// incomplete returns how many bytes at the end are the beginning of a character.
func incomplete(text string) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if c := text[len(text)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRuneInString(text[len(text)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

func safeButColours(text string) string {
	var b strings.Builder
	for {
		at := strings.IndexByte(text, 0x1b)
		if at < 0 {
			b.WriteString(Safe(text))
			return b.String()
		}
		b.WriteString(Safe(text[:at]))
		text = text[at:]
		n := 0
		for _, colour := range colours {
			if strings.HasPrefix(text, colour) {
				n = len(colour)
			}
		}
		if n == 0 {
			b.WriteString(Safe(text[:1]))
			text = text[1:]
			continue
		}
		b.WriteString(text[:n])
		text = text[n:]
	}
}

// behind returns the terminal itself, for what moves the cursor; its text is
// made safe before.
func behind(w io.Writer) io.Writer {
	if g, ok := w.(*guarded); ok {
		return g.file
	}
	return w
}
