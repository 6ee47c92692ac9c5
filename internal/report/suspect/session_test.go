package suspect_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/report/suspect"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A session is its own usual: what a card is like in all its runs is nobody's fault, what it is like in those of B
// alone may be.
func TestSession(t *testing.T) {
	t.Parallel()
	hot := func(c *machine.CardSeen) { c.Grew[rundir.CountThermal] = 50e6 }
	low := func(c *machine.CardSeen) { c.Clocks, c.SM = slices.Repeat([]float64{1410}, 50), 1410 }
	for name, tt := range map[string]struct {
		edit     func(i int) func(*machine.CardSeen) // of the i-th run: A B B A A B B A
		lines    int
		probably string
	}{
		"as ever":          {edit: func(int) func(*machine.CardSeen) { return nil }},
		"low in all runs":  {edit: func(int) func(*machine.CardSeen) { return low }},
		"hot in all runs":  {edit: func(int) func(*machine.CardSeen) { return hot }, lines: 6},
		"nobody looked":    {edit: func(int) func(*machine.CardSeen) { return nobody }},
		"hot in one of A":  {edit: at(hot, 3), lines: 1},
		"hot in one of B":  {edit: at(hot, 5), lines: 1},
		"low in two of B":  {edit: at(low, 1, 5), lines: 2},
		"hot in all but 1": {edit: at(hot, 1, 2, 5), lines: 3},
		"hot in all of B":  {edit: at(hot, 1, 2, 5, 6), lines: 4, probably: "The machine, probably: GPU 3 of node07 was slowed down for its heat at up to 60 °C for 50 % of the benchmark, at 1,980 MHz of 1,980 (and 3 more). That was so in 4 of 4 runs of B, and in none of A."},
		"looked at three":  {lines: 3, probably: "The machine, probably: GPU 3 of node07 was slowed down for its heat at up to 60 °C for 50 % of the benchmark, at 1,980 MHz of 1,980 (and 2 more). That was so in 3 of 4 runs of B, and in none of A.", edit: both(at(hot, 1, 2, 5), at(nobody, 6))},
		"looked at two":    {lines: 2, edit: both(at(hot, 1, 2), at(nobody, 5, 6))},
		"A not looked at":  {lines: 4, edit: both(at(hot, 1, 2, 5, 6), at(nobody, 0, 3, 4, 7))},
		"hot in both once": {edit: at(hot, 0, 1), lines: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var runs []suspect.Run
			for i := range 8 {
				edit := tt.edit(i)
				if edit == nil {
					edit = func(*machine.CardSeen) {}
				}
				c := card(edit)
				seen := &machine.Seen{Took: took, Nodes: []machine.NodeSeen{{Node: "node07", Cards: []machine.CardSeen{c}}}}
				if c.UUID == "" {
					seen = nil
				}
				runs = append(runs, suspect.Run{Name: fmt.Sprintf("run-%d", i), B: i%4 == 1 || i%4 == 2, Seen: seen})
			}
			lines, probably := suspect.Session(runs, rundir.DefaultMachineLimits())
			require.Len(t, lines, tt.lines)
			require.Equal(t, tt.probably, probably)
			if name == "hot in one of A" {
				require.Equal(t, "run-3 (A) was on a suspect machine: GPU 3 of node07 was slowed down for its heat at up to 60 °C for 50 % of the benchmark, at 1,980 MHz of 1,980", lines[0])
			}
		})
	}
}

func at(edit func(*machine.CardSeen), runs ...int) func(int) func(*machine.CardSeen) {
	return func(i int) func(*machine.CardSeen) {
		if slices.Contains(runs, i) {
			return edit
		}
		return nil
	}
}

// nobody looked at the machines.
func nobody(c *machine.CardSeen) { *c = machine.CardSeen{} }

// both is what either says of a run.
func both(one, other func(int) func(*machine.CardSeen)) func(int) func(*machine.CardSeen) {
	return func(i int) func(*machine.CardSeen) {
		if edit := one(i); edit != nil {
			return edit
		}
		return other(i)
	}
}
