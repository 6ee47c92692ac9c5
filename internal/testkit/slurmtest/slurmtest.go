// Package slurmtest gives a test binary a real Slurm cluster of its own.
//
// In: Options. Out: a running Cluster of make-believe GPU nodes on this machine, brought up by testdata/slurm/up, with
// the environment under which Slurm's commands talk to it. One cluster per test binary, started in TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(slurmtest.Main(m, &cluster, slurmtest.Options{})) }
//
// Clusters of several binaries run side by side, each on its own ports. A cluster ends with Down, or by itself when the
// test binary has died. Missing Debian packages are a failure that names them, never a skip. Under -short there is no
// cluster, and a test that asks for one is skipped. The package is for tests only and is imported by nothing else.
package slurmtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/ports"
)

// Options say what cluster is wanted. The zero value is four nodes of four GPUs with accounting.
type Options struct {
	Nodes        string   // node groups COUNTxGPUS[,COUNTxGPUS…]; "" is 4x4. Nodes are gpu0, gpu1, … over all groups
	NoAccounting bool     // no slurmdbd: sacct has nothing to say
	Limited      string   // MAXNODES:MINUTES of partition "limited"; "" is 2:5
	Conf         []string // further slurm.conf lines, which win over the ones before them
}

// Patient are lines of Options.Conf for tests in which none of Slurm's own bounds is to pass: with the short ones of
// `up` a busy machine loses nodes, or the agent before it has closed its record. KillWait still passes where a task
// ignores SIGTERM and nobody else kills it.
func Patient() []string {
	return []string{"SlurmdTimeout=300", "MessageTimeout=60", "BatchStartTimeout=120", "UnkillableStepTimeout=600", "KillWait=120"}
}

// Cluster is a running cluster.
type Cluster struct {
	Dir   string   // holds slurm.conf, log/, spool/, tmp/ of every node
	Port  int      // slurmctld's port; slurmdbd, MariaDB and slurmd follow
	Nodes []string // gpu0, gpu1, …
	Conf  string   // path of slurm.conf

	scripts string
	lock    *os.File
}

