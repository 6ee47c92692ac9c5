package blame_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// What was seen of servers that died, or answered with errors, while their roles lived on.
func TestWatchedServers(t *testing.T) {
	t.Parallel()
	client := func(b *bench, sec float64, line string) *bench {
		return b.end("BENCHMARK", sec, 1).line("BENCHMARK", line)
	}
	gone := func(role string, sec float64, exit, signal int) blame.Event {
		return blame.Event{Role: role, Kind: blame.ServerGone, At: at(sec), Exit: exit, Signal: signal, Node: "n1"}
	}
	sick := func(role string, sec float64) blame.Event {
		return blame.Event{Role: role, Kind: blame.ServerSick, At: at(sec), Text: "500"}
	}
	tests := map[string]struct {
		b          func(b *bench) *bench
		root, kind string
		class      blame.Class
		message    string
		more       []string
		collateral []string
		bad        []string
	}{
		"killed, and the client noticed": {
			b:    func(b *bench) *bench { return client(b, 100.2, refused).event(gone("GEN_0", 100, 137, 9)) },
			root: "GEN_0", kind: blame.KindServerDied, class: blame.Infra, collateral: []string{"BENCHMARK"}, bad: []string{"n1"},
			message: "[GEN_0] its server was killed by SIGKILL while it was serving on n1",
		},
		"killed, and seen after the client had noticed": {
			b:    func(b *bench) *bench { return client(b, 100, refused).event(gone("GEN_0", 100.3, 137, 9)) },
			root: "GEN_0", kind: blame.KindServerDied, class: blame.Infra, collateral: []string{"BENCHMARK"}, bad: []string{"n1"},
			message: "[GEN_0] its server was killed by SIGKILL",
		},
		"the client says nothing of anybody": {
			b: func(b *bench) *bench {
				return client(b, 100, "RuntimeError: timed out").event(gone("GEN_0", 100.3, 137, 9))
			},
			root: "GEN_0", kind: blame.KindServerDied, class: blame.Infra, collateral: []string{"BENCHMARK"}, bad: []string{"n1"},
			message: "[GEN_0] its server was killed",
		},
		"killed, and its own test missed it": {
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100.4, 1).event(gone("GEN_0", 100, 137, 9)).line("GEN_0", "E   RuntimeError: requests failed:")
			},
			root: "GEN_0", kind: blame.KindServerDied, class: blame.Infra, bad: []string{"n1"},
			message: "[GEN_0] its server was killed by SIGKILL while it was serving on n1",
		},
		"crashed, and its log says why": {
			b: func(b *bench) *bench {
				return client(b, 100.2, refused).event(gone("CTX_0", 100, 1, 0)).line("CTX_0", "RuntimeError: CUDA error: an illegal memory access was encountered")
			},
			root: "CTX_0", kind: blame.KindServerDied, class: blame.Test, collateral: []string{"BENCHMARK"},
			message: "[CTX_0] its server ended with exit 1 while it was serving on n1: RuntimeError: CUDA error",
		},
		"answers 500 while the client fails of it": {
			b: func(b *bench) *bench {
				return client(b, 100, "ERROR HTTP 500").event(sick("GEN_0", 101)).event(sick("DISAGG_SERVER", 100.5))
			},
			root: "GEN_0", kind: blame.KindServerSick, class: blame.Unknown, collateral: []string{"BENCHMARK", "DISAGG_SERVER"},
			message: "[GEN_0] its server answers its health check with 500",
		},
		"answers 500 because another server has crashed": {
			b: func(b *bench) *bench {
				return client(b, 102, "ERROR HTTP 500").event(sick("GEN_0", 100.5)).end("CTX_0", 101, 139)
			},
			root: "CTX_0", kind: blame.KindCrash, class: blame.Test, collateral: []string{"BENCHMARK", "GEN_0"},
			message: "[CTX_0] killed by SIGSEGV",
		},
		"the router answers 500 and nobody else is wrong": {
			b: func(b *bench) *bench {
				return client(b, 100, "AssertionError: expected 8").event(sick("DISAGG_SERVER", 100.5))
			},
			root: "DISAGG_SERVER", kind: blame.KindServerSick, class: blame.Unknown, collateral: []string{"BENCHMARK"},
		},
		"a job that is cancelled takes its servers along": {
			b: func(b *bench) *bench {
				return b.event(gone("GEN_0", 100, 137, 9)).event(blame.Event{Kind: blame.Signalled, At: at(100.2), Text: "SIGTERM"}).job(blame.Job{State: "CANCELLED"})
			},
			kind: blame.KindCancelled, class: blame.Infra, collateral: []string{"GEN_0"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := blame.Judge(tt.b(newBench(t)).ev)
			require.Equal(t, tt.root, f.Root, "%+v", f)
			require.Equal(t, tt.kind, f.Kind, "%+v", f)
			require.Equal(t, tt.class, f.Class, "%+v", f)
			require.Equal(t, tt.more, f.MoreRoots, "%+v", f)
			require.ElementsMatch(t, tt.collateral, keys(f.Collateral), "%+v", f)
			require.Equal(t, tt.bad, f.BadNodes)
			require.True(t, strings.HasPrefix(f.Message, tt.message), f.Message)
		})
	}
}

