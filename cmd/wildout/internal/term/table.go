package term

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Cell is a text in a table, with a colour.
type Cell struct {
	Text  string
	Paint func(string) string // nil: none
}

// Table is rows of cells in columns.
type Table struct {
	Indent string
	rows   [][]Cell
}

// Row adds a row.
func (t *Table) Row(cells ...Cell) { t.rows = append(t.rows, cells) }

// Texts adds a row of plain texts.
func (t *Table) Texts(texts ...string) {
	cells := make([]Cell, len(texts))
	for i, text := range texts {
		cells[i].Text = text
	}
	t.Row(cells...)
}

// Write writes the rows in columns two spaces apart. Colours take no room; the
// last cell of a row may be as long as it likes.
func (t *Table) Write(w io.Writer) error {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < len(row)-1 {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell.Text))
			}
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		line.WriteString(t.Indent)
		for i, cell := range row {
			text := cell.Text
			if cell.Paint != nil {
				text = cell.Paint(text)
			}
			line.WriteString(text)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", 2+widths[i]-utf8.RuneCountInString(cell.Text)))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
