package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// genericState is a pipeline as data: two servers, a task that fills them, a router in
// front, a client, and a monitor that may leave.
func genericState(edit func(*state)) state {
	s := state{limits: limits{
		budgets: rundir.Budgets{Setup: dur("60s"), Ready: dur("100s"), Benchmark: dur("200s")},
		grace:   5 * time.Second, drainBound: 40 * time.Second, askJobBound: askJobBound, probeBound: probeBound,
	}}
	for _, r := range []role{
		{name: "MONITOR", kind: rundir.KindTask, lifecycle: lifecycle{optional: true}},
		{name: "DB_0", kind: rundir.KindServer, conditional: true, lifecycle: lifecycle{group: "DB", withClient: true}},
		{name: "DB_1", kind: rundir.KindServer, conditional: true, lifecycle: lifecycle{group: "DB", withClient: true}},
		{name: "FILL", kind: rundir.KindTask, lifecycle: lifecycle{needs: []string{"DB"}}},
		{name: "ROUTER", kind: rundir.KindRouter, conditional: true, lifecycle: lifecycle{withClient: true, needs: []string{"DB"}}},
		{name: "CLIENT", kind: rundir.KindClient, lifecycle: lifecycle{needs: []string{"ROUTER", "FILL"}}},
	} {
		r.state, r.wave = rundir.RolePending, waveMain
		if r.group == "" {
			r.group = r.name
		}
		s.roles = append(s.roles, r)
	}
	if edit != nil {
		edit(&s)
	}
	depths(s.roles)
	return s
}

// inUse is the script of a generic pipeline up to the benchmark.
const inUse = `
0 begin -> start MONITOR, start DB_0, start DB_1
0 started MONITOR
0 started DB_0 -> watch DB_0
0 started DB_1 -> watch DB_1
= ready
2 ready DB_1
3 ready DB_0 -> start FILL, start ROUTER
3 started FILL
3 started ROUTER -> watch ROUTER
4 ready ROUTER
9 ended FILL 0 -> start CLIENT
= ready
9 started CLIENT
= benchmark
`

// byName edits the role of a name.
func byName(name string, edit func(*role)) func(*state) {
	return func(s *state) {
		for i := range s.roles {
			if s.roles[i].name == name {
				edit(&s.roles[i])
			}
		}
	}
}

