package main

import (
	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
)

func newBaselineNodesCmd(h host) *cobra.Command {
	var o storeFlags
	var since, output string
	cmd := &cobra.Command{
		Use:   "nodes [flags]",
		Short: "Show cards and nodes that are slower than their peers",
		Long: `nodes looks at all valid nightly runs of a store for cards (by their ids, where the
runs recorded them) and nodes on which jobs are worse than on the others, over many
runs and cases. What they cost is taken out of later verdicts; clusters.NAME.exclude
keeps jobs away from them. Ends with 0, whatever it finds.`,
		Example: `  ci-disagg baseline nodes --store dir:/shared/perf
  ci-disagg baseline nodes --since 30d -o json | jq -r '.[].node'`,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			age, err := cmdline.Age("--since", since)
			if err != nil {
				return exit.ByUser(err)
			}
			if err := cmdline.CheckOutput(output); err != nil {
				return exit.ByUser(err)
			}
			return o.atStore(cmd.Context(), h, false, func(e curate.Editor, _ config) error {
				f := baseline.Filter{Kinds: []baseline.Kind{baseline.KindRun}, Counts: true, Since: h.now().Add(-age)}
				return e.Nodes(cmd.Context(), printer(h), f, output == cmdline.JSON)
			})
		},
	}
	f := cmd.Flags()
	o.AddFlags(f)
	f.StringVar(&since, "since", "60d", "how far back")
	cmdline.AddOutput(f, &output)
	return cmd
}