// A role that left with 0 in time for nobody to mind is still the root when the
// others' complaints name it.
func TestTheSilentOneIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range b.ev.Roles {
		b.ev.Roles[i].Address = []string{"n1:40001", "n2:40002", "127.0.0.1:40003", "n1:40004", ""}[i]
	}
	b.end("BENCHMARK", 100, 1).line("BENCHMARK", `E   ERROR HTTP 500: b'{"error": "[Errno 111] Connect call failed ('127.0.0.1', 40003)"}'`)
	for _, name := range []string{"GEN_0", "GEN_1", "CTX_0", "DISAGG_SERVER"} {
		b.event(blame.Event{Role: name, Kind: blame.RoleEnd, At: at(100.1), Expected: true})
	}
	f := blame.Judge(b.ev)
	require.Equal(t, "CTX_0", f.Root, "%+v", f)
	require.Equal(t, blame.KindServerDied, f.Kind)
	require.Equal(t, blame.Unknown, f.Class)
	require.Contains(t, f.Collateral["BENCHMARK"], "Connect call failed")
	b.event(blame.Event{Role: "CTX_0", Kind: blame.NoResult, At: at(100.1), Text: "no results.xml"})
	f = blame.Judge(b.ev)
	require.Equal(t, blame.KindServerDied, f.Kind, "that it left no results.xml says less than that it was missed: %+v", f)
	b.ev.Events = b.ev.Events[:len(b.ev.Events)-1]
	b.ev.Roles[2].Address = "127.0.0.1:4000" // part of another number names nobody
	require.Equal(t, "BENCHMARK", blame.Judge(b.ev).Root)
}

// TestLastLineIsNoExplanation: where nothing in the log explains the end, its last
// line is shown as just that; of a role that was killed it always is, whatever
// looked like an error before.
func TestLastLineIsNoExplanation(t *testing.T) {
	t.Parallel()
	killed := blame.Judge(newBench(t).end("GEN_0", 100, 137).line("GEN_0", "Error: a warning survived").line("GEN_0", "iter = 9").ev)
	require.Equal(t, "iter = 9", killed.Line.Text)
	require.True(t, killed.Line.Last)
	require.Equal(t, "[GEN_0] killed by SIGKILL (exit 137) on n1 after 100.0 s; SIGKILL that neither ci-disagg nor Slurm sent", killed.Message)

	silent := newBench(t).end("GEN_0", 100, 1).line("GEN_0", "iter = 9")
	silent.ev.Lines[0].First = false
	f := blame.Judge(silent.ev)
	require.True(t, f.Line.Last)
	require.NotContains(t, f.Message, "iter = 9")

	said := blame.Judge(newBench(t).end("GEN_0", 100, 1).line("GEN_0", "FATAL: no licence").line("GEN_0", "bye").ev)
	require.Equal(t, "FATAL: no licence", said.Line.Text)
	require.False(t, said.Line.Last)
	require.Contains(t, said.Message, ": FATAL: no licence")
}

