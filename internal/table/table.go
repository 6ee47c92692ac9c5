// Package table puts text into columns, for people at a terminal or in a log. It is the only place that aligns.
package table

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/ci-disagg/ci-disagg/internal/plain"
)

// Table is rows in the making.
type Table struct {
	// Colour says that the text goes to a terminal which shows it.
	Colour bool
	rows   [][]Cell
}

// Cell is one field of a row.
type Cell struct {
	Text  string
	Right bool   // numbers align at their right
	Paint string // SGR colour, "" = none
}

// Add adds a row of plain texts.
func (t *Table) Add(texts ...string) {
	row := make([]Cell, len(texts))
	for i, text := range texts {
		row[i].Text = text
	}
	t.Row(row...)
}

// Row adds a row.
func (t *Table) Row(cells ...Cell) { t.rows = append(t.rows, cells) }

// Len is how many rows there are.
func (t *Table) Len() int { return len(t.rows) }

// Write writes the rows. Columns stand two blanks apart.
func (t *Table) Write(w io.Writer) error {
	var widths []int
	for _, r := range t.rows {
		for i := range r {
			r[i].Text = plain.Line(r[i].Text)
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i].Text))
		}
	}
	var all strings.Builder
	for _, r := range t.rows {
		var b strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.Text))
			text := c.Text
			if c.Paint != "" && t.Colour {
				text = "\x1b[" + c.Paint + "m" + text + "\x1b[0m"
			}
			if c.Right {
				b.WriteString(pad + text)
			} else {
				b.WriteString(text + pad)
			}
			b.WriteString("  ")
		}
		all.WriteString(strings.TrimRight(b.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, all.String())
	return err
}