func TestOrderOfRoles(t *testing.T) {
	t.Parallel()
	upTo := func(line string) string { before, _, _ := strings.Cut(inUse, line); return before }
	tests := []struct {
		name, script string
		edit         func(*state)
		outcome      rundir.Outcome
		root         string
		reason       string
	}{
		{name: "ended by us in reverse order of the start is a good end", outcome: rundir.OutcomePassed, reason: "every role ended well", script: inUse + `
50 ended CLIENT 0 -> TERM ROUTER
52 ended ROUTER 143 -> TERM DB_1, TERM DB_0, TERM MONITOR
53 ended DB_0 0
53 ended MONITOR 1
53 ended DB_1 143 -> collect`},
		{name: "a server that is deaf is killed, then comes the next", outcome: rundir.OutcomePassed, reason: "every role ended well", script: inUse + `
20 ended MONITOR 0
50 ended CLIENT 0 -> TERM ROUTER
54 tick
55 tick -> KILL ROUTER
56 ended ROUTER 137 -> TERM DB_1, TERM DB_0
57 ended DB_0 0
57 ended DB_1 0 -> collect`},
		{name: "a server that crashes while it is ended has served: told, no failure", outcome: rundir.OutcomePassed, reason: "ROUTER crashed while it was ended: killed by SIGSEGV (exit 139)", script: inUse + `
20 ended MONITOR 0
50 ended CLIENT 0 -> TERM ROUTER
51 ended ROUTER 139 -> TERM DB_1, TERM DB_0
52 ended DB_0 0
52 ended DB_1 0 -> collect`},
		{name: "a crash before it is its turn is a failure", outcome: rundir.OutcomeTestFailed, root: "DB_0", script: inUse + `
20 ended MONITOR 0
50 ended CLIENT 0 -> TERM ROUTER
50.5 ended DB_0 139
51 ended ROUTER 143 -> TERM DB_1
57 ended DB_1 0 -> collect`},
		{name: "a server that nothing ends", outcome: rundir.OutcomeInfra, root: "ROUTER", script: inUse + `
20 ended MONITOR 0
50 ended CLIENT 0 -> TERM ROUTER
55 tick -> KILL ROUTER
84 tick
85 tick
85.2 tick -> TERM DB_0, TERM DB_1
86 ended DB_0 0
86 ended DB_1 0
90.2 tick -> KILL ROUTER
120.2 tick -> collect`},
		{name: "who may leave leaves with an error", outcome: rundir.OutcomePassed, reason: "MONITOR (critical: false) left: exit 3", script: inUse + `
20 ended MONITOR 3
50 ended CLIENT 0 -> TERM ROUTER
52 ended ROUTER 143 -> TERM DB_1, TERM DB_0
53 ended DB_0 143
53 ended DB_1 143 -> collect`},
		{name: "who may leave is killed", outcome: rundir.OutcomePassed, reason: "MONITOR (critical: false) left: killed by SIGKILL (exit 137)", script: inUse + `
20 ended MONITOR 137
21 tick
50 ended CLIENT 0 -> TERM ROUTER
52 ended ROUTER 143 -> TERM DB_1, TERM DB_0
53 ended DB_0 143
53 ended DB_1 143 -> collect`},
		{name: "who may leave cannot be started", outcome: rundir.OutcomePassed, reason: "MONITOR (critical: false) was not started", script: `
0 begin -> start MONITOR, start DB_0, start DB_1
0 notstarted MONITOR
` + strings.SplitN(inUse, "0 started MONITOR", 2)[1] + `
50 ended CLIENT 0 -> TERM ROUTER
52 ended ROUTER 143 -> TERM DB_1, TERM DB_0
53 ended DB_0 143
53 ended DB_1 143 -> collect`},
		{name: "one of two servers may leave once the others are up", outcome: rundir.OutcomePassed, reason: "DB_1 (critical: false) left: exit 1", edit: byName("DB_1", func(r *role) { r.optional = true }), script: inUse + `
20 ended DB_1 1
20 ended MONITOR 0
50 ended CLIENT 0 -> TERM ROUTER
52 ended ROUTER 143 -> TERM DB_0
53 ended DB_0 143 -> collect`},
		{name: "who may leave is still awaited by others", outcome: rundir.OutcomeTestFailed, root: "DB_1", edit: byName("DB_1", func(r *role) { r.optional = true }), script: upTo("3 ready DB_0") + `
3 ended DB_1 1
3.5 tick -> TERM MONITOR, TERM DB_0
4 ended MONITOR 143
4 ended DB_0 143 -> collect`},
		{name: "a task that others need fails", outcome: rundir.OutcomeTestFailed, root: "FILL", script: upTo("9 ended FILL 0") + `
9 ended FILL 2
9.5 tick -> TERM MONITOR, TERM DB_0, TERM DB_1, TERM ROUTER
10 ended MONITOR 143
10 ended DB_0 143
10 ended DB_1 143
10 ended ROUTER 143 -> collect`},
		{name: "a task that others need takes too long", outcome: rundir.TimeoutOf(rundir.PhaseReady), root: "FILL", script: upTo("9 ended FILL 0") + `
99 tick
100 tick -> TERM MONITOR, TERM DB_0, TERM DB_1, TERM FILL, TERM ROUTER
101 ended MONITOR 143
101 ended DB_0 143
101 ended DB_1 143
101 ended FILL 143
101 ended ROUTER 143 -> collect`},
		{name: "a server dies before others could start", outcome: rundir.OutcomeTestFailed, root: "DB_0", script: upTo("3 ready DB_0") + `
3 ended DB_0 1
3.5 tick -> TERM MONITOR, TERM DB_1
4 ended MONITOR 143
4 ended DB_1 143 -> collect`},
		{name: "a server dies in the benchmark", outcome: rundir.OutcomeInfra, root: "DB_0", script: inUse + `
20 ended DB_0 137
20.1 ended CLIENT 1
20.5 tick -> TERM MONITOR, TERM DB_1, TERM ROUTER
21 ended MONITOR 143
21 ended DB_1 143
21 ended ROUTER 143 -> collect`},
		{name: "the router leaves with 0", outcome: rundir.OutcomeTestFailed, root: "ROUTER", script: inUse + `
20 ended ROUTER 0
20.2 ended CLIENT 1
21.5 tick -> TERM MONITOR, TERM DB_0, TERM DB_1
22 ended MONITOR 143
22 ended DB_0 143
22 ended DB_1 143 -> collect`},
		{name: "the client fails", outcome: rundir.OutcomeTestFailed, root: "CLIENT", script: inUse + `
20 ended CLIENT 1
20.5 tick -> TERM MONITOR, TERM DB_0, TERM DB_1, TERM ROUTER
21 ended MONITOR 143
21 ended DB_0 143
21 ended DB_1 143
22 ended ROUTER 143 -> collect`},
		{name: "everybody who works has to be through", outcome: rundir.OutcomePassed, reason: "every role ended well", edit: byName("MONITOR", func(r *role) { r.optional = false }), script: inUse + `
50 ended CLIENT 0
60 ended MONITOR 0 -> TERM ROUTER
62 ended ROUTER 143 -> TERM DB_1, TERM DB_0
63 ended DB_0 143
63 ended DB_1 143 -> collect`},
		{name: "another one who works fails after the client", outcome: rundir.OutcomeTestFailed, root: "MONITOR", edit: byName("MONITOR", func(r *role) { r.optional = false }), script: inUse + `
50 ended CLIENT 0
60 ended MONITOR 1
60.5 tick -> TERM DB_0, TERM DB_1, TERM ROUTER
63 ended DB_0 143
63 ended ROUTER 143
63 ended DB_1 143 -> collect`},
		{name: "work after the client's, with the servers still there", outcome: rundir.OutcomePassed, reason: "every role ended well", edit: byName("MONITOR", func(r *role) { r.optional, r.needs = false, []string{"CLIENT"} }), script: `
0 begin -> start DB_0, start DB_1
` + strings.SplitN(strings.Replace(inUse, "= benchmark", "= ready", 1), "0 started MONITOR", 2)[1] + `
50 ended CLIENT 0 -> start MONITOR
50 started MONITOR
= benchmark
60 ended MONITOR 0 -> TERM ROUTER
62 ended ROUTER 143 -> TERM DB_1, TERM DB_0
63 ended DB_0 143
63 ended DB_1 143 -> collect`},
		{name: "the agent is told to end while it ends the servers", outcome: rundir.OutcomeCancelled, script: inUse + `
20 ended MONITOR 0
50 ended CLIENT 0 -> TERM ROUTER
51 signal SIGTERM -> TERM DB_0, TERM DB_1
52 ended ROUTER 143
52 ended DB_0 143
52 ended DB_1 143 -> collect`},
		{name: "a client hangs: every server answers", root: "CLIENT", outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), edit: func(s *state) { s.hang = 30 * time.Second }, script: inUse + `
40 tick 31s -> probe
41 probed -> TERM MONITOR, TERM DB_0, TERM DB_1, TERM ROUTER, TERM CLIENT
42 ended MONITOR 143
42 ended DB_0 143
42 ended DB_1 143
42 ended ROUTER 143
42 ended CLIENT 143 -> collect`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &player{t: t, s: genericState(tt.edit)}
			for line := range strings.SplitSeq(tt.script, "\n") {
				line, want, _ := strings.Cut(strings.TrimSpace(line), " -> ")
				switch {
				case line == "":
				case strings.HasPrefix(line, "= "):
					require.Equal(t, line[2:], string(p.s.phase))
				default:
					require.Equal(t, want, p.feed(line), "after %q: %+v", line, p.s.timeline)
				}
			}
			ev := p.s.evidence()
			ev.Classes, _ = blame.Compile(builtinRules(t))
			f, outcome, reason := conclude(p.s, ev)
			require.Equal(t, tt.outcome, outcome, reason)
			require.Contains(t, reason, tt.reason)
			if tt.outcome == rundir.OutcomePassed {
				require.Nil(t, f)
				return
			}
			require.Equal(t, tt.root, f.Root, "%+v", f)
		})
	}
}
