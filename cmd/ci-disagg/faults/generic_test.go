package faults_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/ports"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// Pipelines of software that nobody here wrote: redis with its own benchmark, and two nginx behind a third one, under
// wrk.

// redisServer is what the server of the pipeline redis runs, unless a row says otherwise.
const redisServer = `exec redis-server --port {port} --save ""`

// redisClient loads the server for longer than any row takes.
const redisClient = `nice redis-benchmark -h {server.host} -p {server.port} -c 1 -n 1000000000 -t set -q`

// redis is a pipeline of a server, a client, and what else there is.
func redis(server, client string, more ...string) string {
	return `
  redis:
    roles:
    - name: server
      kind: server
      dir: "{out}"
      command: |
        ` + server + `
      ready: {tcp: true}
    - name: client
      kind: client
      command: |
        ` + client + `
` + strings.Join(more, "")
}

// nginx is a pipeline of two servers, a router in front of them, and a client.
const nginx = `
  nginx:
    roles:
    - name: server
      count: 2
      kind: server
      dir: "{out}"
      command: |
        echo "daemon off; pid nginx.pid; events { worker_connections 256; }
          http { access_log off; server { listen {host}:{port}; location / { return 200 ok; } } }" >nginx.conf
        exec nginx -p {out} -c nginx.conf -e stderr
      ready: {http: /}
    - name: router
      kind: router
      dir: "{out}"
      command: |
        servers={server.addresses}
        echo "daemon off; pid nginx.pid; events { worker_connections 256; }
          http { access_log off; upstream all { server ${servers//,/; server }; keepalive 8; }
          server { listen {host}:{port}; location / { proxy_pass http://all; proxy_http_version 1.1; proxy_set_header Connection \"\"; } } }" >nginx.conf
        exec nginx -p {out} -c nginx.conf -e stderr
      ready: {http: /}
    - name: client
      kind: client
      command: nice wrk -t1 -c1 -d600s {router.url}/
`

// signal sends a signal to the program that a role runs, once the client is at work.
func signal(role, program string, sig syscall.Signal) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		r.phase(t, rundir.PhaseBenchmark)
		r.until(t, runtest.Soon, "the client", func() bool {
			for _, line := range r.processes("CI_DISAGG_ROLE=client") {
				if strings.HasPrefix(line, "redis-benchmark ") || strings.HasPrefix(line, "wrk ") {
					return true
				}
			}
			return false
		})
		for pid, line := range r.working(role) {
			if strings.Contains(line, program) {
				require.NoError(t, syscall.Kill(pid, sig))
				return
			}
		}
		t.Fatalf("%s does not run %s", role, program)
	}
}

// working are the processes that work in the output folder of a role, or of any: nginx and redis write their titles
// over the environment by which others are known.
func (r *row) working(role string) map[int]string {
	out := map[int]string{}
	for pid, line := range runtest.Processes(func([]string) bool { return true }) {
		dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		if err == nil && strings.HasPrefix(dir+"/", string(r.seen)+"/") && strings.Contains(dir+"/", "/output/"+role) {
			out[pid] = line
		}
	}
	return out
}

// noneWorking asserts that nothing is left of servers that cannot be known by their environment.
func noneWorking(then func(testing.TB, *row)) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		r.until(t, runtest.Soon, "the end of all servers", func() bool { return len(r.working("")) == 0 })
		if then != nil {
			then(t, r)
		}
	}
}

