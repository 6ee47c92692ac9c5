package agent

import (
	"strings"
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// loading is the same as long as no server is ready.
var loading = strings.Split(serving, "9 ready CTX_0")[0]

// longDrain waits for servers as long as a plan without a budget does.
func longDrain(s *state) { s.drainBound = drainBound }

// A test that this machine cannot run is skipped by every role, each as soon as it has imported what it needs.
func TestNextAfterSkips(t *testing.T) {
	t.Parallel()
	conclusions(t, []attempt{
		{name: "every role skips its test, the client last", outcome: rundir.OutcomePassed, script: loading + `
8 ended GEN_0 0 skipped
9.6 tick
12 ended CTX_0 0 skipped
30 ended DISAGG_SERVER 0 skipped
100 ended BENCHMARK 0 skipped -> collect`},
		{name: "every role skips its test, the client neither first nor last", outcome: rundir.OutcomePassed, script: loading + `
8 ended GEN_0 0 skipped
30 ended BENCHMARK 0 skipped
40 ended CTX_0 0 skipped
127 tick
127.5 ended DISAGG_SERVER 0 skipped -> collect`},
		{name: "every role skips its test, the client first", outcome: rundir.OutcomePassed, edit: longDrain, script: loading + `
8 ended BENCHMARK 0 skipped
= drain
20 tick
30 ended GEN_0 0 skipped
60 ended CTX_0 0 skipped
100 tick
101 ended DISAGG_SERVER 0 skipped -> collect`},
		{name: "the client alone skips its test: the servers are ended", outcome: rundir.OutcomePassed, script: serving + `
20 ended BENCHMARK 0 skipped
= drain
59 tick
60 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
61 ended GEN_0 0
61 ended CTX_0 0
61 ended DISAGG_SERVER 143 -> collect`},
		{name: "a server alone skips its test", root: "GEN_0", outcome: rundir.OutcomeTestFailed, script: loading + `
8 ended GEN_0 0 skipped
127 tick
128 tick -> TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
129 ended CTX_0 143
129 ended DISAGG_SERVER 143
129 ended BENCHMARK 143 -> collect`},
		{name: "a server skips its test and the client passes without it", root: "GEN_0", outcome: rundir.OutcomeTestFailed, script: loading + `
8 ended GEN_0 0 skipped
30 status
31 ended BENCHMARK 0
32.4 tick
32.5 tick -> TERM CTX_0, TERM DISAGG_SERVER
33 ended CTX_0 0
33 ended DISAGG_SERVER 0 -> collect`},
		{name: "a server skips its test, and another fails: both are named", root: "GEN_0", more: []string{"CTX_0"}, outcome: rundir.OutcomeTestFailed, script: loading + `
8 ended GEN_0 0 skipped
30 ended CTX_0 1
30.4 tick
30.5 tick -> TERM DISAGG_SERVER, TERM BENCHMARK
31 ended DISAGG_SERVER 143
31 ended BENCHMARK 143 -> collect`},
		{name: "a server skips its test, and a rank of another fails: both are named", root: "GEN_0", more: []string{"CTX_0"}, outcome: rundir.OutcomeTestFailed, script: loading + `
8 ended GEN_0 0 skipped
30 badtask CTX_0 1
30.5 tick -> TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
31 ended CTX_0 1
31 ended DISAGG_SERVER 143
31 ended BENCHMARK 143 -> collect`},
	})
}
