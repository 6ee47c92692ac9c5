package suspect_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/report/suspect"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const took = 100 * time.Second

// card is one that runs at 1,980 MHz in a case in which that is usual.
func card(edit func(*machine.CardSeen)) machine.CardSeen {
	c := machine.CardSeen{Card: rundir.Card{Node: "node07", Index: 3, UUID: "GPU-3", Name: "NVIDIA H200", SM: 1980, Temp: 60}, MaxSM: 1980, Clocks: slices.Repeat([]float64{1980}, 50), Grew: rundir.Counter{}}
	edit(&c)
	return c
}

// past are measurements at these clocks.
func past(uuid string, capped float64, clocks ...float64) suspect.Usual {
	var out []rundir.Machine
	for _, c := range clocks {
		out = append(out, rundir.Machine{Cards: []rundir.Card{{UUID: uuid, Name: "NVIDIA H200", SM: c, Capped: &capped}}})
	}
	return suspect.UsualOf(out)
}

func TestJudge(t *testing.T) {
	low := append(slices.Repeat([]float64{1410}, 31), slices.Repeat([]float64{1980}, 19)...)
	at := time.Unix(1000, 0)
	other := rundir.Other{UUID: "GPU-3", PID: 530, Name: "python3", First: at, Last: at.Add(20 * time.Second)}
	def := rundir.DefaultMachineLimits()
	for name, tt := range map[string]struct {
		edit   func(*machine.CardSeen)
		steal  float64
		usual  suspect.Usual
		limits rundir.MachineLimits
		want   string
		kind   string
	}{
		"nothing": {},
		"a clock below its usual": {
			edit: func(c *machine.CardSeen) { c.Clocks = low }, usual: past("GPU-3", 0, 1980, 1975, 1980),
			kind: rundir.SuspectClock, want: "GPU 3 of node07 ran at 1,410 MHz of 1,980 for 62 % of the benchmark; 1,980 is usual for it here",
		},
		"of a card not seen before, by its like": {
			edit: func(c *machine.CardSeen) { c.Clocks = low }, usual: past("GPU-9", 0, 1980, 1975, 1980),
			kind: rundir.SuspectClock, want: "GPU 3 of node07 ran at 1,410 MHz of 1,980 for 62 % of the benchmark; 1,980 is usual for it here",
		},
		"a clock that is low here always": {
			edit: func(c *machine.CardSeen) { c.Clocks = low }, usual: past("GPU-3", 1, 1410, 1425, 1410),
		},
		"nobody knows what is usual":  {edit: func(c *machine.CardSeen) { c.Clocks = low }, usual: past("GPU-3", 0, 1980, 1980)},
		"low for a moment":            {edit: func(c *machine.CardSeen) { c.Clocks[0] = 345 }, usual: past("GPU-3", 0, 1980, 1980, 1980)},
		"the clock is not looked at":  {edit: func(c *machine.CardSeen) { c.Clocks = low }, usual: past("GPU-3", 0, 1980, 1980, 1980), limits: rundir.MachineLimits{Thermal: 1}},
		"power capping that is usual": {edit: func(c *machine.CardSeen) { c.Capped = new(0.95) }, usual: past("GPU-3", 0.9, 1980, 1980, 1980)},
		"power capping, and no past":  {edit: func(c *machine.CardSeen) { c.Capped = new(0.95) }},
		"power capping that is new": {
			edit: func(c *machine.CardSeen) { c.Capped = new(0.95) }, usual: past("GPU-3", 0.1, 1980, 1980, 1980),
			kind: rundir.SuspectPowerCap, want: "GPU 3 of node07 was held by its power limit for 95 % of the benchmark, where 10 % is usual for this case, at 1,980 MHz of 1,980",
		},
		"heat": {
			edit: func(c *machine.CardSeen) { c.Grew[rundir.CountThermal], c.Temp, c.SM = 30e6, 88, 1410 },
			kind: rundir.SuspectThermal, want: "GPU 3 of node07 was slowed down for its heat at up to 88 °C for 30 % of the benchmark, at 1,410 MHz of 1,980",
		},
		"heat, by the card itself": {
			edit: func(c *machine.CardSeen) { c.Grew[rundir.CountThermalHW] = 2e6 },
			kind: rundir.SuspectThermal, want: "GPU 3 of node07 was slowed down for its heat at up to 60 °C for 2.0 % of the benchmark, at 1,980 MHz of 1,980",
		},
		"a trace of heat": {edit: func(c *machine.CardSeen) { c.Grew[rundir.CountThermal] = 5000 }},
		"the power supply": {
			edit: func(c *machine.CardSeen) { c.Grew[rundir.CountPowerBrake] = 100e6 },
			kind: rundir.SuspectPowerBrake, want: "GPU 3 of node07 was slowed down by its machine's power supply for 100 % of the benchmark, at 1,980 MHz of 1,980",
		},
		"a neighbour": {
			edit: func(c *machine.CardSeen) { c.Others, c.Shared = []rundir.Other{other}, 0.5 },
			kind: rundir.SuspectNeighbour, want: "GPU 3 of node07 was shared with python3 (pid 530), which is not of this job",
		},
		"a neighbour that looked in": {
			edit: func(c *machine.CardSeen) {
				c.Others, c.Shared = []rundir.Other{{UUID: "GPU-3", PID: 1, First: at, Last: at}}, 0.02
			},
		},
		"memory errors": {
			edit: func(c *machine.CardSeen) { c.Grew[rundir.CountUncorrected], c.Grew[rundir.CountRemapped] = 1, 1 },
			kind: rundir.SuspectECC, want: "GPU 3 of node07 had 1 uncorrected memory errors, 1 memory rows remapped during the benchmark",
		},
		"fewer errors than the limit": {
			edit: func(c *machine.CardSeen) { c.Grew[rundir.CountCorrected] = 4 }, limits: rundir.MachineLimits{ECC: 5},
		},
		"a hypervisor": {steal: 0.08, kind: rundir.SuspectSteal, want: "the hypervisor of node07 gave 8.0 % of its CPU time to others"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.edit == nil {
				tt.edit = func(*machine.CardSeen) {}
			}
			if tt.limits == (rundir.MachineLimits{}) {
				tt.limits = def
			}
			got := suspect.Judge([]machine.NodeSeen{{Node: "node07", Steal: tt.steal, Cards: []machine.CardSeen{card(tt.edit)}}}, took, tt.usual, tt.limits)
			if tt.want == "" {
				require.Empty(t, got)
				require.Empty(t, suspect.Probably(got))
				return
			}
			require.Len(t, got, 1, "%+v", got)
			require.Equal(t, []string{tt.kind, "node07", tt.want}, []string{got[0].Kind, got[0].Node, got[0].Text})
			require.Equal(t, "the machine, probably: "+tt.want, suspect.Probably(got))
		})
	}
}

