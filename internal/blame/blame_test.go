package blame_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// bench builds evidence in few words.
type bench struct {
	ev blame.Evidence
}

var start = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func at(sec float64) time.Time { return start.Add(time.Duration(sec * float64(time.Second))) }

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{ev: blame.Evidence{Classes: classes(t)}}
	for _, r := range []blame.Role{
		{Name: "GEN_0", Kind: "server", Nodes: []string{"n1"}},
		{Name: "GEN_1", Kind: "server", Nodes: []string{"n2"}},
		{Name: "CTX_0", Kind: "server", Nodes: []string{"n3"}},
		{Name: "DISAGG_SERVER", Kind: "router", Nodes: []string{"n1"}},
		{Name: "BENCHMARK", Kind: "client", Nodes: []string{"n1"}},
	} {
		r.Started = start
		b.ev.Roles = append(b.ev.Roles, r)
	}
	return b
}

func (b *bench) end(role string, sec float64, exit int) *bench {
	b.ev.Events = append(b.ev.Events, blame.Event{Role: role, Kind: blame.RoleEnd, At: at(sec), Exit: exit, Expected: role == "BENCHMARK"})
	return b
}

func (b *bench) stopped(role string, sec float64, exit int) *bench {
	b.ev.Events = append(b.ev.Events, blame.Event{Role: role, Kind: blame.RoleEnd, At: at(sec + 0.3), Stopped: at(sec), Exit: exit, ByUs: true})
	return b
}

// bySlurm is an end by a signal that Slurm sent, by what it says of the job.
func (b *bench) bySlurm(role string, sec float64, exit int) *bench {
	return b.event(blame.Event{Role: role, Kind: blame.RoleEnd, At: at(sec), Exit: exit, ByUs: true})
}

func (b *bench) event(e blame.Event) *bench {
	b.ev.Events = append(b.ev.Events, e)
	return b
}

func (b *bench) line(role, text string) *bench {
	n := 1
	for _, l := range b.ev.Lines {
		if l.Role == role {
			n++
		}
	}
	b.ev.Lines = append(b.ev.Lines, blame.Line{Role: role, File: "roles/" + role + "/output.log", Number: n, Text: text, First: n == 1})
	return b
}

func (b *bench) job(j blame.Job) *bench {
	b.ev.Job = j
	return b
}

