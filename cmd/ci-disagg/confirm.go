package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/confirm"
)

// confirmFlags are the flags of confirm.
type confirmFlags struct {
	suiteFlags
	findFlags
}

func newConfirmCmd(h host) *cobra.Command {
	var o confirmFlags
	cmd := &cobra.Command{
		Use:   "confirm [flags] {RUN_DIR | --run-id ID}",
		Short: "Measure a run's regressions again, in pairs against the last good commit",
		Long: `confirm makes one paired session for each regression of a run: the last good commit, as the run's report names it,
against the first bad one, on the same nodes. The config says how the build of a commit comes about ({commit} in
builds.head, or builds.make). Three things can come of it:

  confirmed      the session finds it too                                        4
  not confirmed  the session passes; the alarm stays open in the history         5
  unconfirmed    it is undecided, or a commit cannot be built or is not known    4

The worst of them is the exit code; without a regression it is the run's own. The run's own report stays as it is; what
came of it stands in its confirm.json. Called again it goes on where it stopped.`,
		Example: `  rc=0; ci-disagg run --test-list nightly.txt --run-dir night || rc=$?
  if [ $rc -eq 4 ]; then rc=0; ci-disagg confirm night || rc=$?; fi; exit $rc`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), h, args)
		},
	}
	f := cmd.Flags()
	addConfigFlag(f, &o.config, "config file")
	addClusterFlag(f, &o.Cluster)
	f.StringVar(&o.Backend, "backend", "", "slurm (default) or local")
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
	off := ""
	if !cfg.Builds.Made() && cfg.Builds.Base.Source == "" && cfg.Builds.Base.Image == "" {
		off = fmt.Sprintf("nothing in %s says how the build of a commit comes about: {commit} in builds.head.source, image or install, or builds.make", cfg.Path)
	}
	code, err := confirm.Options{Dir: dir, Out: h.stdout, Session: func(ctx context.Context, at, id, good, bad string) (int, string) {
		if off != "" {
			return 0, off
		}
		return o.pairOf(ctx, h, cfg, at, []string{id, good, bad})
	}}.Run(ctx)
	if err != nil {
		return exit.ByUser(err)
	}
	if code != exit.Passed {
		return &exit.Error{Code: code}
	}
	return nil
}
