package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/runview"
)

// addCompletions tells the shell what to offer beside file names: the words that
// a flag knows, the clusters of the config, run directories.
func addCompletions(root *cobra.Command, h host) {
	words := map[string][]string{
		"backend":   {"slurm", "local"},
		"case-mode": {"e2e", "gen_only", "ctx_only", "aggregated"},
		"flaky":     {"pass", "fail", "skip"},
		"format":    {"openmetrics", "opensearch-bulk"},
		"mode":      {"nightly", "pr", "bisect", "reference"},
	}
	for _, cmd := range root.Commands() {
		complete := func(flag string, f cobra.CompletionFunc) {
			if cmd.Flags().Lookup(flag) != nil {
				if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
					panic(err) // there are two for one flag
				}
			}
		}
		for flag, known := range words {
			complete(flag, cobra.FixedCompletions(known, cobra.ShellCompDirectiveNoFileComp))
		}
		complete("cluster", clustersOf(h))
		switch cmd.Name() {
		case "run", "plan": // test ids
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		case "report", "resume", "cancel", "status", "logs":
			cmd.ValidArgsFunction = runsOf(h)
		}
		complete("run-id", runsOf(h))
		if f := cmd.Flags().Lookup("output"); f != nil && f.Usage == cmdline.Forms {
			complete("output", cobra.FixedCompletions([]string{cmdline.Table, cmdline.JSON}, cobra.ShellCompDirectiveNoFileComp))
		}
	}
}

// clustersOf offers the clusters of the config that the command line names.
func clustersOf(h host) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		cfg, err := loadConfig(h, cmd.Flag("config").Value.String())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return slices.Sorted(maps.Keys(cfg.Clusters)), cobra.ShellCompDirectiveNoFileComp
	}
}

// runsOf offers the ids of the runs in runs_dir, and run directories by their path.
func runsOf(h host) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		cfg, err := loadConfig(h, cmd.Flag("config").Value.String())
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		parent, err := runsDir(h, cfg)
		if err != nil {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
		return runview.IDs(parent), cobra.ShellCompDirectiveDefault
	}
}
