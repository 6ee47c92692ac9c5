package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func newResumeCmd(h host) *cobra.Command {
	var flags driveFlags
	cmd := &cobra.Command{
		Use:   "resume [flags] RUN_DIR",
		Short: "Go on with a run where its driver stopped",
		Long: `resume finds where a run stopped (a Jenkins restart, a lost agent, kill -9) and
goes on: it re-attaches to live jobs, never submits a second one for a live one,
and ends as run would have ended. A run that is over is only reported again.`,
		Example: `  ci-disagg resume "$HOME/.local/state/ci-disagg/runs/jenkins-perf-gate-1234"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runResume(cmd.Context(), h, flags, args[0])
		},
	}
	flags.AddFlags(cmd.Flags())
	return cmd
}

func runResume(ctx context.Context, h host, flags driveFlags, path string) error {
	abs, err := absPath(h, path)
	if err != nil {
		return err
	}
	return continueRun(ctx, h, rundir.Dir(abs), flags, false)
}
