package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// exportOptions are the flags of baseline export.
type exportOptions struct {
	seriesFlags
	mode  string
	since string
	out   string
}

func newBaselineExportCmd(h host) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:     "export [flags]",
		Short:   "Write records as NDJSON, one per line, as import reads them",
		Example: "  ci-disagg baseline export --store dir:/shared/perf -o perf.ndjson\n  ci-disagg baseline export | jq -c 'select(.gpu == \"GB200\")'",
		Args:    cmdline.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBaselineExport(cmd.Context(), h, o) },
	}
	f := cmd.Flags()
	o.AddFlags(f)
	f.StringVar(&o.mode, "mode", "", "only runs of this mode: nightly, pr, bisect or ab")
	f.StringVar(&o.since, "since", "", "only the last so much, such as 90d")
	f.StringVarP(&o.out, "output", "o", "", "file to write (default stdout)")
	return cmd
}

func runBaselineExport(ctx context.Context, h host, o exportOptions) error {
	of, err := o.series()
	if err != nil {
		return err
	}
	filter := baseline.Filter{Case: of.Case, Match: of.Match, Branch: of.Branch, Mode: o.mode}
	if o.since != "" {
		age, err := cmdline.Age("--since", o.since)
		if err != nil {
			return exit.ByUser(err)
		}
		filter.Since = h.now().Add(-age)
	}
	return o.atStore(ctx, h, false, func(e curate.Editor, _ config) error {
		n := 0
		write := func(w io.Writer) (err error) {
			n, err = e.Export(ctx, w, filter)
			return err
		}
		if err := o.write(h, write); err != nil {
			return err
		}
		fmt.Fprintf(h.stderr, "%d records exported\n", n)
		return nil
	})
}

// write writes to where the records are wanted.
func (o exportOptions) write(h host, to func(io.Writer) error) error {
	if o.out == "" || o.out == "-" {
		return to(h.stdout)
	}
	path, err := absPath(h, o.out)
	if err != nil {
		return err
	}
	return rundir.WriteStream(path, rundir.FileMode, to)
}
