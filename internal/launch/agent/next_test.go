package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The roles of the pure tests, in start order.
const (
	install = iota
	precheck
	gen
	ctx
	router
	client
)

var origin = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func sec(s float64) time.Time { return origin.Add(time.Duration(s * float64(time.Second))) }

func testState(edit func(*state)) state {
	s := state{limits: limits{
		budgets: rundir.Budgets{Setup: dur("60s"), Ready: dur("100s"), Benchmark: dur("200s")},
		grace:   5 * time.Second, drainRole: "BENCHMARK", drainFile: "status.txt", drainBound: 40 * time.Second, askJobBound: askJobBound, probeBound: probeBound, hang: 0,
	}}
	for _, r := range []role{
		{name: "INSTALL", kind: "install", wave: waveInstall},
		{name: "GEN_0_PRECHECK", kind: "precheck", wave: wavePre},
		{name: "GEN_0", kind: "server", wave: waveMain, conditional: true},
		{name: "CTX_0", kind: "server", wave: waveMain, conditional: true},
		{name: "DISAGG_SERVER", kind: "router", wave: waveMain, conditional: true},
		{name: "BENCHMARK", kind: "client", wave: waveMain},
	} {
		r.state = rundir.RolePending
		s.roles = append(s.roles, r)
	}
	if edit != nil {
		edit(&s)
	}
	return s
}

// serving is the script of an attempt up to the benchmark.
const serving = `
0 begin -> start INSTALL
0 started INSTALL
3 ended INSTALL 0 -> start GEN_0_PRECHECK
3 started GEN_0_PRECHECK
6 ended GEN_0_PRECHECK 0 -> start GEN_0, start CTX_0, start DISAGG_SERVER, start BENCHMARK
6 started GEN_0 -> watch GEN_0
6 started CTX_0 -> watch CTX_0
6 started DISAGG_SERVER -> watch DISAGG_SERVER
6 started BENCHMARK
9 ready CTX_0
9 ready GEN_0
9.5 ready DISAGG_SERVER
= benchmark
`

