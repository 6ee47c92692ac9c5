package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
)

// resumeOptions are the flags of resume.
type resumeOptions struct {
	driveFlags
	findFlags
	rules     prpolicy.Flags
	mergeBase string
	config    string
}

func newResumeCmd(h host) *cobra.Command {
	var o resumeOptions
	cmd := &cobra.Command{
		Use:   "resume [flags] {RUN_DIR | --run-id ID}",
		Short: "Go on with a run where its driver stopped",
		Long: `resume finds where a run stopped (a Jenkins restart, a lost agent, kill -9) and
goes on: it re-attaches to live jobs, never submits a second one for a live one,
and ends as run would have ended. A run that is over is only reported again.`,
		Example: `  ci-disagg resume "$HOME/.local/state/ci-disagg/runs/jenkins-perf-gate-1234"`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h := h.ignoringOutputLoss()
			return o.around(h, func() error { return runResume(cmd.Context(), h, o, args) })
		},
	}
	f := cmd.Flags()
	o.driveFlags.AddFlags(f)
	o.findFlags.AddFlags(f)
	o.rules.AddFlags(f)
	f.StringVar(&o.mergeBase, "merge-base", "", "commit at which a pull request left the branch it is compared with: its rules hold")
	addConfigFlag(f, &o.config, "config that --run-id is looked up with, by which a pull request's rules are found, by which perf.reference and ab.confirm are seen to, and that says, too, where a login node and an agent are")
	return cmd
}

func runResume(ctx context.Context, h host, o resumeOptions, args []string) error {
	dir, err := o.find(h, o.config, args)
	if err != nil {
		return err
	}
	now, err := o.rulesNow(h)
	if err != nil {
		return err
	}
	r := started{dir: dir, rules: now, own: own(h, o.config, o.rules, o.mergeBase)}
	if o.config != "" {
		cfg, err := loadConfig(h, o.config)
		if err != nil {
			return err
		}
		r.named = &cfg
	}
	return reattach(ctx, h, dir, r.own, func(ctx context.Context, s *signals) error {
		if r.run, err = readRun(dir); err != nil {
			return err
		}
		return continueRun(ctx, s, h, r, o.driveFlags)
	})
}
