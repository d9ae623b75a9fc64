package term

import (
	"io"
	"slices"
	"strings"
)

// Cell is a text in a table, with a colour.
type Cell struct {
	Text  string
	Paint func(string) string // nil: none
}

// Table is rows of cells in columns.
type Table struct {
	Indent string
	// Width is how many cells a line may have; 0: as many as it needs.
	Width int
	// Drop are the columns that may be left out where there is no room, the
	// least important first.
	Drop []int
	// Shrink is the column that is cut when that is not enough; the last one
	// always may be.
	Shrink int
	rows   [][]Cell
}

// Row adds a row. A cell is one line, whatever its text is.
func (t *Table) Row(cells ...Cell) {
	for i := range cells {
		cells[i].Text = oneLine(cells[i].Text)
	}
	t.rows = append(t.rows, cells)
}

// Texts adds a row of plain texts.
func (t *Table) Texts(texts ...string) {
	cells := make([]Cell, len(texts))
	for i, text := range texts {
		cells[i].Text = text
	}
	t.Row(cells...)
}

// Header adds a row of titles.
func (t *Table) Header(s Style, titles ...string) {
	cells := make([]Cell, len(titles))
	for i, title := range titles {
		cells[i] = Cell{title, s.Dim}
	}
	t.Row(cells...)
}

const (
	gap = 2 // between two columns
	// minLast is the least that is worth to be shown of the last column.
	minLast = 12
	// minShrunk is the least that is left of a column that is cut.
	minShrunk = 4
)

// Write writes the rows in columns two spaces apart, and within Width. Colours
// take no room; without a Width the last cell of a row may be as long as it likes.
func (t *Table) Write(w io.Writer) error {
	rows, widths := t.fit()
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		line.WriteString(t.Indent)
		for i, cell := range row {
			text := cell.Text
			if t.Width > 0 {
				text = cut(text, widths[i])
			}
			pad := widths[i] - width(text)
			if cell.Paint != nil {
				text = cell.Paint(text)
			}
			line.WriteString(text)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", gap+max(0, pad)))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fit returns the rows with the columns for which there is room, and how wide
// each is.
func (t *Table) fit() ([][]Cell, []int) {
	rows, widths := t.rows, t.widths()
	if t.Width <= 0 || len(widths) == 0 {
		return rows, widths
	}
	room := t.Width - width(t.Indent)
	last := len(widths) - 1
	total := func() (n int) {
		for _, w := range widths {
			if w > 0 {
				n += w + gap
			}
		}
		return n - gap
	}
	dropped := map[int]bool{}
	for _, column := range t.Drop {
		over := total() - room
		if over <= 0 {
			break
		}
		if column == last && widths[last]-over >= minLast {
			widths[last] -= over // a part of it is worth more than nothing
			break
		}
		widths[column], dropped[column] = 0, true
	}
	for dropped[last] {
		last--
	}
	for _, column := range []int{t.Shrink, last} {
		if over := total() - room; over > 0 && !dropped[column] {
			widths[column] = max(min(minShrunk, widths[column]), widths[column]-over)
		}
	}
	if len(dropped) == 0 {
		return rows, widths
	}
	kept := make([][]Cell, len(rows))
	for i, row := range rows {
		for j, cell := range row {
			if !dropped[j] {
				kept[i] = append(kept[i], cell)
			}
		}
	}
	var left []int
	for j, w := range widths {
		if !dropped[j] {
			left = append(left, w)
		}
	}
	return kept, left
}

// widths returns how wide each column is by itself. Without a Width the last
// cell of a row does not count.
func (t *Table) widths() []int {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < len(row)-1 || t.Width > 0 {
				widths[i] = max(widths[i], width(cell.Text))
			}
		}
	}
	return slices.Clip(widths)
}
