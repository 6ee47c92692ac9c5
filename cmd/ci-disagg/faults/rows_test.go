package faults_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
)

// What the outcomes are called in a row.
const (
	passed     = rundir.OutcomePassed
	testFailed = rundir.OutcomeTestFailed
	infra      = rundir.OutcomeInfra
	cancelled  = rundir.OutcomeCancelled
)

// long makes the benchmark take about half a minute, for what is done meanwhile; endless, some minutes.
const long, endless = "100", "1000"

// matrix is every row, in the order of the table.
func matrix() []fault {
	return slices.Concat(crashes(), roles(), servers(), aggregated(), results(), generic(), databases(), sessions(), sessionJobs(), jobs(), slurmDown(), scripted(), storage(), outputs(), drafts(), interrupts(), kills(), local())
}

// local is what needs no Slurm, without it: the same agent, the same answers, in less time.
func local() []fault {
	quick := []string{
		"GEN_0 crashes before ready", "CTX_0 crashes while serving", "BENCHMARK crashes after the benchmark", "GEN_0 is killed from outside",
		"CTX_0 exits 0 early", "results.xml missing", "results.xml truncated", "redis: the server is killed", "redis: a monitor that may leave does so",
		"AGG's server is killed from outside, and its test asks at once how it ended", "AGG's server crashes", "AGG skips its test",
	}
	var rows []fault
	for _, f := range slices.Concat(crashes(), roles(), servers(), aggregated(), results(), generic(), databases(), sessions()) {
		if strings.Contains(f.with.workload, "install:") || strings.Contains(f.with.workload, "mpi:") || f.state != "" {
			continue // one machine plays all nodes and installs once; nothing there knows --mpi
		}
		f.local, f.quick, f.name = true, slices.Contains(quick, f.name), f.name+" (local)"
		rows = append(rows, f)
	}
	return append(rows, daemons()...)
}

// crashes: each role, at each point of its life.
func crashes() []fault {
	var rows []fault
	for _, role := range []string{"GEN_0", "CTX_0", "DISAGG_SERVER", "BENCHMARK"} {
		for _, when := range []string{"before ready", "while serving", "after the benchmark"} {
			knob := map[string]string{"before ready": "before-ready", "while serving": "while-serving", "after the benchmark": "after-benchmark"}[when]
			if knob == "while-serving" && role != "BENCHMARK" {
				knob += ",BENCHMARK:patient" // on a slow machine a crash is long over before it is told of
			}
			rows = append(rows, fault{
				name: role + " crashes " + when, knob: role + ":crash-" + knob,
				quick:   role == "GEN_0" && when == "while serving",
				outcome: testFailed, exit: 1, root: role, class: "test", says: "CUDA error: an illegal memory access",
			})
		}
		rows = append(rows, fault{
			name: role + " dies of SIGKILL while serving", knob: role + ":kill-while-serving",
			outcome: infra, exit: 3, root: role, class: "infra", says: "killed by SIGKILL",
		})
	}
	return rows
}

