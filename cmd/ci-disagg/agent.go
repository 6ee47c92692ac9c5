package main

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/node"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// agentOptions are the flags of agent.
type agentOptions struct {
	Dir     string
	Backend string
	Guard   string
}

func (o *agentOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Backend, "backend", "", "slurm or local (default: as planned)")
	fs.StringVar(&o.Guard, "guard", "", "")
	_ = fs.MarkHidden("guard") // how the local agent starts its own safety net
}

func newAgentCmd(h host) *cobra.Command {
	var o agentOptions
	cmd := &cobra.Command{
		Use:   "agent ATTEMPT_DIR",
		Short: "Supervise the roles of one attempt; runs inside the job",
		Long: `agent is what the batch script of a job execs. It reads plan.json in ATTEMPT_DIR,
starts the roles, watches them, ends them, and leaves agent.json and
run-<k>/roles/<ROLE>/{status.json,output.log} there.

It exits 0 when it could do its work to the end, whatever became of the roles:
that stands in agent.json. 2: ATTEMPT_DIR or its plan is wrong. 3: the record
could not be kept (disk full), or Slurm restarted the job.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Guard != "" {
				step.ServeGuard(h.stdin, o.Guard)
				return nil
			}
			if len(args) != 1 {
				return exit.ByUser(errors.New("agent needs ATTEMPT_DIR"))
			}
			o.Dir = args[0]
			return runAgent(cmd, h, o)
		},
	}
	o.AddFlags(cmd.Flags())
	cmd.AddCommand(newNodeCmd(h))
	return cmd
}

// newNodeCmd is the agent's helper on a node.
func newNodeCmd(h host) *cobra.Command {
	var o node.Options
	cmd := &cobra.Command{
		Use:   "node ATTEMPT_DIR",
		Short: "Watch the servers of one node; the agent starts it there",
		Long: `node is what the agent starts beside the roles, once on each node of the job. It
watches the processes, ports and health of the servers there, writes what it
sees to run-<k>/nodes/<node>.jsonl, and prints it for the agent to hear. What the
node is, its GPUs' counters and its samples go to <node>.machine.json and
<node>.telemetry.csv beside it. It ends when its standard input does, on which
the agent tells the time and the phase. When it fails, evidence is missing and
nothing else.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return exit.ByUser(err)
			}
			o.Dir, o.Job, o.Now, o.Agent = rundir.AttemptDir(dir), proc.Getenv(h.environ(), "SLURM_JOB_ID"), h.now, h.stdin
			o.Tell, o.Env = h.stdout, h.environ()
			o.Address, o.Pattern = proc.Getenv(h.environ(), "SLURM_TOPOLOGY_ADDR"), proc.Getenv(h.environ(), "SLURM_TOPOLOGY_ADDR_PATTERN")
			return node.Watch(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.Run, "run", 0, "which of the attempt's runs")
	cmd.Flags().IntVar(&o.Node, "node", node.AllNodes, "which of the job's nodes, from 0; -1 = this machine plays all of them")
	cmd.Flags().StringVar(&o.Name, "name", "local", "name of the node")
	return cmd
}

func runAgent(cmd *cobra.Command, h host, o agentOptions) error {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return exit.ByUser(err)
	}
	if _, err := os.Stat(rundir.AttemptDir(dir).PlanFile()); err != nil {
		return exit.ByUser(err)
	}
	rules, err := configfile.BuiltinClasses()
	if err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		name = "?"
	}
	self, err := h.executable()
	if err != nil {
		return err
	}
	signals, stop := agentSignals()
	defer stop()
	err = agent.Run(cmd.Context(), agent.Options{
		Dir: rundir.AttemptDir(dir), Backend: o.Backend, Version: buildVersion(), Env: h.environ(), Host: name, PID: os.Getpid(),
		Now: h.now, Stdout: h.stdout, Classes: rules, Signals: signals, Alone: true,
		GuardArgv: func(token string) []string { return []string{self, "agent", "--guard", token} },
		HelperArgv: func(run, index int, name string) []string {
			return []string{self, "agent", "node", "--run", strconv.Itoa(run), "--node", strconv.Itoa(index), "--name", name, dir}
		},
	})
	if err != nil {
		return &exit.Error{Code: exit.Infra, Err: err}
	}
	return nil
}

// agentSignals are those that end an attempt early. A SIGHUP that was ignored
// when we were started (nohup) stays ignored.
func agentSignals() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 8)
	sigs := []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}
	if !signal.Ignored(syscall.SIGHUP) {
		sigs = append(sigs, syscall.SIGHUP)
	}
	signal.Notify(c, sigs...)
	return c, func() { signal.Stop(c) }
}
