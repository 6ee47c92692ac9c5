package agent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What ends a benchmark says which key that was, who was not through, and whose fault it is
// where somebody has work and makes no progress, whatever a client prints meanwhile.
func TestBenchmarkTakesTooLong(t *testing.T) {
	t.Parallel()
	const silence = "GEN_0 10:00:00Z, BENCHMARK 10:03:00Z"
	all := func(d time.Duration) []time.Duration { s := make([]time.Duration, 6); s[gen] = d; return s }
	hang := func(s *state) { s.hang, s.budgets.Benchmark = 30*time.Second, 0 }
	tests := []struct {
		name   string
		edit   func(*state)
		events []event
		root   string
		says   []string
	}{
		{
			name: "nobody is to blame", events: []event{{kind: evTick, at: sec(210)}, {kind: evProbed, at: sec(210.5), silence: silence}},
			says: []string{"phase benchmark took longer than 3m20s (budgets.benchmark): BENCHMARK was not through", "GEN_0 10:00:00Z", "no role failed"},
		},
		{
			name: "the list's TIMEOUT", edit: func(s *state) { s.test, s.budgets.Benchmark = time.Minute, 0 },
			events: []event{{kind: evTick, at: sec(70)}, {kind: evProbed, at: sec(70.5)}},
			says:   []string{"1m0s (the test list's TIMEOUT): BENCHMARK was not through"},
		},
		{
			name: "a chatty client, a server that hangs", root: "GEN_0",
			events: []event{{kind: evTick, at: sec(210)}, {kind: evProbed, at: sec(210.5), busy: []string{"GEN_0"}, still: all(time.Minute), silence: silence}},
			says:   []string{"[GEN_0] hangs: it has requests and makes no progress; BENCHMARK was not through within 3m20s (budgets.benchmark), silent since: " + silence},
		},
		{
			name:   "a slow benchmark: the server works",
			events: []event{{kind: evTick, at: sec(210)}, {kind: evProbed, at: sec(210.5), busy: []string{"GEN_0"}, still: all(time.Second)}},
			says:   []string{"BENCHMARK was not through"},
		},
		{
			name: "a server does not answer", root: "CTX_0",
			events: []event{{kind: evTick, at: sec(210)}, {kind: evProbed, at: sec(215), dead: []string{"CTX_0", "DISAGG_SERVER"}, still: all(0)}},
			says:   []string{"[CTX_0] hangs: does not answer; BENCHMARK was not through within 3m20s (budgets.benchmark)"},
		},
		{
			name: "workload.hang, a chatty client", edit: hang, root: "GEN_0",
			events: []event{
				{kind: evTick, at: sec(60), quiet: time.Second, idle: 31 * time.Second, served: sec(11)},
				{kind: evProbed, at: sec(60.5), quiet: time.Second, idle: 31 * time.Second, busy: []string{"GEN_0"}, silence: silence},
			},
			says: []string{"[GEN_0] hangs: it has requests and makes no progress for 31s (workload.hang 30s), silent since: " + silence},
		},
		{
			name: "several hang", edit: hang, root: "GEN_0",
			events: []event{
				{kind: evTick, at: sec(60), quiet: 31 * time.Second, served: sec(11)},
				{kind: evProbed, at: sec(60.5), quiet: 31 * time.Second, busy: []string{"CTX_0", "GEN_0"}},
			},
			says: []string{"[GEN_0] hangs: it has requests and makes no progress", "; likewise CTX_0"},
		},
		{
			name: "a client that was stopped and does not read", edit: hang, root: "BENCHMARK",
			events: []event{
				{kind: evTick, at: sec(60), quiet: 31 * time.Second, served: sec(11)},
				{kind: evProbed, at: sec(60.5), quiet: 31 * time.Second, unread: []string{"GEN_0", "DISAGG_SERVER"}},
			},
			says: []string{"[BENCHMARK] hangs: nobody takes what GEN_0, DISAGG_SERVER has answered"},
		},
		{
			name: "a client whose own server does not answer", edit: hang, root: "BENCHMARK",
			events: []event{
				{kind: evSeen, at: sec(20), role: client, seen: rundir.NodeEvent{At: sec(20), Role: "BENCHMARK", What: rundir.NodeSilent, Text: "time-out", Looks: 2}},
				{kind: evTick, at: sec(60), quiet: 31 * time.Second, served: sec(11)},
				{kind: evProbed, at: sec(60.5), quiet: 31 * time.Second},
			},
			says: []string{"[BENCHMARK] hangs: does not answer; no sign of life for 31s (workload.hang 30s)"},
		},
		{
			name: "a client's own server does not answer, a benchmark budget", root: "BENCHMARK",
			events: []event{
				{kind: evSeen, at: sec(20), role: client, seen: rundir.NodeEvent{At: sec(20), Role: "BENCHMARK", What: rundir.NodeSilent, Text: "time-out", Looks: 2}},
				{kind: evTick, at: sec(210)},
				{kind: evProbed, at: sec(215), still: all(0)},
			},
			says: []string{"[BENCHMARK] hangs: does not answer; BENCHMARK was not through within 3m20s (budgets.benchmark)"},
		},
		{
			name: "a router that does not read", edit: hang, root: "DISAGG_SERVER",
			events: []event{
				{kind: evTick, at: sec(60), quiet: 31 * time.Second, served: sec(11)},
				{kind: evProbed, at: sec(60.5), quiet: 31 * time.Second, unread: []string{"GEN_0"}},
			},
			says: []string{"[DISAGG_SERVER] hangs: nobody takes what GEN_0 has answered"},
		},
		{
			name: "a long setup", edit: func(s *state) { s.roles[install].state = rundir.RolePending },
			says: []string{"phase setup took longer than 1m0s (budgets.setup): INSTALL was not through"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &player{t: t, s: testState(tt.edit)}
			script := serving
			if tt.events == nil {
				script, tt.events = "0 begin -> start INSTALL\n0 started INSTALL\n", []event{{kind: evTick, at: sec(60)}}
			}
			p.play(script)
			for _, e := range tt.events {
				p.s, _ = next(p.s, e)
			}
			require.NotNil(t, p.s.ending)
			f := blame.Judge(p.s.evidence())
			require.Equal(t, tt.root, f.Root, f.Message)
			for _, text := range tt.says {
				require.Contains(t, f.Message, text)
			}
		})
	}
}

// A client that talks is no hang by itself: not where the servers have nothing to do, and
// they are not asked again and again.
func TestChattyClientIsNoHang(t *testing.T) {
	t.Parallel()
	p := &player{t: t, s: testState(func(s *state) { s.hang, s.budgets.Benchmark = 40*time.Second, 0 })}
	p.play(serving)
	probes := 0
	for at := 50.0; at < 90; at++ {
		idle := time.Duration(at) * time.Second
		var todo []action
		p.s, todo = next(p.s, event{kind: evTick, at: sec(at), quiet: time.Second, idle: idle, served: sec(9)})
		if len(todo) > 0 {
			probes++
			p.s, _ = next(p.s, event{kind: evProbed, at: sec(at), quiet: time.Second, idle: idle})
		}
	}
	require.Nil(t, p.s.ending)
	require.Equal(t, 4, probes)
}