// roles: other ends of roles.
func roles() []fault {
	hang := "hang: 4s"
	return []fault{
		{
			name: "GEN_0 is killed from outside", tokenMS: long, during: killPytest("GEN_0"),
			outcome: infra, exit: 3, root: "GEN_0", class: "infra", says: "killed by SIGKILL",
		},
		{
			name: "GEN_0 exits 0 early", knob: "GEN_0:exit=0-while-serving",
			outcome: testFailed, exit: 1, root: "GEN_0", // the client may notice before Slurm has told
		},
		{
			name: "CTX_0 exits 0 early", knob: "CTX_0:exit=0-after-ready",
			outcome: testFailed, exit: 1, root: "CTX_0", says: "exit 0 before the client was through",
		},
		{
			name: "rank 5 of GEN_0 dies", test: runtest.Wide, knob: "GEN_0/5:kill-while-serving",
			// Its peers notice within 50 ms: Slurm may tell of one of them first.
			outcome: infra, exit: 3, root: "GEN_0", class: "infra", says: "[GEN_0]",
		},
		{
			name: "rank 1 of CTX_0 exits 3", test: runtest.Wide, knob: "CTX_0/1:exit=3-while-serving",
			// Rank 0 notices within 50 ms and leaves as well: Slurm may tell of both at once.
			outcome: testFailed, exit: 1, root: "CTX_0",
		},
		{
			name: "GEN_0 answers requests with errors", knob: "GEN_0:fail-requests",
			outcome: testFailed, exit: 1, root: "BENCHMARK", class: "test",
		},
		{
			name: "GEN_0 and CTX_0 die within 100 ms", tokenMS: long, during: killPytest("GEN_0", "CTX_0"),
			outcome: infra, exit: 3, root: "GEN_0", more: []string{"CTX_0"}, either: true, class: "infra",
		},
		{
			name: "GEN_0 ignores TERM at its regular end", knob: "GEN_0:ignore-term", with: settings{budgets: "job: 10m, drain: 3s"},
			outcome: passed, exit: 0,
		},
		{
			name: "CTX_0 is killed and GEN_0 ignores TERM", knob: "GEN_0:ignore-term", tokenMS: long, during: killPytest("CTX_0"),
			outcome: infra, exit: 3, root: "CTX_0", class: "infra",
		},
		{
			name: "GEN_0's server hangs", tokenMS: long, during: stopServer("GEN_0"), with: settings{workload: hang},
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, root: "GEN_0", kind: "hang",
		},
		{
			name: "the client hangs", knob: "BENCHMARK:server-hang-while-serving", with: settings{workload: hang},
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, root: "BENCHMARK", kind: "hang",
		},
		{
			name: "CTX_0 is never ready", knob: "CTX_0:hang-before-ready", with: settings{budgets: "job: 10m, ready: 20s"},
			outcome: rundir.TimeoutOf(rundir.PhaseReady), exit: 1, root: "CTX_0", kind: "ready-timeout",
			// The router waits for the context server's address: not ready either, and not to blame.
		},
		{
			name: "GEN_0 and CTX_0 are never ready", knob: "GEN_0:hang-before-ready,CTX_0:hang-before-ready", with: settings{budgets: "job: 10m, ready: 20s"},
			outcome: rundir.TimeoutOf(rundir.PhaseReady), exit: 1, root: "GEN_0", more: []string{"CTX_0"}, kind: "ready-timeout",
		},
		{
			name: "CTX_0 publishes its address and is never up", knob: "CTX_0:address-only", with: settings{budgets: "job: 10m, ready: 20s"},
			outcome: rundir.TimeoutOf(rundir.PhaseReady), exit: 1, root: "CTX_0", kind: "ready-timeout", says: "not ready within 20s (budgets.ready): nobody listens at",
		},
		{
			name: "rank 1 of CTX_0 dies behind a progress bar", test: runtest.Wide, knob: "CTX_0:bars,CTX_0/1:bars,CTX_0/1:kill-while-serving",
			outcome: infra, exit: 3, root: "CTX_0", class: "infra",
		},
		{
			name: "a process of GEN_0 outlives it with its pipe", knob: "GEN_0:crash-while-serving",
			with:    settings{setup: `if [ "$DISAGG_SERVING_TYPE" = GEN_0 ]; then setsid sleep 90 & fi`},
			outcome: testFailed, exit: 1, root: "GEN_0", class: "test",
		},
		{
			name: "workload.dir is missing on the nodes", with: settings{dir: "/nonexistent/llm"},
			outcome: infra, exit: 3, several: true, class: "infra", says: "cannot enter the workload's directory",
		},
		{
			name: "srun refuses an option of its step", with: settings{workload: "mpi: no_such_plugin"},
			outcome: infra, exit: 3, class: "infra", root: "GEN_0", more: []string{"CTX_0"}, either: true, kind: "never-started",
		},
		{
			name: "workload.setup fails for GEN_0", with: settings{setup: `[ "$DISAGG_SERVING_TYPE" != GEN_0 ] || cat /nonexistent/env.sh`},
			outcome: infra, exit: 3, root: "GEN_0", class: "infra", says: "/nonexistent/env.sh",
		},
		{
			name: "workload.setup calls for GEN_0 what is not there", with: settings{setup: `[ "$DISAGG_SERVING_TYPE" != GEN_0 ] || module load cuda`},
			outcome: infra, exit: 3, root: "GEN_0", class: "infra", says: "module: command not found",
		},
		{
			name: "workload.launcher is not there", with: settings{workload: "launcher: /nonexistent/launch.sh"},
			outcome: infra, exit: 3, root: "GEN_0", more: []string{"CTX_0"}, either: true, class: "infra", says: "/nonexistent/launch.sh is not to be found",
		},
		{
			name: "the node helpers are killed", tokenMS: long, during: killHelpers, outcome: passed, check: blindNodes,
		},
		{
			name:    "the install step fails on one node",
			with:    settings{workload: `install: '[ "$SLURM_NODEID" != "$((SLURM_NNODES - 1))" ] || { echo "install: no such wheel"; exit 7; }'`},
			outcome: infra, exit: 3, root: "INSTALL", kind: "install-failed", bad: true,
		},
	}
}