// generic: pipelines that are data have the same ends, by their roles' kinds.
func generic() []fault {
	const impatient = "ready: 5s, benchmark: 5m, drain: 2m, job: 15m"
	rows := []fault{
		{
			name: "redis: the server is killed", with: settings{pipelines: redis(redisServer, redisClient)},
			during: signal("server", "redis-server", syscall.SIGKILL), outcome: infra, exit: 3, root: "server", class: "infra", says: "killed by SIGKILL",
		},
		{
			name: "redis: the server crashes", with: settings{pipelines: redis(redisServer, redisClient)},
			during: signal("server", "redis-server", syscall.SIGSEGV), outcome: testFailed, exit: 1, root: "server", class: "test", says: "SIGSEGV",
		},
		{
			name: "redis: the server hangs", with: settings{pipelines: redis(redisServer, redisClient+" --csv"), workload: "hang: 5s"},
			during: signal("server", "redis-server", syscall.SIGSTOP), outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, root: "server", kind: "hang",
			says: "does not answer",
		},
		{
			name: "redis: the server is late", with: settings{pipelines: redis("sleep 600; "+redisServer, redisClient), budgets: impatient},
			outcome: rundir.TimeoutOf(rundir.PhaseReady), exit: 1, root: "server", kind: "ready-timeout", says: "not ready within 5s (budgets.ready): nobody listens at ",
		},
		{
			name: "redis: the server is on a wrong port", prepare: wrongPort, with: settings{pipelines: redis(`: {port}; exec redis-server --port WRONG_PORT --save ""`, redisClient), budgets: impatient},
			outcome: rundir.TimeoutOf(rundir.PhaseReady), exit: 1, root: "server", kind: "ready-timeout", says: "not ready within 5s (budgets.ready): nobody listens at ",
		},
		{
			name: "redis: the server's disk is full", prepare: needsRoot, with: settings{pipelines: redis(
				`exec unshare --mount bash -c 'mkdir disk && mount -t tmpfs -o size=1m none disk && exec redis-server --port "$1" --save "" --appendonly yes --dir disk' - {port}`,
				redisClient+" -d 1000")},
			outcome: infra, exit: 3, root: "client", class: "infra", says: "No space left on device",
		},
		{
			name: "redis: the server's files are limited", with: settings{pipelines: redis(
				`ulimit -f 100; `+redisServer+` --appendonly yes --appendfsync always`,
				redisClient+" -d 1000")},
			outcome: testFailed, exit: 1, root: "server", class: "test", says: "SIGXFSZ",
		},
		{
			name: "redis: the client fails", with: settings{pipelines: redis(redisServer, "redis-cli -e -h {server.host} -p {server.port} no-such-command")},
			outcome: testFailed, exit: 1, root: "client", says: "exit 1",
		},
		{
			name: "redis: a monitor that may leave does so", with: settings{pipelines: redis(redisServer, `until grep -qs 'the others go on' "$CI_DISAGG_ATTEMPT/agent.json"; do sleep 0.1; done`, `
    - {name: monitor, kind: task, critical: false, needs: [server], command: "exit 3"}
`)},
			outcome: passed, check: func(t testing.TB, r *row) {
				require.Contains(t, runtest.Outcome(t, r.dir).Reason, "monitor (critical: false) left: exit 3")
			},
		},
		{
			name: "redis: a monitor that may leave is never started", with: settings{pipelines: redis(redisServer, "sleep 1", `
    - {name: exporter, kind: task, critical: false, needs: [server], command: "sleep 600"}
    - {name: monitor, kind: task, critical: false, needs: [exporter], command: "exit 3"}
`)},
			outcome: passed, check: func(t testing.TB, r *row) {
				require.Contains(t, runtest.Outcome(t, r.dir).Reason, "monitor (critical: false) was not started")
			},
		},
		{
			name: "nginx: a server behind the router is killed", with: settings{pipelines: nginx},
			during: signal("server_1", "nginx: master", syscall.SIGKILL), outcome: infra, exit: 3, root: "server_1", class: "infra", says: "killed by SIGKILL",
		},
		{
			name: "nginx: the router leaves", with: settings{pipelines: nginx},
			during: signal("router", "nginx: master", syscall.SIGQUIT), outcome: testFailed, exit: 1, root: "router", kind: "early-exit",
			says: "exit 0 before the client was through",
		},
	}
	for i := range rows {
		rows[i].prepare, rows[i].check = software(rows[i].prepare), noneWorking(rows[i].check)
	}
	return rows
}

// wrongPort gives the row a port that is free and that no role is given.
func wrongPort(t testing.TB, r *row) {
	t.Helper()
	port, lock, err := ports.Range{Name: "faults", From: 2000, To: 3000, N: 1}.Reserve()
	require.NoError(t, err)
	t.Cleanup(func() { _ = lock.Close() })
	r.with.pipelines = strings.ReplaceAll(r.with.pipelines, "WRONG_PORT", strconv.Itoa(port))
	r.config = r.with.write(t, map[bool]string{false: "slurm", true: "local"}[r.local])
}

// software is what the rows run, from Debian.
func software(then func(testing.TB, *row)) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		t.Helper()
		need.Programs(t, "redis-server redis-tools nginx-light wrk", "redis-server", "redis-benchmark", "redis-cli", "nginx", "wrk")
		if then != nil {
			then(t, r)
		}
	}
}

func needsRoot(t testing.TB, _ *row) { need.Root(t) }