const refused = "ConnectionRefusedError: [Errno 111] Connection refused"

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		b                func(b *bench) *bench
		root, kind, rule string
		class            blame.Class
		more             []string
		collateral       []string
		bad              []string
		message          string
	}{
		{
			name: "a worker is killed, the rest stopped",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100, 137).stopped("CTX_0", 100.5, 143).stopped("DISAGG_SERVER", 100.5, 0).stopped("BENCHMARK", 100.5, 1)
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Infra, rule: "killed-from-outside", collateral: []string{"CTX_0", "DISAGG_SERVER", "BENCHMARK"},
			bad: []string{"n1"}, message: "[GEN_0] killed by SIGKILL (exit 137) on n1 after 100.0 s",
		},
		{
			name: "what the server of a killed worker says on its way out explains nothing",
			b: func(b *bench) *bench {
				b.end("GEN_0", 100, 137).line("GEN_0", "Traceback (most recent call last):").line("GEN_0", "RuntimeError: Event loop is closed")
				b.ev.Lines[0].Server, b.ev.Lines[1].Server = true, true
				return b.stopped("CTX_0", 100.5, 143).stopped("BENCHMARK", 100.5, 1)
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Infra, rule: "killed-from-outside", collateral: []string{"CTX_0", "BENCHMARK"},
			bad: []string{"n1"}, message: "[GEN_0] killed by SIGKILL (exit 137) on n1 after 100.0 s",
		},
		{
			name: "the client sees it first and is not believed",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 99.9, 1).line("BENCHMARK", refused).end("GEN_0", 100, 1).line("GEN_0", "Traceback (most recent call last):").stopped("CTX_0", 101, 143)
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Test, rule: "python-exception", collateral: []string{"CTX_0", "BENCHMARK"},
		},
		{
			name: "the client hears of it long before the worker's step has ended",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 90, 1).line("BENCHMARK", refused).end("GEN_0", 101, 137)
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Infra, rule: "killed-from-outside", collateral: []string{"BENCHMARK"}, bad: []string{"n1"},
		},
		{
			name: "second-hand does not reach a failure minutes later",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 90, 1).line("BENCHMARK", refused).end("GEN_0", 300, 137)
			},
			root: "BENCHMARK", kind: blame.KindCrash, class: blame.Unknown, rule: "nothing-proven", more: []string{"GEN_0"},
		},
		{
			name: "a client without a word before the worker is no collateral",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 99.9, 1).end("GEN_0", 100, 139)
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Test, rule: "crash-signal", more: []string{"BENCHMARK"},
		},
		{
			name: "the client died long before: a server's later failure is no root",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 90, 1).line("BENCHMARK", "E   AssertionError: Failed requests: 3").stopped("GEN_0", 91, 1)
			},
			root: "BENCHMARK", kind: blame.KindCrash, class: blame.Test, rule: "python-exception", collateral: []string{"GEN_0"},
		},
		{
			name: "two workers within 100 ms, neither says why: two roots",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100, 139).end("CTX_0", 100.1, 139).stopped("BENCHMARK", 100.6, 143)
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Test, rule: "crash-signal", more: []string{"CTX_0"}, collateral: []string{"BENCHMARK"},
		},
		{
			name: "two workers, one says that its peer has gone",
			b: func(b *bench) *bench {
				return b.end("CTX_0", 100, 1).line("CTX_0", "UCX ERROR connection reset by peer").end("GEN_0", 100.1, 139)
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Test, rule: "crash-signal", collateral: []string{"CTX_0"},
		},
		{
			name: "a client that was killed did not merely observe",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 100, 137).end("GEN_0", 100.2, 0).stopped("CTX_0", 101, 143)
			},
			root: "BENCHMARK", kind: blame.KindCrash, class: blame.Infra, rule: "killed-from-outside", more: []string{"GEN_0"},
			collateral: []string{"CTX_0"}, bad: []string{"n1"},
		},
		{
			name: "nor did a worker, whatever it had complained about before",
			b: func(b *bench) *bench {
				return b.end("CTX_0", 100, 137).line("CTX_0", refused).end("GEN_0", 100.3, 1)
			},
			root: "CTX_0", kind: blame.KindCrash, class: blame.Infra, rule: "killed-from-outside", more: []string{"GEN_0"}, bad: []string{"n3"},
		},
		{
			name: "SIGKILL from Slurm, which was ending the step, proves nothing about outsiders",
			b: func(b *bench) *bench {
				return b.event(blame.Event{Role: "GEN_0", Kind: blame.RoleEnd, At: at(100), Exit: 137, Signal: 9, Sent: blame.Sent{Forced: true}})
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Unknown, rule: "nothing-proven",
		},
		{
			name: "a server that wrote more than its shell allows would do so again", root: "GEN_0", kind: blame.KindCrash, class: blame.Test, rule: "resource-limit", b: func(b *bench) *bench { return b.end("GEN_0", 100, 153) },
		},
		{
			name: "a step that srun could not create ran nothing of the change",
			b: func(b *bench) *bench {
				return b.event(blame.Event{Role: "GEN_0", Kind: blame.NeverStarted, At: at(1), Text: "srun: error: Unable to create step"}).
					event(blame.Event{Role: "CTX_0", Kind: blame.NeverStarted, At: at(1.1), Text: "srun: error: Unable to create step"}).stopped("GEN_1", 2, 143)
			},
			root: "GEN_0", kind: blame.KindNeverStarted, class: blame.Infra, rule: "never-started", more: []string{"CTX_0"}, collateral: []string{"GEN_1"},
		},
		{
			name: "several that miss one deadline: all are named, and the router only waits",
			b: func(b *bench) *bench {
				for _, name := range []string{"GEN_1", "CTX_0", "DISAGG_SERVER"} {
					b.event(blame.Event{Role: name, Kind: blame.NotReady, At: at(60), Text: "1m0s"}).stopped(name, 60, 143)
				}
				return b.stopped("GEN_0", 60, 143)
			},
			root: "GEN_1", kind: blame.KindReadyTimeout, class: blame.Unknown, rule: "nothing-proven", more: []string{"CTX_0"},
			collateral: []string{"GEN_0", "DISAGG_SERVER"}, message: "[GEN_1] not ready within 1m0s on n2; no rule explains it: read its log, and give a line that names the cause to classes: in ci-disagg.yaml; likewise CTX_0",
		},
		{
			name: "a silent exit 0 is softer than a crash",
			b: func(b *bench) *bench {
				return b.end("CTX_0", 100, 0).end("DISAGG_SERVER", 100.2, 139)
			},
			root: "DISAGG_SERVER", kind: blame.KindCrash, class: blame.Test, rule: "crash-signal", more: []string{"CTX_0"},
		},
		{
			name: "exit 0 before the client was through",
			b:    func(b *bench) *bench { return b.end("CTX_0", 50, 0).stopped("GEN_0", 51, 143) },
			root: "CTX_0", kind: blame.KindEarlyExit, class: blame.Unknown, rule: "nothing-proven", collateral: []string{"GEN_0"},
			message: "[CTX_0] exit 0 before the client was through on n3",
		},
		{
			name: "an ECC error stands above the exception that it raises",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100, 1).line("GEN_0", "Traceback (most recent call last):").line("GEN_0", "RuntimeError: CUDA error: uncorrectable ECC error encountered")
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Infra, rule: "gpu-ecc", bad: []string{"n1"},
		},
		{
			name: "what stands far up in the log was survived",
			b: func(b *bench) *bench {
				b.end("GEN_0", 100, 1).line("GEN_0", "OSError: [Errno 116] Stale file handle")
				b.ev.Lines[0].Behind = 50000
				return b
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Unknown, rule: "nothing-proven",
		},
		{
			name: "a weak line does not beat the exception",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100, 1).line("GEN_0", "UCX  WARN  no usable transports").line("GEN_0", "Traceback (most recent call last):")
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Test, rule: "python-exception",
		},
		{
			name: "rank 5 was killed, rank 4 noticed, and Slurm told of rank 4 first",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100, 1).line("GEN_0", "/r/roles/GEN_0/role.sh: line 36: 23946 Killed                  trtllm-llmapi-launch pytest")
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Infra, rule: "task-killed", bad: []string{"n1"},
		},
		{
			name: "a weak line explains what nothing else does",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100, 1).line("GEN_0", "UCX  WARN  no usable transports")
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Infra, rule: "ucx-fallback",
		},
		{
			name: "out of memory is the program's doing",
			b: func(b *bench) *bench {
				return b.event(blame.Event{Role: "GEN_0", Kind: blame.RoleEnd, At: at(9), Exit: 137, OOM: true}).stopped("CTX_0", 10, 143)
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Test, rule: "cgroup-oom", collateral: []string{"CTX_0"},
			message: "[GEN_0] killed by SIGKILL (exit 137), out of memory on n1",
		},
		{
			name: "its own failing test",
			b: func(b *bench) *bench {
				return b.end("GEN_1", 100, 1).event(blame.Event{Role: "GEN_1", Kind: blame.TestFailed, At: at(99.5), Text: "assert 1 == 2"})
			},
			root: "GEN_1", kind: blame.KindTestFailed, class: blame.Test, rule: "own-test-failed",
		},
		{
			name: "a test that fails because it was stopped is collateral",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100, 139).stopped("CTX_0", 100.5, 1).event(blame.Event{Role: "CTX_0", Kind: blame.TestFailed, At: at(100.7), Text: "KeyboardInterrupt"})
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Test, rule: "crash-signal", collateral: []string{"CTX_0"},
		},
		{
			name: "an assertion on measured data is a root of its own",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100, 139).stopped("BENCHMARK", 100.5, 1).
					event(blame.Event{Role: "BENCHMARK", Kind: blame.TestFailed, At: at(60), Assert: true, Text: "accuracy 0.1 < 0.8"})
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Test, rule: "crash-signal", more: []string{"BENCHMARK"},
		},
		{
			name: "the client's failing test, whatever its clock says, is not before the worker's end",
			b: func(b *bench) *bench {
				return b.end("CTX_0", 100, 137).stopped("BENCHMARK", 100.5, 1).line("BENCHMARK", "E   RuntimeError: requests failed:").
					event(blame.Event{Role: "BENCHMARK", Kind: blame.TestFailed, At: at(93), Text: "RuntimeError: requests failed"})
			},
			root: "CTX_0", kind: blame.KindCrash, class: blame.Infra, rule: "killed-from-outside", collateral: []string{"BENCHMARK"}, bad: []string{"n3"},
		},
		{
			name: "cancelled: the roles went with the job",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100, 143).end("CTX_0", 100.01, 143).end("BENCHMARK", 100.02, 1).line("BENCHMARK", refused).
					event(blame.Event{Kind: blame.Signalled, At: at(100.02), Text: "SIGTERM"}).job(blame.Job{State: "CANCELLED", CancelledBy: "1000"})
			},
			kind: blame.KindCancelled, class: blame.Infra, rule: "job-state", collateral: []string{"GEN_0", "CTX_0", "BENCHMARK"}, message: "the job was cancelled by uid 1000",
		},
		{
			name: "cancelled: the client misses a role before anybody is told",
			b: func(b *bench) *bench {
				return b.end("CTX_0", 100, 143).end("BENCHMARK", 100.2, 1).line("BENCHMARK", refused).job(blame.Job{State: "CANCELLED"})
			},
			kind: blame.KindCancelled, class: blame.Infra, rule: "job-state", collateral: []string{"CTX_0", "BENCHMARK"},
		},
		{
			name: "cancelled: the client misses a role whose end is told of later",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 99.9, 1).line("BENCHMARK", refused).end("CTX_0", 100, 143).job(blame.Job{State: "CANCELLED"})
			},
			kind: blame.KindCancelled, class: blame.Infra, rule: "job-state", collateral: []string{"CTX_0", "BENCHMARK"},
		},
		{
			name: "preempted: the client misses a role whose end is Slurm's by what it says of the job",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 100.3, 1).line("BENCHMARK", refused).bySlurm("CTX_0", 100, 143).job(blame.Job{State: "PREEMPTED"})
			},
			kind: blame.KindPreempted, class: blame.Infra, rule: "job-state", collateral: []string{"CTX_0", "BENCHMARK"},
		},
		{
			name: "the client fails by itself, and then the job is cancelled",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 90, 1).line("BENCHMARK", "E   AssertionError: 3 of 64 requests failed").stopped("CTX_0", 90.5, 143).job(blame.Job{State: "CANCELLED"})
			},
			root: "BENCHMARK", kind: blame.KindCrash, class: blame.Test, rule: "python-exception", collateral: []string{"CTX_0"},
		},
		{
			name: "cancelled without accounting: only completing",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100, 143).job(blame.Job{State: "COMPLETING"})
			},
			kind: blame.KindCancelled, class: blame.Infra, rule: "job-state", collateral: []string{"GEN_0"},
		},
		{
			name: "a role had died ten seconds before the cancellation",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 90, 1).line("GEN_0", "Traceback (most recent call last):").stopped("CTX_0", 90.5, 143).
					event(blame.Event{Kind: blame.Signalled, At: at(100), Text: "SIGTERM"}).job(blame.Job{State: "CANCELLED"})
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Test, rule: "python-exception", collateral: []string{"CTX_0"},
		},
		{
			name: "preempted",
			b: func(b *bench) *bench {
				return b.end("GEN_0", 100, 143).job(blame.Job{State: "PREEMPTED"})
			},
			kind: blame.KindPreempted, class: blame.Infra, rule: "job-state", collateral: []string{"GEN_0"}, message: "a job of higher priority took the nodes",
		},
		{
			name: "preempted: the client misses a role that Slurm has ended, seconds before the agent is told",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 97, 1).line("BENCHMARK", refused).end("CTX_0", 97.2, 143).end("GEN_0", 100.1, 143).
					event(blame.Event{Kind: blame.Signalled, At: at(100), Text: "SIGTERM"}).job(blame.Job{State: "PREEMPTED"})
			},
			kind: blame.KindPreempted, class: blame.Infra, rule: "job-state", collateral: []string{"CTX_0", "GEN_0", "BENCHMARK"}, message: "a job of higher priority took the nodes",
		},
		{
			name: "the client fails for a reason of its own, seconds before the job is preempted",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 97, 1).line("BENCHMARK", "E   AssertionError: accuracy 0.61 is below 0.70").stopped("CTX_0", 99, 143).
					event(blame.Event{Kind: blame.Signalled, At: at(100), Text: "SIGTERM"}).job(blame.Job{State: "PREEMPTED"})
			},
			root: "BENCHMARK", kind: blame.KindCrash, class: blame.Test, rule: "python-exception", collateral: []string{"CTX_0"},
		},
		{
			name: "the time limit, announced by a signal",
			b: func(b *bench) *bench {
				return b.stopped("GEN_0", 100.5, 143).event(blame.Event{Kind: blame.Signalled, At: at(100), Text: "SIGTERM"}).job(blame.Job{State: "RUNNING", TimeUp: true})
			},
			kind: blame.KindTimeLimit, class: blame.Unknown, rule: "agent-signalled", collateral: []string{"GEN_0"},
		},
		{
			name: "a node fails, long after its client has noticed",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 100, 1).line("BENCHMARK", refused).event(blame.Event{Role: "CTX_0", Kind: blame.NodeLost, At: at(125), Node: "n3"}).
					event(blame.Event{Kind: blame.Signalled, At: at(125), Text: "SIGTERM"}).job(blame.Job{State: "NODE_FAIL", FailedNodes: []string{"n3"}})
			},
			root: "CTX_0", kind: blame.KindNodeFail, class: blame.Infra, rule: "job-state", bad: []string{"n3"}, collateral: []string{"BENCHMARK"},
		},
		{
			name: "a node fails: its role, stopped in vain, is the root and no collateral",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 100, 1).line("BENCHMARK", refused).event(blame.Event{Role: "CTX_0", Kind: blame.NodeLost, At: at(106), Node: "n3"}).
					stopped("CTX_0", 106, 0).stopped("GEN_0", 106, 143).
					event(blame.Event{Kind: blame.Signalled, At: at(106), Text: "SIGTERM"}).job(blame.Job{State: "NODE_FAIL", FailedNodes: []string{"n3"}})
			},
			root: "CTX_0", kind: blame.KindNodeFail, class: blame.Infra, rule: "job-state", bad: []string{"n3"}, collateral: []string{"BENCHMARK", "GEN_0"},
		},
		{
			name: "a node fails, Slurm has not called the job failed",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 100, 1).line("BENCHMARK", refused).event(blame.Event{Role: "CTX_0", Kind: blame.Unkillable, At: at(140)})
			},
			root: "CTX_0", kind: blame.KindUnkillable, class: blame.Infra, rule: "unkillable", bad: []string{"n3"}, collateral: []string{"BENCHMARK"},
		},
		{
			name: "the node of the failed role does not answer",
			b: func(b *bench) *bench {
				return b.end("GEN_1", 100, 1).line("GEN_1", "Traceback (most recent call last):").job(blame.Job{State: "RUNNING", FailedNodes: []string{"n2"}})
			},
			root: "GEN_1", kind: blame.KindNodeFail, class: blame.Infra, rule: "node-state", bad: []string{"n2"},
		},
		{
			name: "another node does not answer: no excuse",
			b: func(b *bench) *bench {
				return b.end("GEN_1", 100, 1).line("GEN_1", "Traceback (most recent call last):").job(blame.Job{State: "RUNNING", FailedNodes: []string{"n3"}})
			},
			root: "GEN_1", kind: blame.KindCrash, class: blame.Test, rule: "python-exception",
		},
		{
			name: "not ready in time",
			b: func(b *bench) *bench {
				return b.event(blame.Event{Role: "CTX_0", Kind: blame.NotReady, At: at(60), Text: "1m0s"}).event(blame.Event{Kind: blame.PhaseTimeout, At: at(60), Text: "ready"}).
					stopped("CTX_0", 60, 143).stopped("GEN_0", 60, 143)
			},
			root: "CTX_0", kind: blame.KindReadyTimeout, class: blame.Unknown, rule: "nothing-proven", collateral: []string{"GEN_0"},
			message: "[CTX_0] not ready within 1m0s on n3",
		},
		{
			name: "a phase takes too long and nobody failed",
			b: func(b *bench) *bench {
				return b.event(blame.Event{Kind: blame.PhaseTimeout, At: at(60), Text: "benchmark"}).stopped("CTX_0", 60, 143)
			},
			kind: blame.KindTimeout, class: blame.Unknown, rule: "phase-budget", collateral: []string{"CTX_0"},
		},
		{
			name: "a hang with a name",
			b: func(b *bench) *bench {
				return b.event(blame.Event{Role: "GEN_0", Kind: blame.Hang, At: at(60), Text: "does not answer"}).stopped("CTX_0", 60, 143)
			},
			root: "GEN_0", kind: blame.KindHang, class: blame.Unknown, rule: "nothing-proven", collateral: []string{"CTX_0"},
		},
		{
			name: "the run directory is full",
			b: func(b *bench) *bench {
				return b.event(blame.Event{Kind: blame.Storage, At: at(60), Text: "write x: no space left on device"}).stopped("CTX_0", 60, 143)
			},
			kind: blame.KindStorage, class: blame.Infra, rule: "run-directory", collateral: []string{"CTX_0"},
		},
		{
			name: "a server crashes after the benchmark",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 100, 0).event(blame.Event{Role: "GEN_0", Kind: blame.RoleEnd, At: at(103), Exit: 139, Drained: true, Expected: true})
			},
			root: "GEN_0", kind: blame.KindCrash, class: blame.Test, rule: "crash-signal", message: "[GEN_0] killed by SIGSEGV (exit 139) after the client was through on n1",
		},
		{
			name: "green, without results",
			b: func(b *bench) *bench {
				return b.end("BENCHMARK", 100, 0).event(blame.Event{Role: "BENCHMARK", Kind: blame.NoResult, At: at(100), Text: "truncated at byte 12"})
			},
			root: "BENCHMARK", kind: blame.KindNoResult, class: blame.Unknown, rule: "no-result",
		},
		{
			name: "a stopped role that ended badly, and nothing else",
			b:    func(b *bench) *bench { return b.stopped("GEN_0", 60, 1) },
			kind: blame.KindUnattributed, class: blame.Unknown, rule: "nothing-proven",
		},
		{name: "nothing went wrong", b: func(b *bench) *bench { return b.end("BENCHMARK", 100, 0) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := blame.Judge(tt.b(newBench(t)).ev)
			require.Equal(t, tt.root, f.Root, "%+v", f)
			require.Equal(t, tt.kind, f.Kind, "%+v", f)
			require.Equal(t, tt.class, f.Class, "%+v", f)
			require.Equal(t, tt.rule, f.Rule, "%+v", f)
			require.Equal(t, tt.more, f.MoreRoots, "%+v", f)
			require.ElementsMatch(t, tt.collateral, keys(f.Collateral), "%+v", f)
			require.Equal(t, tt.bad, f.BadNodes)
			require.True(t, strings.HasPrefix(f.Message, tt.message), f.Message)
			for role, evidence := range f.Collateral {
				require.NotEmpty(t, evidence, role)
			}
		})
	}
}

func keys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

// Judge is a function of the evidence as a set: the order in which events and
// roles' lines arrive plays no part where times differ.
func TestJudgeDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t).end("BENCHMARK", 99.9, 1).line("BENCHMARK", refused).end("GEN_0", 100, 1).line("GEN_0", "Traceback (most recent call last):").
		stopped("CTX_0", 101, 143).stopped("DISAGG_SERVER", 101.2, 0)
	want := blame.Judge(b.ev)
	for range 24 {
		b.ev.Events = append(b.ev.Events[1:], b.ev.Events[0])
		require.Equal(t, want, blame.Judge(b.ev))
	}
}