// results: what a role can leave for a JUnit file.
func results() []fault {
	red := func(name, knob string) fault {
		return fault{name: name, knob: knob, outcome: testFailed, exit: 1, root: "BENCHMARK", attempt: passed}
	}
	rows := []fault{
		red("results.xml missing", "BENCHMARK:xml-missing"),
		red("results.xml empty", "BENCHMARK:xml-empty"),
		red("results.xml truncated", "BENCHMARK:xml-truncated"),
		red("results.xml is no XML", "BENCHMARK:xml-garbage"),
		red("results.xml is an old one", "BENCHMARK:exit=0-after-benchmark"),
		red("results.xml green, exit 3", "BENCHMARK:exit-after-xml=3"),
		red("a server's results.xml missing", "GEN_0:xml-missing"),
		red("a server's results.xml green, exit 3", "GEN_0:exit-after-xml=3"),
	}
	other := red("results.xml of another test", "BENCHMARK:xml-other")
	other.says = "of another test"
	rows = append(rows, other)
	rows = append(rows,
		fault{
			name: "every role skips its test", knob: "GEN_0:skip,CTX_0:skip,DISAGG_SERVER:skip,BENCHMARK:skip",
			outcome: passed, exit: 5,
		},
		fault{
			name: "every role skips its test, each in its own time", knob: "GEN_0:skip,CTX_0:skip=5,DISAGG_SERVER:skip=20,BENCHMARK:skip=12",
			outcome: passed, exit: 5,
		},
		fault{
			name: "every role skips its test, the client first", knob: "GEN_0:skip=14,CTX_0:skip=5,DISAGG_SERVER:skip=20,BENCHMARK:skip",
			outcome: passed, exit: 5,
		},
		fault{name: "the client alone skips its test", knob: "BENCHMARK:skip", with: settings{budgets: "queue: 5m, ready: 5m, benchmark: 5m, drain: 10s, job: 15m"}, outcome: passed, exit: 5},
		fault{name: "the client's test is an expected failure", knob: "BENCHMARK:xfail", outcome: passed, exit: 5},
		fault{name: "the client's test is deselected", knob: "BENCHMARK:deselect", outcome: testFailed, exit: 1, root: "BENCHMARK"},
	)
	rows[4].with.setup = `if [ "$DISAGG_SERVING_TYPE" = BENCHMARK ]; then
      echo '<testsuite name="old" tests="1"><testcase classname="perf.test_perf_sanity" name="test_e2e[disagg_upload-e2e-tiny_1k1k_con4_ctx1_tp1_gen1_tp2]"/></testsuite>' >"$CI_DISAGG_ROLE_DIR/results.0.xml"
      touch -d '1 hour ago' "$CI_DISAGG_ROLE_DIR/results.0.xml"
    fi`
	rows[5].attempt, rows[7].attempt = "", ""
	rows[6].root, rows[7].root = "GEN_0", "GEN_0"
	return rows
}

