package judging_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// seenAt is a machine whose card worked at a clock.
func seenAt(mhz float64) *machine.Seen {
	card := rundir.Card{Node: "node07", Index: 3, UUID: "GPU-3", Name: "NVIDIA H200", SM: mhz}
	return &machine.Seen{
		Machine: rundir.Machine{Facts: map[string]string{rundir.FactDriver: "580"}}, Took: time.Minute,
		Nodes: []machine.NodeSeen{{Node: "node07", Cards: []machine.CardSeen{{Card: card, MaxSM: 1980, Clocks: slices.Repeat([]float64{mhz}, 30)}}}},
	}
}

func TestRegressionOnASuspectMachine(t *testing.T) {
	const probably = "The machine, probably: GPU 3 of node07 ran at 1,410 MHz of 1,980 for 100 % of the benchmark; 1,980 is usual for it here. "
	for name, tt := range map[string]struct {
		seen   []*machine.Seen
		reruns verdict.Reruns
		value  float64
		word   verdict.Word
		told   bool
		again  bool
	}{
		"slower, on a slow card":                   {seen: []*machine.Seen{seenAt(1410)}, reruns: verdict.AutoReruns, value: 80, word: verdict.Regression, told: true, again: true},
		"and nothing can be repeated":              {seen: []*machine.Seen{seenAt(1410)}, value: 80, word: verdict.Regression, told: true},
		"slower, on a card as usual":               {seen: []*machine.Seen{seenAt(1980)}, value: 80, word: verdict.Regression},
		"slower, and nobody looked":                {seen: []*machine.Seen{nil}, value: 80, word: verdict.Regression},
		"slower, also where the card was as usual": {seen: []*machine.Seen{seenAt(1410), seenAt(1980)}, reruns: verdict.AutoReruns, value: 80, word: verdict.Regression},
		"as fast as ever, on a slow card":          {seen: []*machine.Seen{seenAt(1410)}, reruns: verdict.AutoReruns, value: 100, word: verdict.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			inStore(t, func(t *testing.T, url string) {
				s := open(t, url)
				set := setup(s)
				set.Policy.Reruns = tt.reruns
				for i := range 40 {
					r := nightly("c", i, noisy(i))
					r.Repetitions[0].Machine, r.Measurements = seenAt(1980).Kept(), r.Measurements[:1]
					save(t, s, r)
				}
				r := nightly("c", 40, tt.value)
				r.Measurements = r.Measurements[:1]
				for len(r.Repetitions) < len(tt.seen) {
					r.Repetitions = append(r.Repetitions, r.Repetitions[0])
					for i := range r.Measurements {
						r.Measurements[i].Values = append(r.Measurements[i].Values, r.Measurements[i].Values[0])
					}
				}
				set.Policy.RerunsUsed = len(tt.seen) - 1
				j := judging.Case(t.Context(), set, judging.Subject{
					Record: r.Normal(), Mode: "e2e", Sights: judging.Sights{Seen: tt.seen, Limits: rundir.DefaultMachineLimits()},
				})
				row := word(t, j, "output_token_throughput")
				require.Equal(t, tt.word, row.Verdict, row.Reason)
				if tt.told {
					require.Contains(t, row.Reason, probably)
				} else {
					require.NotContains(t, row.Reason, "probably")
				}
				require.Equal(t, tt.again, row.Suspicious, row.Reason)
				if tt.told {
					require.Equal(t, strings.TrimSuffix(probably, " "), j.Machine)
				} else {
					require.Empty(t, j.Machine)
				}
				if tt.seen[0] != nil {
					require.Equal(t, tt.seen[0].Nodes[0].Cards[0].Card, j.Record.Repetitions[0].Machine.Cards[0])
				}
			})
		})
	}
}