// TestPeerLine: what the clients of common engines print when their server has gone is second-hand, in all its
// spellings.
func TestPeerLine(t *testing.T) {
	for _, line := range []string{
		"Error: Server closed the connection", // redis-benchmark, when the end came between two requests
		"Error: Connection reset by peer",
		"Could not connect to Redis at 127.0.0.1:6379: Connection refused",
		"server closed the connection unexpectedly", // libpq
		"FATAL:  terminating connection due to administrator command",
		"curl: (52) Empty reply from server",
		"curl: (56) Recv failure",
		"curl: (7) Failed to connect to gpu0 port 8000 after 0 ms: Couldn't connect to server",
		"curl: (28) Operation timed out after 10001 milliseconds with 0 bytes received",
		"requests.exceptions.ConnectionError: ('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
		"error reading response: unexpected EOF",
		"grpc: StatusCode.UNAVAILABLE: Socket closed",
	} {
		require.True(t, blame.PeerLine(line), line)
	}
	for _, line := range []string{"curl: (28) Failed to connect to huggingface.co port 443 after 131000 ms: Connection timed out", "Server started", "closed 3 connections at the end", "0 requests were refused", "EOF of the input file"} {
		require.False(t, blame.PeerLine(line), line)
	}
}

// A step that srun could not create because somebody had just ended the job is the job's end, whatever of its state is
// known.
func TestJobGoneBeforeAStep(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"srun: error: Slurm job 5 has expired":                                                   blame.KindCancelled,
		"srun: error: Unable to create step for job 5: Job/step already completing or completed": blame.KindCancelled,
		"srun: error: Unable to create step for job 5: Invalid job id specified":                 blame.KindCancelled,
		"srun: error: Unable to create step for job 5: Requested nodes are busy":                 blame.KindNeverStarted,
	} {
		never := blame.Event{Role: "BENCHMARK", Kind: blame.NeverStarted, At: at(100), Text: text}
		for _, state := range []string{"COMPLETING", "RUNNING", ""} {
			f := blame.Judge(newBench(t).event(never).stopped("GEN_0", 101, 143).job(blame.Job{State: state}).ev)
			if state != "COMPLETING" || want == blame.KindCancelled {
				require.Equal(t, want, f.Kind, "%s, job %q: %+v", text, state, f)
				require.Equal(t, blame.Infra, f.Class)
			}
		}
	}
}

// What stands in the place of the run's own files was put there by the job: that is no failure of the machine.
func TestPlanted(t *testing.T) {
	t.Parallel()
	for kind, root := range map[blame.Kind]string{blame.NeverStarted: "GEN_0", blame.Storage: ""} {
		f := blame.Judge(blame.Evidence{
			Roles:  []blame.Role{{Name: "GEN_0", Kind: "server"}},
			Events: []blame.Event{{Role: root, Kind: kind, At: at(60), Text: "roles/GEN_0 is a FIFO, not a directory", Planted: true}},
		})
		require.Equal(t, []any{root, blame.KindPlanted, blame.Test, "planted"}, []any{f.Root, f.Kind, f.Class, f.Rule})
		require.Contains(t, f.Message, "roles/GEN_0 is a FIFO, not a directory")
		require.NotContains(t, f.Message, "nothing of the software")
	}
}

// Of several that hang nothing tells which was the first: all are named, and since when each is silent and what ended
// them is said in full.
func TestSeveralHang(t *testing.T) {
	t.Parallel()
	text := "it has requests and makes no progress; no sign of life for 30m0s (workload.hang 30m0s), silent since: " +
		"GEN_0 10:02:03Z, GEN_1 10:02:03Z, CTX_0 10:02:01Z, DISAGG_SERVER 10:02:01Z, BENCHMARK 10:02:01Z"
	b := newBench(t)
	for _, name := range []string{"GEN_0", "CTX_0"} {
		b.event(blame.Event{Role: name, Kind: blame.Hang, At: at(60), Text: text}).stopped(name, 60, 143)
	}
	b.event(blame.Event{Role: "DISAGG_SERVER", Kind: blame.TestFailed, At: at(61), Assert: true, Text: "assert 3 > 4"})
	f := blame.Judge(b.stopped("GEN_1", 60, 143).ev)
	require.Equal(t, "GEN_0", f.Root)
	require.Equal(t, []string{"CTX_0", "DISAGG_SERVER"}, f.MoreRoots, "who failed by himself is not silent likewise")
	require.Contains(t, f.Collateral, "GEN_1")
	require.Equal(t, "[GEN_0] hangs: "+text+" on n1; likewise CTX_0", f.Message)
}

