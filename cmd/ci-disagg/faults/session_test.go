package faults_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// pairs is a pipeline of two builds that are compared: a redis that dies in the runs that DIES names, of the signal
// HOW, and a client that fails in those that FAILS names, finds its disk full in those that FULL names, and else says
// how fast its build is, a little off in each run.
func pairs(base, head string) settings {
	return settings{perf: "allow_no_baseline: true, allow_collecting: true", pipelines: `
  pairs:
    roles:
    - name: server
      kind: server
      dir: "{out}"
      command: |
        k=${CI_DISAGG_RUN##*-}
        if [[ $DIES = always || $DIES = "$k" ]]; then (until [ -e ../asked ]; do sleep 0.1; done; kill -${HOW:-SEGV} $$) & fi
        exec redis-server --port {port} --save ""
      ready: {tcp: true}
    - name: client
      kind: client
      command: |
        k=${CI_DISAGG_RUN##*-}
        redis-cli -h {server.host} -p {server.port} ping
        touch {out}/../asked
        if [[ $DIES = always || $DIES = "$k" ]]; then sleep 600; fi
        if [[ $FAILS = always || $FAILS = "$k" ]]; then echo "it breaks"; exit 3; fi
        if [[ $FULL = always || $FULL = "$k" ]]; then cat bench.csv /dev/zero >/dev/full; fi
        sleep ${NAP:-0}
        v=$((SPEED + k * 7 % 5))
        printf '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"\n"SET","%d.00","1","1","1","1","1","1"\n' $v > {out}/bench.csv
      bench: [{reader: redis-benchmark, files: bench.csv}]
builds:
  base: {env: {` + base + `}}
  head: {env: {` + head + `}}
ab: {mode: always, answer_wait: 1m}`}
}

const same = `SPEED: "1000"`

// inSession asserts what a session found: its word, after so many pairs, and what became of the runs that gave no
// measurement, as "A of pair 1: why".
func inSession(word string, pairs int, lost ...string) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		c := runtest.Document(t, r.dir).Cases[0]
		require.NotNil(t, c.AB, c.Message)
		require.Equal(t, word, string(c.AB.Verdict), c.Message)
		require.Equal(t, pairs, c.AB.Pairs, c.Message)
		var got []string
		for i, p := range c.AB.Measured {
			for build, run := range map[string][]string{"A": p.A.Problems, "B": p.B.Problems} {
				if len(run) > 0 {
					got = append(got, fmt.Sprintf("%s of pair %d: %s", build, i+1, run[0]))
				}
			}
		}
		require.Len(t, got, len(lost), "%v", got)
		for i, want := range lost {
			require.Regexp(t, "^"+want, got[i])
		}
	}
}

// sessions: what can happen inside a paired session: which run, which build, whose fault.
func sessions() []fault {
	hangs := func(base, head string) settings {
		s := pairs(base, head)
		s.workload = "hang: 4s"
		return s
	}
	const hang, full = `\[server\] hangs: does not answer`, `\[client\] .*No space left on device`
	const crash, fail = `\[server\] .*killed by SIGSEGV`, `\[client\] exit 3`
	rows := []fault{
		{
			name: "session: base's server crashes in one run", with: pairs(same+`, DIES: "2"`, same),
			outcome: passed, check: inSession("pass", 4, "A of pair 1: "+crash),
		},
		{
			name: "session: head's server crashes in one run", with: pairs(same, same+`, DIES: "4"`),
			outcome: passed, check: inSession("pass", 4, "B of pair 2: "+crash),
		},
		{
			name: "session: head's server crashes in every run", with: pairs(same, same+`, DIES: always`),
			outcome: testFailed, exit: 1, root: "server", class: "test", says: "SIGSEGV",
			check: inSession("failed", 0, "B of pair 1: "+crash, "B of pair 2: "+crash, "B of pair 3: "+crash),
		},
		{
			name: "session: base's server crashes in every run", with: pairs(same+`, DIES: always`, same),
			attempt: testFailed, outcome: passed, exit: 5, check: inSession("invalid", 0, "A of pair 1: "+crash, "A of pair 2: "+crash, "A of pair 3: "+crash),
		},
		{
			name: "session: head's client fails in one run", with: pairs(same, `SPEED: "900", FAILS: "3"`),
			outcome: passed, exit: 4, check: inSession("regression", 4, "B of pair 1: "+fail),
		},
		{
			name: "session: head's client fails in every run", with: pairs(same, same+`, FAILS: always`),
			outcome: testFailed, exit: 1, root: "client", says: "exit 3",
			check: inSession("failed", 0, "B of pair 1: "+fail, "B of pair 2: "+fail, "B of pair 3: "+fail),
		},
		{
			name: "session: base's server hangs in one run", with: hangs(same+`, DIES: "2", HOW: STOP`, same),
			outcome: passed, check: inSession("pass", 4, "A of pair 1: "+hang),
		},
		{
			name: "session: head's server hangs in every run", with: hangs(same, same+`, DIES: always, HOW: STOP`),
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, root: "server", kind: "hang",
			check: inSession("failed", 0, "B of pair 1: "+hang, "B of pair 2: "+hang, "B of pair 3: "+hang),
		},
		{
			name: "session: head's disk is full in one run", with: pairs(same, `SPEED: "900", FULL: "3"`),
			outcome: passed, exit: 4, check: inSession("regression", 4, "B of pair 1: "+full),
		},
		{
			name: "session: head's disk is full in every run", with: pairs(same, same+`, FULL: always`),
			outcome: infra, exit: 3, root: "client", class: "infra", says: "No space left on device",
			check: inSession("failed", 0, "B of pair 1: "+full, "B of pair 2: "+full, "B of pair 3: "+full),
		},
		{
			name: "session: the driver is killed, then resume", with: pairs(same+`, NAP: "0.2"`, `SPEED: "900", NAP: "0.2"`), drive: killAndResume,
			outcome: passed, exit: 4, check: inSession("regression", 4),
		},
	}
	for i := range rows {
		rows[i].prepare, rows[i].check = software(rows[i].prepare), noneWorking(rows[i].check)
	}
	return rows
}

