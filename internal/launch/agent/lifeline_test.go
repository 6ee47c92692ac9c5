package agent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestLifeline(t *testing.T) {
	t.Parallel()
	s := testState(func(s *state) { s.lifeline = time.Hour })
	s, _ = next(s, event{kind: evBegin, at: sec(0)})
	s, _ = next(s, event{kind: evTick, at: sec(10), alone: 59 * time.Minute})
	require.Nil(t, s.ending)
	s, _ = next(s, event{kind: evTick, at: sec(11), alone: time.Hour})
	require.NotNil(t, s.ending)
	require.Contains(t, s.ending.why, "no sign of life of its driver for 1h0m0s")
	_, outcome, reason := conclude(s, s.evidence())
	require.Equal(t, rundir.OutcomeCancelled, outcome, reason)
	require.Contains(t, reason, "jobs.lifeline")
	ev := s.evidence()
	ev.Job.TimeUp = true
	_, outcome, reason = conclude(s, ev)
	require.Equal(t, rundir.OutcomeCancelled, outcome, reason)
	require.Equal(t, "the agent ended the attempt: no sign of life of its driver for 1h0m0s (jobs.lifeline)", reason, "also shortly before its time limit")

	s = testState(nil)
	s, _ = next(s, event{kind: evBegin, at: sec(0)})
	s, _ = next(s, event{kind: evTick, at: sec(10), alone: 1000 * time.Hour})
	require.Nil(t, s.ending, "off unless it is set")
}

// A client that says that it is through, and stays, has hung: nobody else is waited for.
func TestClientThatStays(t *testing.T) {
	t.Parallel()
	p := &player{t: t, s: testState(nil)}
	p.play(serving + `
30 status
31 ended GEN_0 0
31 ended CTX_0 0
31 ended DISAGG_SERVER 0
160 tick -> TERM BENCHMARK
161 ended BENCHMARK 143 -> collect`)
	ev := p.s.evidence()
	ev.Classes, _ = blame.Compile(builtinRules(t))
	f, outcome, reason := conclude(p.s, ev)
	require.Equal(t, rundir.TimeoutOf(rundir.PhaseDrain), outcome, reason)
	require.Equal(t, "BENCHMARK", f.Root)
	require.Contains(t, reason, "it had not ended within")
}

// Much more time between two ticks than a busy machine needs: somebody had stopped the agent.
func TestStoodStill(t *testing.T) {
	t.Parallel()
	v := &supervisor{st: clientFailed()}
	for _, at := range []float64{100, 100.2, 114.9, 132, 132.2} {
		v.stoodStill(sec(at))
	}
	require.Equal(t, []rundir.Stall{{At: sec(132), For: rundir.Duration(17100 * time.Millisecond)}}, v.stalls)
	require.Equal(t, "the agent stood still for 17.1s", v.st.timeline[0].What)
}