// refusing is a cluster on whose node gpu1 the prolog fails.
func refusing(prolog string) *slurmtest.Options {
	return &slurmtest.Options{Nodes: "3x4", Conf: []string{"Prolog=" + filepath.Join(root, "cmd/ci-disagg/faults/testdata", prolog), "PrologFlags=Alloc"}}
}

// drafts: a team's own launch draft instead of the agent. It ends right after the client, and cancels its own job when
// that fails, as upstream's does.
func drafts() []fault {
	draft := []string{"--draft", filepath.Join(root, "cmd/ci-disagg/faults/testdata/draft-upstream.sh")}
	return []fault{
		{name: "a draft ends with its client and leaves the servers to Slurm", args: draft, pollS: "10", outcome: passed, check: unwatched},
		{
			name: "a draft cancels its own job when its client has failed", args: draft, knob: "BENCHMARK:crash-while-serving", pollS: "10",
			attempt: cancelled, outcome: testFailed, exit: 1, root: "BENCHMARK", says: "CUDA error: an illegal memory access",
		},
	}
}

// pinging is a cluster whose slurmctld gives up on a ping after 4 s instead of 10: it pings again only when the last
// ping is through, and takes up to SlurmdTimeout and three pings to call a node dead.
func pinging() *slurmtest.Options {
	return &slurmtest.Options{Nodes: "2x4", Conf: []string{"MessageTimeout=4"}}
}

