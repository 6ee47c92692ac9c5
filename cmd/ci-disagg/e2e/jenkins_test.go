package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// shellLine is what the shared library runs; TestJenkinsAbort finds it there.
const shellLine = `cd "$CI_DISAGG_WORKSPACE" && exec "$CI_DISAGG_BINARY" run --args-file "$CI_DISAGG_ARGS"`

// wrapper starts a script as Jenkins' durable-task plugin does: in the background under nohup, below a shell that keeps
// touching the log and writes the exit code to a file. The script carries the cookie, the shell around it does not.
const wrapper = `(
  while [ -d "$CONTROL" ] && [ ! -f "$CONTROL/result" ]; do touch "$CONTROL/log"; sleep 3; done &
  export JENKINS_SERVER_COOKIE="$COOKIE"
  unset COOKIE
  sh -xe "$CONTROL/script.sh" >"$CONTROL/log" 2>&1
  echo $? >"$CONTROL/result.new"
  mv "$CONTROL/result.new" "$CONTROL/result"
) >/dev/null 2>&1 </dev/null &`

// scancelSpy stands before the real scancel on PATH and notes when it was started, and with which cookies.
const scancelSpy = `#!/bin/sh
{ date +%s.%N; env | grep -E '^(JENKINS_|BUILD_ID=|HUDSON_)'; } >>"$SPY_LOG"
exec REAL "$@"
`

// step is an sh step of Jenkins.
type step struct {
	control string
	cookie  string
}

func startStep(t *testing.T, env []string) step {
	t.Helper()
	control := t.TempDir()
	s := step{control: control, cookie: "durable-" + strings.ReplaceAll(control, "/", "-")}
	require.NoError(t, os.WriteFile(filepath.Join(s.control, "script.sh"), []byte(shellLine), 0o600))
	cmd := exec.Command("nohup", "sh", "-c", wrapper)
	cmd.Env = append(env, "CONTROL="+s.control, "COOKIE="+s.cookie, "JENKINS_SERVER_COOKIE=not-the-wrapper", "BUILD_ID=7", "JENKINS_NODE_COOKIE=node")
	cmd.Dir = t.TempDir()
	require.NoError(t, cmd.Run())
	return s
}

// carriers are the processes that Jenkins would end: those with the cookie, children before parents.
func (s step) carriers(t *testing.T) []int {
	t.Helper()
	found := runtest.Processes(func(env []string) bool { return slices.Contains(env, "JENKINS_SERVER_COOKIE="+s.cookie) })
	parents := map[int]int{}
	for pid, line := range found {
		require.NotContains(t, line, "-m pytest", "a process of the job can be shot by Jenkins' reaper")
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it is gone
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		parents[pid], err = strconv.Atoi(fields[1])
		require.NoError(t, err)
	}
	depth := func(pid int) (n int) {
		for ; parents[pid] != 0 && n < 100; n++ {
			pid = parents[pid]
		}
		return n
	}
	var pids []int
	for pid := range parents {
		pids = append(pids, pid)
	}
	slices.SortFunc(pids, func(a, b int) int { return depth(b) - depth(a) })
	return pids
}

