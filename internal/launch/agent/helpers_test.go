package agent

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// clientFailed is a run whose client said at 100 that it was through and ended with 1 at 101, while both servers lived
// on.
func clientFailed() state {
	s := testState(nil)
	s.phase, s.begun, s.drainAt, s.failed = rundir.PhaseDrain, waveMain, sec(100), true
	for i := range s.roles {
		r := &s.roles[i]
		r.state, r.started, r.readyAt, r.nodes = rundir.RoleReady, sec(1), sec(9), []string{"n" + r.name}
		if r.name == "BENCHMARK" {
			r.state, r.ended, r.end = rundir.RoleEnded, sec(101), step.End{Exit: 1}
		}
	}
	return s
}

// What is seen of a server explains a failure, unless the server was told to end or went with its role.
func TestWitnessed(t *testing.T) {
	t.Parallel()
	killed := func(at float64) rundir.NodeEvent {
		return rundir.NodeEvent{At: sec(at), Role: "GEN_0", What: rundir.NodeEnded, Exit: 137, Signal: 9}
	}
	exited := func(at float64, code int) rundir.NodeEvent {
		return rundir.NodeEvent{At: sec(at), Role: "GEN_0", What: rundir.NodeEnded, Exit: code}
	}
	gen := func(s *state) *role { return &s.roles[2] }
	allLeft := func(s *state) {
		for i := range s.roles {
			s.roles[i].state, s.roles[i].ended, s.roles[i].end = rundir.RoleEnded, sec(110), step.End{}
		}
	}
	tests := []struct {
		name string
		seen rundir.NodeEvent
		edit func(*state)
		want blame.Kind
	}{
		{"killed while serving", killed(99), nil, blame.ServerGone},
		{"killed, and seen after the client had noticed", killed(100.4), nil, blame.ServerGone},
		{"killed long after the client was through", killed(120), nil, ""},
		{"crashed while serving", exited(99.9, 1), nil, blame.ServerGone},
		{"ended with an error after the client's word", exited(100.4, 1), nil, ""},
		{"left with 0", exited(99, 0), nil, ""},
		{"told by SIGTERM", rundir.NodeEvent{At: sec(99), Role: "GEN_0", What: rundir.NodeEnded, Exit: 143, Signal: 15}, nil, ""},
		{"killed after its step had been told to end", killed(99), func(s *state) { gen(s).stopSent = sec(98) }, ""},
		{"killed after its role had ended", killed(99), func(s *state) { gen(s).ended, gen(s).state = sec(98), rundir.RoleEnded }, ""},
		{"gone with its role", rundir.NodeEvent{At: sec(99), Role: "GEN_0", What: rundir.NodeGone}, nil, ""},
		{"answers errors", rundir.NodeEvent{At: sec(101), Role: "GEN_0", What: rundir.NodeSick, Status: 500}, nil, blame.ServerSick},
		{"a router answers errors", rundir.NodeEvent{At: sec(99), Role: "DISAGG_SERVER", What: rundir.NodeSick, Status: 503}, nil, blame.ServerSick},
		{"a router whose servers leave", rundir.NodeEvent{At: sec(101), Role: "DISAGG_SERVER", What: rundir.NodeSick, Status: 503}, nil, ""},
		{"does not answer for a while: it may be at work", rundir.NodeEvent{At: sec(99), Role: "GEN_0", What: rundir.NodeSilent}, nil, ""},
		{"of no role of this run", rundir.NodeEvent{At: sec(99), Role: "GEN_7", What: rundir.NodeEnded, Signal: 9, Exit: 137}, nil, ""},
		{"killed in a run that passed", killed(99), allLeft, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := clientFailed()
			if tt.edit != nil {
				tt.edit(&s)
			}
			got := s.witnessed([]rundir.NodeEvent{tt.seen})
			if tt.want == "" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Equal(t, tt.want, got[0].Kind)
			require.Equal(t, "n"+tt.seen.Role, got[0].Node)
			require.Equal(t, tt.seen.At, got[0].At)
		})
	}
}

// What the helpers saw stands in the timeline, in its place; one that was never heard of is said to be blind.
func TestHelpersAreRead(t *testing.T) {
	t.Parallel()
	dir := rundir.AttemptDir(t.TempDir())
	files, err := dir.Tree()
	require.NoError(t, err)
	run := dir.Run(0)
	require.NoError(t, files.WriteFile(run.NodeFile("n0"), []byte(strings.Join([]string{
		`{"schema":2,"at":"2026-11-29T10:00:00Z","what":"began"}`,
		`{"schema":2,"at":"2026-11-29T10:00:05Z","role":"GEN_0","what":"ended","exit":137,"signal":9}`,
		`{"schema":2,"at":"2026-11-29T10:00:06Z","ro`,
	}, "\n")), rundir.FileMode))
	h := &helpers{all: []*helper{{node: "n0"}, {node: "n1"}, {node: "n2", err: os.ErrPermission}, {node: "n3", early: true}}}
	seen := h.read(files, run)
	require.Len(t, seen, 6)
	s := clientFailed()
	s.note(seen[5].At.Add(-1), "", "before")
	s.note(seen[5].At.Add(1), "", "after")
	s.sighted(seen)
	var said []string
	for _, e := range s.timeline {
		said = append(said, strings.TrimSpace(e.Role+" "+e.What))
	}
	text := strings.Join(said, "\n")
	require.Contains(t, text, "before\nGEN_0 its server: killed by SIGKILL (exit 137)\nafter")
	require.Contains(t, text, "no helper on n1: ")
	require.Contains(t, text, "no helper on n2: permission denied")
	require.Contains(t, text, "the helper on n3 ended while the run went on")
	require.Nil(t, (*helpers)(nil).read(files, run))
}