func TestNext(t *testing.T) {
	t.Parallel()
	setup := "0 begin -> start INSTALL\n0 started INSTALL\n"
	conclusions(t, []attempt{
		{name: "all goes well", outcome: rundir.OutcomePassed, script: serving + `
50 status
= drain
51 ended BENCHMARK 0
52 ended GEN_0 0
52 ended CTX_0 0
53 ended DISAGG_SERVER 0 -> collect
= collect
54 collected -> finish
= done`},
		{name: "no status file is planned", outcome: rundir.OutcomePassed, edit: func(s *state) { s.drainFile = "" }, script: serving + `
50 ended BENCHMARK 0
= drain
52 ended GEN_0 0
52 ended CTX_0 0
53 ended DISAGG_SERVER 0 -> collect`},
		{name: "servers that do not leave are ended, and that is a pass", outcome: rundir.OutcomePassed, script: serving + `
50 status
51 ended BENCHMARK 0
52 ended GEN_0 0
52 ended CTX_0 0
89 tick
90 tick -> TERM DISAGG_SERVER
94 tick
95 tick -> KILL DISAGG_SERVER
96 ended DISAGG_SERVER 137 -> collect`},
		{name: "a server dies: TERM within 2 s, KILL after the grace", root: "GEN_0", outcome: rundir.OutcomeTestFailed, script: serving + `
20 ended GEN_0 1
20.2 tick
20.6 tick -> TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
21 ended CTX_0 143
21 ended BENCHMARK 143
25.7 tick -> KILL DISAGG_SERVER
26 ended DISAGG_SERVER 137 -> collect`},
		{name: "a server dies in ready", root: "CTX_0", outcome: rundir.OutcomeInfra, script: strings.Split(serving, "9 ready CTX_0")[0] + `
8 ended CTX_0 137
8.6 tick -> TERM GEN_0, TERM DISAGG_SERVER, TERM BENCHMARK
9 ended GEN_0 0
9 ended DISAGG_SERVER 143
9 ended BENCHMARK 143 -> collect`},
		{name: "exit 0 of a server before the client is through", root: "GEN_0", outcome: rundir.OutcomeTestFailed, script: serving + `
20 ended GEN_0 0
21 tick
21.5 tick -> TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
22 ended CTX_0 143
22 ended BENCHMARK 143
22 ended DISAGG_SERVER 143 -> collect`},
		{name: "the status file comes later than the servers that saw it", outcome: rundir.OutcomePassed, script: serving + `
20 ended GEN_0 0
21 status
= drain
21.5 tick
22 ended CTX_0 0
22 ended DISAGG_SERVER 0
22 ended BENCHMARK 0 -> collect`},
		{name: "a server's exit 0, then the client's failure: the server", root: "GEN_0", outcome: rundir.OutcomeTestFailed, script: serving + `
20 ended GEN_0 0
21 status
21.2 ended BENCHMARK 1
22 ended CTX_0 0
22 ended DISAGG_SERVER 0 -> collect`},
		{name: "the client fails with a status file: the servers leave by themselves", root: "BENCHMARK", outcome: rundir.OutcomeTestFailed, script: serving + `
20 ended+status BENCHMARK 1
= drain
21 ended CTX_0 0
21 ended GEN_0 0
22 ended DISAGG_SERVER 0 -> collect`},
		{name: "the client fails with a status file and a server stays", root: "BENCHMARK", outcome: rundir.OutcomeTestFailed, script: serving + `
20 ended+status BENCHMARK 1
21 ended CTX_0 0
21 ended GEN_0 0
49 tick
50 tick -> TERM DISAGG_SERVER
51 ended DISAGG_SERVER 143 -> collect`},
		{name: "the client notices a server's death before its step has ended", root: "CTX_0", outcome: rundir.OutcomeInfra, script: serving + `
20 status
= drain
20.3 ended BENCHMARK 1
22.5 ended CTX_0 137
22.9 tick
23 tick -> TERM GEN_0, TERM DISAGG_SERVER
24 ended GEN_0 143
24 ended DISAGG_SERVER 0 -> collect`},
		{name: "likewise, and its own end comes last", root: "CTX_0", outcome: rundir.OutcomeInfra, script: serving + `
20 status
21 ended CTX_0 137
21.6 tick
22 ended BENCHMARK 1
22.5 tick -> TERM GEN_0, TERM DISAGG_SERVER
24 ended GEN_0 143
24 ended DISAGG_SERVER 0 -> collect`},
		{name: "a server that fails long after the client: the others may leave by themselves", root: "BENCHMARK", outcome: rundir.OutcomeTestFailed, script: serving + `
20 ended+status BENCHMARK 1
31 ended CTX_0 1
32 tick
33 ended GEN_0 0
34 ended DISAGG_SERVER 0 -> collect`},
		{name: "the client fails without one: they never would", root: "BENCHMARK", outcome: rundir.OutcomeTestFailed, script: serving + `
20 ended BENCHMARK 1
20.6 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
21 ended CTX_0 143
21 ended GEN_0 143
22 ended DISAGG_SERVER 0 -> collect`},
		{name: "the client passes and its status file never comes", root: "BENCHMARK", outcome: rundir.OutcomeTestFailed, script: serving + `
20 ended BENCHMARK 0
= drain
29 tick
30 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
31 ended CTX_0 143
31 ended GEN_0 143
32 ended DISAGG_SERVER 0 -> collect`},
		{name: "a server crashes after the benchmark", root: "GEN_0", outcome: rundir.OutcomeTestFailed, script: serving + `
50 status
51 ended BENCHMARK 0
52 ended GEN_0 139
52 ended CTX_0 0
53 ended DISAGG_SERVER 0 -> collect`},
		{name: "a rank dies, its step follows later", root: "GEN_0", outcome: rundir.OutcomeTestFailed, script: serving + `
20 badtask GEN_0 3
20.3 ended+status BENCHMARK 1
20.6 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
21 ended CTX_0 143
21 ended DISAGG_SERVER 143
25 ended GEN_0 3 -> collect`},
		{name: "the install fails", root: "INSTALL", outcome: rundir.OutcomeInfra, script: setup + `
5 ended INSTALL 1
5.6 tick -> collect`},
		{name: "the precheck fails", root: "GEN_0_PRECHECK", outcome: rundir.OutcomeInfra, script: strings.Split(serving, "6 ended")[0] + `
5 ended GEN_0_PRECHECK 1
5.6 tick -> collect`},
		{name: "a step cannot be started", root: "CTX_0", outcome: rundir.OutcomeInfra, script: strings.Split(serving, "6 started CTX_0")[0] + `
6 notstarted CTX_0
6.6 tick -> TERM GEN_0
7 ended GEN_0 143 -> collect`},
		{name: "setup takes too long", outcome: rundir.TimeoutOf(rundir.PhaseSetup), script: setup + `
59 tick
60 tick -> TERM INSTALL
61 ended INSTALL 143 -> collect`},
		{name: "not ready in time", root: "CTX_0", outcome: rundir.TimeoutOf(rundir.PhaseReady), script: strings.Split(serving, "9 ready CTX_0")[0] + `
20 ready GEN_0
20 ready DISAGG_SERVER
105 tick
106 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
107 ended GEN_0 143
107 ended CTX_0 143
107 ended DISAGG_SERVER 143
107 ended BENCHMARK 143 -> collect`},
		{name: "the list's TIMEOUT bounds ready and benchmark together", edit: func(s *state) { s.test, s.budgets.Benchmark = 60*time.Second, 0 }, outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), script: serving + `
65 tick
66 tick -> probe
66.1 tick
66.2 probed -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
67 ended GEN_0 143
67 ended CTX_0 143
67 ended DISAGG_SERVER 143
67 ended BENCHMARK 143 -> collect`},
		{name: "the benchmark takes too long", outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), script: serving + `
209 tick
210 tick -> probe
210.2 probed -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
211 ended GEN_0 143
211 ended CTX_0 143
211 ended DISAGG_SERVER 143
211 ended BENCHMARK 143 -> collect`},
		{name: "the benchmark takes too long, and nobody answers", outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), script: serving + `
210 tick -> probe
219 tick
220 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
221 ended GEN_0 143
221 ended CTX_0 143
221 ended DISAGG_SERVER 143
221 ended BENCHMARK 143 -> collect`},
		{name: "the benchmark takes too long, the client is through meanwhile", outcome: rundir.OutcomePassed, script: serving + `
210 tick -> probe
210.1 status
210.2 probed
211 ended BENCHMARK 0
211 ended GEN_0 0
211 ended CTX_0 0
211 ended DISAGG_SERVER 0 -> collect`},
		{name: "a server hangs", root: "GEN_0", edit: func(s *state) { s.hang = 30 * time.Second }, outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), script: serving + `
30 tick 29s
39.5 tick 30s -> probe
40 tick 31s
44 probed GEN_0 -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
45 ended CTX_0 143
45 ended DISAGG_SERVER 143
45 ended BENCHMARK 143
49 tick -> KILL GEN_0
50 ended GEN_0 137 -> collect`},
		{name: "the client hangs: every server answers", root: "BENCHMARK", edit: func(s *state) { s.hang = 30 * time.Second }, outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), script: serving + `
40 tick 31s -> probe
41 probed -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
42 ended GEN_0 143
42 ended CTX_0 143
42 ended DISAGG_SERVER 143
42 ended BENCHMARK 143 -> collect`},
		{name: "a server has work and makes no progress", root: "CTX_0", edit: func(s *state) { s.hang = 30 * time.Second }, outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), script: serving + `
40 tick 31s unserved
41 tick 32s -> probe
42 busy CTX_0 -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
43 ended GEN_0 143
43 ended CTX_0 143
43 ended DISAGG_SERVER 143
43 ended BENCHMARK 143 -> collect`},
		{name: "loading in silence is no hang", root: "CTX_0", edit: func(s *state) { s.hang = 30 * time.Second }, outcome: rundir.TimeoutOf(rundir.PhaseReady), script: strings.Split(serving, "9 ready CTX_0")[0] + `
20 ready GEN_0
20 ready DISAGG_SERVER
80 tick 59s
106 tick 85s -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
107 ended GEN_0 143
107 ended CTX_0 143
107 ended DISAGG_SERVER 143
107 ended BENCHMARK 143 -> collect`},
		{name: "the agent is told to end, locally", outcome: rundir.OutcomeCancelled, script: serving + `
20 signal SIGTERM -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
21 ended GEN_0 143
21 ended CTX_0 143
21 ended DISAGG_SERVER 143
21 ended BENCHMARK 143 -> collect`},
		{name: "a deaf role is killed, however often the end is asked for", outcome: rundir.OutcomeCancelled, script: serving + `
20 signal SIGTERM -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
21 ended GEN_0 143
21 ended DISAGG_SERVER 143
21 ended BENCHMARK 143
21 signal SIGTERM
22 signal SIGTERM
23 signal SIGTERM
24 signal SIGTERM
25 signal SIGTERM -> KILL CTX_0
25.1 signal SIGTERM
25.2 ended CTX_0 137 -> collect`},
		{name: "the job is cancelled: asked before anybody is blamed", outcome: rundir.OutcomeCancelled, edit: func(s *state) { s.askJob = true }, script: serving + `
20 ended GEN_0 143
20.01 ended CTX_0 143
20.01 signal SIGTERM -> TERM DISAGG_SERVER, TERM BENCHMARK
20.02 ended DISAGG_SERVER 143
20.02 ended BENCHMARK 1
21 tick
22 tick -> ask
22.1 tick
22.5 job CANCELLED -> collect`},
		{name: "the time limit comes, and the client is the first to go", outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), edit: func(s *state) { s.askJob = true }, script: serving + `
20 ended BENCHMARK 143
20.01 signal SIGTERM -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
20.02 ended GEN_0 143
20.02 ended CTX_0 143
20.02 ended DISAGG_SERVER 143
22 tick -> ask
22.5 job TIMEOUT -> collect`},
		{name: "Slurm does not answer", root: "GEN_0", outcome: rundir.OutcomeTestFailed, edit: func(s *state) { s.askJob = true }, script: serving + `
20 ended GEN_0 1
20.5 tick -> TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
21 ended CTX_0 143
21 ended DISAGG_SERVER 143
21 ended BENCHMARK 143
22 tick -> ask
36 tick
37 tick -> collect`},
		{name: "a step that SIGKILL does not end is given up", root: "GEN_0", outcome: rundir.OutcomeInfra, script: serving + `
20 ended CTX_0 1
20.5 tick -> TERM GEN_0, TERM DISAGG_SERVER, TERM BENCHMARK
21 ended DISAGG_SERVER 143
21 ended BENCHMARK 143
25.5 tick -> KILL GEN_0
55 tick
55.5 tick -> collect`, edit: func(s *state) { s.roles[ctx].kind = "client" }},
		{name: "the disk is full", outcome: rundir.OutcomeInfra, script: serving + `
20 broken -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
21 ended GEN_0 143
21 ended CTX_0 143
21 ended DISAGG_SERVER 143
21 ended BENCHMARK 143 -> collect`},
		{name: "killed together, and seen one after the other", root: "GEN_0", more: []string{"CTX_0"}, outcome: rundir.OutcomeInfra, script: serving + `
20 ended GEN_0 137
20.5 tick -> TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
22 ended CTX_0 137
22 ended DISAGG_SERVER 143
22 ended BENCHMARK 143 -> collect`},
		{name: "two roots within the skew", root: "GEN_0", outcome: rundir.OutcomeTestFailed, script: serving + `
20 ended GEN_0 1
20.1 ended CTX_0 1
20.6 tick -> TERM DISAGG_SERVER, TERM BENCHMARK
21 ended DISAGG_SERVER 143
21 ended BENCHMARK 143 -> collect`},
	})
}
