package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline/exchange"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/table"
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
	f.StringVar(&o.mode, "mode", "", "only runs of this mode: nightly, pr or bisect")
	f.StringVar(&o.since, "since", "", "only the last so much, such as 90d")
	f.StringVarP(&o.out, "output", "o", "", "file to write (default stdout)")
	return cmd
}

func runBaselineExport(ctx context.Context, h host, o exportOptions) error {
	match, err := parseMatch(o.match)
	if err != nil {
		return usageErr(err)
	}
	filter := baseline.Filter{Case: o.caseID, Match: match, Branch: o.branch, Mode: o.mode}
	if o.since != "" {
		age, err := cmdline.Age("--since", o.since)
		if err != nil {
			return usageErr(err)
		}
		filter.Since = h.now().Add(-age)
	}
	return o.atStore(ctx, h, false, func(d desk) error { return o.export(ctx, d, filter) })
}

// export writes the records that pass the filter.
func (o exportOptions) export(ctx context.Context, d desk, filter baseline.Filter) error {
	h := d.h
	var warnings []string
	n := 0
	write := func(w io.Writer) error {
		var err error
		n, err = exchange.Export(w, func(fn func(baseline.Record) error) error {
			var err error
			warnings, err = d.setup.Store.Each(ctx, filter, fn)
			return err
		})
		return err
	}
	var err error
	if o.out == "" || o.out == "-" {
		err = write(h.stdout)
	} else {
		var path string
		if path, err = absPath(h, o.out); err == nil {
			err = rundir.WriteStream(path, rundir.FileMode, write)
		}
	}
	for _, w := range warnings {
		fmt.Fprintf(h.stderr, "warning: %s\n", table.OneLine(w))
	}
	if err == nil {
		fmt.Fprintf(h.stderr, "%d records exported\n", n)
	}
	return err
}