// sessionJobs: what happens to the job of a session.
func sessionJobs() []fault {
	const naps = `, NAP: "1"`
	busy := pairs(same+naps, `SPEED: "900"`+naps)
	rows := []fault{
		{
			name: "session: the run directory is full", with: busy, prepare: smallDisk, drive: fillDisk,
			outcome: infra, exit: 3, class: "infra", kind: "storage",
		},
		{
			name: "session: its node dies", cluster: pinging(), with: busy, during: afterRun(0, killNode(0)),
			outcome: infra, exit: 3, class: "infra", state: "NODE_FAIL", check: nodeDeathInTime,
		},
		{
			name: "session: scancel by somebody else", with: busy, during: afterRun(2, scancel),
			outcome: cancelled, exit: 3, says: "cancelled", state: "CANCELLED",
		},
		{
			name: "session: ci-disagg cancel", with: busy, during: afterRun(2, cancelVerb),
			outcome: cancelled, exit: 3, says: "cancelled",
		},
		{
			name: "session: SIGTERM", with: busy, fakes: map[string]string{"scancel": logged},
			during:  termWhen("a run that has ended", func(r *row) bool { return r.ranTo(2) }),
			outcome: cancelled, exit: 143, check: cancelledInTime,
		},
	}
	for i := range rows {
		rows[i].prepare, rows[i].check = software(rows[i].prepare), noneWorking(rows[i].check)
	}
	return rows
}

// ranTo reports whether the n-th run of the session has ended.
func (r *row) ranTo(n int) bool {
	_, err := os.Stat(runtest.Attempt(r.dir).Run(n).RecordFile())
	return err == nil && len(r.agent().Runs) > n
}

// afterRun does something once the n-th run of the session has ended, and the next is at work.
func afterRun(n int, then func(testing.TB, *row)) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		r.until(t, runtest.Soon, "a run that has ended", func() bool { return r.ranTo(n) })
		then(t, r)
	}
}

// cancelVerb ends the run from another process.
func cancelVerb(t testing.TB, r *row) {
	r.act()
	cmd := exec.Command(binary, "cancel", string(r.seen))
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

// killAndResume kills the driver in the middle of a session, and lets resume take it up.
func killAndResume(t testing.TB, r *row) int {
	r.run(t)
	r.until(t, runtest.Soon, "an answer", func() bool {
		files, err := filepath.Glob(filepath.Join(string(runtest.Attempt(r.dir)), "answers", "*.json"))
		return err == nil && len(files) > 0
	})
	require.NoError(t, r.cmd.Process.Kill())
	_ = r.cmd.Wait()
	r.start(t, []string{"resume", "--quiet", string(r.seen)})
	return r.wait(t)
}

// postgres is the pipeline of the example: a server, a task that fills it, and a client, from Debian; filled so much.
func postgres(scale string) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		need.Programs(t, "postgresql postgresql-contrib", "pgbench")
		need.Root(t) // else the server runs as who calls the test, which the example allows, but not its host's folder
		text, err := os.ReadFile(filepath.Join(root, "examples/postgres.yaml"))
		require.NoError(t, err)
		_, rest, _ := strings.Cut(string(text), "\npipelines:")
		pipelines, _, ok := strings.Cut(rest, "\ncases:")
		require.True(t, ok)
		r.with.pipelines = strings.ReplaceAll(pipelines, `"{case.scale}"`, scale) + "\ncases: [{vars: {clients: 2}}]"
		r.config = r.with.write(t, map[bool]string{false: "slurm", true: "local"}[r.local])
	}
}

// databases: a pipeline with a task between server and client.
func databases() []fault {
	return []fault{
		{
			name: "postgres: a good run", prepare: postgres("1"), with: settings{pipelines: " ", perf: measured().perf}, outcome: passed,
			check: func(t testing.TB, r *row) {
				var got []string
				for _, m := range runtest.Document(t, r.dir).Cases[0].Metrics {
					got = append(got, m.Point+" "+m.Metric)
				}
				require.Contains(t, got, "con2 request_throughput")
			},
		},
		{
			name: "postgres: the task that fills it fails", prepare: postgres("none"), with: settings{pipelines: " ", perf: measured().perf},
			outcome: testFailed, exit: 1, root: "fill", says: "exit 1",
		},
	}
}
