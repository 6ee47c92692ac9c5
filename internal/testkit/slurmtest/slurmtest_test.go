package slurmtest_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var cluster *slurmtest.Cluster

func TestMain(m *testing.M) {
	os.Exit(slurmtest.Main(m, &cluster, slurmtest.Options{Nodes: "2x4,1x8", Conf: slurmtest.Patient()}))
}

// The cluster is what the launch tests rest on: GPUs are counted, PMIx works over nodes, accounting sees the steps.
func TestCluster(t *testing.T) {
	need.Long(t, "a Slurm cluster")
	require.Equal(t, []string{"gpu0", "gpu1", "gpu2"}, cluster.Nodes)
	out := cluster.Command(t, "srun", "-p", "gpu8", "-N1", "-n1", "--gpus-per-node=8", "sh", "-c", `echo "$SLURMD_NODENAME $CUDA_VISIBLE_DEVICES"`)
	require.Equal(t, "gpu2 0,1,2,3,4,5,6,7", out)
	job := cluster.Command(t, "sbatch", "--parsable", "-p", "gpu4", "-N2", "--exclusive", "--gpus-per-node=4", "-o", "/dev/null",
		"--wrap", `srun -J GEN_0 -N2 -n8 --mpi=pmix true; srun -J BENCHMARK -N1 -n1 sh -c 'exit 3'`)
	require.Equal(t, [][]string{
		{job + ".0", "GEN_0", "gpu[0-1]", "0:0"},
		{job + ".1", "BENCHMARK", "gpu0", "3:0"},
	}, cluster.Sacct(t, job, "JobID", "JobName", "NodeList", "ExitCode")[2:])
	_, err := cluster.Try("sbatch", "--test-only", "-p", "limited", "-N3", "--wrap", "true")
	require.Error(t, err, "partition limited takes two nodes")
}

// A killed node takes its tasks along, and Slurm's daemons survive being replaced.
func TestDeaths(t *testing.T) {
	pidFile := t.TempDir() + "/pid"
	job := cluster.Command(t, "sbatch", "--parsable", "-N1", "-w", "gpu1", "--no-requeue", "-o", "/dev/null",
		"--wrap", "echo $$ > "+pidFile+"; trap '' TERM; while :; do sleep 1; done")
	cluster.Eventually(t, 3*time.Minute, "the job to run", func() bool {
		b, err := os.ReadFile(pidFile)
		return err == nil && len(b) > 0
	})
	cluster.KillNode(t, "gpu1")
	pid := cluster.Command(t, "cat", pidFile)
	cluster.Eventually(t, 3*time.Minute, "task "+pid+" to end with its node", func() bool {
		status, err := os.ReadFile("/proc/" + pid + "/status")
		return err != nil || zombie(string(status))
	})

	cluster.StopController(t)
	_, err := cluster.Try("scontrol", "ping")
	require.Error(t, err)
	cluster.StartController(t)
	cluster.StopAccounting(t)
	cluster.StartAccounting(t)
	cluster.StartNode(t, "gpu1")
	cluster.Command(t, "scancel", job)
	cluster.Eventually(t, 3*time.Minute, "the queue to empty", func() bool { return len(cluster.Running(t)) == 0 })
}

func zombie(status string) bool { return strings.Contains(status, "State:\tZ") }

// Whoever may not be root gets a cluster too. Where the tests do not run as root, TestMain has shown it.
func TestWithoutRoot(t *testing.T) {
	need.Long(t, "a Slurm cluster")
	if os.Geteuid() != 0 {
		t.SkipNow()
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("/tmp", "slurm-") // t.TempDir is root's alone
	require.NoError(t, err)
	defer func() { require.NoError(t, os.RemoveAll(dir)) }()
	require.NoError(t, os.Chown(dir, nobody, nobody))
	for _, script := range []string{"up", "down", "reaper"} {
		text, err := os.ReadFile("../../../testdata/slurm/" + script)
		require.NoError(t, err)
		require.NoError(t, rundir.WriteFile(dir+"/"+script, text, 0o755))
	}
	asNobody := func(script string, args ...string) {
		cmd := exec.Command("setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", dir + "/" + script}, args...)...)
		cmd.Dir = "/"
		log, err := os.Create(dir + "/log") // no pipe: the daemons would keep it open
		require.NoError(t, err)
		defer func() { _ = log.Close() }()
		cmd.Stdout, cmd.Stderr = log, log
		err = cmd.Run()
		said, _ := os.ReadFile(dir + "/log")
		require.NoError(t, err, "%s", said)
	}
	// Of the hundred ports reserved for the package's cluster, the half that it does not use.
	asNobody("up", "--nodes", "1x4", "--port-base", strconv.Itoa(cluster.Port+50), "--owner", strconv.Itoa(os.Getpid()), dir+"/cluster")
	asNobody("down", dir+"/cluster")
}
