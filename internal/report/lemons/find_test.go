package lemons_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/lemons"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// world is what a generated store has run on.
type world struct {
	nodes, cards int // of each node
	perJob       int // nodes; with cards, one card of one node
	slow         map[string]float64
	known        bool // the ids of the cards
	nights       int
	step         float64 // all cases get worse by it half way
}

func (w world) records(seed uint64) []baseline.Record {
	rng := rand.New(rand.NewPCG(seed, 7))
	var out []baseline.Record
	for night := range w.nights {
		for c, noise := range []float64{0.005, 0.01, 0.02} {
			r := baseline.Record{
				Kind: baseline.KindRun, Case: fmt.Sprintf("case-%d", c), Match: map[string]string{"mode": "e2e"}, Valid: true,
				Time: time.Date(2026, 5, 1, 2+c, 0, 0, 0, time.UTC).AddDate(0, 0, night), Build: rundir.Build{Mode: baseline.ModeNightly},
			}
			rep := baseline.Repetition{Machine: &rundir.Machine{}}
			slow := 0.0
			for range w.perJob {
				node, card := fmt.Sprintf("n%02d", rng.IntN(w.nodes)), rng.IntN(max(1, w.cards))
				id := fmt.Sprintf("GPU-%s-%d", node, card)
				slow = max(slow, w.slow[node], w.slow[id])
				rep.Nodes = append(rep.Nodes, node)
				if w.known {
					rep.Machine.Cards = append(rep.Machine.Cards, rundir.Card{Node: node, Index: card, UUID: id})
				}
			}
			if night >= w.nights/2 {
				slow += w.step
			}
			r.Repetitions = []baseline.Repetition{rep}
			value := 100 * (1 - slow) * (1 + noise*rng.NormFloat64())
			r.Measurements = []baseline.Measurement{{Point: "con8", Metric: "output_token_throughput", Unit: "tok/s", Values: []float64{value}}}
			out = append(out, r.Normal())
		}
	}
	return out
}

func TestFind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		world world
		want  []string
	}{
		{"nobody is slow", world{nodes: 10, perJob: 2, nights: 40}, nil},
		{"nothing is slow but the software, since a day", world{nodes: 10, perJob: 2, nights: 40, step: 0.05}, nil},
		{"a node", world{nodes: 10, perJob: 2, nights: 40, slow: map[string]float64{"n03": 0.03}}, []string{"node n03"}},
		{"behind a step too", world{nodes: 10, perJob: 2, nights: 40, step: 0.05, slow: map[string]float64{"n03": 0.03}}, []string{"node n03"}},
		{"two nodes, not what ran beside them", world{nodes: 20, perJob: 3, nights: 60, slow: map[string]float64{"n03": 0.04, "n07": 0.03}}, []string{"node n03", "node n07"}},
		{"a card, not its node", world{nodes: 4, cards: 3, perJob: 1, known: true, nights: 60, slow: map[string]float64{"GPU-n02-1": 0.03}}, []string{"GPU 1 of n02 (GPU-n02-1)"}},
		{"a card that nobody knows the id of is its node", world{nodes: 8, perJob: 1, nights: 60, slow: map[string]float64{"n02": 0.03}}, []string{"node n02"}},
		{"the only node of all", world{nodes: 1, perJob: 1, nights: 40, slow: map[string]float64{"n00": 0.03}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			found := lemons.Find(lemons.Readings(tt.world.records(1), metric.Default(), gates))
			for _, l := range found {
				got = append(got, l.Unit.String())
				require.Less(t, l.Interval[0], l.Worse)
				require.Greater(t, l.Interval[1], l.Worse)
				require.InDelta(t, 0.035, l.Worse, 0.015)
				require.Equal(t, 3, l.Cases)
			}
			require.ElementsMatch(t, tt.want, got, "%v", found)
		})
	}
}

// A run is told of the lemons that it was on, and what they cost is known.
func TestOn(t *testing.T) {
	t.Parallel()
	records := world{nodes: 10, perJob: 2, nights: 40, slow: map[string]float64{"n03": 0.03}}.records(1)
	found := lemons.Find(lemons.Readings(records, metric.Default(), gates))
	require.Len(t, found, 1)
	require.Regexp(t, `^node n03 is slower than its peers: jobs on it are [23]\.\d % worse \([12]\.\d to [34]\.\d %\), in \d+ jobs of 3 cases$`, found[0].String())
	for _, r := range records {
		on := len(lemons.On(found, r)) > 0
		slower, name := lemons.Slower(found, r.Repetitions[0])
		if want := r.Repetitions[0].Nodes[0] == "n03" || r.Repetitions[0].Nodes[1] == "n03"; want {
			require.True(t, on)
			require.InDelta(t, 0.03, slower, 0.01)
			require.Equal(t, "node n03", name)
		} else {
			require.False(t, on)
			require.Zero(t, slower)
		}
	}
}

// gates is what gates in the records of these tests.
func gates(r baseline.Record, _ string, m metric.Metric) bool {
	return metric.GatesIn(r.ModeOfCase(), m)
}
