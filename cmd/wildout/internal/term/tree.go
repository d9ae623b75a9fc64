package term

import (
	"fmt"
	"io"
	"strings"
)

// Node is a line of a tree, with what belongs to it below.
type Node struct {
	// Sign and Title stand at the beginning, with the colour of Paint (nil:
	// none), and Note behind them, faint.
	Sign, Title, Note string
	Paint             func(string) string
	// Text is what there is to say, in lines of its own.
	Text  string
	Below []*Node
}

// Add adds nodes below, those that are not nil.
func (n *Node) Add(below ...*Node) *Node {
	for _, b := range below {
		if b != nil {
			n.Below = append(n.Below, b)
		}
	}
	return n
}

// minText is the least room for a text: a narrower terminal breaks the lines
// itself.
const minText = 16

// Tree writes a tree. Notes and texts go on in a next line where the terminal
// ends, below their beginning.
func (s Style) Tree(w io.Writer, root *Node) error {
	var b strings.Builder
	s.node(&b, root, "", "")
	_, err := io.WriteString(w, b.String())
	return err
}

// node writes a node: first is before its line, rest before what comes below.
func (s Style) node(b *strings.Builder, n *Node, first, rest string) {
	head := oneLine(n.Title)
	if n.Sign != "" {
		head = n.Sign + " " + head
	}
	s.line(b, n, head, first, rest)
	margin := rest
	if len(n.Below) > 0 {
		margin += "│ "
	} else {
		margin += "  "
	}
	if n.Text != "" {
		for line := range strings.Lines(Safe(n.Text)) {
			for _, part := range broken(strings.TrimRight(line, "\n"), s.room(margin)) {
				b.WriteString(s.Dim(margin) + part + "\n")
			}
		}
	}
	for i, below := range n.Below {
		if i == len(n.Below)-1 {
			s.node(b, below, rest+"└─ ", rest+"   ")
		} else {
			s.node(b, below, rest+"├─ ", rest+"│  ")
		}
	}
}

// line writes the line of a node. What its note has no room for goes below.
func (s Style) line(b *strings.Builder, n *Node, head, first, rest string) {
	paint := n.Paint
	if paint == nil {
		paint = func(text string) string { return text }
	}
	below := rest + "  "
	if len(n.Below) > 0 {
		below = rest + "│ "
	}
	heads := broken(head, s.room(first))
	for i, part := range heads {
		if i == 0 {
			b.WriteString(s.Dim(first) + paint(part))
		} else {
			b.WriteString("\n" + s.Dim(below) + paint(part))
		}
	}
	used := width(first) + width(heads[len(heads)-1])
	note := oneLine(n.Note)
	if note != "" && (s.Width <= 0 || used+gap+width(note) <= s.Width) {
		fmt.Fprintf(b, "%s%s", strings.Repeat(" ", gap), s.Dim(note))
		note = ""
	}
	b.WriteString("\n")
	if note != "" {
		for _, part := range broken(note, s.room(below)) {
			b.WriteString(s.Dim(below+part) + "\n")
		}
	}
}

// room is how many cells there are behind a margin; 0: any number.
func (s Style) room(margin string) int {
	if s.Width <= 0 {
		return 0
	}
	return max(minText, s.Width-width(margin))
}