// jobs: what happens to the job as a whole.
func jobs() []fault {
	return []fault{
		{
			name: "time limit", knob: "BENCHMARK:hang-after-ready", with: settings{cluster: ", signal: none", budgets: "queue: 5m, drain: 10s, collect: 10s, job: 1m"},
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, state: "TIMEOUT",
		},
		{
			name: "time limit, announced by a signal", knob: "BENCHMARK:hang-after-ready",
			with:    settings{cluster: ", signal: TERM@60", budgets: "queue: 5m, drain: 10s, collect: 10s, job: 2m"},
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, kind: "time-limit",
		},
		{
			name: "scancel by somebody else", tokenMS: long, during: scancel,
			outcome: cancelled, exit: 3, says: "cancelled", state: "CANCELLED",
		},
		{
			name: "scancel by somebody else while pending", with: settings{cluster: ", sbatch: [--hold]"}, during: scancel,
			outcome: cancelled, exit: 3, says: "cancelled", state: "CANCELLED",
		},
		{
			name: "somebody else cancels the step of CTX_0", tokenMS: long, during: cancelStep("CTX_0"),
			outcome: infra, exit: 3, root: "CTX_0", class: "infra",
		},
		{
			name: "somebody else interrupts all steps", tokenMS: long, during: interruptSteps,
			outcome: infra, exit: 3, several: true, class: "infra", says: "somebody other than ci-disagg ended its step",
		},
		{
			name: "a worker's node dies", cluster: pinging(), tokenMS: long, during: killNode(1),
			outcome: infra, exit: 3, root: "CTX_0", class: "infra", state: "NODE_FAIL", check: nodeDeathInTime,
		},
		{
			name: "the batch node dies", cluster: pinging(), tokenMS: long, during: killNode(0),
			outcome: infra, exit: 3, class: "infra", state: "NODE_FAIL", check: nodeDeathInTime,
		},
		{
			name: "the prolog fails on one node", cluster: refusing("prolog.sh"), with: settings{retry: "max: 1"},
			attempt: infra, outcome: passed, check: elsewhere,
		},
		{
			name: "the prolog fails on one node when the batch script has begun", cluster: refusing("prolog-late.sh"), with: settings{retry: "max: 1"},
			attempt: infra, outcome: passed, check: elsewhere,
		},
		{
			name: "the prolog fails, the driver is killed, sweep finishes the run", cluster: refusing("prolog.sh"), drive: sweepRefused,
			outcome: infra, exit: 3, class: "infra", kind: "launch-failed", says: "the prolog failed on gpu1", check: finished,
		},
		{
			name: "preempted", tokenMS: long, during: preempt, outcome: infra, exit: 3, class: "infra", says: "took the nodes", state: "PREEMPTED",
		},
		{
			name: "preempted, after a grace time", tokenMS: long, cluster: &slurmtest.Options{Nodes: "2x4", Conf: []string{"PreemptMode=CANCEL"}}, prepare: graceTime, during: preempt,
			outcome: infra, exit: 3, class: "infra", kind: "preempted", says: "took the nodes",
		},
		{
			name: "requeued by an administrator", tokenMS: long, during: requeue,
			outcome: infra, exit: 3, class: "infra",
		},
		{
			name: "requeued while nobody watches, then resumed", tokenMS: long, drive: requeueUnwatched,
			outcome: infra, exit: 3, class: "infra", check: refusedByAgent,
		},
		{
			name: "held beyond the queue budget", with: settings{budgets: "job: 10m, queue: 5s", cluster: ", sbatch: [--hold]"},
			outcome: rundir.TimeoutOf(rundir.PhaseQueue), exit: 3, says: "queue budget",
		},
		{
			name: "a reason that never resolves", with: settings{budgets: "job: 1h", cluster: ", sbatch: [--partition=limited]"},
			outcome: infra, exit: 3, says: "PartitionTimeLimit",
		},
		{
			name: "suspended by an administrator", tokenMS: long, during: suspend,
			outcome: infra, exit: 3, class: "infra", kind: "suspended", says: "suspended",
		},
		{
			name: "suspended and resumed between two looks", tokenMS: long, with: measured(), during: suspendShortly,
			fakes:   map[string]string{"squeue": `/usr/bin/squeue "$@" | sed 's/SUSPENDED/RUNNING/'; exit "${PIPESTATUS[0]}"`},
			outcome: passed, exit: 5, check: invalid("Slurm had suspended the job for"),
		},
		{
			name: "the agent stands still for 20 s", tokenMS: long, with: measured(), during: stopAgent,
			outcome: passed, exit: 5, check: invalid("stood still for"),
		},
		{
			name: "the agent is killed", tokenMS: long, during: killAgent,
			outcome: infra, exit: 3, class: "infra", kind: "agent-died", state: "FAILED",
		},
	}
}

// measured has performance judged: nothing is known of the past, which alone is no reason for another end than 0.
func measured() settings { return settings{perf: "allow_no_baseline: true, allow_collecting: true"} }

// slurmDown: Slurm's daemons.
func slurmDown() []fault {
	apart := &slurmtest.Options{Nodes: "2x4"}
	return []fault{
		{name: "slurmctld is restarted", cluster: apart, tokenMS: long, during: restartController, outcome: passed},
		{name: "slurmctld is down for a minute", cluster: apart, tokenMS: long, during: controllerDown, outcome: passed},
		{name: "slurmdbd is down", cluster: apart, tokenMS: long, during: accountingDown, outcome: passed},
		{
			name: "slurmdbd is down, GEN_0 crashes", cluster: apart, knob: "GEN_0:crash-while-serving", prepare: accountingDown,
			outcome: testFailed, exit: 1, root: "GEN_0", class: "test",
		},
		{name: "accounting is off", cluster: &slurmtest.Options{Nodes: "2x4", NoAccounting: true}, outcome: passed},
		{
			name: "accounting is off, scancel by somebody else", cluster: &slurmtest.Options{Nodes: "2x4", NoAccounting: true}, tokenMS: long, during: scancel,
			outcome: cancelled, exit: 3, says: "cancelled",
		},
	}
}

