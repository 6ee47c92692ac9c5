package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/node"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A server that is dead ends the attempt while its role's step lives on, with that role to blame: at once where it was
// killed, after a while where it may have been told to end. A single look never does, nor anything before it was ready
// or after the client is through.
func TestDeadServerEndsTheAttempt(t *testing.T) {
	t.Parallel()
	const (
		term   = " -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK"
		passes = `
200 status
201 ended BENCHMARK 0
202 ended GEN_0 0
202 ended CTX_0 0
203 ended DISAGG_SERVER 0 -> collect`
	)
	leave := "\n30 tick" + strings.NewReplacer("201", "31", "202", "32", "203", "33").Replace(strings.TrimPrefix(passes, "\n200 status"))
	left := func(at float64) string {
		return fmt.Sprintf(`
%[1]v ended GEN_0 143
%[1]v ended CTX_0 143
%[1]v ended DISAGG_SERVER 143
%[1]v ended BENCHMARK 143 -> collect`, at)
	}
	loading := strings.Split(serving, "9 ready CTX_0")[0]
	hang := func(s *state) { s.hang, s.budgets.Benchmark = 30*time.Minute, 0 }
	tests := []struct {
		name, script string
		edit         func(*state)
		root, says   string // "" = the run passes, "-" = nobody
		outcome      rundir.Outcome
	}{
		{name: "killed", root: "GEN_0", says: "its server was killed by SIGKILL while it was serving", outcome: rundir.OutcomeInfra, script: serving + `
20 seen GEN_0 ended 137
21.9 tick
22 tick` + term + left(23)},
		{name: "killed while another loads", root: "GEN_0", says: "its server was killed by SIGKILL", outcome: rundir.OutcomeInfra, script: loading + `
20 ready GEN_0
20 seen GEN_0 ended 137
22 tick` + term + left(23)},
		{name: "crashed", root: "CTX_0", says: "its server ended with exit 1 while it was serving", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen CTX_0 ended 1
29 tick
30 tick` + term + left(31)},
		{name: "told to end by nobody knows whom", root: "CTX_0", says: "killed by SIGTERM while it was serving", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen CTX_0 ended 143
29 tick
30 tick` + term + left(31)},
		{name: "gone, how was not seen", root: "GEN_0", says: "its server went while it was serving", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen GEN_0 gone
29 tick
30 tick` + term + left(31)},
		{name: "nobody listens any more", root: "GEN_0", says: "nobody listens on its port", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen GEN_0 port-gone
29 tick
30 tick` + term + left(31)},
		{name: "answers errors, again and again", root: "GEN_0", says: "its server answers its health check with 500", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen GEN_0 sick 500 2
29 tick
30 seen GEN_0 sick 500 12
30.2 tick` + term + left(31.2)},
		{name: "nobody listens at its address", root: "GEN_0", says: "nobody listens at its server's address", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen GEN_0 refused 0 2
29 tick
30 seen GEN_0 refused 0 12
30.2 tick` + term + left(31.2)},
		{name: "does not answer for long", edit: hang, root: "GEN_0", says: "has not answered its health check for 2m0s", outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), script: serving + `
20 seen GEN_0 silent 0 2
80 seen GEN_0 silent 0 12
80.2 tick 1h
140 seen GEN_0 silent 0 22
140.2 tick 1h` + term + left(141.2)},
		{
			name: "does not answer, and no request has been served", edit: func(s *state) { s.hang, s.budgets.Benchmark = 5*time.Minute, 0 }, root: "GEN_0",
			says: "has not answered its health check for 5m0s", outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), script: serving + `
20 seen GEN_0 silent 0 2
200 seen GEN_0 silent 0 30
200.2 tick 1h unserved
320 seen GEN_0 silent 0 50
320.2 tick 1h unserved` + term + left(321.2),
		},
		{
			name: "does not answer for long, and the client gives up", edit: hang, root: "GEN_0", says: "has not answered its health check for 2m50s",
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), script: serving + `
20 seen GEN_0 silent 0 2
190 seen GEN_0 silent 0 30
195 ended BENCHMARK 1
195.6 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
196 ended GEN_0 143
196 ended CTX_0 143
196 ended DISAGG_SERVER 143 -> collect`,
		},
		{
			name: "did not answer for a while, and the client fails much later", edit: hang, root: "BENCHMARK", says: "exit 1",
			outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen GEN_0 silent 0 2
190 seen GEN_0 healthy
195 ended BENCHMARK 1
195.6 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
196 ended GEN_0 143
196 ended CTX_0 143
196 ended DISAGG_SERVER 143 -> collect`,
		},
		{name: "is slow to answer but at work, and the client fails", edit: hang, root: "BENCHMARK", says: "exit 1", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen GEN_0 silent 0 2 busy
190 seen GEN_0 silent 0 30 busy
195 ended BENCHMARK 1
195.6 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
196 ended GEN_0 143
196 ended CTX_0 143
196 ended DISAGG_SERVER 143 -> collect`},
		{name: "does not answer for long, hangs are off, and the client fails", root: "BENCHMARK", says: "exit 1", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen GEN_0 silent 0 2
190 seen GEN_0 silent 0 30
195 ended BENCHMARK 1
195.6 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
196 ended GEN_0 143
196 ended CTX_0 143
196 ended DISAGG_SERVER 143 -> collect`},
		{name: "does not answer for long, and another is killed", edit: func(s *state) { s.hang, s.budgets.Benchmark = 30*time.Minute, 0 }, root: "CTX_0", says: "its server was killed by SIGKILL", outcome: rundir.OutcomeInfra, script: serving + `
20 seen GEN_0 silent 0 2
190 seen GEN_0 silent 0 30
190 seen CTX_0 ended 137
192 tick` + term + left(193)},
		{name: "does not answer for long, and another's role is killed", edit: hang, root: "CTX_0", says: "SIGKILL", outcome: rundir.OutcomeInfra, script: serving + `
20 seen GEN_0 silent 0 2
190 seen GEN_0 silent 0 30
191 ended CTX_0 137
191.6 tick -> TERM GEN_0, TERM DISAGG_SERVER, TERM BENCHMARK
192 ended GEN_0 143
192 ended DISAGG_SERVER 143
192 ended BENCHMARK 143 -> collect`},
		{name: "does not answer for long, and the job is cancelled", edit: hang, root: "-", says: "SIGTERM", outcome: rundir.OutcomeCancelled, script: serving + `
20 seen GEN_0 silent 0 2
190 seen GEN_0 silent 0 30
191 signal SIGTERM -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
192 ended GEN_0 143
192 ended CTX_0 143
192 ended DISAGG_SERVER 143
192 ended BENCHMARK 143 -> collect`},
		{name: "does not answer, and hangs are off", script: serving + `
20 seen GEN_0 silent 0 2
140 seen GEN_0 silent 0 22
140.2 tick 1h` + passes},
		{name: "answers an error twice, then well", script: serving + `
20 seen GEN_0 sick 500 2
22 seen GEN_0 healthy
50 tick
60 seen GEN_0 sick 503 2
99 tick` + passes},
		{name: "a router's errors are others'", script: serving + `
20 seen DISAGG_SERVER sick 503 2
60 seen DISAGG_SERVER sick 503 42
60.2 tick` + passes},
		{name: "crashed before the client gave its word", root: "GEN_0", says: "SIGSEGV", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen GEN_0 ended 139
20.6 status 20.4` + leave},
		{name: "killed before the client gave its word", root: "CTX_0", says: "SIGKILL", outcome: rundir.OutcomeInfra, script: serving + `
20 seen CTX_0 ended 137
21 status 20.4` + leave},
		{name: "a router crashed before the client gave its word", root: "DISAGG_SERVER", says: "SIGABRT", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen DISAGG_SERVER ended 134
21 status 20.4` + leave},
		{name: "ended with an error while the client worked", root: "GEN_0", says: "exit 1", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen GEN_0 ended 1
24 status 23.9` + leave},
		{name: "was gone while the client worked", root: "GEN_0", says: "its server went while it was serving", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen GEN_0 gone
24 status 23.9` + leave},
		{name: "was gone while a client worked whose end is its word", edit: func(s *state) { s.drainFile = "" }, root: "GEN_0", says: "its server went while it was serving", outcome: rundir.OutcomeTestFailed, script: serving + `
20 seen GEN_0 gone
24 ended BENCHMARK 0
25 ended GEN_0 0
25 ended CTX_0 0
26 ended DISAGG_SERVER 0 -> collect`},
		{name: "is ended by the client's last act", script: serving + `
20 seen GEN_0 gone
21 status 20.9` + leave},
		{name: "crashes as it ends, and the word was seen late", script: serving + `
20 seen GEN_0 ended 139
25 status 19.9` + leave},
		{name: "crashes as it ends, and nobody knows when the word was given", script: serving + `
20 seen GEN_0 ended 139
25 status` + leave},
		{name: "of a role that may leave", edit: func(s *state) { s.roles[3].optional = true }, script: serving + `
20 seen CTX_0 ended 139
21 status 20.9 -> TERM CTX_0
22 ended CTX_0 143
31 ended BENCHMARK 0
32 ended GEN_0 0
33 ended DISAGG_SERVER 0 -> collect`},
		{name: "is killed once the client is through", script: serving + `
20 seen GEN_0 ended 137
21 status
30 tick
31 ended BENCHMARK 0
32 ended GEN_0 0
32 ended CTX_0 0
33 ended DISAGG_SERVER 0 -> collect`},
		{name: "left well, and the client's word comes late", script: serving + `
20 seen GEN_0 ended 0
29.8 tick
29.9 ended BENCHMARK 0
30 status
40 tick
41 ended GEN_0 0
41 ended CTX_0 0
41 ended DISAGG_SERVER 0 -> collect`},
		{name: "is not there yet: loading", script: loading + `
20 seen GEN_0 sick 500 2
40 seen GEN_0 sick 500 22
40 tick
41 seen GEN_0 gone
60 tick
60 ready GEN_0
60 ready CTX_0
60 seen GEN_0 healthy
61 ended GEN_0 1
61.6 tick -> TERM CTX_0, TERM DISAGG_SERVER, TERM BENCHMARK
62 ended CTX_0 143
62 ended BENCHMARK 143
62 ended DISAGG_SERVER 143 -> collect`, root: "GEN_0", says: "exit 1", outcome: rundir.OutcomeTestFailed},
		{name: "is ready, answers errors while the client is there, and is well afterwards", script: serving + `
9.6 seen GEN_0 sick 503 2
15 ended BENCHMARK 1
20 tick -> TERM GEN_0, TERM CTX_0, TERM DISAGG_SERVER
21 seen GEN_0 healthy
22 ended GEN_0 143
22 ended CTX_0 143
22 ended DISAGG_SERVER 143 -> collect`, root: "GEN_0", says: "503", outcome: rundir.OutcomeTestFailed},
		{name: "is not there yet, and another one fails", script: loading + `
20 seen GEN_0 sick 500 2
40 seen GEN_0 sick 500 22
41 ended CTX_0 1
41.6 tick -> TERM GEN_0, TERM DISAGG_SERVER, TERM BENCHMARK
42 ended GEN_0 143
42 ended BENCHMARK 143
42 ended DISAGG_SERVER 143 -> collect`, root: "CTX_0", says: "exit 1", outcome: rundir.OutcomeTestFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &player{t: t, s: testState(tt.edit)}
			p.play(tt.script)
			p.s.sighted(p.seen)
			ev := p.s.evidence()
			ev.Events = append(ev.Events, p.s.witnessed(p.seen)...)
			ev.Classes, _ = blame.Compile(builtinRules(t))
			f, outcome, reason := conclude(p.s, ev)
			if tt.root == "" {
				require.Nil(t, f, reason)
				require.Equal(t, rundir.OutcomePassed, outcome, reason)
				return
			}
			require.Equal(t, tt.outcome, outcome, reason)
			require.Equal(t, strings.Trim(tt.root, "-"), f.Root, "%+v", f)
			require.Empty(t, f.Roots, "nobody else is to blame")
			require.Contains(t, f.Message, tt.says)
		})
	}
}

// What helpers print comes in pieces, and need not be readable.
func TestHelpersAreHeard(t *testing.T) {
	t.Parallel()
	v := &supervisor{agent: &agent{o: Options{Now: time.Now}}, events: make(chan event, 8)}
	v.specs = []step.Spec{{Role: rundir.RolePlan{Name: "CTX_0"}}, {Role: rundir.RolePlan{Name: "GEN_0"}}}
	h := &node.Heard{Take: v.hear}
	for _, part := range []string{`{"what":"began"}` + "\nsrun: warning\n" + `{"role":"GEN_0",`, `"what":"ended","exit":137,"signal":9}` + "\n", `{"role":"NOBODY","what":"gone"}` + "\n{"} {
		n, err := fmt.Fprint(h, part)
		require.NoError(t, err)
		require.Len(t, part, n)
	}
	require.Len(t, v.events, 1)
	e := <-v.events
	require.Equal(t, event{kind: evSeen, role: 1, at: e.at, seen: rundir.NodeEvent{Role: "GEN_0", What: rundir.NodeEnded, Exit: 137, Signal: 9}}, e)
}
