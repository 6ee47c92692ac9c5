package tables

import (
	"fmt"
	"io"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/table"
)

// Printer prints tables.
type Printer struct {
	W      io.Writer
	Colour bool // a terminal that shows it
}

// table begins a table with a head.
func (p Printer) table(head ...table.Cell) *table.Table {
	t := &table.Table{Colour: p.Colour}
	t.Row(head...)
	return t
}

// all prints a table. A terminal that takes no text is nothing that a verdict hangs on.
func (p Printer) all(t *table.Table) { _ = t.Write(p.W) }

// some prints a table that has more than its head.
func (p Printer) some(t *table.Table) {
	if t.Len() > 1 {
		p.all(t)
	}
}

// end prints the last line in the colour of its verdict.
func (p Printer) end(w verdict.Word, format string, args ...any) {
	p.all(p.table(painted(w, fmt.Sprintf(format, args...))))
}

func left(text string) table.Cell  { return table.Cell{Text: text} }
func right(text string) table.Cell { return table.Cell{Text: text, Right: true} }

func painted(w verdict.Word, text string) table.Cell { return table.Cell{Text: text, Paint: Paint(w)} }

// commit is a commit as people write it.
func commit(id string) string { return id[:min(len(id), 10)] }