// A test that finds what it measured too bad has said why it failed. What its output tells of infrastructure above that
// was survived: it neither excuses the change nor has it tried again.
func TestVerdictOfATest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lines   []string
		xml     bool // results.xml tells it likewise
		own     bool // results.xml tells of an exception that the test has raised itself
		class   blame.Class
		rule    string
		message string
	}{
		"below its threshold": {
			lines: []string{"docker: Error response from daemon: toomanyrequests; again", "E       AssertionError: accuracy", "E       assert 0.41 >= 0.6"},
			class: blame.Test, rule: "own-test-failed", message: "E       assert 0.41 >= 0.6",
		},
		"the report knows by results.xml": {
			lines: []string{"docker: Error response from daemon: toomanyrequests; again", "E       AssertionError: accuracy"}, xml: true,
			class: blame.Test, rule: "own-test-failed",
		},
		"an earlier attempt was, and then the disk was full": {
			lines: []string{"E       assert 0.41 >= 0.6", "OSError: [Errno 28] No space left on device"},
			class: blame.Infra, rule: "disk-full", message: "No space left on device",
		},
		"results.xml alone tells of an exception of its own": {
			lines: []string{"OSError: [Errno 28] No space left on device (ignored)"}, own: true,
			class: blame.Test, rule: "own-test-failed",
		},
		"and of one that names the disk": {
			lines: []string{"E       OSError: [Errno 28] No space left on device"}, own: true,
			class: blame.Infra, rule: "disk-full",
		},
		"requests failed": {
			lines: []string{"OSError: [Errno 28] No space left on device", "E       AssertionError: 3 requests failed: assert 3 <= 0"},
			class: blame.Infra, rule: "disk-full", message: "No space left on device",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t).end("BENCHMARK", 50, 1)
			for _, l := range tc.lines {
				b.line("BENCHMARK", l)
			}
			if tc.xml {
				b.event(blame.Event{Role: "BENCHMARK", Kind: blame.TestFailed, At: at(50), Assert: true, Text: "assert 0.41 >= 0.6"})
			}
			if tc.own {
				b.event(blame.Event{Role: "BENCHMARK", Kind: blame.TestFailed, At: at(50), Own: true, Text: "ValueError: 3 of 40 answers were wrong"})
			}
			f := blame.Judge(b.ev)
			require.Equal(t, tc.class, f.Class, f.Message)
			require.Equal(t, tc.rule, f.Rule)
			require.Contains(t, f.Message, tc.message)
		})
	}
}

// What the roles were ended for stays the root where a signal comes during that end.
func TestSignalWhileTheRolesEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind blame.Kind
		at   float64
		job  string
		root string
		rule string
	}{
		{blame.ServerSick, 100, "CANCELLED", "GEN_0", "server-unhealthy"},
		{blame.NodeLost, 100, "CANCELLED", "GEN_0", "node-lost"},
		{blame.Unkillable, 100, "CANCELLED", "GEN_0", "unkillable"},
		{blame.ServerSick, 123, "CANCELLED", "", "job-state"},
		{blame.ServerSick, 100, "PREEMPTED", "", "job-state"}, // the servers may have been told long before the agent
		{blame.NodeLost, 100, "NODE_FAIL", "", "job-state"},
	} {
		b := newBench(t).event(blame.Event{Role: "GEN_0", Kind: tt.kind, At: at(tt.at), Text: "500"})
		for _, role := range []string{"GEN_0", "CTX_0", "BENCHMARK"} {
			b.stopped(role, tt.at+9, 143)
		}
		b.event(blame.Event{Kind: blame.Signalled, At: at(125), Text: "SIGTERM"}).job(blame.Job{State: tt.job})
		f := blame.Judge(b.ev)
		require.Equal(t, []any{tt.root, tt.rule}, []any{f.Root, f.Rule}, "%+v: %+v", tt, f)
	}
}

