package agent

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Whatever happens in whatever order, the machine comes to an end, stops what it
// has started, never starts anything after a teardown has begun, and passes only
// if everybody left with 0.
func TestNextAlwaysEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		begin := []func(func(*state)) state{testState, genericState}[seed%2]
		s := begin(func(s *state) { s.askJob = rng.IntN(2) == 0; s.hang = time.Duration(rng.IntN(2)) * 20 * time.Second })
		now, started, ended := 0.0, map[int]bool{}, map[int]bool{}
		asked := false
		var todo []action
		s, todo = next(s, event{kind: evBegin, at: sec(0)})
		for n := 0; !s.over; n++ {
			require.Less(t, n, 4000, "seed %d does not end: %+v", seed, s.timeline)
			var events []event
			for _, a := range todo {
				switch a.kind {
				case doStart:
					require.Nil(t, s.ending, "seed %d: start after a teardown has begun", seed)
					require.False(t, started[a.role])
					if rng.IntN(60) == 0 {
						events = append(events, event{kind: evNotStarted, role: a.role, text: "x"})
						continue
					}
					started[a.role] = true
					events = append(events, event{kind: evStarted, role: a.role})
				case doTerm, doKill:
					require.True(t, started[a.role] && !ended[a.role], "seed %d: signals what does not run", seed)
					if a.kind == doKill && rng.IntN(10) > 0 || rng.IntN(2) == 0 {
						ended[a.role] = true
						events = append(events, event{kind: evEnded, role: a.role, end: step.End{Exit: 137}})
					}
				case doAskJob:
					asked = true
				case doProbe:
					events = append(events, event{kind: evProbed, quiet: time.Hour})
				case doCollect:
					events = append(events, event{kind: evCollected})
				case doWatch, doFinish:
				}
			}
			if len(events) == 0 {
				now += rng.Float64() * 5
				e := event{kind: evTick, quiet: time.Duration(rng.IntN(30)) * time.Second}
				switch i := rng.IntN(len(s.roles)); rng.IntN(12) {
				case 0, 1:
					if started[i] && !ended[i] {
						ended[i] = true
						e = event{kind: evEnded, role: i, end: step.End{Exit: rng.IntN(3) * rng.IntN(2)}, drain: rng.IntN(4) == 0}
					}
				case 2, 3, 4:
					if started[i] && !ended[i] && s.roles[i].wave == waveMain {
						e = event{kind: evReady, role: i}
					}
				case 5:
					if s.begun == waveMain {
						e = event{kind: evDrain}
					}
				case 6:
					if rng.IntN(20) == 0 {
						e = event{kind: evSignal, text: "SIGTERM"}
					}
				case 7:
					if asked {
						e = event{kind: evJob, job: blame.Job{State: "RUNNING"}}
					}
				case 8:
					what := []rundir.NodeWhat{rundir.NodeEnded, rundir.NodeGone, rundir.NodePortGone, rundir.NodeSick, rundir.NodeSilent, rundir.NodeHealthy}
					e = event{kind: evSeen, role: i, quiet: time.Hour, seen: rundir.NodeEvent{At: sec(now), What: what[rng.IntN(len(what))], Signal: 9 * rng.IntN(2)}}
				}
				events = append(events, e)
			}
			todo = nil
			for _, e := range events {
				now += 0.01
				e.at = sec(now)
				var more []action
				s, more = next(s, e)
				todo = append(todo, more...)
			}
		}
		for i := range started {
			require.True(t, ended[i] || s.ending != nil && s.ending.gaveUp, "seed %d: %s still runs", seed, s.roles[i].name)
		}
		f, outcome, _ := conclude(s, s.evidence())
		if outcome != rundir.OutcomePassed {
			require.NotNil(t, f)
			continue
		}
		for _, r := range s.roles {
			if r.optional {
				continue
			}
			require.Equal(t, rundir.RoleEnded, r.state, "seed %d: passed although %s never ran", seed, r.name)
			require.True(t, r.end.Exit == 0 || !r.stopSent.IsZero() && !s.isClient(r), "seed %d: passed although %s ended with %d", seed, r.name, r.end.Exit)
		}
	}
}
