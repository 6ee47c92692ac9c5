package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/paired"
	"github.com/ci-disagg/ci-disagg/internal/report/confirm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// confirmFlags are the flags of confirm.
type confirmFlags struct {
	copyFlags
	suiteFlags
	findFlags
}

func newConfirmCmd(h host) *cobra.Command {
	var o confirmFlags
	cmd := &cobra.Command{
		Use:   "confirm [flags] {RUN_DIR | --run-id ID}",
		Short: "Measure a run's regressions again, in pairs against the last good commit",
		Long: `confirm makes one paired session for each new regression of a run: the last good commit, as the run's report names
it, against the first bad one, on other nodes than the run's, as far as there are any. The config says how the build of
a commit comes about ({commit} in builds.head, or builds.make). A nightly does it by itself where ab.confirm is set.
Three things can come of it:

  confirmed      the session finds it too                                        4
  not confirmed  the session passes; the alarm stays open in the history         5
  unconfirmed    it is undecided, or a commit cannot be built or is not known    4

The run's report is made again and says so; its exit code is this one's. What came of it stands in confirm.json. Called
again it goes on where it stopped.`,
		Example: `  rc=0; ci-disagg run --test-list nightly.txt --run-dir night || rc=$?
  if [ $rc -eq 4 ]; then rc=0; ci-disagg confirm night || rc=$?; fi; exit $rc`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.around(h, func() error { return o.run(cmd.Context(), h, args) })
		},
	}
	f := cmd.Flags()
	addConfigFlag(f, &o.config, "config file")
	addClusterFlag(f, &o.Cluster)
	f.StringVar(&o.Backend, "backend", "", "slurm (default) or local")
	o.copyFlags.AddFlags(f)
	o.findFlags.AddFlags(f)
	return cmd
}

func (o confirmFlags) run(ctx context.Context, h host, args []string) error {
	dir, err := o.find(h, o.config, args)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(h, o.config)
	if err != nil {
		return err
	}
	found, stopped, err := o.confirm(h, cfg, dir).Run(ctx, nil)
	switch {
	case err != nil:
		return exit.ByUser(err)
	case stopped != 0:
		return &exit.Error{Code: stopped}
	case len(found) == 0:
		fmt.Fprintf(h.stderr, "ci-disagg: %s has no new regression to confirm\n", dir)
	}
	return runReport(ctx, h, reportOptions{copyFlags: o.copyFlags}, []string{string(dir)})
}

// confirm makes a session of each regression of a run.
func (o suiteFlags) confirm(h host, cfg config, dir rundir.Dir) confirm.Options {
	own := o.Avoid
	return confirm.Options{
		Dir: dir, Out: h.stderr, Most: cfg.AB.GPUHours, Refused: cfg.Builds.Unpaired(),
		Hours: func(id, good, bad string) (float64, error) {
			s, err := o.pair(h, cfg, []string{id, good, bad})
			hours, _ := paired.Longest(s.Plans)
			return hours, err
		},
		Session: func(ctx context.Context, r confirm.Result) (int, string) {
			o.Avoid = append(own[:len(own):len(own)], r.Nodes...)
			return o.pairOf(ctx, h, cfg, r.Dir, []string{r.Case, r.Good, r.Bad})
		},
	}
}