// Two that somebody kills together are both named, although the end of one is seen only after it has been told to end.
func TestKilledTogether(t *testing.T) {
	t.Parallel()
	killed := func(role string, after float64, by float64) blame.Event {
		e := blame.Event{Role: role, Kind: blame.RoleEnd, At: at(100 + after), Stopped: at(100.5), Exit: 137, ByUs: true}
		if by != 0 {
			e.Killed = at(100 + by)
		}
		return e
	}
	gone := func(role string, after float64) blame.Event {
		return blame.Event{Role: role, Kind: blame.ServerGone, At: at(100 + after), Exit: 137, Signal: 9}
	}
	for name, tt := range map[string]struct {
		b    func(b *bench) *bench
		more []string
	}{
		"seen at once":                      {func(b *bench) *bench { return b.end("GEN_0", 100, 137).end("CTX_0", 100.1, 137) }, []string{"CTX_0"}},
		"it complained, too":                {func(b *bench) *bench { return b.end("GEN_0", 100, 137).line("CTX_0", refused).end("CTX_0", 100.1, 137) }, []string{"CTX_0"}},
		"seen when it has been told to end": {func(b *bench) *bench { return b.end("GEN_0", 100, 137).event(killed("CTX_0", 2, 0)) }, []string{"CTX_0"}},
		"we had to kill it":                 {func(b *bench) *bench { return b.end("GEN_0", 100, 137).event(killed("CTX_0", 4, 3.9)) }, nil},
		"long after":                        {func(b *bench) *bench { return b.end("GEN_0", 100, 137).event(killed("CTX_0", 9, 0)) }, nil},
		"the first one crashed":             {func(b *bench) *bench { return b.end("GEN_0", 100, 139).event(killed("CTX_0", 1, 0)) }, nil},
		"srun ended it": {func(b *bench) *bench {
			e := killed("CTX_0", 1, 0)
			e.Forced = true
			return b.end("GEN_0", 100, 137).event(e)
		}, nil},
		"their servers": {func(b *bench) *bench {
			return b.event(gone("GEN_0", 0)).event(gone("CTX_0", 0.1)).stopped("GEN_0", 102, 143).stopped("CTX_0", 102, 143)
		}, []string{"CTX_0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := blame.Judge(tt.b(newBench(t)).stopped("BENCHMARK", 102, 1).ev)
			require.Equal(t, "GEN_0", f.Root, "%+v", f)
			require.Equal(t, tt.more, f.MoreRoots, "%+v", f)
			require.Contains(t, f.Collateral, "BENCHMARK")
			require.Equal(t, tt.more == nil, f.Collateral["CTX_0"] != "", "%+v", f)
		})
	}
}

// Who gives up before its command runs was not stopped by us, even when we were about to: both roles lacked the
// launcher.
func TestSeveralAreNotSetUp(t *testing.T) {
	t.Parallel()
	const text = "ci-disagg: /nonexistent/launch.sh is not to be found"
	b := newBench(t).end("CTX_0", 3.3, 78).stopped("GEN_0", 4.1, 78).stopped("BENCHMARK", 4.3, 143).line("CTX_0", text).line("GEN_0", text)
	f := blame.Judge(b.ev)
	require.Equal(t, "CTX_0", f.Root)
	require.Equal(t, blame.Infra, f.Class)
	require.Equal(t, []string{"GEN_0"}, f.MoreRoots)
	require.Len(t, f.Collateral, 1)

	const torn = "ci-disagg: workload.setup: exit 143 of: pip install"
	f = blame.Judge(newBench(t).end("BENCHMARK", 3.3, 1).stopped("GEN_0", 3.4, 78).line("BENCHMARK", "KeyError: 'x'").line("GEN_0", torn).ev)
	require.Equal(t, "BENCHMARK", f.Root, "who was being set up when we ended it")

	// Who was not stopped and gave up before its command ran failed by itself: no peer's end is the reason.
	for _, own := range []struct{ role, line string }{{"BENCHMARK", text}, {"CTX_0", "ci-disagg: workload.setup: curl: (7) Failed to connect to pypi.org port 443"}} {
		f = blame.Judge(newBench(t).end("GEN_0", 3.3, 1).end(own.role, 3.5, 78).line("GEN_0", "KeyError: 'x'").line(own.role, own.line).ev)
		require.Equal(t, "GEN_0", f.Root)
		require.Equal(t, []string{own.role}, f.MoreRoots)
		require.NotContains(t, f.Collateral, own.role)
	}
}
