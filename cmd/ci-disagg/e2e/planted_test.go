package e2e_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/plant"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// planter is a task that puts things in the place of what the agent and the driver read, write and remove while the run
// goes on: planter KIND WHERE OUTSIDE.
const planter = `#!/usr/bin/python3
import os, pathlib, shutil, socket, stat, sys
kind, where, outside = sys.argv[1:4]
run = pathlib.Path(os.environ["CI_DISAGG_RUN"])
attempt = run.parent
case = attempt.parent.parent
top = case.parent.parent
places = {
    "role": [run / "roles" / r / f for r in ("server", "client") for f in ("output.log", "status.json", "results.0.xml")],
    "role directories": [run / "roles/server", run / "roles/client"],
    "run": [run / "record.json", run / "nodes"],
    "roles": [run / "roles"],
    "run directory": [run],
    "attempt": [attempt / n for n in ("agent.json", "plan.json", "outcome.json", "job.json", "slurm.out", "environment.json")],
    "attempt directory": [attempt],
    "case": [case / "plan.json"],
    "case directory": [case],
    "top": [top / n for n in ("cancel.json", "ci-disagg.yaml", "ci-disagg.yaml.origin")],
    "report": [top / "report"],
}
def put(p):
    if p.is_dir() and not p.is_symlink():
        shutil.rmtree(p)
    elif p.is_symlink() or p.exists():
        p.unlink()
    p.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link to a file": os.symlink(outside + "/secret", p)
    elif kind == "link to a directory": os.symlink(outside + "/sub", p)
    elif kind == "dangling link": os.symlink(outside + "/none", p)
    elif kind == "FIFO": os.mkfifo(p)
    elif kind == "socket":
        os.chdir(p.parent)
        socket.socket(socket.AF_UNIX).bind("s")
        os.rename("s", p.name)
    elif kind == "directory": (p / "full").mkdir(parents=True)
    elif kind == "sparse file":
        with open(p, "wb") as f: f.truncate(1 << 40)
    elif kind == "hard link": os.link(outside + "/own", p)
    elif kind == "device": os.mknod(p, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    else: sys.exit("what is a " + kind)
for p in places[where]:
    put(p)
    print("planted", p)
`

const plantedConfig = `stage: planted
backend: local
pipelines:
  p:
    roles:
    - name: server
      kind: server
      command: [python3, -m, http.server, "{port}", --bind, "{host}", --directory, "{out}"]
      ready: {http: /}
    - name: planter
      kind: task
      needs: [server]
      command: [%[1]q, "{case.kind}", "{case.where}", %[2]q]
    - name: client
      kind: client
      needs: [planter]
      command: "true"
budgets: {queue: 5m, ready: 5m, benchmark: 5m, drain: 1m, job: 15m}
jobs: {max: 6}
perf: {off: true}
cases:
`

// plantedCases are all kinds at all places of a live run where the fault matrix is run, and each of both once
// elsewhere.
func plantedCases() string {
	wheres := []string{
		"role", "role directories", "run", "roles", "run directory", "attempt", "attempt directory", "case", "case directory", "top", "report",
	}
	kinds := plant.Kinds()
	var b strings.Builder
	for i, w := range wheres {
		for j, k := range kinds {
			if runtest.All() && w != "report" || i%len(kinds) == j { // there is one report
				fmt.Fprintf(&b, "- {name: '%d-%d', vars: {kind: %q, where: %q}}\n", i, j, k.Name, w)
			}
		}
	}
	return b.String()
}

// Whatever the jobs put in the place of files and directories while they run, the run ends, changes and shows nothing
// outside of it, and names what stands there.
func TestALiveRunOfPlantedNodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script, file := filepath.Join(dir, "planter"), filepath.Join(dir, "ci-disagg.yaml")
	outside := plant.NewOutside(t)
	own := t.TempDir() // a hard link is the file itself: it has no canary, and is nobody's
	require.NoError(t, os.WriteFile(filepath.Join(own, "own"), []byte("own"), 0o600))
	for _, name := range []string{"secret", "sub"} {
		require.NoError(t, os.Symlink(filepath.Join(outside.Dir, name), filepath.Join(own, name)))
	}
	require.NoError(t, os.WriteFile(script, []byte(planter), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(fmt.Sprintf(plantedConfig, script, own)+plantedCases()), 0o600))
	copyTo := filepath.Join(dir, "copy")
	j := start(t, local, file, nil, "--copy-report", copyTo)
	require.Equal(t, 1, j.wait(t)) // what a job did to its own run is no infrastructure
	if runtest.All() {
		require.Less(t, j.took, 5*time.Minute)
	}
	outside.Untouched(t, "the run")
	said := j.stdout.String() + j.stderr.String()
	for _, at := range []string{j.dir.Report(), copyTo} {
		require.NoError(t, filepath.WalkDir(at, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			said += string(data)
			return err
		}))
	}
	require.NotContains(t, said, plant.Canary)
	require.NotContains(t, said, "stopped by the infrastructure") // it is the test's own doing
	for _, is := range []string{"is a symbolic link", "is a FIFO", "is a socket"} {
		require.Contains(t, said, is)
	}
	var run rundir.Run
	require.NoError(t, rundir.ReadJSON(j.dir.RunFile(), &run))
	for _, c := range run.Cases {
		require.Equal(t, rundir.CaseDone, c.State, c.ID)
	}
}
