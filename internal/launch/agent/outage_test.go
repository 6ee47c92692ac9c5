package agent

import (
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What cannot be ended because slurmctld is away is no proof against the nodes.
func TestNextWithoutSlurmctld(t *testing.T) {
	t.Parallel()
	conclusions(t, []attempt{
		{name: "the client fails, and its servers cannot be killed", root: "BENCHMARK", outcome: rundir.OutcomeTestFailed, script: serving + `
20 ended BENCHMARK 1
20.5 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
25.5 tick -> KILL GEN_0, KILL CTX_0, KILL DISAGG_SERVER
45.5 notkilled GEN_0 -> KILL GEN_0
45.5 notkilled CTX_0 -> KILL CTX_0
45.5 notkilled DISAGG_SERVER -> KILL DISAGG_SERVER
55.5 tick -> collect`},
		{name: "a rank's end is told by output that came late", root: "GEN_0", outcome: rundir.OutcomeTestFailed, script: serving + `
20 ended GEN_0 137
20.6 tick -> TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
21 ended CTX_0 143
21 ended BENCHMARK 143
21 told GEN_0 3
21 ended DISAGG_SERVER 143 -> collect`},
		{name: "one was told, and stays", root: "CTX_0", outcome: rundir.OutcomeInfra, script: serving + `
20 ended BENCHMARK 1
20.5 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
25.5 tick -> KILL GEN_0, KILL CTX_0, KILL DISAGG_SERVER
45.5 notkilled GEN_0 -> KILL GEN_0
45.5 ended DISAGG_SERVER 137
55.5 tick -> collect`},
		{name: "servers that go with the client are killed once slurmctld is back", outcome: rundir.OutcomePassed, edit: stopsWithClient, script: serving + `
20 status -> TERM DISAGG_SERVER, TERM CTX_0, TERM GEN_0
20 ended BENCHMARK 0
25 tick -> KILL DISAGG_SERVER, KILL CTX_0, KILL GEN_0
45 notkilled GEN_0 -> KILL GEN_0
45 ended CTX_0 137
45 ended DISAGG_SERVER 137
46 ended GEN_0 137 -> collect`},
		{name: "and not waited for without end", outcome: rundir.OutcomeInfra, edit: stopsWithClient, script: serving + `
20 status -> TERM DISAGG_SERVER, TERM CTX_0, TERM GEN_0
20 ended BENCHMARK 0
25 tick -> KILL DISAGG_SERVER, KILL CTX_0, KILL GEN_0
45 ended CTX_0 137
45 ended DISAGG_SERVER 137
45 notkilled GEN_0 -> KILL GEN_0
65 notkilled GEN_0 -> KILL GEN_0
85 notkilled GEN_0
85.2 tick
90.2 tick -> KILL GEN_0
110 notkilled GEN_0 -> KILL GEN_0
120.2 tick -> collect`},
		{name: "slurmctld is back, and one stays all the same", root: "GEN_0", outcome: rundir.OutcomeInfra, edit: stopsWithClient, script: serving + `
20 status -> TERM DISAGG_SERVER, TERM CTX_0, TERM GEN_0
20 ended BENCHMARK 0
25 tick -> KILL DISAGG_SERVER, KILL CTX_0, KILL GEN_0
45 ended CTX_0 137
45 ended DISAGG_SERVER 137
45 notkilled GEN_0 -> KILL GEN_0
75 tick
75.2 tick
80.2 tick -> KILL GEN_0
110.2 tick -> collect`},
		{name: "slurmctld comes back at the last moment", outcome: rundir.OutcomePassed, edit: stopsWithClient, script: serving + `
20 status -> TERM DISAGG_SERVER, TERM CTX_0, TERM GEN_0
20 ended BENCHMARK 0
25 tick -> KILL DISAGG_SERVER, KILL CTX_0, KILL GEN_0
45 ended CTX_0 137
45 ended DISAGG_SERVER 137
45 notkilled GEN_0 -> KILL GEN_0
65 notkilled GEN_0 -> KILL GEN_0
85.1 tick
86 ended GEN_0 137 -> collect`},
	})
}

func stopsWithClient(s *state) {
	for i := range s.roles {
		s.roles[i].withClient = s.roles[i].kind == rundir.KindServer || s.roles[i].kind == rundir.KindRouter
	}
}
