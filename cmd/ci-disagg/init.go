package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/starter"
)

func newInitCmd(h host) *cobra.Command {
	var pipeline, out string
	var force bool
	cmd := &cobra.Command{
		Use:   "init [--pipeline NAME]",
		Short: "Write a first ci-disagg.yaml",
		Long: `init writes a config that runs, with comments, and asks nothing that it can see: whether Slurm is here and what its
default partition is, the GPUs, pytest, a checkout of TensorRT-LLM. It says what it saw and which lines are yours to
change. Without --pipeline it takes what fits. A file that is there is not overwritten.`,
		Example: "  ci-disagg init --pipeline redis && ci-disagg plan && ci-disagg run",
		Args:    cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wd, err := h.getwd()
			if err != nil {
				return err
			}
			first := starter.File{Pipeline: pipeline, Dir: wd, Name: out, Force: force, Env: h.environ()}
			return exit.ByUser(first.Write(cmd.Context(), h.stdout, h.stderr))
		},
	}
	f := cmd.Flags()
	f.StringVar(&pipeline, "pipeline", "", "what it runs: "+strings.Join(starter.Names(), ", "))
	f.StringVarP(&out, "output", "o", defaultConfig, "`file` to write; - is standard output")
	f.BoolVar(&force, "force", false, "overwrite the file if it is there")
	return cmd
}