// What was suspect says nothing about what is usual.
func TestUsualLeavesSuspectsOut(t *testing.T) {
	bad := rundir.Machine{Cards: []rundir.Card{{UUID: "a", SM: 900}}, Suspects: []rundir.Suspicion{{Kind: rundir.SuspectClock}}}
	require.Empty(t, suspect.UsualOf([]rundir.Machine{bad, bad, bad}).Cards)

	good := rundir.Machine{Cards: []rundir.Card{{UUID: "a", SM: 1980}}}
	hot := rundir.Machine{Cards: bad.Cards, Suspects: []rundir.Suspicion{{Kind: rundir.SuspectThermal}}}
	week := slices.Repeat([]rundir.Machine{bad}, 7)
	require.Equal(t, slices.Repeat([]float64{900}, 7), suspect.UsualOf(append([]rundir.Machine{good}, week...)).Cards["a"], "a week of it is a habit")
	require.Equal(t, []float64{1980}, suspect.UsualOf(append(week[:6:6], good)).Cards["a"])
	after := append(append([]rundir.Machine{good, good, good, good}, week...), rundir.Machine{Cards: bad.Cards}) // the first that was as usual
	require.Equal(t, slices.Repeat([]float64{900}, 8), suspect.UsualOf(after).Cards["a"], "and stays one")
	require.Equal(t, slices.Repeat([]float64{900}, 8), suspect.UsualOf(append(after, hot)).Cards["a"])

	week[6].Suspects = []rundir.Suspicion{{Kind: rundir.SuspectClock, Text: "GPU 3 of node07 ran at 900 MHz"}}
	require.Equal(t, "the last 7 measurements were all suspect, and for nothing but clock or power limit (GPU 3 of node07 ran at 900 MHz): that is taken for usual from now on", suspect.UsualOf(week).Settled)
	require.Empty(t, suspect.UsualOf(week[:6]).Settled)
	require.Empty(t, suspect.UsualOf(after).Settled, "it is said once")
	require.Empty(t, suspect.UsualOf(slices.Repeat([]rundir.Machine{hot}, 9)).Cards, "heat is never a habit")
}

func TestProbablyNamesWhatExplainsMost(t *testing.T) {
	s := []rundir.Suspicion{{Kind: rundir.SuspectECC, Text: "e"}, {Kind: rundir.SuspectThermal, Text: "t"}}
	require.Equal(t, "the machine, probably: t (and 1 more)", suspect.Probably(s))
}
