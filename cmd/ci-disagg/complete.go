package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/compared"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/runview"
)

// addCompletions tells the shell what to offer beside file names: the words that
// a flag knows, the clusters of the config, run directories.
func addCompletions(root *cobra.Command, h host) {
	words := map[string][]string{
		"backend":   rundir.Backends(),
		"case-mode": rundir.CaseModes(),
		"flaky":     {"pass", "fail", "skip"},
		"format":    {"openmetrics", "opensearch-bulk"},
		"mode":      {baseline.ModeNightly, baseline.ModePR, baseline.ModeBisect, baseline.ModeReference},
	}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		completeFlags(cmd, h, words)
		if offer := argumentsOf(cmd, h); offer != nil {
			cmd.ValidArgsFunction = offer
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(root)
}

// completeFlags says what there is for the values of flags.
func completeFlags(cmd *cobra.Command, h host, words map[string][]string) {
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
	complete("run-id", runsOf(h))
	complete("metric", metricsOf(h, ""))
	switch f := cmd.Flags().Lookup("output"); {
	case f == nil:
	case f.Usage == cmdline.Forms:
		complete("output", cobra.FixedCompletions([]string{cmdline.Table, cmdline.JSON}, cobra.ShellCompDirectiveNoFileComp))
	case cmd.Name() == "compare":
		complete("output", cobra.FixedCompletions(compared.Formats(), cobra.ShellCompDirectiveNoFileComp))
	}
	if cmd.Flags().Lookup("config") != nil {
		complete("case", casesOf(h))
	}
}

// argumentsOf says what there is for a verb's arguments; nil = the names of files.
func argumentsOf(cmd *cobra.Command, h host) cobra.CompletionFunc {
	switch strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ") {
	case "run", "plan", "bisect":
		return casesOf(h)
	case "report", "resume", "cancel", "confirm", "status":
		return runsOf(h)
	case "logs":
		return logsOf(h)
	case "compare":
		return sidesOf(h)
	case "baseline accept", "baseline pin":
		return metricsOf(h, "case")
	default:
		return nil
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

// logsOf offers a run, then its cases, then its roles.
func logsOf(h host) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return runsOf(h)(cmd, args, begun)
		}
		dir, err := findFlags{}.find(h, cmd.Flag("config").Value.String(), args[:1])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		status, err := runview.Reader{Now: h.now()}.Status(dir)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return status.Words(len(args)), cobra.ShellCompDirectiveNoFileComp
	}
}

// sidesOf offers what compare can tell apart, and run directories by their path.
func sidesOf(h host) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		cfg, err := loadConfig(h, cmd.Flag("config").Value.String())
		if err != nil || len(args) > 1 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		offer := []cobra.Completion{"branch:", "commit:", "date:"}
		for _, name := range slices.Sorted(maps.Keys(cfg.Clusters)) {
			offer = append(offer, "cluster:"+name)
		}
		if parent, err := runsDir(h, cfg); err == nil {
			for _, id := range runview.IDs(parent) {
				offer = append(offer, "run:"+id)
			}
		}
		return offer, cobra.ShellCompDirectiveDefault
	}
}

// metricsOf offers the known metrics. Where a verb needs another flag first, that one is offered instead.
func metricsOf(h host, first string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if first != "" && !cmd.Flag(first).Changed {
			return []cobra.Completion{"--" + first}, cobra.ShellCompDirectiveNoFileComp
		}
		cfg, err := loadConfig(h, cmd.Flag("config").Value.String())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		known, err := cfg.Metrics()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var out []cobra.Completion
		for _, m := range known.All() {
			out = append(out, cobra.CompletionWithDesc(m.Name, m.Unit))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// casesOf offers the cases of the config's own pipelines, and those that the store has seen of late. A shell waits for
// it: a store that does not answer at once offers none.
func casesOf(h host) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const late = 14 * 24 * time.Hour
		ctx, cancel := context.WithTimeout(cmd.Context(), h.patience)
		defer cancel()
		o := storeFlags{config: cmd.Flag("config").Value.String()}
		if f := cmd.Flag("store"); f != nil {
			o.store = f.Value.String()
		}
		seen := map[string]bool{}
		if cfg, err := loadConfig(h, o.config); err == nil {
			for _, id := range cfg.IDs() {
				seen[id] = true
			}
		}
		_ = o.atStore(ctx, h, false, func(e curate.Editor, _ config) error {
			_, err := e.Setup.Store.Each(ctx, baseline.Filter{Kinds: []baseline.Kind{baseline.KindRun}, Since: h.now().Add(-late)}, func(r baseline.Record) error {
				seen[r.Case] = true
				return nil
			})
			return err
		})
		return slices.Sorted(maps.Keys(seen)), cobra.ShellCompDirectiveNoFileComp
	}
}