// scripted: what a real Slurm cannot be made to do here. The fakes replay recorded text.
func scripted() []fault {
	const version = `[ "$1" != --version ] || exec /usr/bin/sbatch --version` + "\n"
	// A job that has ended otherwise is shown as Slurm shows one that ran out of memory.
	oom := map[string]string{
		"squeue": `/usr/bin/squeue "$@" | sed -E 's/\x1f(COMPLETED|FAILED)\x1f[^\x1f]*\x1f/\x1fOUT_OF_MEMORY\x1fOutOfMemory\x1f/'; exit "${PIPESTATUS[0]}"`,
		"sacct":  `/usr/bin/sacct "$@" | sed -E 's/^([0-9]+\|[^|]*)\|(COMPLETED|FAILED)\|[0-9]+:[0-9]+\|/\1|OUT_OF_MEMORY|0:125|/'; exit "${PIPESTATUS[0]}"`,
	}
	return []fault{
		{
			name: "GEN_0 runs out of memory", knob: "GEN_0:exit=253-while-serving", fakes: oom,
			outcome: testFailed, exit: 1, root: "GEN_0", class: "test", says: "out of memory",
		},
		{
			name: "the agent runs out of memory", tokenMS: long, during: killAgent, fakes: oom,
			outcome: testFailed, exit: 1, says: "out of memory", state: "OUT_OF_MEMORY",
		},
		{
			name: "squeue hangs for a while", during: unhang,
			fakes:   map[string]string{"squeue": `[ -e "$ROW/unhung" ] || sleep 600; exec /usr/bin/squeue "$@"`},
			outcome: passed,
		},
		{
			name: "squeue hangs for good", fakes: map[string]string{"squeue": `sleep 600`},
			knob: "GEN_0:crash-while-serving", outcome: testFailed, exit: 1, root: "GEN_0",
		},
		{
			name: "sbatch refuses", quick: true,
			fakes: map[string]string{"sbatch": version +
				`echo "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified" >&2; exit 1`},
			outcome: infra, exit: 3, class: "infra", says: "Invalid account",
		},
		{
			name: "sbatch answers late", fakes: map[string]string{"sbatch": version + `out=$(/usr/bin/sbatch "$@"); code=$?; sleep 5; echo "$out"; exit $code`},
			outcome: passed, check: oneJob,
		},
		{
			name: "sbatch's answer is lost", fakes: map[string]string{"sbatch": version +
				`/usr/bin/sbatch "$@" >/dev/null; echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1`},
			outcome: passed, check: oneJob,
		},
		{
			name: "sbatch answers id;cluster", knob: "GEN_0:crash-before-ready",
			fakes: map[string]string{"sbatch": version +
				`out=$(/usr/bin/sbatch "$@") && echo "$out;$(scontrol show config | sed -n 's/^ClusterName *= *//p')"`},
			outcome: testFailed, exit: 1, root: "GEN_0", check: routed,
		},
	}
}

// storage: the run directory and the login node.
func storage() []fault {
	return []fault{
		{
			name: "the run directory is full", tokenMS: long, prepare: smallDisk, drive: fillDisk,
			outcome: infra, exit: 3, class: "infra", kind: "storage",
		},
		{
			name: "ssh drops mid-run", tokenMS: long, prepare: behindLogin, drive: dropSSH, outcome: passed, check: oneJob,
		},
		{
			name: "ssh drops while GEN_0 crashes", knob: "GEN_0:crash-while-serving,BENCHMARK:patient", prepare: behindLogin, drive: dropSSH,
			outcome: testFailed, exit: 1, root: "GEN_0", check: oneJob,
		},
	}
}