// TestJenkinsAbort aborts a running build the way Jenkins does, on a real Slurm: every process of the step gets
// SIGTERM, and whatever is not done within seconds is not done at all.
func TestJenkinsAbort(t *testing.T) {
	t.Parallel()
	library, err := os.ReadFile(filepath.Join(root, "jenkins/vars/ciDisagg.groovy"))
	require.NoError(t, err)
	require.Contains(t, string(library), "'"+shellLine+"'", "the library runs another line than this test")

	tests := []struct {
		name  string
		ready func(j *job) bool // when to abort
	}{
		{name: "running", ready: func(j *job) bool { return j.agentSays(`"phase": "benchmark"`) }},
		{name: "just_submitted", ready: func(j *job) bool { return j.queued(true) }},
		// The intent is on disk; whether sbatch has been started, is being answered or never will be, nobody knows.
		{name: "about_to_submit", ready: func(j *job) bool { return len(j.glob("job.json")) == 1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "e2e-abort-") //nolint:usetesting // kept when the test fails
			require.NoError(t, err)
			j := &job{dir: rundir.Dir(filepath.Join(dir, "run"))}
			workspace := filepath.Join(dir, "workspace")
			args, err := json.Marshal(map[string]any{
				"flags": map[string]any{
					"config": config(t, slurm, ""), "runDir": string(j.dir), "runId": "jenkins-abort-7", "quiet": true, "wait": true,
					"copyReport": filepath.Join(workspace, "report"),
				},
				"args": []string{runtest.Wide},
			})
			require.NoError(t, err)
			argsFile := filepath.Join(dir, "args.json")
			require.NoError(t, os.WriteFile(argsFile, args, 0o600))
			log := spyOnScancel(t, dir)
			s := startStep(t, append(cluster.Env(t), "CI_DISAGG_BINARY="+binary, "CI_DISAGG_ARGS="+argsFile, "CI_DISAGG_WORKSPACE="+dir, "SPY_LOG="+log,
				"CI_DISAGG_TOKEN_MS=2000", "PATH="+dir+":"+os.Getenv("PATH")))
			t.Cleanup(func() {
				if t.Failed() {
					out, _ := os.ReadFile(s.control + "/log")
					t.Logf("kept: %s\n%s", dir, out)
					return
				}
				_ = os.RemoveAll(dir)
			})
			cluster.Eventually(t, runtest.Soon, "the moment to abort", func() bool { return tt.ready(j) })

			carriers := s.carriers(t)
			began := time.Now()
			for _, pid := range carriers {
				_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended meanwhile
			}

			cluster.Eventually(t, runtest.Within(8*time.Second), "the job to be gone within KillWait + 5 s", func() bool { return j.queued(false) })
			gone := time.Since(began)
			cluster.Eventually(t, runtest.Soon, "the exit code", func() bool { _, err := os.Stat(s.control + "/result"); return err == nil })
			code, err := os.ReadFile(s.control + "/result")
			require.NoError(t, err)
			require.Equal(t, "143\n", string(code))
			ended := time.Since(began)

			if j.submitted(t) {
				first, cookies := scancelled(t, log)
				require.Less(t, first.Sub(began), runtest.Within(time.Second), "SIGTERM to scancel")
				require.Empty(t, cookies, "scancel could be shot by Jenkins' reaper")
				t.Logf("scancel after %v, job gone after %v, step ended after %v", first.Sub(began), gone, ended)
			} else {
				// Slurm may have been asked all the same to cancel what sbatch might have left.
				require.Equal(t, "about_to_submit", tt.name, "no job was submitted")
			}

			// The mv that wrote the exit code carries the cookie too.
			cluster.Eventually(t, runtest.Soon, "the processes with the step's cookie to end", func() bool { return len(s.carriers(t)) == 0 })
			j.nothingLeft(t, slurm)
			require.Equal(t, "interrupted", runtest.Document(t, j.dir).Result)
			require.FileExists(t, filepath.Join(workspace, "report/report/junit.xml"), "what Jenkins publishes after an abort")
		})
	}
}

// spyOnScancel puts the spy into dir and gives the path of its log.
func spyOnScancel(t *testing.T, dir string) string {
	t.Helper()
	path, err := exec.LookPath("scancel")
	require.NoError(t, err)
	spy := strings.Replace(scancelSpy, "REAL", path, 1)
	require.NoError(t, rundir.WriteFile(filepath.Join(dir, "scancel"), []byte(spy), rundir.ExecMode))
	return filepath.Join(dir, "scancel.log")
}

// scancelled is when scancel was first started, and the cookies it was ever given.
func scancelled(t *testing.T, log string) (first time.Time, cookies []string) {
	t.Helper()
	data, err := os.ReadFile(log)
	require.NoError(t, err, "scancel was never started")
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if sec, nsec, ok := strings.Cut(line, "."); ok && !strings.Contains(line, "=") {
			s, err := strconv.ParseInt(sec, 10, 64)
			require.NoError(t, err)
			n, err := strconv.ParseInt(nsec, 10, 64)
			require.NoError(t, err)
			if at := time.Unix(s, n); first.IsZero() || at.Before(first) {
				first = at
			}
			continue
		}
		cookies = append(cookies, line)
	}
	return first, cookies
}

func (j *job) glob(name string) []string {
	files, _ := filepath.Glob(string(j.dir) + "/cases/*/rep-0/attempt-1/" + name)
	return files
}

func (j *job) agentSays(text string) bool {
	files := j.glob("agent.json")
	if len(files) != 1 {
		return false
	}
	data, err := os.ReadFile(files[0])
	return err == nil && strings.Contains(string(data), text)
}

// submitted reports whether Slurm has ever had a job of the run.
func (j *job) submitted(t *testing.T) bool {
	t.Helper()
	var rec rundir.Job
	require.NoError(t, rundir.ReadJSON(j.glob("job.json")[0], &rec))
	return strings.TrimSpace(cluster.Ask(t, "squeue", "-h", "-t", "all", "-o", "%A", "--name", rec.Name)) != ""
}

// queued reports whether Slurm says that a job of the run is, or is not, pending, running or completing. One that gives
// no answer says neither.
func (j *job) queued(is bool) bool {
	files := j.glob("job.json")
	if len(files) != 1 {
		return !is
	}
	var rec rundir.Job
	if rundir.ReadJSON(files[0], &rec) != nil {
		return false
	}
	names, err := cluster.Try("squeue", "-h", "-o", "%j")
	return err == nil && slices.Contains(strings.Fields(names), rec.Name) == is
}
