package term

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Progress shows how far something is, in one line of a terminal; where there
// is none it shows nothing.
type Progress struct {
	w     io.Writer
	style Style
	what  string
	began time.Time
	drawn time.Time
}

// NewProgress returns a Progress that counts what, such as "event".
func NewProgress(w io.Writer, what string) *Progress {
	return &Progress{w: behind(w), style: StyleFor(w), what: what, began: time.Now()}
}

// between is the least time between two pictures.
const between = 100 * time.Millisecond

// Show says that n are done, which are a share of all (0 to 1; below 0: nobody
// knows).
func (p *Progress) Show(n int, share float64) {
	if p.style.Width == 0 || time.Since(p.drawn) < between {
		return
	}
	p.drawn = time.Now()
	p.draw(n, share, "")
}

// Pause says why it does not go on just now.
func (p *Progress) Pause(n int, why string) {
	if p.style.Width > 0 {
		p.drawn = time.Now()
		p.draw(n, -1, why)
	}
}

func (p *Progress) draw(n int, share float64, why string) {
	took := max(time.Since(p.began), time.Millisecond)
	text := fmt.Sprintf("%s %ss", Count(n), p.what)
	switch {
	case why != "":
		text += ", " + oneLine(why)
	default:
		text += fmt.Sprintf(", %s/s", Count(int(float64(n)/took.Seconds())))
	}
	if share > 0 && share < 1 && took > time.Second {
		text += ", " + Duration(time.Duration(float64(took)*(1-share)/share)) + " left"
	}
	line := cut(text, p.style.Width-1)
	if room := p.style.Width - 1 - width(text) - 8; share >= 0 && room >= 10 {
		bar := min(room, 40)
		full := int(min(share, 1) * float64(bar))
		line = p.style.Good(strings.Repeat("━", full)) + p.style.Dim(strings.Repeat("─", bar-full)) + fmt.Sprintf(" %3.0f%%  ", min(share, 1)*100) + text
	}
	_, _ = io.WriteString(p.w, "\r"+line+"\x1b[K") // only for looking at
}

// Done takes the line away.
func (p *Progress) Done() {
	if !p.drawn.IsZero() {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
}

// Took is how long it has gone on.
func (p *Progress) Took() time.Duration { return time.Since(p.began) }