// outputs: what happens to the driver's own output, and with it.
func outputs() []fault {
	return []fault{
		{name: "the reader of the driver's output dies", drive: unread, outcome: passed, check: oneJob},
		{name: "SIGPIPE, SIGXFSZ and SIGXCPU for the driver", tokenMS: long, during: lossSignals, outcome: passed, check: oneJob},
	}
}

// logged is a scancel that notes when it was called.
const logged = `date +%s.%N >>"$ROW/scancel"; exec /usr/bin/scancel "$@"`

// interrupts: SIGTERM in every phase. The job has to be told within a second, and to be gone within KillWait and 5 s.
func interrupts() []fault {
	const late = `[ "$1" != --version ] || exec /usr/bin/sbatch --version
touch "$ROW/sbatch"; sleep 1; out=$(/usr/bin/sbatch "$@"); code=$?; sleep 2; echo "$out"; exit $code`
	rows := []fault{
		{name: "SIGTERM while sbatch has not answered", quick: true, fakes: map[string]string{"sbatch": late}, during: termWhen("submission", submitting)},
		{name: "SIGTERM in queue", quick: true, with: settings{cluster: ", sbatch: [--hold]"}, during: termWhen("a job id", submitted)},
		{name: "SIGTERM in setup", with: settings{workload: "install: sleep 60"}, during: termWhen("setup", inPhase(rundir.PhaseSetup))},
		{name: "SIGTERM in ready", knob: "GEN_0:hang-before-ready", during: termWhen("ready", inPhase(rundir.PhaseReady))},
		{name: "SIGTERM in benchmark", tokenMS: long, during: termWhen("benchmark", inPhase(rundir.PhaseBenchmark))},
		{name: "SIGTERM in drain", knob: "GEN_0:hang-after-benchmark", during: termWhen("drain", inPhase(rundir.PhaseDrain))},
	}
	rows = append(rows, fault{name: "SIGTERM while resume begins", tokenMS: long, drive: termWhileResumeWaits})
	for i := range rows {
		r := &rows[i]
		if r.fakes == nil {
			r.fakes = map[string]string{}
		}
		r.fakes["scancel"] = logged
		r.outcome, r.exit, r.check = cancelled, 143, cancelledInTime
	}
	// The job is over by then: its outcome stands, and the run ends as interrupted all the same.
	rows = append(rows, fault{
		name: "SIGTERM in collect", during: termWhen("the job's end", jobEnded), outcome: passed, exit: 143,
	})
	return rows
}

// kills: SIGKILL of the driver at a random moment, then the next one.
func kills() []fault {
	var rows []fault
	for seed := range 16 {
		rows = append(rows, fault{
			name: fmt.Sprintf("SIGKILL of the driver, seed %d", seed), drive: killAtRandom(uint64(seed)),
			outcome: passed, check: oneJob,
		})
	}
	return append(rows, fault{
		name: "SIGKILL of the driver, node dies, resume", cluster: pinging(), tokenMS: long, drive: killThenNodeDies,
		outcome: infra, exit: 3, root: "CTX_0", class: "infra",
	})
}

// unwatched asserts that the report of a run under a draft says what it cannot know.
func unwatched(t testing.TB, r *row) {
	require.Contains(t, strings.Join(runtest.Document(t, r.dir).Warnings, "\n"), "under a draft servers are not watched")
}

// elsewhere asserts that the retry was kept from the node whose prolog had failed.
func elsewhere(t testing.TB, r *row) {
	require.Len(t, r.names(t), 2, "one retry")
	o := runtest.Outcome(t, r.dir)
	require.Equal(t, "infra", o.Finding.Class, o.Reason)
	require.Equal(t, []string{"gpu1"}, o.Finding.BadNodes, o.Reason)
	require.Contains(t, o.Reason, "the prolog failed on gpu1")
	require.NotContains(t, r.agent2(t).Nodes, "gpu1")
}
