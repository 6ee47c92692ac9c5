package tables

import (
	"fmt"

	"github.com/ci-disagg/ci-disagg/internal/report/lemons"
)

// Lemons shows cards and nodes that are slower than their peers.
func (p Printer) Lemons(all []lemons.Lemon) {
	rows := p.table(left("NODE"), left("CARD"), right("WORSE"), right("5..95 %"), right("P"), right("JOBS"), right("CASES"), left("LAST"))
	for _, l := range all {
		card := "-"
		if l.UUID != "" {
			card = fmt.Sprintf("GPU %d %s", l.GPU, l.UUID)
		}
		chance := fmt.Sprintf("%.2f", l.P)
		if l.P >= 0.995 {
			chance = ">0.99"
		}
		rows.Row(left(l.Node), left(card), right(fmt.Sprintf("%.1f %%", 100*l.Worse)), right(fmt.Sprintf("%.1f..%.1f %%", 100*l.Interval[0], 100*l.Interval[1])),
			right(chance), right(fmt.Sprint(l.Runs)), right(fmt.Sprint(l.Cases)), left(l.Last.UTC().Format(minute)))
	}
	p.all(rows)
}
