package runview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/terminal"
)

// Env is what the verbs have of the process that they run in.
type Env struct {
	Stdout    io.Writer
	Now       func() time.Time
	AddConfig func(f *pflag.FlagSet, config *string)
	AddFind   func(f *pflag.FlagSet, config, runID *string)
	// RunsDir is the parent of run directories: as named, else that of a config.
	RunsDir func(config, named string) (string, error)
	// Find is the run that an argument or an id names.
	Find func(config, runID string, args []string) (rundir.Dir, error)
	// Far is where a run's jobs are, if that is behind a login node and can be reached; else nil.
	Far func(config string, dir rundir.Dir) host.Host
}

// Commands are the verbs that look at runs.
func (e Env) Commands() []*cobra.Command {
	return []*cobra.Command{e.listCmd(), e.statusCmd(), e.logsCmd()}
}

// listOptions are the flags of list.
type listOptions struct {
	config, runsDir, since, output string
	Choice
}

func (e Env) listCmd() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List runs: state, age, verdict and cost",
		Long: `list shows the runs in runs_dir, the newest first: whether somebody drives them,
how they ended, how many cases are through, and the GPU-hours that their jobs have
held. It needs no Slurm and changes nothing.

  running      somebody drives it
  detached     its jobs go on, and nobody drives it: run --detach
  stopped      it is not over, and nobody drives it: resume goes on with it
  interrupted  a signal ended its driver: resume goes on with it
  ended        it is over; the verdict is that of its report`,
		Example: `  ci-disagg list
  ci-disagg list --state running --state detached
  ci-disagg list --since 7d --stage nightly -o json | jq -r '.runs[] | select(.exit_code == 4) | .id'`,
		Args: cmdline.NoArgs,
		RunE: func(*cobra.Command, []string) error { return e.list(o) },
	}
	f := cmd.Flags()
	e.AddConfig(f, &o.config)
	cmdline.AddOutput(f, &o.output)
	f.StringVar(&o.runsDir, "runs-dir", "", "parent of the run directories (default runs_dir of the config)")
	f.StringVar(&o.since, "since", "", "only runs that began within this time, such as 7d")
	f.StringArrayVar(&o.States, "state", nil, "only runs in this state, or with this result, such as regression or not_judged (repeatable)")
	f.StringVar(&o.Stage, "stage", "", "only runs of this stage")
	f.StringVar(&o.Branch, "branch", "", "only runs of this branch")
	f.IntVarP(&o.Most, "limit", "n", 20, "the newest so many; 0 = all")
	return cmd
}

func (e Env) list(o listOptions) error {
	if err := cmdline.CheckOutput(o.output); err != nil {
		return exit.ByUser(err)
	}
	dir, err := e.RunsDir(o.config, o.runsDir)
	if err != nil {
		return err
	}
	if o.since != "" {
		d, err := cmdline.Age("--since", o.since)
		if err != nil {
			return exit.ByUser(err)
		}
		o.Since = e.Now().Add(-d)
	}
	if err := o.Check(); err != nil {
		return exit.ByUser(err)
	}
	list, err := Reader{Now: e.Now()}.List(dir, o.Choice)
	if err != nil {
		return exit.ByUser(err)
	}
	if o.output == cmdline.JSON {
		return cmdline.WriteJSON(e.Stdout, list)
	}
	return list.Write(e.Stdout, e.Now())
}

// lookFlags are those of status and logs.
type lookFlags struct {
	config, output, runID string
	logs                  Logs
}

func (e Env) statusCmd() *cobra.Command {
	var o lookFlags
	cmd := &cobra.Command{
		Use:   "status [flags] {RUN_DIR | RUN_ID}",
		Short: "Show where a run stands, case by case",
		Long: `status shows one run, also while it goes on or after run --detach, from every machine
that sees its directory: for each case its job, phase and for how long, how many
roles are ready, and what was seen last. It changes nothing.`,
		Example: `  ci-disagg status jenkins-perf-1234
  ci-disagg status -o json jenkins-perf-1234 | jq -r '.case_list[] | [.id, .state, .phase] | @tsv'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return e.status(cmd.Context(), o, args) },
	}
	e.AddFind(cmd.Flags(), &o.config, &o.runID)
	cmdline.AddOutput(cmd.Flags(), &o.output)
	return cmd
}

func (e Env) status(ctx context.Context, o lookFlags, args []string) error {
	if err := cmdline.CheckOutput(o.output); err != nil {
		return exit.ByUser(err)
	}
	dir, err := e.Find(o.config, o.runID, args)
	if err != nil {
		return err
	}
	r := Reader{Now: e.Now()}
	if h := e.Far(o.config, dir); h != nil {
		defer func() { _ = h.Close() }() // nothing is on its way
		r.Far = func(path string) ([]byte, error) { return readFar(ctx, h, path) }
	}
	status, err := r.Status(dir)
	if err != nil {
		return exit.ByUser(err)
	}
	if o.output == cmdline.JSON {
		return cmdline.WriteJSON(e.Stdout, status)
	}
	return status.Write(e.Stdout, e.Now())
}

func (e Env) logsCmd() *cobra.Command {
	var o lookFlags
	cmd := &cobra.Command{
		Use:   "logs [flags] {RUN_DIR | RUN_ID} [CASE] [ROLE]",
		Short: "Print what the roles of a run print",
		Long: `logs prints the output of the newest attempt's roles: of all cases, of one (its id or
a part of it), or of one role. With -f it goes on until the run, or the case, is over;
it may come and go without any effect on the run.`,
		Example: `  ci-disagg logs jenkins-perf-1234
  ci-disagg logs -f jenkins-perf-1234 my_config server_0
  ci-disagg logs -n 50 jenkins-perf-1234 my_config`,
		Args: cobra.MaximumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error { return e.logs(cmd.Context(), o, args) },
	}
	e.AddFind(cmd.Flags(), &o.config, &o.runID)
	cmd.Flags().BoolVarP(&o.logs.Follow, "follow", "f", false, "go on until the run is over")
	cmd.Flags().IntVarP(&o.logs.Lines, "lines", "n", -1, "begin with the last so many lines of each log")
	cmd.Flags().Lookup("lines").DefValue = "all of them"
	return cmd
}

func (e Env) logs(ctx context.Context, o lookFlags, args []string) error {
	var run []string
	rest := args
	if o.runID == "" && len(args) > 0 {
		run, rest = args[:1], args[1:]
	}
	dir, err := e.Find(o.config, o.runID, run)
	if err != nil {
		return err
	}
	rest = append(slices.Clone(rest), "", "")
	o.logs.Dir, o.logs.Case, o.logs.Role = dir, rest[0], rest[1]
	o.logs.Clean, o.logs.Poll = terminal.Is(e.Stdout), 500*time.Millisecond
	if err := (Reader{}).Show(ctx, o.logs, e.Stdout, e.Now); err != nil && !errors.Is(err, context.Canceled) {
		return exit.ByUser(fmt.Errorf("logs: %w", err))
	}
	return nil
}