// Main is TestMain's body: brings up a cluster into *c, runs the tests, ends the cluster. It returns the exit code and
// prints why when the cluster could not be had. Under -short *c stays nil.
func Main(m *testing.M, c **Cluster, o Options) (code int) {
	flag.Parse()
	if testing.Short() {
		return m.Run()
	}
	cluster, err := Up(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := cluster.Down(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}()
	*c = cluster
	return m.Run()
}

// Start is Up for one test: the cluster ends with it, and under -short it is skipped.
func Start(tb testing.TB, o Options) *Cluster {
	tb.Helper()
	need.Long(tb, cluster)
	c, err := Up(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Down(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

const cluster = "a Slurm cluster"

// Up brings up a cluster and waits until all its nodes are idle: about 5 s, without accounting 1 s.
func Up(o Options) (*Cluster, error) {
	scripts, err := scriptDir()
	if err != nil {
		return nil, err
	}
	port, lock, err := ports.Range{Name: "slurmtest", From: 4000, To: 10000, N: 100}.Reserve()
	if err != nil {
		return nil, err
	}
	// Short on purpose: a socket path holds 107 bytes.
	dir, err := os.MkdirTemp("/tmp", "slurm-")
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	c := &Cluster{Dir: dir, Port: port, Conf: filepath.Join(dir, "slurm.conf"), scripts: scripts, lock: lock}
	args := []string{"--port-base", strconv.Itoa(port), "--owner", strconv.Itoa(os.Getpid())}
	if o.Nodes != "" {
		args = append(args, "--nodes", o.Nodes)
	}
	if o.NoAccounting {
		args = append(args, "--no-accounting")
	}
	if o.Limited != "" {
		args = append(args, "--limited", o.Limited)
	}
	for _, line := range o.Conf {
		args = append(args, "--conf", line)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if out, err := command(ctx, nil, filepath.Join(scripts, "up"), append(args, dir)...); err != nil {
		return nil, errors.Join(fmt.Errorf("slurmtest: no Slurm cluster: %w\n%s", err, out), os.RemoveAll(dir), lock.Close())
	}
	c.Nodes, err = c.nodes(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Down())
	}
	return c, nil
}

// Down kills whatever belongs to the cluster, running jobs included, and removes its directory.
func (c *Cluster) Down() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out, err := command(ctx, nil, filepath.Join(c.scripts, "down"), c.Dir)
	if err != nil {
		err = fmt.Errorf("slurmtest: down: %w\n%s", err, out)
	}
	return errors.Join(err, os.RemoveAll(c.Dir), c.lock.Close())
}

// Env is this process's environment, freed of any other cluster's variables and pointed at this one. Under -short, when
// there is no cluster, the test is skipped.
func (c *Cluster) Env(tb testing.TB) []string {
	tb.Helper()
	if c == nil {
		need.Long(tb, cluster)
	}
	return c.env()
}

func (c *Cluster) env() []string {
	var env []string
	for _, e := range os.Environ() {
		if !foreign(e) {
			env = append(env, e)
		}
	}
	return append(env, "SLURM_CONF="+c.Conf)
}

func foreign(env string) bool {
	for _, p := range []string{"SLURM", "SBATCH", "SALLOC", "SACCT", "SQUEUE", "SINFO", "PMI"} {
		if strings.HasPrefix(env, p) {
			return true
		}
	}
	return false
}

// Command runs a Slurm command (or any other) against the cluster and returns what it printed, stderr included, without
// surrounding space. An error fails the test.
func (c *Cluster) Command(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	if c == nil {
		need.Long(tb, cluster)
	}
	out, err := c.Try(name, args...)
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// Try is Command for a call that may fail. It is ended after a minute.
func (c *Cluster) Try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return command(ctx, c.env(), name, args...)
}

// Ask is Command for a question, which is put again until there is an answer.
func (c *Cluster) Ask(tb testing.TB, name string, args ...string) (out string) {
	tb.Helper()
	if c == nil {
		need.Long(tb, cluster)
	}
	c.Eventually(tb, patience, name+" to answer", func() bool {
		var err error
		out, err = c.Try(name, args...)
		return err == nil
	})
	return out
}

// patience is for what a cluster does by itself, however busy the machine is.
const patience = 2 * time.Minute

// Sacct is the accounting rows of a job, its steps included, each split into the given fields. It waits for the job's
// own row to show an end, since accounting lags.
func (c *Cluster) Sacct(tb testing.TB, job string, fields ...string) [][]string {
	tb.Helper()
	var rows [][]string
	c.Eventually(tb, patience, "sacct to know the end of job "+job, func() bool {
		out, err := c.Try("sacct", "-nP", "-j", job, "-o", "End,State,"+strings.Join(fields, ","))
		if err != nil || out == "" {
			return false
		}
		rows = nil
		for line := range strings.Lines(out) {
			f := strings.Split(strings.TrimRight(line, "\n"), "|")
			if f[0] == "Unknown" || f[1] == "RUNNING" || f[1] == "PENDING" {
				return false
			}
			rows = append(rows, f[2:])
		}
		return true
	})
	return rows
}

// Running lists the ids of the jobs that are pending, running or completing.
func (c *Cluster) Running(tb testing.TB) []string {
	tb.Helper()
	return strings.Fields(c.Ask(tb, "squeue", "-h", "-o", "%i"))
}

// Eventually polls until ok or fails the test after d.
func (c *Cluster) Eventually(tb testing.TB, d time.Duration, what string, ok func() bool) {
	tb.Helper()
	end := time.Now().Add(d)
	for !ok() {
		if time.Now().After(end) {
			tb.Fatalf("waited %v for %s", d, what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// StopController ends slurmctld; StartController brings it back with its state.
func (c *Cluster) StopController(tb testing.TB) {
	tb.Helper()
	c.stopDaemon(tb, "slurmctld.pid", syscall.SIGTERM)
}

// StartController starts slurmctld and waits until it answers and has heard of
// every node whose slurmd is running.
func (c *Cluster) StartController(tb testing.TB) {
	tb.Helper()
	c.Command(tb, "setsid", "-f", "slurmctld")
	c.Eventually(tb, patience, "slurmctld to answer and to see its nodes", func() bool {
		if _, err := c.Try("scontrol", "ping"); err != nil {
			return false
		}
		out, err := c.Try("sinfo", "-h", "-N", "-p", "batch", "-o", "%N %t")
		if err != nil {
			return false
		}
		for line := range strings.Lines(out) {
			node, state, _ := strings.Cut(strings.TrimSpace(line), " ")
			_, running := readPID(filepath.Join(c.Dir, "run", "slurmd."+node+".pid"))
			if running == nil && !usable(state) {
				return false
			}
		}
		return true
	})
}

// usable reports whether a node's compact state lets jobs run there. A * behind it
// means that the node has not answered yet.
func usable(state string) bool {
	return state == "idle" || state == "mix" || state == "alloc" || state == "comp"
}

// StopAccounting ends slurmdbd; StartAccounting brings it back.
func (c *Cluster) StopAccounting(tb testing.TB) {
	tb.Helper()
	c.stopDaemon(tb, "slurmdbd.pid", syscall.SIGKILL)
}

// StartAccounting starts slurmdbd and waits until sacct works.
func (c *Cluster) StartAccounting(tb testing.TB) {
	tb.Helper()
	c.Command(tb, "setsid", "-f", "slurmdbd")
	c.Eventually(tb, patience, "slurmdbd to answer", func() bool {
		_, err := c.Try("sacctmgr", "-n", "list", "cluster")
		return err == nil
	})
}

// KillNode plays the sudden death of a node: its slurmd and every job step and task on it are killed at once. Slurm
// notices after SlurmdTimeout (10 s unless Options.Conf says otherwise).
func (c *Cluster) KillNode(tb testing.TB, node string) {
	tb.Helper()
	c.stopDaemon(tb, "slurmd."+node+".pid", syscall.SIGKILL)
	quiet := 0
	c.Eventually(tb, patience, "the tasks on "+node+" to end", func() bool {
		tasks := c.tasksOn(node)
		if slices.ContainsFunc(tasks, alive) {
			kill(tasks)
			quiet = 0
		}
		quiet++
		return quiet == 3 // a step may have been being started while we looked
	})
}

// StartNode brings a killed node back and waits until it can be used again.
func (c *Cluster) StartNode(tb testing.TB, node string) {
	tb.Helper()
	c.Command(tb, "setsid", "-f", "slurmd", "-N", node)
	c.Eventually(tb, patience, node+" to come back", func() bool {
		out, err := c.Try("sinfo", "-h", "-N", "-p", "batch", "-n", node, "-o", "%t")
		return err == nil && usable(out)
	})
}

func (c *Cluster) stopDaemon(tb testing.TB, pidFile string, sig syscall.Signal) {
	tb.Helper()
	file := filepath.Join(c.Dir, "run", pidFile)
	pid, err := readPID(file)
	if err != nil {
		tb.Fatalf("%s is not running: %v", strings.TrimSuffix(pidFile, ".pid"), err)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		tb.Fatalf("kill %d: %v", pid, err)
	}
	c.Eventually(tb, patience, pidFile+" to end", func() bool { return !alive(pid) })
	_ = os.Remove(file)
}

func (c *Cluster) nodes(ctx context.Context) ([]string, error) {
	out, err := command(ctx, c.env(), "scontrol", "show", "hostnames", "gpu[0-89]")
	if err != nil {
		return nil, fmt.Errorf("slurmtest: %w: %s", err, out)
	}
	have, err := command(ctx, c.env(), "sinfo", "-h", "-N", "-p", "batch", "-o", "%N")
	if err != nil {
		return nil, fmt.Errorf("slurmtest: %w: %s", err, have)
	}
	return strings.Fields(out)[:len(strings.Fields(have))], nil
}

func scriptDir() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Dir(file)
	if !filepath.IsAbs(dir) { // built with -trimpath: the test runs in its package's directory
		var err error
		if dir, err = os.Getwd(); err != nil {
			return "", err
		}
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "testdata", "slurm"), nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("slurmtest: no go.mod above this package")
		}
	}
}

func command(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	// Into a file, not a pipe: a daemon that inherits a pipe would keep us waiting for its end.
	out, err := os.CreateTemp("", "slurmtest-")
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Close(); _ = os.Remove(out.Name()) }()
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	text, readErr := os.ReadFile(out.Name())
	return strings.TrimSpace(string(text)), errors.Join(err, readErr)
}
